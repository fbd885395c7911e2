//! The newer cookies taken back by the service itself, and by nobody else.

use chrono::TimeDelta;
use diesel_async::SimpleAsyncConnection as _;
use reqwest::Method;
use serde_json::{Value, json};
use test_support::{Answer, TestBrowser, eventually};
use user_service::models::cookie_rollout_session::{Counts, Seen, count as count_people, note};
use uuid::Uuid;

use super::browser_support::{FIREFOX, LOGOUT, ORIGIN, REFRESH, is_live, log_in, refresh};
use super::cookie_rollout::held;
use super::support::{TestApp, count};

const ES256: (&str, &str) = ("USER_SERVICE__SIGNING__ALGORITHM", "ES256");
const LEAST: (&str, &str) = ("USER_SERVICE__BROWSER__STEP_BACK_LEAST", "3");
const STRICT: (&str, &str) = ("USER_SERVICE__REFRESH__GRACE", "0");
const PEOPLE: [&str; 3] = ["alice", "bob", "carol"];
const REFUSED: &str =
    "SELECT count(*) AS count FROM cookie_rollout_sessions WHERE csrf_refused_at IS NOT NULL";
const SEEN: &str = "SELECT count(*) AS count FROM cookie_rollout_sessions";

/// A page of ours that has a wrong token.
async fn refuse_csrf(browser: &TestBrowser) -> Answer {
    let request = browser.request(Method::POST, REFRESH).header("x-csrf-token", "wrong");
    browser.send(request.json(&json!({}))).await.expect_error(403, "csrf_invalid")
}

/// All of `PEOPLE`, each in a browser of their own.
async fn browse_all(app: &TestApp) -> Vec<TestBrowser> {
    let mut browsers = Vec::new();
    for name in PEOPLE {
        browsers.push(app.browse_as(name).await.0);
    }
    browsers
}

async fn stored(app: &TestApp, query: &str, number: i64) {
    eventually("it is written down", || async {
        let mut connection = app.database.connect().await;
        (count(&mut connection, query).await == number).then_some(())
    })
    .await;
}

async fn reason(app: &TestApp) -> Option<String> {
    app.operator().await.show().await.unwrap().reason
}

async fn stepped_back(app: &TestApp, expected: &str) {
    app.follows(0).await;
    assert_eq!(reason(app).await.unwrap(), expected);
    let mut connection = app.database.connect().await;
    let events =
        "SELECT count(*) AS count FROM security_events WHERE kind = 'rollout_stepped_back'";
    assert_eq!(count(&mut connection, events).await, 1);
}

#[tokio::test]
async fn people_whose_csrf_tokens_are_refused_bring_all_back_once_for_two_replicas() {
    let app = TestApp::with(&[ES256, LEAST]).await;
    let other = app.replica().await;
    let mut browsers = Vec::new();
    for (number, name) in PEOPLE.into_iter().enumerate() {
        let _ = app.register(name).await.expect(201);
        let url = if number == 0 { app.server.url("") } else { other.url("") };
        let browser = TestBrowser::new(&url, ORIGIN, FIREFOX);
        let _ = browser.get_csrf().await.expect(200);
        let _ = log_in(&browser, name).await.expect(200);
        browsers.push(browser);
    }
    app.decide(100, &[&app.server, &other]).await;
    for browser in &browsers {
        let _ = refuse_csrf(browser).await;
    }
    stepped_back(&app, "csrf: 3 of 3 people").await;
    let steps = r#"user_service_cookie_rollout_steps_back_total{reason="csrf"}"#;
    eventually("one of them says that it did", || async {
        let both = app.metric(steps).await + app.metric_of(&other, steps).await;
        (both == 1).then_some(())
    })
    .await;
    for browser in &browsers {
        assert!(is_live(browser).await);
        let _ = browser.get_csrf().await.expect(200);
        let _ = refresh(browser).await.expect(200);
        assert!(held(browser, "v5").is_empty() && held(browser, "v4").len() == 4);
    }
    // An operator begins anew, and what was counted before counts no more.
    app.decide(100, &[&app.server, &other]).await;
    for browser in browsers.iter().chain(&browsers) {
        let _ = refresh(browser).await.expect(200);
    }
    let _ = refuse_csrf(&browsers[0]).await;
    stored(&app, SEEN, 6).await;
    stored(&app, REFUSED, 4).await;
    assert_eq!(reason(&app).await, None);
}

