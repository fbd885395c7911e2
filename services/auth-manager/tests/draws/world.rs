//! A user's grant in a vault of its own, and the processes that draw on it.

use auth_manager::MIGRATIONS;
use auth_manager::config::Settings;
use auth_manager::models::grant::{self, Grant, GrantKey, TokenType};
use auth_manager::vault::{Draw, token_identity};
use chrono::TimeDelta;
use common::clock::Clock;
use diesel::sql_types::{BigInt, Binary, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl as _};
use tempfile::TempDir;
use test_support::{FaultProxy, TestDatabase, TestRealm, eventually, keycloak_url};
use uuid::Uuid;
use vault_crypto::{Keyring, TokenHasher};

use crate::process::{Drawn, Process, draw_as, settings};
use crate::realm::{CLIENT, LOGIN, OfflineGrant, Realm, Rotation};

/// Token requests, as the proxy names them.
pub(crate) const TOKEN: &str = "/token";

pub(crate) struct World {
    pub(crate) clock: Clock,
    pub(crate) database: TestDatabase,
    pub(crate) realm: Realm,
    pub(crate) proxy: FaultProxy,
    pub(crate) user_id: Uuid,
    pub(crate) grant_id: Uuid,
    pub(crate) ids: Vec<Uuid>,
    pub(crate) session: String,
    pub(crate) subject: String,
    folder: TempDir,
}

#[derive(diesel::QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

impl World {
    /// A live grant with `ids` ids on it and nothing drawn yet.
    pub(crate) async fn with(rotation: Rotation, ids: usize) -> Self {
        let realm = Realm::with(rotation).await;
        let grant = realm.grant().await;
        let mut world = Self {
            clock: Clock::default(),
            database: TestDatabase::create("auth", || MIGRATIONS).await,
            proxy: FaultProxy::start(&keycloak_url()).await,
            user_id: Uuid::new_v4(),
            grant_id: Uuid::new_v4(),
            ids: Vec::new(),
            session: grant.session.clone(),
            subject: grant.subject.clone(),
            folder: TempDir::new().unwrap(),
            realm,
        };
        world.store(&grant).await;
        for _ in 0..ids {
            world.add_id().await;
        }
        world.name_provider(LOGIN, &TestRealm::secret(CLIENT), "");
        world
    }

    /// Writes the providers' file, with the way to Keycloak's tokens through the proxy; `secret` is
    /// the offline client's, `more` further tables.
    pub(crate) fn name_provider(&self, login: &str, secret: &str, more: &str) {
        let (realm, proxy) = (&self.realm, self.proxy.url());
        let reuse =
            realm.rotation.reuse().map(|reuse| format!("refresh_token_max_reuse = {reuse}"));
        let text = format!(
            r#"
            [keycloak]
            kind = "keycloak"
            issuer = "{issuer}"
            login_client = {{ id = "{login}", secret = "{login_secret}" }}
            offline_client = {{ id = "{CLIENT}", secret = "{secret}" }}
            {reuse}
            [keycloak.endpoints]
            discovery = "{proxy}{discovery}"
            token = "{proxy}{token}"
            {more}
            "#,
            issuer = realm.issuer(),
            login_secret = TestRealm::secret(login),
            reuse = reuse.unwrap_or_default(),
            discovery = realm.path("/.well-known/openid-configuration"),
            token = realm.path("/protocol/openid-connect/token"),
        );
        std::fs::write(self.providers_file(), text).unwrap();
    }

    /// Where that is.
    pub(crate) fn providers_file(&self) -> String {
        self.folder.path().join("providers.toml").display().to_string()
    }

    pub(crate) async fn process(&self) -> Process {
        self.process_with(&[]).await
    }

    pub(crate) async fn process_with(&self, more: &[(&str, &str)]) -> Process {
        Process::start(self.settings(more), self.clock.clone()).await
    }

    pub(crate) fn settings(&self, more: &[(&str, &str)]) -> Settings {
        let file = self.providers_file();
        let own = [
            ("AUTH_MANAGER__DATABASE__URL", self.database.url()),
            ("AUTH_MANAGER__PROVIDERS__FILE", file.as_str()),
        ];
        let environment: Vec<_> = own.iter().chain(more).copied().collect();
        settings(&environment)
    }

    /// The grant's own user, by its first id.
    pub(crate) fn request(&self) -> Draw {
        draw_as(self.user_id, self.ids[0])
    }

    pub(crate) async fn draw(&self, process: &Process) -> Drawn {
        process.draw(self.request()).await
    }

    pub(crate) async fn row(&self) -> Grant {
        let mut connection = self.database.connect().await;
        grant::find(&mut connection, self.grant_id).await.unwrap().expect("the grant")
    }

