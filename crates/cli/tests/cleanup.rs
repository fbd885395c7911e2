//! `latchkey cleanup`, as an operator and cron see it.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::process::{Command, Output};

use diesel_async::SimpleAsyncConnection as _;
use serde_json::{Value, json};
use test_support::{TestDatabase, eventually};

/// What it leaves alone, and who does not.
const EVENTS: &str =
    "security events stay; the service purges them itself, and `latchkey audit retention` does";
const USER: &str = "00000000-0000-4000-8000-000000000001";

/// Of every kind that use leaves behind one that is past, and of most one that is not.
const PAST_IN_VAULT: &str = "
    INSERT INTO users (id, created_at) VALUES ('00000000-0000-4000-8000-000000000001', now());
    INSERT INTO user_sessions (id, user_id, active, created_at, updated_at, last_accessed_at,
        expires_at, ended_at)
        SELECT gen_random_uuid(), users.id, ended_at IS NULL, now(), now(), now(), expires_at,
            ended_at
        FROM users, (VALUES (now() - interval '1 minute', NULL::timestamptz),
            (now() + interval '1 hour', NULL), (NULL, now() - interval '91 days'))
            AS session (expires_at, ended_at);
    INSERT INTO auth_vault (id, user_id, provider, subject, client_id, session_state_id, token_type,
        encrypted_token, sealing_key_id, token_hash, state, dead_reason, grant_expires_at,
        created_at, updated_at, last_access_at)
        SELECT gen_random_uuid(), users.id, 'keycloak', 'subject', 'app', sid, kind, '', '', '',
            CASE WHEN reason IS NULL THEN 'live' ELSE 'dead' END, reason, now() - ended, now(),
            now() - ended, now()
        FROM users, (VALUES ('sid-1', 'refresh', NULL, interval '8 days'),
            ('sid-2', 'refresh', NULL, interval '6 days'),
            ('sid-3', 'offline', 'session_ended', interval '91 days'),
            ('sid-4', 'offline', 'session_ended', interval '89 days'))
            AS ended (sid, kind, reason, ended);
    INSERT INTO provider_calls (id, kind, state, provider, subject, client_id, session_state_id,
        next_at, created_at)
        SELECT gen_random_uuid(), 'revoke', 'ended', 'keycloak', 'subject', 'app', 'sid', at, now()
        FROM (VALUES (now() - interval '1 second'), (now() + interval '1 hour')) AS call (at);
    INSERT INTO drawn_tokens SELECT id, '', '', '', now(), now() - interval '1 second'
        FROM auth_vault WHERE session_state_id = 'sid-4';
    INSERT INTO token_uses (persistent_token_id, user_id, client_id, scope, outcome, used_at)
        SELECT gen_random_uuid(), id, 'app', '', 'cached', now() - interval '9 years' FROM users;
    INSERT INTO authorization_states (id, kind, provider, sealed_verifier, sealing_key_id, nonce,
        created_at, expires_at)
        VALUES ('', 'sign_in', 'keycloak', '', '', '', now(), now() - interval '1 second')";

struct Databases {
    user: TestDatabase,
    chat: TestDatabase,
    auth: TestDatabase,
}

impl Databases {
    /// With rows in them that are past, more than one batch of one kind.
    async fn fill() -> Self {
        let user = TestDatabase::create("user", || user_service::MIGRATIONS).await;
        let chat = TestDatabase::create("chat", || chat_service::MIGRATIONS).await;
        let auth = TestDatabase::create("auth", || auth_manager::MIGRATIONS).await;
        let device = "INSERT INTO devices (id, user_id, sealed_key, sealing_key_id, created_at,
            last_used_at) SELECT gen_random_uuid(), ";
        let in_user = format!(
            "INSERT INTO users (id, username, username_key, password_hash, created_at, updated_at)
                 VALUES ('{USER}', 'alice', 'alice', '', now(), now());
             {device} NULL, '', '', now() - interval '2 days', NULL FROM generate_series(1, 1500);
             {device} '{USER}', '', '', now(), now() - interval '2 years';
             {device} '{USER}', '', '', now() - interval '2 years', now()"
        );
        let in_chat = format!(
            "INSERT INTO rooms (id, name, visibility, creator_id, created_at)
                 VALUES ('{USER}', 'Garden', 'private', '{USER}', now());
             INSERT INTO room_invitations SELECT '{USER}', gen_random_uuid(), '{USER}',
                 now() + interval '1 hour' * number FROM generate_series(-2, 1) AS number"
        );
        let in_auth = format!(
            "INSERT INTO logout_tokens SELECT 'issuer', number::text,
                 now() + interval '1 hour' * number FROM generate_series(-4, 1) AS number;
             {PAST_IN_VAULT}"
        );
        user.connect().await.batch_execute(&in_user).await.unwrap();
        chat.connect().await.batch_execute(&in_chat).await.unwrap();
        auth.connect().await.batch_execute(&in_auth).await.unwrap();
        Self { user, chat, auth }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_latchkey"));
        command
            .arg("cleanup")
            .args(arguments)
            .env_clear()
            .env("USER_SERVICE__DATABASE__URL", self.user.url())
            .env("CHAT_SERVICE__DATABASE__URL", self.chat.url())
            .env("AUTH_MANAGER__DATABASE__URL", self.auth.url());
        command
    }

    fn clean(&self, arguments: &[&str]) -> String {
        told(&self.command(arguments).output().unwrap())
    }
}

fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).unwrap()
}

fn told(output: &Output) -> String {
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout).to_owned()
}

#[tokio::test]
async fn what_is_past_is_removed_from_every_database_and_said_by_kind() {
    let databases = Databases::fill().await;
    let chat_alone = databases.clean(&["--service", "chat-service"]);
    assert_eq!(chat_alone, "chat-service: invitations 3\n");
    let said = databases.clean(&[]);
    for line in [
        "user-service: unbound_devices 1500",
        "user-service: unused_devices 1",
        "user-service: nonces 0",
        "chat-service: invitations 0",
        "auth-manager: logout_tokens 5",
        "auth-manager: expired_sessions_ended 1",
        "auth-manager: ended_sessions 1",
        "auth-manager: expired_grants 1",
        "auth-manager: dead_grants 1",
        "auth-manager: heard_calls 1",
        "auth-manager: drawn_tokens 1",
        "auth-manager: ledger_entries 1",
        "auth-manager: states 1",
        "auth-manager: revocations_queued 0",
    ] {
        assert!(said.contains(&format!("{line}\n")), "{said}");
    }
    let nothing = databases.clean(&[]);
    assert!(nothing.lines().filter(|line| !line.contains(EVENTS)).all(|line| line.ends_with(" 0")));
    let again: Value = serde_json::from_str(&databases.clean(&["--json"])).unwrap();
    let chat = json!({ "removed": { "invitations": 0 }, "left_to_another": false });
    assert_eq!(again["chat-service"], chat);
    assert_eq!(again.as_object().unwrap().len(), 3);
}

#[tokio::test]
async fn security_events_stay_and_it_is_said_what_purges_them() {
    let databases = Databases::fill().await;
    let event = "INSERT INTO security_events (kind, occurred_at)
        VALUES ('registered', now() - interval '9 years')";
    databases.user.connect().await.batch_execute(event).await.unwrap();
    let said = databases.clean(&[]);
    assert!(said.contains(&format!("user-service: {EVENTS}\n")), "{said}");
    assert_eq!(said.matches("security events").count(), 1, "{said}");
    let there = "DO $$ BEGIN ASSERT (SELECT count(*) FROM security_events) = 1; END $$";
    databases.user.connect().await.batch_execute(there).await.unwrap();
    let help = databases.clean(&["--help"]);
    assert!(
        help.contains("Security events stay") && help.contains("`latchkey audit retention`"),
        "{help}"
    );
}

#[tokio::test]
async fn only_what_is_configured_is_cleaned_and_a_database_that_is_away_keeps_no_other_from_it() {
    let databases = Databases::fill().await;
    let mut alone = databases.command(&[]);
    alone.env_remove("USER_SERVICE__DATABASE__URL").env_remove("AUTH_MANAGER__DATABASE__URL");
    assert_eq!(told(&alone.output().unwrap()), "chat-service: invitations 3\n");
    let mut away = databases.command(&[]);
    away.env("CHAT_SERVICE__DATABASE__URL", "postgres://postgres@127.0.0.1:1/chat");
    let output = away.output().unwrap();
    let said = (text(&output.stdout), text(&output.stderr));
    assert_eq!((output.status.code(), said.1.lines().count()), (Some(1), 1), "{said:?}");
    assert!(said.0.contains("auth-manager: logout_tokens 5\n"), "{said:?}");
    assert!(said.1.contains("chat-service: `database.url`"), "{said:?}");
}

#[tokio::test]
async fn of_two_processes_at_once_one_cleans_and_the_other_says_that_it_does() {
    let databases = Databases::fill().await;
    for (service, database, table, line) in [
        ("user-service", &databases.user, "devices", "unbound_devices 1500"),
        ("chat-service", &databases.chat, "room_invitations", "invitations 3"),
        ("auth-manager", &databases.auth, "logout_tokens", "logout_tokens 5"),
    ] {
        let mut held = database.connect().await;
        let statement = format!("BEGIN; LOCK TABLE {table} IN SHARE MODE");
        held.batch_execute(&statement).await.unwrap();
        let mut first = databases.command(&["--service", service]);
        let first = tokio::task::spawn_blocking(move || first.output().unwrap());
        eventually("the first one waits for the table", || async {
            (waiting(database).await == 1).then_some(())
        })
        .await;
        let second = databases.clean(&["--service", service]);
        assert!(second.ends_with("left to another process, which is at it\n"), "{second}");
        assert!(!second.contains(line.split(' ').next().unwrap()), "{second}");
        held.batch_execute("COMMIT").await.unwrap();
        let first = told(&first.await.unwrap());
        assert!(first.contains(&format!("{service}: {line}\n")), "{first}");
    }
}

/// How many connections to `database` wait for a lock.
async fn waiting(database: &TestDatabase) -> i64 {
    use diesel_async::RunQueryDsl as _;
    #[derive(diesel::QueryableByName)]
    struct Row {
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        count: i64,
    }
    let query = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let row: Row =
        diesel::sql_query(query).get_result(&mut database.connect().await).await.unwrap();
    row.count
}
