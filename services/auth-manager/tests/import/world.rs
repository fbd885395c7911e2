use auth_manager::MIGRATIONS;
use auth_manager::config::SCHEMA;
use auth_manager::import::Importer;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use common::settings::{Environment, Schema};
use diesel::sql_types::{BigInt, Text};
use diesel_async::{RunQueryDsl as _, SimpleAsyncConnection as _};
use serde_json::{Value, json};
use test_support::{ProvidersFile, TestDatabase};

pub(crate) const ISSUER: &str = "https://id.example.com/realms/one";
const PLAIN_AGAIN: &str =
    include_str!("../../../../migrations/auth-manager/2026-11-25-000002_no_plain_tokens/down.sql");

pub(crate) struct World {
    pub(crate) database: TestDatabase,
    file: ProvidersFile,
}

#[derive(diesel::QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

#[derive(diesel::QueryableByName)]
struct Name {
    #[diesel(sql_type = Text)]
    text: String,
}

impl World {
    /// A database after the first step: plain tokens may still be there.
    pub(crate) async fn start() -> Self {
        let database = TestDatabase::create("auth", || MIGRATIONS).await;
        let table = format!(
            "[keycloak]\nkind = \"keycloak\"\nissuer = \"{ISSUER}\"\n\
             login_client = {{ id = \"login\", secret = \"a-secret\" }}\n"
        );
        let world = Self { database, file: ProvidersFile::new().with(&table) };
        world.run(PLAIN_AGAIN).await;
        world
    }

    pub(crate) fn importer(&self, dry_run: bool) -> Importer {
        let path = self.file.path();
        let environment: Environment = [
            ("AUTH_MANAGER__ENVIRONMENT", "development"),
            ("AUTH_MANAGER__DATABASE__URL", self.database.url()),
            ("AUTH_MANAGER__PROVIDERS__FILE", path.as_str()),
        ]
        .into_iter()
        .collect();
        let settings = Schema::load(&SCHEMA, &environment).unwrap();
        Importer::new(&settings, dry_run).unwrap()
    }

    pub(crate) async fn run(&self, statements: &str) {
        self.database.connect().await.batch_execute(statements).await.unwrap();
    }

    pub(crate) async fn count(&self, of: &str) -> i64 {
        let query = diesel::sql_query(format!("SELECT count(*) AS count FROM {of}"));
        let count: Count = query.get_result(&mut self.database.connect().await).await.unwrap();
        count.count
    }

    pub(crate) async fn text(&self, query: &str) -> String {
        let query = diesel::sql_query(format!("SELECT ({query})::text AS text"));
        let name: Name = query.get_result(&mut self.database.connect().await).await.unwrap();
        name.text
    }
}

/// As Keycloak's refresh and offline tokens look; nobody but Keycloak can check the signature.
pub(crate) fn token(typ: &str, subject: &str, sid: &str, jti: &str) -> String {
    let claims: Value = json!({
        "iss": ISSUER, "typ": typ, "sub": subject, "sid": sid, "azp": "login", "jti": jti,
        "scope": "openid email",
    });
    format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string()))
}