    /// The token in the vault, opened.
    pub(crate) async fn token(&self) -> String {
        let row = self.row().await;
        let identity = token_identity(&row.key(), row.token_type());
        let opened = keyring().open(&identity, &row.encrypted_token).unwrap();
        String::from_utf8(opened.to_vec()).unwrap()
    }

    /// Lets what was drawn expire, and every call and lease.
    pub(crate) fn let_time_pass(&self) {
        self.clock.turn(TimeDelta::seconds(400));
    }

    pub(crate) async fn run(&self, statement: &str) {
        let mut connection = self.database.connect().await;
        diesel::sql_query(statement).execute(&mut connection).await.unwrap();
    }

    /// How often the database refused a token, if it did.
    pub(crate) async fn refusals(&self) -> Option<i64> {
        let query = "SELECT last_value AS count FROM refusals WHERE is_called";
        let mut connection = self.database.connect().await;
        let counted: Vec<Count> = diesel::sql_query(query).load(&mut connection).await.unwrap();
        counted.into_iter().next().map(|counted| counted.count)
    }

    /// Waits until a statement with `text` in it waits for a lock.
    pub(crate) async fn until_blocked(&self, text: &str) {
        self.until_blocked_for(text, "0").await;
    }

    /// Waits until it has waited for so long.
    pub(crate) async fn until_blocked_for(&self, text: &str, time: &str) {
        let query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                     AND wait_event_type = 'Lock' AND query LIKE '%' || $1 || '%' \
                     AND clock_timestamp() - query_start >= $2::interval";
        let mut connection = self.database.connect().await;
        loop {
            let blocked: Count = diesel::sql_query(query)
                .bind::<Text, _>(text)
                .bind::<Text, _>(time)
                .get_result(&mut connection)
                .await
                .unwrap();
            if blocked.count > 0 {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Waits until the row is as it is wanted.
    pub(crate) async fn until_row(&self, what: &str, wanted: impl Fn(&Grant) -> bool) {
        eventually(what, async || Some(self.row().await).filter(&wanted).map(drop)).await;
    }

    async fn store(&self, grant: &OfflineGrant) {
        let key = GrantKey {
            provider: "keycloak",
            subject: &grant.subject,
            client_id: CLIENT,
            session_state_id: &grant.session,
        };
        let identity = token_identity(&key, TokenType::Offline);
        let sealed = keyring().seal(&identity, grant.token.as_bytes());
        let hash = settings(&[]).vault.hash_key;
        let hash = TokenHasher::parse(hash.expose()).unwrap().hash(grant.token.as_bytes());
        let mut connection = self.database.connect().await;
        self.add_user(&mut connection, self.user_id).await;
        diesel::sql_query(
            "INSERT INTO auth_vault (id, user_id, provider, subject, client_id, session_state_id,
                 token_type, encrypted_token, sealing_key_id, token_hash, scope, created_at,
                 updated_at, last_access_at)
             VALUES ($1, $2, 'keycloak', $3, $4, $5, 'offline', $6, $7, $8, $9, $10, $10, $10)",
        )
        .bind::<SqlUuid, _>(self.grant_id)
        .bind::<SqlUuid, _>(self.user_id)
        .bind::<Text, _>(&grant.subject)
        .bind::<Text, _>(CLIENT)
        .bind::<Text, _>(&grant.session)
        .bind::<Binary, _>(sealed.clone().into_bytes())
        .bind::<Text, _>(sealed.key_id())
        .bind::<Binary, _>(hash.to_vec())
        .bind::<Text, _>(&grant.scope)
        .bind::<Timestamptz, _>(self.clock.now())
        .execute(&mut connection)
        .await
        .unwrap();
    }

    pub(crate) async fn add_user(&self, connection: &mut AsyncPgConnection, id: Uuid) {
        diesel::sql_query("INSERT INTO users (id, created_at) VALUES ($1, now())")
            .bind::<SqlUuid, _>(id)
            .execute(connection)
            .await
            .unwrap();
    }

    async fn add_id(&mut self) {
        use auth_manager::models::persistent_token::{PersistentToken, insert};
        let token = PersistentToken {
            id: Uuid::new_v4(),
            grant_id: self.grant_id,
            user_id: self.user_id,
            session_state_id: self.session.clone(),
            created_at: self.clock.now(),
            last_used_at: None,
        };
        insert(&mut self.database.connect().await, &token).await.unwrap();
        self.ids.push(token.id);
    }
}

fn keyring() -> Keyring {
    settings(&[]).vault.keyring().unwrap()
}
