//! Both databases with something in every sealed column, and `latchkey` as an operator runs it.

use std::process::{Command, Output};

use diesel::sql_types::{BigInt, Text};
use diesel_async::{RunQueryDsl as _, SimpleAsyncConnection as _};
use sealed_columns::SealedColumn;
use test_support::TestDatabase;
use uuid::Uuid;
use vault_crypto::Keyring;

/// What every sealed value here begins with, so that a leak is seen.
pub(crate) const PLAIN: &str = "never-to-be-printed";
pub(crate) const SEALED: [&str; 8] = [
    "devices.sealed_key",
    "auth_sessions.sealed_secret",
    "published_keys.sealed_key",
    "user_keysets.keyset",
    "auth_vault.encrypted_token",
    "drawn_tokens.sealed_access_token",
    "accounts.sealed_id_token",
    "authorization_states.sealed_verifier",
];

pub(crate) struct World {
    pub(crate) user: TestDatabase,
    pub(crate) auth: TestDatabase,
}

#[derive(diesel::QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

#[derive(diesel::QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

/// A grant that was put into the vault.
pub(crate) struct Put {
    pub(crate) user: Uuid,
    pub(crate) grant: Uuid,
    pub(crate) id: Uuid,
    pub(crate) subject: String,
}

pub(crate) fn old() -> String {
    format!("old:{}", "11".repeat(32))
}

pub(crate) fn new() -> String {
    format!("new:{}", "22".repeat(32))
}

/// The new key writes, the old one still reads.
pub(crate) fn both() -> String {
    format!("{},{}", new(), old())
}

pub(crate) fn column(name: &str) -> &'static SealedColumn {
    let columns = user_service::SEALED_COLUMNS.iter().chain(auth_manager::vault::SEALED_COLUMNS);
    columns.into_iter().find(|column| column.name == name).unwrap()
}

fn hex_of(ring: &str, name: &str, fields: &[&str], plaintext: &str) -> String {
    let fields: Vec<String> = fields.iter().map(|field| (*field).to_owned()).collect();
    let identity = (column(name).identity)(&fields);
    hex::encode(Keyring::parse(ring).unwrap().seal(&identity, plaintext.as_bytes()).as_bytes())
}

/// A literal of `plaintext` sealed for its place.
pub(crate) fn sealed(ring: &str, name: &str, fields: &[&str], plaintext: &str) -> String {
    format!("'\\x{}'::bytea", hex_of(ring, name, fields, plaintext))
}

impl World {
    pub(crate) async fn new() -> Self {
        Self {
            user: TestDatabase::create("user-service", || user_service::MIGRATIONS).await,
            auth: TestDatabase::create("auth-manager", || auth_manager::MIGRATIONS).await,
        }
    }

    /// A value in every sealed column, all under the old key.
    pub(crate) async fn fill(&self) -> Put {
        self.fill_user_service().await;
        self.put_state_and_account().await;
        self.put("alice", "s-1").await
    }

    async fn fill_user_service(&self) {
        let (user, waiting) = (Uuid::new_v4(), "waiting-kid");
        let now = "now(), now()";
        self.user(&format!(
            "INSERT INTO users (id, username, username_key, password_hash, created_at, updated_at)
             VALUES ('{user}', 'alice', 'alice', 'x', {now})"
        ))
        .await;
        let mut members = Vec::new();
        for kid in ["kid-a", "kid-b"] {
            let (device, session) = (Uuid::new_v4().to_string(), Uuid::new_v4().to_string());
            let key = sealed(&old(), SEALED[0], &[&device], PLAIN);
            let secret = sealed(&old(), SEALED[1], &[&session], PLAIN);
            self.user(&format!(
                "INSERT INTO devices (id, user_id, sealed_key, sealing_key_id, created_at)
                 VALUES ('{device}', '{user}', {key}, 'old', now());
                 INSERT INTO auth_sessions (id, user_id, device_id, api, kid, mac_version,
                     sealed_secret, sealing_key_id, auth_time, amr, client_id, scope,
                     address_range, created_at, last_seen_at, rotated_at, last_access_expires_at,
                     expires_at)
                 VALUES ('{session}', '{user}', '{device}', 'bearer', '{kid}', 1, {secret}, 'old',
                     now(), '{{pwd}}', 'app', 'chat', '10.0.0.0/24', {now}, {now}, now() + interval '1 day');
                 INSERT INTO published_keys (kid, public_jwk, key_type, state, user_id,
                     sealing_key_id, published_at)
                 VALUES ('{kid}', '{{}}', 'ES256', 'active', '{user}', 'old', now())"
            ))
            .await;
            let private = hex_of(&old(), SEALED[3], &[kid], PLAIN);
            members.push(format!(
                r#"{{"kid": "{kid}", "device_id": "{device}", "sealed": "{private}"}}"#
            ));
        }
        let key = sealed(&old(), SEALED[2], &[waiting], PLAIN);
        self.user(&format!(
            "INSERT INTO user_keysets VALUES ('{user}', '{{\"keys\": [{}]}}', {now});
             INSERT INTO published_keys (kid, public_jwk, key_type, state, sealed_key,
                 sealing_key_id, published_at)
             VALUES ('{waiting}', '{{}}', 'ES256', 'waiting', {key}, 'old', now());
             INSERT INTO published_keys (kid, public_jwk, key_type, state, user_id, sealing_key_id,
                 published_at, until)
             VALUES ('revoked-kid', '{{}}', 'ES256', 'revoked', '{user}', 'gone', {now})",
            members.join(", ")
        ))
        .await;
    }