#[tokio::test]
async fn people_whose_tokens_are_replayed_or_whose_refreshes_fail_bring_all_back() {
    for (kind, expected) in
        [("replay", "replays: 3 of 4 people"), ("ahead", "failures: 3 of 4 people")]
    {
        let app = TestApp::with(&[ES256, LEAST, STRICT]).await;
        let (well, browsers) = (app.browse_as("dora").await.0, browse_all(&app).await);
        app.set_share(100).await;
        let _ = refresh(&well).await.expect(200);
        stored(&app, SEEN, 1).await;
        for browser in browsers {
            let first = browser.cookie("refresh").unwrap();
            let _ = refresh(&browser).await.expect(200);
            if kind == "replay" {
                browser.plant(&format!("latchkey_v5_refresh={first}; Path=/"));
            } else {
                // As a database that was restored from yesterday has it.
                let older = "UPDATE auth_sessions SET counter = 0";
                app.database.connect().await.batch_execute(older).await.unwrap();
            }
            let _ = refresh(&browser).await.expect_error(401, "invalid_refresh_token");
        }
        stepped_back(&app, expected).await;
    }
}

#[tokio::test]
async fn nobody_without_a_session_can_force_it() {
    let app = TestApp::with(&[ES256, LEAST, STRICT]).await;
    let (own, browsers) = (app.browse_as("dora").await.0, browse_all(&app).await);
    app.set_share(100).await;
    for (name, browser) in PEOPLE.into_iter().zip(browsers) {
        // Pages of others, though the victim's browser sends its cookies along.
        let line = browser.cookies().into_iter().map(|(name, value)| format!("{name}={value}"));
        let line = line.collect::<Vec<_>>().join("; ");
        for (origin, site) in [("https://evil.example", "cross-site"), (ORIGIN, "same-site")] {
            let request = app.request(Method::POST, REFRESH).header("cookie", &line);
            let request = request.header("origin", origin).header("sec-fetch-site", site);
            let _ = super::support::send(request).await.expect_error(403, "csrf_invalid");
        }
        // Whoever has found the cookies of a session that has ended.
        let ended: Vec<_> = browser.cookies();
        let _ = browser.post(LOGOUT, &json!({})).await.expect(200);
        for (name, value) in ended {
            browser.plant(&format!("{name}={value}; Path=/"));
        }
        let _ = refuse_csrf(&browser).await;
        let _ = refresh(&browser).await.expect_error(401, "invalid_refresh_token");
        // Nobody at all.
        let stranger = app.browser().await;
        let _ = stranger
            .post("/api/v5/auth/login", &json!({ "username": name, "password": "wrong password" }))
            .await
            .expect(401);
        stranger.plant("latchkey_v5_refresh=lkr_forged; Path=/");
        let _ = refresh(&stranger).await.expect_error(401, "invalid_refresh_token");
    }
    // The statement that writes this down would have written all the rest with it.
    let _ = refuse_csrf(&own).await;
    stored(&app, REFUSED, 1).await;
    let mut connection = app.database.connect().await;
    let bad = "SELECT count(*) AS count FROM cookie_rollout_sessions \
               WHERE num_nonnulls(replayed_at, failed_at, csrf_refused_at) > 0";
    assert_eq!(count(&mut connection, bad).await, 1);
    assert_eq!(reason(&app).await, None);
}

#[tokio::test]
async fn one_person_with_many_sessions_can_t_force_it() {
    let app = TestApp::with(&[ES256, LEAST]).await;
    let _ = app.register("mallory").await.expect(201);
    let mut browsers = Vec::new();
    for _ in 0..6 {
        let browser = app.browser().await;
        let _ = log_in(&browser, "mallory").await.expect(200);
        browsers.push(browser);
    }
    app.set_share(100).await;
    for browser in &browsers[..5] {
        let _ = refuse_csrf(browser).await;
    }
    stored(&app, REFUSED, 5).await;
    // Written down in the turn after those were judged.
    let _ = refuse_csrf(&browsers[5]).await;
    stored(&app, REFUSED, 6).await;
    assert_eq!(reason(&app).await, None);
    assert!(is_live(&browsers[0]).await);
}

