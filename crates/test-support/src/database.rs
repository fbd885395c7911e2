use std::collections::BTreeMap;

use common::database::{Database, migrate};
use common::settings::Secret;
use diesel_async::{AsyncPgConnection, SimpleAsyncConnection as _};
use diesel_migrations::EmbeddedMigrations;
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::eventually;

/// A migrated database that nothing else uses, dropped at the end.
pub struct TestDatabase {
    name: String,
    url: String,
}

/// One template a service in a test process, so that migrations run once.
static TEMPLATES: Mutex<BTreeMap<String, String>> = Mutex::const_new(BTreeMap::new());

impl TestDatabase {
    /// Creates a database of `service` with its `migrations` applied.
    pub async fn create(service: &str, migrations: fn() -> EmbeddedMigrations) -> Self {
        let template = template(service, migrations).await;
        let name = format!("test_{}", Uuid::new_v4().simple());
        administer(&format!("CREATE DATABASE {name} TEMPLATE {template}")).await;
        Self { url: url_of(&name), name }
    }

    /// `postgres://…` of the database.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The same as a setting.
    #[must_use]
    pub fn secret(&self) -> Secret {
        Secret::from(self.url.clone())
    }

    /// A connection of its own.
    pub async fn connect(&self) -> AsyncPgConnection {
        connect(&self.url).await
    }

    /// The same for statements of a tool that knows no diesel.
    pub async fn client(&self) -> Result<tokio_postgres::Client, String> {
        database(&self.url).client().await
    }

    /// Waits until a statement waits for a lock that another holds.
    pub async fn until_somebody_waits(&self) {
        let look = "DO $$ BEGIN ASSERT EXISTS (SELECT FROM pg_stat_activity \
            WHERE wait_event_type = 'Lock' AND datname = current_database()); END $$";
        eventually("a statement waits for a lock", async || {
            self.connect().await.batch_execute(look).await.ok()
        })
        .await;
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let statement = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        // Dropping happens in async and other contexts alike.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(administer(&statement));
        });
        let _ = dropped.join();
    }
}

async fn template(service: &str, migrations: fn() -> EmbeddedMigrations) -> String {
    let mut templates = TEMPLATES.lock().await;
    if let Some(template) = templates.get(service) {
        return template.clone();
    }
    let template = make_template(migrations).await;
    templates.insert(service.to_owned(), template.clone());
    template
}

async fn make_template(migrations: fn() -> EmbeddedMigrations) -> String {
    remove_leftovers().await;
    let name = format!("template_{}_{}", std::process::id(), Uuid::new_v4().simple());
    administer(&format!("CREATE DATABASE {name}")).await;
    migrate(&database(&url_of(&name)), migrations()).await.expect("migrations apply");
    name
}

/// Templates of test processes that have ended.
async fn remove_leftovers() {
    #[derive(diesel::QueryableByName)]
    struct Row {
        #[diesel(sql_type = diesel::sql_types::Text)]
        datname: String,
    }
    let mut connection = connect(&server_url()).await;
    let query = diesel::sql_query(
        "SELECT datname::text AS datname FROM pg_database WHERE datname LIKE 'template\\_%'",
    );
    let rows: Vec<Row> =
        diesel_async::RunQueryDsl::load(query, &mut connection).await.expect("a list of databases");
    for name in rows.into_iter().map(|row| row.datname) {
        let process = name.split('_').nth(1).unwrap_or_default();
        if !std::path::Path::new(&format!("/proc/{process}")).exists() {
            let _ = connection.batch_execute(&format!("DROP DATABASE IF EXISTS {name}")).await;
        }
    }
}

async fn administer(statement: &str) {
    let mut connection = connect(&server_url()).await;
    connection.batch_execute(statement).await.expect("the server creates and drops databases");
}

fn database(url: &str) -> Database {
    Database::new(&Secret::from(url.to_owned()), None).expect("postgres://user@host:port/database")
}

async fn connect(url: &str) -> AsyncPgConnection {
    database(url).connect().await.expect("the server answers")
}

pub(crate) fn server_url() -> String {
    std::env::var("TEST_DATABASE_URL")
        .expect("TEST_DATABASE_URL names no PostgreSQL server; run `cargo xtask test`")
}

fn url_of(name: &str) -> String {
    let server = server_url();
    let (server, parameters) = server.split_once('?').unwrap_or((&server, ""));
    let (base, _) = server.rsplit_once('/').expect("postgres://user@host:port/database");
    let question = if parameters.is_empty() { "" } else { "?" };
    format!("{base}/{name}{question}{parameters}")
}