    async fn put_state_and_account(&self) {
        let (id, owner) = ("00112233445566778899aabbccddeeff", Uuid::new_v4());
        let verifier = sealed(&old(), SEALED[7], &[id], PLAIN);
        let id_token = sealed(&old(), SEALED[6], &["https://issuer", "bob"], PLAIN);
        self.auth(&format!(
            "INSERT INTO users (id, created_at) VALUES ('{owner}', now());
             INSERT INTO accounts (id, user_id, provider, issuer, subject, created_at, updated_at)
             VALUES (gen_random_uuid(), '{owner}', 'keycloak', 'https://issuer', 'carol', now(),
                 now());
             INSERT INTO accounts (id, user_id, provider, issuer, subject, sealed_id_token,
                 sealing_key_id, created_at, updated_at)
             VALUES (gen_random_uuid(), '{owner}', 'keycloak', 'https://issuer', 'bob', {id_token},
                 'old', now(), now());
             INSERT INTO authorization_states (id, kind, provider, sealed_verifier, sealing_key_id,
                 nonce, created_at, expires_at)
             VALUES ('\\x{id}', 'sign_in', 'keycloak', {verifier}, 'old', 'n', now(),
                 now() + interval '1 hour')"
        ))
        .await;
    }

    /// A grant with an id on it and an access token drawn, under the old key.
    pub(crate) async fn put(&self, subject: &str, session: &str) -> Put {
        let put = Put {
            user: Uuid::new_v4(),
            grant: Uuid::new_v4(),
            id: Uuid::new_v4(),
            subject: subject.to_owned(),
        };
        let Put { user, grant, id, .. } = &put;
        let token = format!("{PLAIN} {grant} 0");
        let fields = ["keycloak", subject, "app", session, "offline"];
        let refresh = sealed(&old(), SEALED[4], &fields, &token);
        let scope = "openid profile";
        let drawn = sealed(&old(), SEALED[5], &[&fields[..], &[scope]].concat(), &token);
        self.auth(&format!(
            "INSERT INTO users (id, created_at) VALUES ('{user}', now());
             INSERT INTO auth_vault (id, user_id, provider, subject, client_id, session_state_id,
                 token_type, encrypted_token, sealing_key_id, token_hash, created_at, updated_at,
                 last_access_at)
             VALUES ('{grant}', '{user}', 'keycloak', '{subject}', 'app', '{session}', 'offline',
                 {refresh}, 'old', decode(md5('{grant}'), 'hex'), now(), now(), now());
             INSERT INTO drawn_tokens VALUES ('{grant}', '{scope}', {drawn}, 'old', now(),
                 now() + interval '1 hour');
             INSERT INTO persistent_tokens (id, grant_id, user_id, session_state_id, created_at)
             VALUES ('{id}', '{grant}', '{user}', '{session}', now())"
        ))
        .await;
        put
    }

    pub(crate) async fn user(&self, statements: &str) {
        self.user.connect().await.batch_execute(statements).await.unwrap();
    }

    pub(crate) async fn auth(&self, statements: &str) {
        self.auth.connect().await.batch_execute(statements).await.unwrap();
    }

    /// Rows of auth-manager.
    pub(crate) async fn count(&self, rows: &str) -> i64 {
        let query = format!("SELECT count(*) FROM {rows}");
        let mut connection = self.auth.connect().await;
        diesel::sql_query(query).get_result::<Count>(&mut connection).await.unwrap().count
    }

    /// A text of auth-manager.
    pub(crate) async fn text(&self, query: &str) -> String {
        let query = format!("SELECT ({query})::text AS line");
        let mut connection = self.auth.connect().await;
        diesel::sql_query(query).get_result::<Line>(&mut connection).await.unwrap().line
    }

    /// The command with both services' settings.
    pub(crate) fn command(&self, ring: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_latchkey"));
        command
            .arg("vault")
            .args(arguments)
            .current_dir(env!("CARGO_TARGET_TMPDIR"))
            .env("USER_SERVICE__ENVIRONMENT", "development")
            .env("USER_SERVICE__DATABASE__URL", self.user.url())
            .env("USER_SERVICE__VAULT__KEYS", ring)
            .env("AUTH_MANAGER__ENVIRONMENT", "development")
            .env("AUTH_MANAGER__DATABASE__URL", self.auth.url())
            .env("AUTH_MANAGER__VAULT__KEYS", ring);
        command
    }

    /// What `latchkey vault` says, and whether it succeeded; it never prints what is sealed.
    pub(crate) fn vault(&self, ring: &str, arguments: &[&str]) -> (bool, String) {
        told(&self.command(ring, arguments).output().unwrap())
    }
}

pub(crate) fn told(output: &Output) -> (bool, String) {
    let [out, err] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    let text = format!("{out}{err}");
    assert!(!text.contains(PLAIN) && !text.contains(&"11".repeat(32)), "{text}");
    (output.status.success(), text)
}