#[tokio::test]
async fn accounts_that_were_opened_after_the_decision_can_t_force_it() {
    let app = TestApp::with(&[ES256, LEAST]).await;
    let (older, _) = app.browse_as("dora").await;
    app.set_share(100).await;
    for browser in browse_all(&app).await {
        let _ = refuse_csrf(&browser).await;
    }
    // Written down by the statement that would have written the others, or a later one.
    let _ = refuse_csrf(&older).await;
    stored(&app, REFUSED, 1).await;
    stored(&app, SEEN, 1).await;
    assert_eq!(reason(&app).await, None);
}

fn id_of(session: &Value) -> Uuid {
    session["session_id"].as_str().unwrap().parse().unwrap()
}

/// What came of one session, which showed an authentic token.
fn seen(id: Uuid, csrf_refused: bool, failed: bool) -> Seen {
    Seen { ids: vec![id], csrf_refused: vec![csrf_refused], failed: vec![failed] }
}

#[tokio::test]
async fn what_went_wrong_counts_no_longer_than_the_window_however_often_the_session_is_seen() {
    let app = TestApp::with(&[ES256, STRICT]).await;
    let (_, living) = app.browse_as("alice").await;
    let (browser, replayed) = app.browse_as("bob").await;
    let first = browser.cookie("refresh").unwrap();
    let _ = refresh(&browser).await.expect(200);
    let begun = app.now();
    browser.plant(&format!("latchkey_v5_refresh={first}; Path=/"));
    let _ = refresh(&browser).await.expect_error(401, "invalid_refresh_token");
    // A revision that the service doesn't write under.
    let (mut connection, revision, now) = (app.database.connect().await, 99, app.now());
    let later = now + TimeDelta::minutes(50);
    for (seen, at) in [
        (seen(id_of(&living), true, true), now),
        (seen(id_of(&living), false, false), later),
        // Whoever has the cookie of a session that is no more can show it as often as they like.
        (seen(id_of(&replayed), false, true), now),
        (seen(id_of(&replayed), true, true), later),
    ] {
        let _ = note(&mut connection, revision, &seen, begun, at).await.unwrap();
    }
    let all = Counts { seen: 2, replayed: 1, csrf_refused: 1, failed: 1 };
    let since = begun - TimeDelta::milliseconds(1);
    assert_eq!(count_people(&mut connection, revision, since).await.unwrap(), all);
    let well = Counts { seen: 1, ..Counts::default() };
    let since = now + TimeDelta::minutes(10);
    assert_eq!(count_people(&mut connection, revision, since).await.unwrap(), well);
}

#[tokio::test]
async fn a_session_that_is_to_have_the_older_cookies_counts_for_nothing_while_it_has_the_newer() {
    let app = TestApp::with(&[ES256, ("USER_SERVICE__BROWSER__ROLLOUT_SHARE", "50")]).await;
    let _ = app.register("alice").await.expect(201);
    let (mut inside, mut outside) = (None, None);
    while inside.is_none() || outside.is_none() {
        let browser = app.browser().await;
        let _ = log_in(&browser, "alice").await.expect(200);
        let place = if held(&browser, "v5").is_empty() { &mut outside } else { &mut inside };
        *place = Some(browser);
    }
    app.set_share(100).await;
    let both = [outside.unwrap(), inside.unwrap()];
    for browser in &both {
        let _ = refresh(browser).await.expect(200);
    }
    app.set_share(50).await;
    // The second is written by the statement that would have written the first, or a later one.
    for browser in &both {
        assert!(held(browser, "v4").is_empty());
        let _ = refuse_csrf(browser).await;
    }
    let now = "WHERE revision = (SELECT revision FROM cookie_rollout)";
    stored(&app, &format!("{SEEN} {now} AND csrf_refused_at IS NOT NULL"), 1).await;
    stored(&app, &format!("{SEEN} {now}"), 1).await;
}
