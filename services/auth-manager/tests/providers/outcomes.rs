//! A dead grant, a client of ours that is refused, and a provider that is away: three different
//! things to the caller, to the row and to the operator.

use auth_manager::models::grant::GrantState;
use chrono::TimeDelta;
use serde_json::json;
use test_support::{ProxyFault, TestRealm};

use crate::log;
use crate::service::{App, Consented};
use crate::world::{OFFLINE, TOKEN};

async fn app() -> (App, Consented) {
    let realm = TestRealm::create(&json!({ "accessTokenLifespan": 36_000 })).await;
    let app = App::start(realm, "").await;
    let consented = app.consent().await;
    app.draw(&consented.id).await.expect(200);
    app.forget_drawn().await;
    (app, consented)
}

/// Refreshes and draws that ended like this.
async fn counted(app: &App, refresh: &str, draw: &str) -> (u64, u64) {
    let calls = format!(
        r#"auth_manager_provider_calls_total{{endpoint="refresh",outcome="{refresh}",provider="{}"}}"#,
        app.name
    );
    let draws = format!(r#"auth_manager_draws_total{{cache="miss",outcome="{draw}"}}"#);
    (app.metric(&calls).await, app.metric(&draws).await)
}

/// Nothing that opens anything has gone into the log.
fn expect_no_secret_in_the_log() {
    for secret in ["eyJ", "development-secret"] {
        assert_eq!(log::entries(secret), Vec::<serde_json::Value>::new());
    }
}

#[tokio::test]
async fn a_dead_grant_is_a_401_and_a_dead_row() {
    let (app, Consented { id, session }) = app().await;
    app.realm.end_offline_session(&session).await;
    for _ in 0..2 {
        app.draw(&id).await.expect_error(401, "token_not_active");
    }
    let row = app.grant_of(&id).await;
    assert_eq!(row.state(), GrantState::Dead);
    assert_eq!(row.dead_reason.as_deref(), Some("session_ended"));
    assert_eq!(counted(&app, "grant_dead", "token_not_active").await, (1, 1));
    assert!(log::says("grant_dead", &[&row.id.to_string(), "session_ended", &app.name]));
    expect_no_secret_in_the_log();
}

#[tokio::test]
async fn a_client_of_ours_that_is_refused_is_a_502_and_a_live_row() {
    let (app, Consented { id, .. }) = app().await;
    let good = json!({ "enabled": true, "secret": TestRealm::secret(OFFLINE) });
    for change in [json!({ "secret": "changed there" }), json!({ "enabled": false })] {
        app.realm.change_client(OFFLINE, &change).await;
        app.draw(&id).await.expect_error(502, "provider_misconfigured");
        let row = app.grant_of(&id).await;
        assert_eq!((row.state(), row.presentations), (GrantState::Live, 0));
        assert_eq!((row.lease_holder, row.call_deadline), (None, None));
        app.realm.change_client(OFFLINE, &good).await;
    }
    assert_eq!(counted(&app, "misconfigured", "provider_misconfigured").await, (2, 2));
    assert!(log::says("provider_misconfigured", &["refresh", &app.name]));
    app.draw(&id).await.expect(200);
    expect_no_secret_in_the_log();
}

#[tokio::test]
async fn a_provider_that_is_away_is_a_503_and_a_row_that_goes_on() {
    let (app, Consented { id, .. }) = app().await;
    app.proxy.go_away().await;
    let answer = app.draw(&id).await.expect_error(503, "provider_unavailable");
    assert!(answer.header("retry-after").parse::<u64>().is_ok_and(|seconds| seconds > 0));
    let row = app.grant_of(&id).await;
    assert_eq!((row.state(), row.presentations), (GrantState::Live, 0));
    app.proxy.come_back().await;

    app.proxy.fail(TOKEN, ProxyFault::Answer(500, "<html></html>"));
    let answer = app.draw(&id).await.expect_error(503, "provider_unavailable");
    assert!(answer.header("retry-after").parse::<u64>().is_ok_and(|seconds| seconds > 0));
    let row = app.grant_of(&id).await;
    assert_eq!((row.state(), row.presentations), (GrantState::OutcomeUnknown, 1));
    assert!(log::says("outcome_unknown", &[&row.id.to_string()]));
    assert!(log::says("provider_call_failed", &[&app.name]));
    assert_eq!(counted(&app, "away", "provider_unavailable").await, (2, 2));
    app.proxy.mend(TOKEN);
    app.clock.turn(TimeDelta::minutes(1));
    app.draw(&id).await.expect(200);
    assert_eq!(app.grant_of(&id).await.state(), GrantState::Live);
    expect_no_secret_in_the_log();
}
