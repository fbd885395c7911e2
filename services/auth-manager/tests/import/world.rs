use auth_manager::config::{SCHEMA, Settings};
use auth_manager::import::Importer;
use auth_manager::models::grant;
use auth_manager::vault::token_identity;
use auth_manager::{MIGRATIONS, app};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use common::clock::Clock;
use common::settings::{Environment, Schema};
use diesel::sql_types::{BigInt, Text};
use diesel_async::{RunQueryDsl as _, SimpleAsyncConnection as _};
use serde_json::{Value, json};
use test_support::{ProvidersFile, TestDatabase, TestRealm, TestServer};
use uuid::Uuid;
use vault_crypto::Keyring;

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
        let table = format!(
            "[keycloak]\nkind = \"keycloak\"\nissuer = \"{ISSUER}\"\n\
             login_client = {{ id = \"login\", secret = \"a-secret\" }}\n"
        );
        Self::with(ProvidersFile::new().with(&table)).await
    }

    /// The same, whose provider is a real realm.
    pub(crate) async fn start_at(realm: &TestRealm) -> Self {
        Self::with(ProvidersFile::new().with_realm("keycloak", realm, None, "")).await
    }

    async fn with(file: ProvidersFile) -> Self {
        let database = TestDatabase::create("auth", || MIGRATIONS).await;
        let world = Self { database, file };
        world.run(PLAIN_AGAIN).await;
        world
    }

    fn settings(&self) -> Settings {
        let path = self.file.path();
        let environment: Environment = [
            ("AUTH_MANAGER__ENVIRONMENT", "development"),
            ("AUTH_MANAGER__DATABASE__URL", self.database.url()),
            ("AUTH_MANAGER__DATABASE__MAX_CONNECTIONS", "8"),
            ("AUTH_MANAGER__PROVIDERS__FILE", path.as_str()),
        ]
        .into_iter()
        .collect();
        Schema::load(&SCHEMA, &environment).unwrap()
    }

    pub(crate) fn importer(&self, dry_run: bool) -> Importer {
        Importer::new(&self.settings(), dry_run).unwrap()
    }

    /// The service on what was imported.
    pub(crate) async fn serve(&self) -> TestServer {
        let settings = self.settings();
        TestServer::start(move || app::build(settings, Clock::default())).await
    }

    /// The token of the one grant of a session.
    pub(crate) async fn token_of(&self, sid: &str) -> String {
        let id = format!("SELECT id FROM auth_vault WHERE session_state_id = '{sid}'");
        let id: Uuid = self.text(&id).await.parse().unwrap();
        let stored = grant::find(&mut self.database.connect().await, id).await.unwrap().unwrap();
        let keyring = Keyring::parse(self.settings().vault.keys.expose()).unwrap();
        let identity = token_identity(&stored.key(), stored.token_type());
        String::from_utf8(keyring.open(&identity, &stored.encrypted_token).unwrap().to_vec())
            .unwrap()
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
    token_with(typ, subject, sid, &json!({ "jti": jti }))
}

/// One of `subject-1` that was issued at `iat`.
pub(crate) fn token_at(iat: i64, sid: &str) -> String {
    token_with("Refresh", "subject-1", sid, &json!({ "iat": iat }))
}

pub(crate) fn token_with(typ: &str, subject: &str, sid: &str, more: &Value) -> String {
    let mut claims: Value = json!({
        "iss": ISSUER, "typ": typ, "sub": subject, "sid": sid, "azp": "login",
        "scope": "openid email",
    });
    claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string()))
}
