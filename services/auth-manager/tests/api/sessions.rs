use std::time::{Duration, Instant};

use chrono::TimeDelta;
use common::database::locate;
use common::housekeeping::Removed;
use common::settings::Period;
use diesel_async::SimpleAsyncConnection as _;
use reqwest::Method;
use test_support::{Browser, eventually};

use crate::support::{TestApp, data, text};

#[tokio::test]
async fn sessions_are_listed_with_their_events_and_ended_one_by_one() {
    let app = TestApp::start().await;
    let (first, second) = (app.sign_in(&Browser::new()).await, app.sign_in(&Browser::new()).await);
    let token = text(&second, "access_token");
    let listed = data(&app.ask(Method::GET, "/sessions", token).await.expect(200));
    let items = listed["items"].as_array().unwrap();
    let ids: Vec<&str> = items.iter().map(|session| text(session, "id")).collect();
    assert_eq!(ids, [text(&second, "session_id"), text(&first, "session_id")]);
    assert_eq!((&items[0]["current"], &items[1]["current"]), (&true.into(), &false.into()));
    assert_eq!(items[0]["events"][0]["kind"], "signed_in");

    let path = format!("/sessions/{}", text(&first, "session_id"));
    let ended = data(&app.ask(Method::DELETE, &path, token).await.expect(200));
    assert_eq!(ended["sessions_ended"], 1);
    assert_eq!(app.count("SELECT FROM accounts WHERE sealed_id_token IS NULL").await, 0);
    app.ask(Method::DELETE, &path, token).await.expect_error(404, "session_not_found");
    let shown = data(&app.ask(Method::GET, &path, token).await.expect(200));
    assert_eq!(shown["active"], false);
    let kinds: Vec<&str> =
        shown["events"].as_array().unwrap().iter().map(|event| text(event, "kind")).collect();
    assert_eq!(kinds, ["tokens_cleared", "ended", "signed_in"]);
    // Its token is good for nothing from now on, and its id neither.
    let gone = app.ask(Method::GET, "/validate-token", text(&first, "access_token")).await;
    gone.expect_error(401, "token_not_active");
    let id = text(&first, "persistent_token_id");
    let path = format!("/access-token?persistent_token_id={id}");
    app.ask(Method::POST, &path, token).await.expect_error(404, "token_not_found");
    let sid = text(&first, "session_state_id").to_owned();
    eventually("Keycloak ends the session too", async || {
        (!app.realm.sessions(&app.user).await.contains(&sid)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn all_sessions_end_at_once_and_only_the_callers() {
    let app = TestApp::start().await;
    let mine = app.sign_in(&Browser::new()).await;
    app.sign_in(&Browser::new()).await;
    let other = app.realm.create_user().await;
    let theirs = app.sign_in_as(&Browser::new(), "", &other).await;
    let path = format!("/sessions/{}", text(&mine, "session_id"));
    let token = text(&theirs, "access_token");
    app.ask(Method::GET, &path, token).await.expect_error(404, "session_not_found");
    app.ask(Method::DELETE, &path, token).await.expect_error(404, "session_not_found");
    let ended = app.ask(Method::DELETE, "/sessions", text(&mine, "access_token")).await;
    assert_eq!(data(&ended.expect(200))["sessions_ended"], 2);
    // With the last session the account's own tokens go.
    let cleared = "SELECT FROM accounts WHERE sealed_id_token IS NULL";
    assert_eq!(app.count(&format!("{cleared} AND subject = '{}'", app.user.id)).await, 1);
    assert_eq!(app.count(cleared).await, 1);
    app.ask(Method::GET, "/validate-token", token).await.expect(200);
    let refused = app.ask(Method::GET, "/sessions", text(&mine, "access_token")).await;
    refused.expect_error(401, "token_not_active");
}

#[tokio::test]
async fn while_the_pool_is_exhausted_others_are_503_in_time_and_all_is_well_after_that() {
    let settings = [
        ("AUTH_MANAGER__DATABASE__MAX_CONNECTIONS", "1"),
        ("AUTH_MANAGER__DATABASE__CONNECT_TIMEOUT", "1s"),
    ];
    let app = TestApp::start_with(&settings, "").await;
    let (ended, other) = (app.sign_in(&Browser::new()).await, app.sign_in(&Browser::new()).await);
    let token = text(&other, "access_token");
    let mut holder = app.database.connect().await;
    holder.batch_execute("BEGIN; SELECT FROM user_sessions FOR UPDATE").await.unwrap();
    let path = format!("/sessions/{}", text(&ended, "session_id"));
    let meanwhile = async {
        app.database.until_somebody_waits().await;
        let started = Instant::now();
        let answers = tokio::join!(
            app.ask(Method::GET, "/sessions", token),
            app.ask(Method::GET, "/accounts", token),
        );
        // The one with the connection waits for up to ten.
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
        for answer in [answers.0, answers.1] {
            let answer = answer.expect_error(503, "database_unavailable");
            assert_eq!(answer.header("retry-after"), "1");
        }
        holder.batch_execute("COMMIT").await.unwrap();
    };
    let (done, ()) = tokio::join!(app.ask(Method::DELETE, &path, token), meanwhile);
    let _ = done.expect(200);
    let listed = data(&app.ask(Method::GET, "/sessions", token).await.expect(200));
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
}

/// What `latchkey cleanup` and a running service's housekeeping do.
async fn clean_up(app: &TestApp) -> Removed {
    let database = locate(&app.database.secret(), None).unwrap();
    let ledger_life = Period(Duration::from_hours(24));
    auth_manager::housekeeping::clean_up(&database, ledger_life).await.unwrap().removed
}

#[tokio::test]
async fn a_session_whose_time_has_run_out_is_live_no_more_and_ends_as_of_then() {
    let app = TestApp::start().await;
    let (first, second) = (app.sign_in(&Browser::new()).await, app.sign_in(&Browser::new()).await);
    let expire = "UPDATE user_sessions SET expires_at = now() - interval '1 minute' WHERE id = ";
    app.run(&format!("{expire}'{}'", text(&first, "session_id"))).await;
    let token = text(&second, "access_token");
    let listed = data(&app.ask(Method::GET, "/sessions", token).await.expect(200));
    let items = listed["items"].as_array().unwrap();
    let ids: Vec<&str> = items.iter().map(|session| text(session, "id")).collect();
    assert_eq!(ids, [text(&second, "session_id")]);
    assert_eq!(clean_up(&app).await["expired_sessions_ended"], 1);
    let path = format!("/sessions/{}", text(&first, "session_id"));
    let shown = data(&app.ask(Method::GET, &path, token).await.expect(200));
    assert_eq!((&shown["active"], &shown["ended_at"]), (&false.into(), &shown["expires_at"]));
    assert_eq!(shown["events"][0]["kind"], "ended");
    assert_eq!(shown["events"][0]["reason"], "expired");
    app.ask(Method::DELETE, &path, token).await.expect_error(404, "session_not_found");
    // Keycloak goes on with it, and nobody has ended it. Later than what was looked up before.
    app.clock.turn(TimeDelta::seconds(70));
    let go_on = text(&first, "access_token");
    app.ask(Method::GET, "/validate-token", go_on).await.expect(200);
    // The account's own tokens go with its last session.
    assert_eq!(app.count("SELECT FROM accounts WHERE sealed_id_token IS NULL").await, 0);
    app.run(&format!("{expire}'{}'", text(&second, "session_id"))).await;
    assert_eq!(clean_up(&app).await["expired_sessions_ended"], 1);
    assert_eq!(app.count("SELECT FROM accounts WHERE sealed_id_token IS NULL").await, 1);
    assert_eq!(clean_up(&app).await["expired_sessions_ended"], 0);
}
