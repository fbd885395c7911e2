//! A token that a key of an older layout signed, at the real chat-service.

use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use common::clock::Clock;
use diesel_async::SimpleAsyncConnection as _;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::sign::Signer;
use serde_json::{Value, json};
use test_support::{Answer, TestDatabase, TestServer};

use super::client::{get, log_out, sign_in, until_ready};
use super::replicas::{serve_chat, serve_users};

const OLDER_ISSUER: &str = "older-issuer";

fn older_token(key: &PKey<Private>, user: &str, now: DateTime<Utc>) -> String {
    let header = json!({ "alg": "RS256", "typ": "JWT", "kid": "older-1" });
    let (iat, exp) = (now.timestamp(), now.timestamp() + 7200);
    let claims = json!({ "iss": OLDER_ISSUER, "sub": user, "iat": iat, "exp": exp });
    let [header, claims] = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    let message = format!("{header}.{claims}");
    let mut signer = Signer::new(MessageDigest::sha256(), key).unwrap();
    let signature = signer.sign_oneshot_to_vec(message.as_bytes()).unwrap();
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// Moves a key of the older layout into the keyset of its user, as an operator does.
async fn migrate(database: &TestDatabase, user: &str, device: &str, key: &PKey<Private>) {
    let pem = String::from_utf8(key.private_key_to_pem_pkcs8().unwrap()).unwrap();
    let data = json!({ "private_key": pem });
    let statements = format!(
        "CREATE TABLE user_session_keys (id bigint PRIMARY KEY, user_id text, device_id text,
             key_id text, key_data json, created_at timestamptz, updated_at timestamptz);
         INSERT INTO user_session_keys
             VALUES (1, '{user}', '{device}', 'older-1', '{data}', now(), now())"
    );
    database.connect().await.batch_execute(&statements).await.unwrap();
    let moved = Command::new(env!("CARGO_BIN_EXE_latchkey"))
        .args(["migrate", "session-keys"])
        .env("USER_SERVICE__ENVIRONMENT", "development")
        .env("USER_SERVICE__DATABASE__URL", database.url())
        .output()
        .unwrap();
    let said = String::from_utf8(moved.stdout).unwrap();
    assert_eq!(said, "migrated 1, replaced 0, skipped 0, errors 0, total 1\n");
}

async fn ask(chat: &TestServer, token: &str) -> Answer {
    get(&chat.url("/api/rooms"), token).await
}

/// The body of a refusal but for the id of its request.
fn body(answer: Answer) -> Value {
    let mut body = answer.expect_error(401, "invalid_token").json;
    body.as_object_mut().unwrap().remove("request_id");
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn a_moved_key_s_token_is_accepted_while_the_legacy_profile_lasts_and_refused_otherwise() {
    let user_database = TestDatabase::create("user", || user_service::MIGRATIONS).await;
    let chat_database = TestDatabase::create("chat", || chat_service::MIGRATIONS).await;
    let users = serve_users(&user_database, TestServer::http()).await;
    let session = sign_in(&users.url(""), "alice").await;
    // The device has no newer key, then.
    log_out(&users.url(""), &session).await;
    let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
    migrate(&user_database, &session.user_id, &session.device_id, &key).await;

    let (clock, url) = (Clock::default(), users.url(""));
    let token = older_token(&key, &session.user_id, clock.now());
    let until = common::clock::rfc3339(clock.now() + TimeDelta::hours(1));
    let legacy = [
        ("CHAT_SERVICE__VERIFIER__LEGACY_UNTIL", until.as_str()),
        ("CHAT_SERVICE__VERIFIER__LEGACY_ISSUER", OLDER_ISSUER),
    ];
    let with = serve_chat(&chat_database, &url, clock.clone(), &legacy).await;
    let without = serve_chat(&chat_database, &url, clock.clone(), &[]).await;
    until_ready(&[with.url(""), without.url("")], "ready").await;
    let refused = body(ask(&without, "anything").await);
    // Cached or not.
    for _ in 0..2 {
        let _ = ask(&with, &token).await.expect(200);
        assert_eq!(body(ask(&without, &token).await), refused);
    }
    clock.turn(TimeDelta::hours(1));
    until_ready(&[with.url("")], "ready").await;
    assert_eq!(body(ask(&with, &token).await), refused);
}
