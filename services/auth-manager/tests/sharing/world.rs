//! A vault of its own, a person, and the replicas that serve it.

use std::sync::Arc;

use auth_manager::MIGRATIONS;
use auth_manager::models::grant::{self, Grant, GrantKey, TokenType};
use auth_manager::models::persistent_token::{self, PersistentToken};
use auth_manager::vault::token_identity;
use chrono::TimeDelta;
use common::clock::Clock;
use diesel::sql_types::{BigInt, Binary, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl as _};
use serde_json::json;
use test_support::{FaultProxy, ProvidersFile, TestDatabase, TestRealm, eventually, keycloak_url};
use uuid::Uuid;
use vault_crypto::{Keyring, TokenHasher};

use crate::app::{App, settings};
use crate::person::Person;

pub(crate) const LOGIN: &str = "latchkey-login";
pub(crate) const OFFLINE: &str = "latchkey-offline";

/// Endpoints, as the proxy names them.
pub(crate) const REVOKE: &str = "/revoke";
pub(crate) const TOKEN: &str = "/token";
pub(crate) const SESSIONS: &str = "/sessions/";

pub(crate) struct World {
    pub(crate) clock: Clock,
    pub(crate) database: TestDatabase,
    pub(crate) realm: Arc<TestRealm>,
    pub(crate) proxy: FaultProxy,
    file: ProvidersFile,
}

#[derive(diesel::QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

