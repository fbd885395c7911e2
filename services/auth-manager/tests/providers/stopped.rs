//! Keycloak itself stops, goes on, dies, and comes back. One of its own, since others use the one
//! that the tests share.

use std::time::{Duration, Instant};

use auth_manager::models::grant::GrantState;
use serde_json::json;
use test_support::{OwnKeycloak, TestRealm, eventually};

use crate::service::{App, Consented, data, text};

const SETTINGS: [(&str, &str); 3] = [
    ("AUTH_MANAGER__PROVIDERS__TIMEOUT", "2s"),
    ("AUTH_MANAGER__PROVIDERS__BREAKER_FAILURES", "2"),
    ("AUTH_MANAGER__PROVIDERS__BREAKER_PAUSE", "1s"),
];
/// The timeout, what a database and a busy machine take, and no more.
const WITHIN: Duration = Duration::from_secs(5);

/// Every draw is told to come back later, in time, and the grant stays as good as it is.
async fn expect_away(app: &App, grants: &[Consented]) {
    app.forget_drawn().await;
    for consented in grants {
        let started = Instant::now();
        let answer = app.draw(&consented.id).await.expect_error(503, "provider_unavailable");
        assert!(answer.header("retry-after").parse::<u64>().is_ok_and(|seconds| seconds > 0));
        assert!(started.elapsed() < WITHIN, "{:?}", started.elapsed());
        let state = app.grant_of(&consented.id).await.state();
        assert!(matches!(state, GrantState::Live | GrantState::OutcomeUnknown), "{state:?}");
    }
}

/// And by itself it is well again.
async fn expect_well(app: &App, grants: &[Consented]) {
    for consented in grants {
        let token = eventually("an access token", async || {
            let answer = app.draw(&consented.id).await;
            (answer.status == 200).then(|| text(&data(&answer), "access_token"))
        })
        .await;
        assert!(token.starts_with("eyJ"));
        assert_eq!(app.grant_of(&consented.id).await.state(), GrantState::Live);
    }
    let line = format!(r#"auth_manager_provider_breaker_open{{provider="{}"}}"#, app.name);
    assert_eq!(app.metric(&line).await, 0);
}

#[tokio::test]
async fn no_grant_is_lost_while_keycloak_stands_still_dies_and_comes_back() {
    let mut keycloak = OwnKeycloak::start().await;
    let realm = json!({ "accessTokenLifespan": 36_000 });
    let realm = TestRealm::create_on(&keycloak.url(), &realm).await;
    let app = App::start(&keycloak.url(), realm, "", &SETTINGS).await;
    let mut grants = Vec::new();
    for _ in 0..3 {
        grants.push(app.consent().await);
    }
    expect_well(&app, &grants).await;

    keycloak.freeze();
    expect_away(&app, &grants).await;
    let line = format!(r#"auth_manager_provider_breaker_open{{provider="{}"}}"#, app.name);
    assert_eq!(app.metric(&line).await, 1);
    keycloak.thaw();
    expect_well(&app, &grants).await;

    keycloak.kill();
    expect_away(&app, &grants).await;
    keycloak.restart().await;
    expect_well(&app, &grants).await;
    // And whoever signs in now is served as ever.
    let newcomer = app.consent().await;
    expect_well(&app, &[newcomer]).await;
}
