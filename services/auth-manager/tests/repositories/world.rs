use auth_manager::MIGRATIONS;
use auth_manager::models::account::{self, Account};
use auth_manager::models::grant::{Grant, TokenType};
use auth_manager::models::grant_upsert;
use auth_manager::models::user::{self, User};
use auth_manager::models::user_session::{self, UserSession};
use chrono::{DateTime, TimeDelta, Utc};
use diesel_async::{AsyncPgConnection, SimpleAsyncConnection as _};
use serde_json::json;
use test_support::TestDatabase;
use uuid::Uuid;

/// A database with one person in it.
pub(crate) struct World {
    pub(crate) connection: AsyncPgConnection,
    pub(crate) user: Uuid,
    _database: TestDatabase,
}

impl World {
    pub(crate) async fn new() -> Self {
        let database = TestDatabase::create("auth", || MIGRATIONS).await;
        let connection = database.connect().await;
        let mut world = Self { connection, user: Uuid::nil(), _database: database };
        world.user = world.add_user().await;
        world
    }

    pub(crate) async fn add_user(&mut self) -> Uuid {
        let user = User { id: Uuid::new_v4(), keycloak_id: None, created_at: at(0) };
        user::insert(&mut self.connection, &user).await.unwrap();
        user.id
    }

    pub(crate) async fn add_account(&mut self, subject: &str, minute: i64) -> Account {
        let account = Account::new(self.user, "keycloak", "https://one", subject, at(minute));
        account::upsert(&mut self.connection, &account).await.unwrap().unwrap()
    }

    pub(crate) async fn add_session(&mut self, sid: &str, minute: i64) -> UserSession {
        let session = session(self.user, sid, minute);
        user_session::store(&mut self.connection, &session).await.unwrap()
    }

    /// A grant of the person with `token`, of which the vault sees but seal and hash.
    pub(crate) async fn add_grant(&mut self, sid: &str, kind: TokenType, token: &str) -> Grant {
        let mut grant = grant(self.user, sid, kind, token);
        grant.id = grant_upsert::upsert(&mut self.connection, &grant).await.unwrap();
        grant
    }

    pub(crate) async fn run(&mut self, statements: &str) {
        self.connection.batch_execute(statements).await.unwrap();
    }
}

/// Whole seconds, which PostgreSQL keeps as they are.
pub(crate) fn at(minute: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap() + TimeDelta::minutes(minute)
}

pub(crate) fn session(user_id: Uuid, sid: &str, minute: i64) -> UserSession {
    UserSession {
        id: Uuid::new_v4(),
        user_id,
        account_id: None,
        provider: Some("keycloak".to_owned()),
        provider_session_id: Some(sid.to_owned()),
        fingerprint: None,
        user_agent: Some("an agent".to_owned()),
        address_range: None,
        metadata: json!({}),
        active: true,
        created_at: at(minute),
        updated_at: at(minute),
        last_accessed_at: at(minute),
        expires_at: None,
        ended_at: None,
    }
}

pub(crate) fn grant(user_id: Uuid, sid: &str, kind: TokenType, token: &str) -> Grant {
    Grant {
        id: Uuid::new_v4(),
        user_id,
        account_id: None,
        provider: "keycloak".to_owned(),
        subject: "subject-1".to_owned(),
        client_id: "login".to_owned(),
        session_state_id: sid.to_owned(),
        consent_session_id: None,
        token_type: kind.as_str().to_owned(),
        encrypted_token: format!("sealed {token}").into_bytes(),
        sealing_key_id: "key".to_owned(),
        token_hash: format!("hash of {token}").into_bytes(),
        scope: "openid".to_owned(),
        metadata: json!({}),
        grant_expires_at: None,
        state: "live".to_owned(),
        dead_reason: None,
        version: 0,
        presentations: 0,
        lease_holder: None,
        lease_until: None,
        call_deadline: None,
        created_at: at(0),
        updated_at: at(0),
        last_access_at: at(0),
    }
}
