//! The pool of keys that wait, as replicas share it.

use chrono::TimeDelta;
use futures_util::future::join_all;
use test_support::{TestServer, eventually};

use super::support::{Session, TestApp, header, send};

const ES256: (&str, &str) = ("USER_SERVICE__SIGNING__ALGORITHM", "ES256");

/// Replicas that fill it at the same moment may add a key each, where one is short.
async fn filled(app: &TestApp, keys: u64) {
    eventually("the pool is full", || async {
        (app.metric("user_service_key_pool_waiting").await >= keys).then_some(())
    })
    .await;
}

async fn published(app: &TestApp) -> Vec<String> {
    let set = app.get("/.well-known/jwks.json").await.expect(200);
    let keys = set.json["keys"].as_array().unwrap();
    keys.iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

fn kid(session: &Session) -> String {
    header(&session.access_token)["kid"].as_str().unwrap().to_owned()
}

async fn log_in_at(app: &TestApp, server: &TestServer, name: &str) -> String {
    let device = app.register_device().await;
    let body = app.login_body(&device, name);
    let answer = send(app.client.post(server.url("/api/auth/login")).json(&body)).await;
    header(&answer.expect(200).member("access_token"))["kid"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn users_who_log_in_at_once_on_two_replicas_never_get_the_same_key() {
    let settings = [
        ES256,
        ("USER_SERVICE__SIGNING__POOL_SIZE", "24"),
        ("USER_SERVICE__SIGNING__POOL_MAX", "24"),
    ];
    let app = TestApp::with(&settings).await;
    filled(&app, 24).await;
    let replica = app.replica().await;
    let waiting = published(&app).await;
    let names: Vec<String> = (0..24).map(|number| format!("guest-{number}")).collect();
    for name in &names {
        let _ = app.register(name).await.expect(201);
    }
    let logins = names.iter().enumerate().map(|(number, name)| {
        log_in_at(&app, if number % 2 == 0 { &app.server } else { &replica }, name)
    });
    let mut kids = join_all(logins).await;
    assert!(kids.iter().filter(|kid| waiting.contains(kid)).count() >= 12);
    kids.sort();
    kids.dedup();
    assert_eq!(kids.len(), 24);
}

#[tokio::test]
async fn the_oldest_key_goes_first_and_its_age_is_counted() {
    let settings = [
        ES256,
        ("USER_SERVICE__SIGNING__POOL_SIZE", "2"),
        ("USER_SERVICE__SIGNING__POOL_MAX", "2"),
    ];
    let app = TestApp::with(&settings).await;
    filled(&app, 2).await;
    let first_filling = published(&app).await;
    let fresh = app.sign_in().await;
    assert!(first_filling.contains(&kid(&fresh)));
    app.clock.turn(TimeDelta::minutes(11));
    let aged = app.sign_in().await;
    assert!(first_filling.contains(&kid(&aged)), "a younger key was handed out");
    for source in ["fresh", "aged"] {
        let metric = format!(r#"user_service_keys_taken_total{{source="{source}"}}"#);
        assert_eq!(app.metric(&metric).await, 1, "{source}");
    }
}

#[tokio::test]
async fn the_pool_grows_with_what_all_replicas_hand_out_and_shrinks_to_no_less() {
    let settings = [
        ES256,
        ("USER_SERVICE__SIGNING__POOL_SIZE", "1"),
        ("USER_SERVICE__SIGNING__POOL_MAX", "4"),
    ];
    let app = TestApp::with(&settings).await;
    filled(&app, 1).await;
    let replica = app.replica().await;
    for number in 0..5 {
        let name = format!("guest-{number}");
        let _ = app.register(&name).await.expect(201);
        let _ = log_in_at(&app, &replica, &name).await;
    }
    // Five keys went within one waiting time; the ceiling is four.
    let _ = app.sign_in().await;
    filled(&app, 4).await;
}

#[tokio::test]
async fn a_set_above_its_bound_is_cut_said_so_and_each_key_still_found() {
    let settings = [ES256, ("USER_SERVICE__SIGNING__JWKS_MAX_KEYS", "2")];
    let app = TestApp::with(&settings).await;
    let mut sessions = Vec::new();
    for _ in 0..3 {
        sessions.push(app.sign_in().await);
    }
    eventually("the cut is said", || async {
        (published(&app).await.len() == 2
            && app.metric("user_service_jwks_complete").await == 0
            && app.metric("user_service_jwks_keys").await == 3)
            .then_some(())
    })
    .await;
    for session in &sessions {
        let one = app.get(&format!("/.well-known/jwks.json?kid={}", kid(session))).await;
        assert_eq!(one.expect(200).json["keys"].as_array().unwrap().len(), 1);
    }
}