#[derive(diesel::QueryableByName)]
struct Id {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::on(TestRealm::shared(&json!({ "accessTokenLifespan": 600 })).await).await
    }

    /// On a realm of one's own, for who changes it.
    pub(crate) async fn on(realm: Arc<TestRealm>) -> Self {
        let proxy = FaultProxy::start(&keycloak_url()).await;
        Self {
            clock: Clock::default(),
            database: TestDatabase::create("auth", || MIGRATIONS).await,
            file: ProvidersFile::new().with_realm("keycloak", &realm, Some(&proxy), ""),
            realm,
            proxy,
        }
    }

    pub(crate) async fn app(&self) -> App {
        self.app_with(&[]).await
    }

    pub(crate) async fn app_with(&self, more: &[(&str, &str)]) -> App {
        let file = self.file.path();
        let own = [
            ("AUTH_MANAGER__DATABASE__URL", self.database.url()),
            ("AUTH_MANAGER__PROVIDERS__FILE", file.as_str()),
        ];
        let environment: Vec<_> = own.iter().chain(more).copied().collect();
        App::start(settings(&environment), self.clock.clone()).await
    }

    /// `person` consents in the browser that they are signed in with; the new id.
    pub(crate) async fn consent(&self, app: &App, person: &Person) -> String {
        let url = app.request_offline_token(person).await.expect(200).json["data"].clone();
        let back = person.follow(url["consent_url"].as_str().unwrap()).await;
        let answer = app.finish_offline_token(&back).await.expect(200);
        answer.json["data"]["persistent_token_id"].as_str().unwrap().to_owned()
    }

    /// The grant behind an id.
    pub(crate) async fn grant_of(&self, id: &str) -> Grant {
        let mut connection = self.database.connect().await;
        let query = "SELECT grant_id AS id FROM persistent_tokens WHERE id = $1";
        let query = diesel::sql_query(query).bind::<SqlUuid, _>(id.parse::<Uuid>().unwrap());
        let found: Id = query.get_result(&mut connection).await.expect("the id");
        grant::find(&mut connection, found.id).await.unwrap().expect("the grant")
    }

    /// Another id of the same user on a grant of `key`'s with `token` in it, made here.
    pub(crate) async fn add_grant(
        &self,
        like: &Grant,
        session: &str,
        kind: TokenType,
        token: &str,
    ) -> String {
        let key = GrantKey { session_state_id: session, ..like.key() };
        let sealed = keyring().seal(&token_identity(&key, kind), token.as_bytes());
        let mut connection = self.database.connect().await;
        let grant_id = Uuid::new_v4();
        diesel::sql_query(
            "INSERT INTO auth_vault (id, user_id, provider, subject, client_id, session_state_id,
                 token_type, encrypted_token, sealing_key_id, token_hash, scope, created_at,
                 updated_at, last_access_at)
             VALUES ($1, $2, 'keycloak', $3, $4, $5, $6, $7, $8, $9, 'openid', $10, $10, $10)",
        )
        .bind::<SqlUuid, _>(grant_id)
        .bind::<SqlUuid, _>(like.user_id)
        .bind::<Text, _>(key.subject)
        .bind::<Text, _>(key.client_id)
        .bind::<Text, _>(session)
        .bind::<Text, _>(kind.as_str())
        .bind::<Binary, _>(sealed.clone().into_bytes())
        .bind::<Text, _>(sealed.key_id())
        .bind::<Binary, _>(hash(token))
        .bind::<Timestamptz, _>(self.clock.now())
        .execute(&mut connection)
        .await
        .unwrap();
        self.add_id(&mut connection, like.user_id, grant_id, session).await.to_string()
    }

    async fn add_id(
        &self,
        connection: &mut AsyncPgConnection,
        user_id: Uuid,
        grant_id: Uuid,
        session: &str,
    ) -> Uuid {
        let token = PersistentToken {
            id: Uuid::new_v4(),
            grant_id,
            user_id,
            session_state_id: session.to_owned(),
            created_at: self.clock.now(),
            last_used_at: None,
        };
        persistent_token::insert(connection, &token).await.unwrap();
        token.id
    }

    /// As a refresh does when a realm rotates.
    pub(crate) async fn replace_token(&self, grant: &Grant, token: &str) {
        let identity = token_identity(&grant.key(), grant.token_type());
        let sealed = keyring().seal(&identity, token.as_bytes());
        let mut connection = self.database.connect().await;
        diesel::sql_query(
            "UPDATE auth_vault SET encrypted_token = $2, token_hash = $3, version = version + 1,
                 lease_holder = NULL, lease_until = NULL, call_deadline = NULL WHERE id = $1",
        )
        .bind::<SqlUuid, _>(grant.id)
        .bind::<Binary, _>(sealed.into_bytes())
        .bind::<Binary, _>(hash(token))
        .execute(&mut connection)
        .await
        .unwrap();
    }

    /// Somebody with a live session of ours, as sign-in leaves it behind.
    pub(crate) async fn person(&self, app: &App) -> Person {
        let person = self.stranger(app).await;
        let mut connection = self.database.connect().await;
        let added = diesel::sql_query(
            "INSERT INTO user_sessions (id, user_id, provider, provider_session_id, created_at,
                 updated_at, last_accessed_at)
             SELECT gen_random_uuid(), user_id, 'keycloak', $1, $2, $2, $2
             FROM accounts WHERE subject = $3",
        )
        .bind::<Text, _>(&person.session)
        .bind::<Timestamptz, _>(self.clock.now())
        .bind::<Text, _>(&person.subject)
        .execute(&mut connection)
        .await;
        assert_eq!(added, Ok(1));
        person
    }

    /// Somebody who is signed in at Keycloak and known here, but has no session of ours.
    pub(crate) async fn stranger(&self, app: &App) -> Person {
        let person = Person::sign_in(&self.realm).await;
        app.issue_persistent_id(&person).await.expect_error(404, "token_not_found");
        person
    }

    pub(crate) async fn run(&self, statement: &str) {
        let mut connection = self.database.connect().await;
        diesel::sql_query(statement).execute(&mut connection).await.unwrap();
    }

    pub(crate) async fn count(&self, rows: &str) -> i64 {
        let query = format!("SELECT count(*) FROM {rows}");
        let mut connection = self.database.connect().await;
        let count: Count = diesel::sql_query(query).get_result(&mut connection).await.unwrap();
        count.count
    }

    /// The id of the table's one row.
    pub(crate) async fn only_id(&self, table: &str) -> Uuid {
        let mut connection = self.database.connect().await;
        let query = diesel::sql_query(format!("SELECT id FROM {table}"));
        let rows: Vec<Id> = query.load(&mut connection).await.unwrap();
        assert_eq!(rows.len(), 1, "{table}");
        rows[0].id
    }

    /// Waits until there are `wanted` of them.
    pub(crate) async fn until(&self, rows: &str, wanted: i64) {
        eventually(rows, async || (self.count(rows).await == wanted).then_some(())).await;
    }

    pub(crate) fn let_pass(&self, seconds: i64) {
        self.clock.turn(TimeDelta::seconds(seconds));
    }
}

fn keyring() -> Keyring {
    settings(&[]).vault.keyring().unwrap()
}

fn hash(token: &str) -> Vec<u8> {
    let hasher = TokenHasher::parse(settings(&[]).vault.hash_key.expose()).unwrap();
    hasher.hash(token.as_bytes()).to_vec()
}

/// The token in a grant, opened.
pub(crate) fn token_of(grant: &Grant) -> String {
    let identity = token_identity(&grant.key(), grant.token_type());
    let opened = keyring().open(&identity, &grant.encrypted_token).unwrap();
    String::from_utf8(opened.to_vec()).unwrap()
}
