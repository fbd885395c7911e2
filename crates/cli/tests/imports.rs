//! `latchkey migrate account-vault` and `auth-vault`, as an operator sees them.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::path::PathBuf;
use std::process::{Command, Output};

use aes::Aes256;
use auth_manager::MIGRATIONS;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeEncrypt as _, KeyIvInit as _};
use diesel_async::SimpleAsyncConnection as _;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use test_support::TestDatabase;

const ISSUER: &str = "https://id.example.com/realms/one";
const PLAIN_AGAIN: &str =
    include_str!("../../../migrations/auth-manager/2026-11-25-000002_no_plain_tokens/down.sql");
const USER: &str = "00000000-0000-4000-8000-000000000001";

struct Operator {
    database: TestDatabase,
    folder: TempDir,
}

impl Operator {
    async fn new() -> Self {
        let database = TestDatabase::create("auth", || MIGRATIONS).await;
        let folder = tempfile::tempdir().unwrap();
        let providers = format!(
            "[keycloak]\nkind = \"keycloak\"\nissuer = \"{ISSUER}\"\n\
             login_client = {{ id = \"login\", secret = \"a-secret\" }}\n"
        );
        std::fs::write(folder.path().join("providers.toml"), providers).unwrap();
        Self { database, folder }
    }

    async fn run(&self, statements: &str) {
        self.database.connect().await.batch_execute(statements).await.unwrap();
    }

    fn latchkey(&self, arguments: &[&str], more: &[(&str, &str)]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_latchkey"))
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .env("AUTH_MANAGER__ENVIRONMENT", "development")
            .env("AUTH_MANAGER__DATABASE__URL", self.database.url())
            .env("AUTH_MANAGER__PROVIDERS__FILE", self.file("providers.toml"))
            .envs(more.iter().copied())
            .output()
            .unwrap()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Sessions with a plain token each, of as many provider sessions.
    async fn add_sessions(&self, count: i64) {
        self.run(PLAIN_AGAIN).await;
        let values: Vec<String> = (0..count)
            .map(|number| {
                let token = token(number, &format!("sid-{number}"));
                format!("(gen_random_uuid(), '{USER}', '{token}', now(), now(), now())")
            })
            .collect();
        self.run(&format!("INSERT INTO users VALUES ('{USER}', 'subject-1', now())")).await;
        self.run(&format!(
            "INSERT INTO user_sessions (id, user_id, refresh_token, created_at, updated_at,
                 last_accessed_at) VALUES {}",
            values.join(", ")
        ))
        .await;
    }
}

fn token(issued_at: i64, sid: &str) -> String {
    let claims = json!({
        "iss": ISSUER, "typ": "Refresh", "sub": "subject-1", "sid": sid, "azp": "login",
        "iat": issued_at,
    });
    format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string()))
}

fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn sessions_move_once_with_a_line_each_hundred_rows_and_a_dry_run_changes_nothing() {
    let operator = Operator::new().await;
    operator.add_sessions(201).await;
    let dry = operator.latchkey(&["migrate", "account-vault", "--dry-run"], &[]);
    assert!(dry.status.success(), "{}", text(&dry.stderr));
    let counts = "migrated 201, replaced 0, skipped 0, errors 0, total 201";
    assert_eq!(text(&dry.stdout), format!("{counts} (dry run: nothing was changed)\n"));

    let done = operator.latchkey(&["migrate", "account-vault"], &[]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    assert_eq!(text(&done.stderr), "100 of 201 rows\n200 of 201 rows\n");
    assert_eq!(text(&done.stdout), format!("{counts}\n"));
    let again = operator.latchkey(&["migrate", "account-vault"], &[]);
    assert_eq!(text(&again.stdout), "migrated 0, replaced 0, skipped 0, errors 0, total 0\n");
    let steps = operator.latchkey(
        &["migrate", "run", "--service", "auth-manager"],
        &[("AUTH_MANAGER__LOG__LEVEL", "info")],
    );
    assert!(steps.status.success(), "{}", text(&steps.stderr));
}

#[tokio::test]
async fn rows_that_fail_or_give_way_are_named_and_no_token_is_shown() {
    let operator = Operator::new().await;
    operator.add_sessions(2).await;
    let (older, odd) =
        ("00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b");
    let same_session = token(-1, "sid-1");
    operator
        .run(&format!(
            "INSERT INTO user_sessions (id, user_id, refresh_token, created_at, updated_at,
                 last_accessed_at) VALUES
                 ('{older}', '{USER}', '{same_session}', now(), now(), now()),
                 ('{odd}', '{USER}', 'garbage', now(), now(), now())"
        ))
        .await;
    let done = operator.latchkey(&["migrate", "account-vault"], &[]);
    assert_eq!(done.status.code(), Some(1));
    assert_eq!(text(&done.stdout), "migrated 2, replaced 1, skipped 0, errors 1, total 4\n");
    let said = text(&done.stderr);
    assert!(said.contains(&format!("{older}: replaced: ")), "{said}");
    assert!(said.contains(&format!("{odd}: error: the token is malformed")), "{said}");
    assert!(said.ends_with("error: 1 rows were left as they were\n"), "{said}");
    assert!(!said.contains("garbage") && !said.contains("e30."), "{said}");
}

#[tokio::test]
async fn an_older_vault_is_taken_over_with_its_key_from_a_file() {
    let (operator, older) = (Operator::new().await, Operator::new().await);
    older
        .run(
            "DROP TABLE auth_vault CASCADE;
             CREATE TABLE auth_vault (id uuid PRIMARY KEY, user_id uuid, token_type text,
                 encrypted_token bytea, iv bytea, token_hash text, metadata jsonb,
                 session_state_id text, created_at timestamptz, updated_at timestamptz)",
        )
        .await;
    let (plain, iv) = (token(1, "sid-1"), [5; 16]);
    let sealed = cbc::Encryptor::<Aes256>::new_from_slices(&[7; 32], &iv)
        .unwrap()
        .encrypt_padded_vec::<Pkcs7>(plain.as_bytes());
    let (sealed, iv) = (hex::encode(sealed), hex::encode(iv));
    let hash = hex::encode(Sha256::digest(&plain));
    older
        .run(&format!(
            "INSERT INTO auth_vault VALUES (gen_random_uuid(), '{USER}', 'refresh', '\\x{sealed}',
                 '\\x{iv}', '{hash}', NULL, NULL, now(), now())"
        ))
        .await;
    let url = [("OLDER_VAULT_URL", older.database.url())];
    let refused = operator.latchkey(&["migrate", "auth-vault"], &url);
    assert!(text(&refused.stderr).contains("OLDER_VAULT_KEY"), "{}", text(&refused.stderr));
    let file = operator.file("older.key");
    let given = [url[0], ("OLDER_VAULT_KEY_FILE", file.to_str().unwrap())];
    std::fs::write(&file, "07".repeat(31)).unwrap();
    let refused = operator.latchkey(&["migrate", "auth-vault"], &given);
    assert!(text(&refused.stderr).contains("is not 64 hex characters"));
    std::fs::write(&file, format!("{}\n", "07".repeat(32))).unwrap();
    for (arguments, counts) in [
        (["migrate", "auth-vault", "--dry-run"].as_slice(), "migrated 1, replaced 0, skipped 0"),
        (&["migrate", "auth-vault"], "migrated 1, replaced 0, skipped 0"),
        (&["migrate", "auth-vault"], "migrated 0, replaced 0, skipped 1"),
    ] {
        let done = operator.latchkey(arguments, &given);
        assert!(done.status.success(), "{}", text(&done.stderr));
        assert!(text(&done.stdout).starts_with(counts), "{}", text(&done.stdout));
        assert!(text(&done.stdout).contains("errors 0, total 1"));
    }
}
