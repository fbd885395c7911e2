//! `schema.rs`, `docs/DATABASE.md` and the README's endpoints and secrets are what migrations,
//! handlers and settings say.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use auth_manager::metrics::ServiceMetrics;
use auth_manager::providers::Providers;
use common::clock::Clock;
use common::metrics::Metrics;
use common::settings::Environment;
use diesel_migrations::EmbeddedMigrations;
use test_support::{TestDatabase, declared_routes};

#[derive(diesel::QueryableByName)]
struct Column {
    #[diesel(sql_type = diesel::sql_types::Text)]
    table: String,
    #[diesel(sql_type = diesel::sql_types::Text)]
    name: String,
    #[diesel(sql_type = diesel::sql_types::Text)]
    kind: String,
    #[diesel(sql_type = diesel::sql_types::Bool)]
    nullable: bool,
}

impl Column {
    /// As `schema.rs` has it.
    fn declared(&self) -> String {
        let kind = match self.kind.trim_start_matches('_') {
            "bool" => "Bool",
            "bytea" => "Bytea",
            "cidr" => "Cidr",
            "int2" => "SmallInt",
            "int4" => "Integer",
            "int8" => "BigInt",
            "jsonb" => "Jsonb",
            "text" => "Text",
            "timestamptz" => "Timestamptz",
            "uuid" => "Uuid",
            other => panic!("{}.{} is of type {other}", self.table, self.name),
        };
        let array = self.kind.starts_with('_');
        let kind = if array { format!("Array<{kind}>") } else { kind.to_owned() };
        let kind = if self.nullable { format!("Nullable<{kind}>") } else { kind };
        format!("{}.{} -> {kind}", self.table, self.name)
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

async fn columns(database: &TestDatabase) -> Vec<Column> {
    use diesel_async::RunQueryDsl as _;
    let query = "SELECT table_name::text AS table, column_name::text AS name, udt_name::text AS kind, \
        is_nullable = 'YES' AS nullable FROM information_schema.columns \
        WHERE table_schema = 'public' AND table_name NOT LIKE '\\_\\_diesel%'";
    diesel::sql_query(query).load(&mut database.connect().await).await.unwrap()
}

/// `table.column -> Type` for each column of a `schema.rs`.
fn declared_in(schema: &str) -> BTreeSet<String> {
    let mut table = "";
    let mut declared = BTreeSet::new();
    for line in schema.lines().map(str::trim) {
        if let Some((name, _)) = line.split_once(" (").filter(|_| line.ends_with(") {")) {
            table = name;
        } else if line.contains(" -> ") && line.ends_with(',') {
            declared.insert(format!("{table}.{}", line.trim_end_matches(',')));
        }
    }
    declared
}

async fn check(service: &str, migrations: fn() -> EmbeddedMigrations) {
    let database = TestDatabase::create(service, migrations).await;
    let columns = columns(&database).await;
    let schema = root().join(format!("services/{service}/src/schema.rs"));
    let schema = std::fs::read_to_string(schema).unwrap();
    let migrated: BTreeSet<String> = columns.iter().map(Column::declared).collect();
    assert_eq!(declared_in(&schema), migrated, "{service}: run `diesel print-schema`");
    let page = std::fs::read_to_string(root().join("docs/DATABASE.md")).unwrap();
    let title = format!("## {}\n", service.replace('-', "_"));
    let (_, section) = page.split_once(&title).unwrap();
    let section = section.split("\n## ").next().unwrap();
    for Column { table, .. } in &columns {
        let row = format!("| `{table}` |");
        assert!(section.contains(&row), "docs/DATABASE.md does not name `{table}`");
    }
    for row in section.lines().filter_map(|line| line.strip_prefix("| `")) {
        let (name, _) = row.split_once('`').unwrap();
        let there = columns.iter().any(|column| column.table == name);
        assert!(there, "docs/DATABASE.md names `{name}`, which is not there");
    }
}

#[tokio::test]
async fn schema_and_database_page_are_what_the_migrations_make() {
    check("user-service", || user_service::MIGRATIONS).await;
    check("chat-service", || chat_service::MIGRATIONS).await;
    check("auth-manager", || auth_manager::MIGRATIONS).await;
}

#[derive(diesel::QueryableByName)]
struct Name {
    #[diesel(sql_type = diesel::sql_types::Text)]
    name: String,
}

/// Tables, and columns as `table.column`, that no comment explains.
async fn without_a_comment(database: &TestDatabase) -> Vec<String> {
    use diesel_async::RunQueryDsl as _;
    let query = "WITH tables AS (
             SELECT oid, relname FROM pg_class WHERE relkind = 'r'
                 AND relnamespace = 'public'::regnamespace AND relname NOT LIKE '\\_\\_diesel%')
         SELECT relname::text AS name FROM tables WHERE obj_description(oid, 'pg_class') IS NULL
         UNION ALL
         SELECT relname || '.' || attname FROM tables JOIN pg_attribute ON attrelid = oid
         WHERE attnum > 0 AND NOT attisdropped AND col_description(attrelid, attnum) IS NULL";
    let names: Vec<Name> =
        diesel::sql_query(query).load(&mut database.connect().await).await.unwrap();
    names.into_iter().map(|row| row.name).collect()
}

#[tokio::test]
async fn every_table_and_column_has_a_comment() {
    for (service, migrations) in [
        ("user-service", (|| user_service::MIGRATIONS) as fn() -> EmbeddedMigrations),
        ("chat-service", || chat_service::MIGRATIONS),
        ("auth-manager", || auth_manager::MIGRATIONS),
    ] {
        let database = TestDatabase::create(service, migrations).await;
        let names = without_a_comment(&database).await;
        assert!(names.is_empty(), "{service}: without a comment: {names:?}");
    }
}

#[test]
fn the_readme_s_secrets_are_all_that_production_needs_but_a_database() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let (_, rest) = readme.split_once("<!-- secrets -->\n```sh\n").unwrap();
    let (script, _) = rest.split_once("```\n<!-- end of secrets -->").unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(root().join("deploy"), folder.path().join("deploy")).unwrap();
    let status =
        Command::new("bash").args(["-e", "-c", script]).current_dir(&folder).status().unwrap();
    assert!(status.success());
    let made = std::fs::read_to_string(folder.path().join(".env")).unwrap();
    let url = "postgres://postgres@postgres/a";
    let given = made.lines().map(|line| line.split_once('=').unwrap());
    let providers = folder.path().join("secrets/providers.toml").display().to_string();
    let others = [
        ("USER_SERVICE__DATABASE__URL", url),
        ("CHAT_SERVICE__DATABASE__URL", url),
        ("AUTH_MANAGER__DATABASE__URL", url),
        ("AUTH_MANAGER__PROVIDERS__FILE", &providers),
    ];
    let environment: Environment = given.chain(others).collect();
    let _: user_service::config::Settings =
        user_service::config::SCHEMA.load(&environment).unwrap();
    let _: chat_service::config::Settings =
        chat_service::config::SCHEMA.load(&environment).unwrap();
    let settings: auth_manager::config::Settings =
        auth_manager::config::SCHEMA.load(&environment).unwrap();
    let metrics = ServiceMetrics::register(&Metrics::new("auth-manager"));
    Providers::start(&settings.providers, settings.environment, &Clock::default(), &metrics)
        .unwrap();
    let realm = std::fs::read_to_string(folder.path().join("secrets/realm.json")).unwrap();
    let known = realm.contains("-development-");
    assert!(!known && realm.contains("latchkey-login"), "the realm has secrets of its own");
}

#[test]
fn the_readme_lists_each_endpoint_and_no_other() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let (_, rest) = readme.split_once("<!-- endpoints -->").unwrap();
    let (listed, _) = rest.split_once("<!-- end of endpoints -->").unwrap();
    let listed: BTreeSet<String> = listed
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(endpoint, _)| endpoint.to_owned())
        .collect();
    let mut declared = BTreeSet::new();
    for service in ["user-service", "chat-service", "auth-manager"] {
        let routes = declared_routes(&root().join(format!("services/{service}/src/handlers")));
        declared.extend(
            routes.iter().map(|(method, path)| format!("{} {path}", method.to_uppercase())),
        );
    }
    assert_eq!(listed, declared);
}
