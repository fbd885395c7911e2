//! `latchkey migrate session-keys`, as an operator sees it.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::process::{Command, Output};

use diesel_async::SimpleAsyncConnection as _;
use test_support::TestDatabase;
use user_service::MIGRATIONS;
use user_service::pem;

const USER: &str = "00000000-0000-4000-8000-000000000001";

fn latchkey(database: &TestDatabase, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_latchkey"))
        .args(arguments)
        .env_clear()
        .env("USER_SERVICE__ENVIRONMENT", "development")
        .env("USER_SERVICE__DATABASE__URL", database.url())
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).unwrap()
}

/// Two hundred and one devices of one person, each with a key.
async fn fill(database: &TestDatabase) {
    let pair = pem::generate(token_verifier::Algorithm::Es256, 0).unwrap();
    let pem = str::from_utf8(&pair.private).unwrap().replace('\n', "\\n");
    let statements = format!(
        "INSERT INTO users (id, username, username_key, password_hash, created_at, updated_at)
             VALUES ('{USER}', 'alice', 'alice', '', now(), now());
         CREATE TABLE user_session_keys (id uuid PRIMARY KEY, user_id uuid, device_id uuid,
             key_id text, key_data json, created_at timestamptz, updated_at timestamptz);
         INSERT INTO user_session_keys
             SELECT gen_random_uuid(), '{USER}', gen_random_uuid(), 'older-' || number,
                 '{{\"private_key\": \"{pem}\"}}', now(), now()
             FROM generate_series(1, 201) AS number"
    );
    database.connect().await.batch_execute(&statements).await.unwrap();
}

#[tokio::test]
async fn keys_move_once_with_a_line_each_hundred_rows_and_what_fails_is_named() {
    let database = TestDatabase::create("user", || MIGRATIONS).await;
    let none = latchkey(&database, &["migrate", "session-keys"]);
    let nothing = "migrated 0, replaced 0, skipped 0, errors 0, total 0\n";
    assert_eq!(text(&none.stdout), nothing, "{}", text(&none.stderr));
    fill(&database).await;
    let row = "00000000-0000-4000-8000-00000000000a";
    let odd =
        format!("INSERT INTO user_session_keys VALUES ('{row}', '{USER}', '{USER}', 'k', '7')");
    database.connect().await.batch_execute(&odd).await.unwrap();

    let counts = "migrated 201, replaced 0, skipped 0, errors 1, total 202";
    let dry = latchkey(&database, &["migrate", "session-keys", "--dry-run"]);
    assert_eq!(text(&dry.stdout), format!("{counts} (dry run: nothing was changed)\n"));
    let done = latchkey(&database, &["migrate", "session-keys"]);
    assert_eq!(text(&done.stdout), format!("{counts}\n"));
    assert_eq!(done.status.code(), Some(1));
    let said = text(&done.stderr);
    assert!(said.starts_with("100 of 202 rows\n200 of 202 rows\n"), "{said}");
    assert!(said.contains(&format!("{row}: error: key_data is no private key\n")), "{said}");

    let again = latchkey(&database, &["migrate", "session-keys"]);
    let counts = "migrated 0, replaced 0, skipped 201, errors 1, total 202\n";
    assert_eq!(text(&again.stdout), counts);
    assert!(text(&again.stderr).contains("201 skipped: moved before\n"));
}
