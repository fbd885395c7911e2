//! Logins in browsers: the same answer for every wrong part, and the limits of logins elsewhere.

use chrono::TimeDelta;
use serde_json::json;
use test_support::{Answer, TestBrowser, eventually};

use super::browser_support::{LOGIN, is_live, log_in, refresh};
use super::support::{PASSWORD, TestApp, count};

const ES256: (&str, &str) = ("USER_SERVICE__SIGNING__ALGORITHM", "ES256");
const BY_NAME: (&str, &str) = ("USER_SERVICE__LIMITS__LOGINS_PER_USERNAME_PER_HOUR", "3");
const BY_ADDRESS: (&str, &str) = ("USER_SERVICE__LIMITS__LOGINS_PER_MINUTE", "3");
const BY_BROWSER: (&str, &str) = ("USER_SERVICE__LIMITS__LOGINS_PER_DEVICE_PER_HOUR", "2");

async fn guess(browser: &TestBrowser, username: &str) -> Answer {
    browser.post(LOGIN, &json!({ "username": username, "password": "a wrong password" })).await
}

#[tokio::test]
async fn every_wrong_part_has_the_same_answer_and_no_cookie() {
    let app = TestApp::with(&[ES256]).await;
    let _ = app.register("alice").await.expect(201);
    let browser = app.browser().await;
    for (username, password) in
        [("alice", "a wrong password"), ("nobody", PASSWORD), ("!", PASSWORD), ("alice", "")]
    {
        let body = json!({ "username": username, "password": password });
        let answer = browser.post(LOGIN, &body).await.expect_error(401, "invalid_credentials");
        assert_eq!(answer.json["error"], "username, password or device proof is wrong");
        assert!(answer.headers.get("set-cookie").is_none());
    }
    let _ = log_in(&browser, "ALICE").await.expect(200);
}

#[tokio::test]
async fn who_fails_for_somebody_locks_the_name_and_not_the_browser_that_was_theirs() {
    let app = TestApp::with(&[ES256, BY_NAME]).await;
    let (victim, _) = app.browse_as("alice").await;
    let attacker = app.browser().await;
    for _ in 0..2 {
        let _ = guess(&attacker, "alice").await.expect_error(401, "invalid_credentials");
    }
    let _ = guess(&attacker, "ALICE").await.expect_error(429, "rate_limited");
    let _ = victim.post("/api/v5/auth/logout", &json!({})).await.expect(200);
    let _ = victim.get_csrf().await.expect(200);
    let _ = log_in(&victim, "alice").await.expect(200);
    // One's own account makes no browser known for another's.
    let (mallory, _) = app.browse_as("mallory").await;
    let _ = guess(&mallory, "alice").await.expect_error(429, "rate_limited");
    // Nor does a changed cookie.
    let mut known = victim.cookie("browser").unwrap();
    known.replace_range(20..21, if &known[20..21] == "A" { "B" } else { "A" });
    attacker.plant(&format!("latchkey_v5_browser={known}; Path=/"));
    let _ = guess(&attacker, "alice").await.expect_error(429, "rate_limited");
    app.clock.turn(TimeDelta::minutes(61));
    let _ = log_in(&app.browser().await, "alice").await.expect(200);
}

#[tokio::test]
async fn a_browser_is_known_for_a_year_and_until_the_password_changes() {
    let app = TestApp::with(&[ES256, BY_NAME]).await;
    let (browser, _) = app.browse_as("alice").await;
    // By somebody elsewhere, until the name is locked.
    let lock = async || {
        let attacker = app.browser().await;
        while guess(&attacker, "alice").await.status == 401 {}
        let _ = guess(&attacker, "alice").await.expect_error(429, "rate_limited");
    };
    let log_in = async |password: &str| {
        let _ = browser.get_csrf().await.expect(200);
        browser.post(LOGIN, &json!({ "username": "alice", "password": password })).await
    };
    lock().await;
    let _ = log_in(PASSWORD).await.expect(200);
    app.clock.turn(TimeDelta::days(366));
    lock().await;
    let _ = log_in(PASSWORD).await.expect_error(429, "rate_limited");
    app.clock.turn(TimeDelta::days(1));
    let phone = app.log_in(&app.register_device().await, "alice").await;
    let _ = log_in(PASSWORD).await.expect(200);
    let new = "another horse battery";
    let change = json!({ "current_password": PASSWORD, "new_password": new });
    let _ = app.post_as(&phone, "/api/auth/password", &change).await.expect(200);
    lock().await;
    let _ = log_in(new).await.expect_error(429, "rate_limited");
    app.clock.turn(TimeDelta::days(1));
    let _ = log_in(new).await.expect(200);
    lock().await;
    let _ = log_in(new).await.expect(200);
}

#[tokio::test]
async fn a_browser_in_which_the_password_is_changed_stays_a_known_one_and_no_other_does() {
    let app = TestApp::with(&[ES256, BY_NAME]).await;
    let (browser, _) = app.browse_as("alice").await;
    let other = app.browser().await;
    let _ = log_in(&other, "alice").await.expect(200);
    let former = browser.cookie("browser").unwrap();
    let new = "another horse battery";
    let change = |current: &str| json!({ "current_password": current, "new_password": new });
    let path = "/api/v5/auth/password";
    let wrong = browser.post(path, &change("a wrong password")).await.expect(401);
    assert!(wrong.headers.get("set-cookie").is_none());
    let _ = browser.post(path, &change(PASSWORD)).await.expect(200);
    assert_ne!(browser.cookie("browser").unwrap(), former);
    // The browser is the one that the session began in: the last token has its grace.
    let first = browser.cookie("refresh").unwrap();
    let _ = refresh(&browser).await.expect(200);
    browser.plant(&format!("latchkey_v5_refresh={first}; Path=/"));
    let _ = refresh(&browser).await.expect(200);

    let attacker = app.browser().await;
    while guess(&attacker, "alice").await.status == 401 {}
    let log_in = async |browser: &TestBrowser| {
        let _ = browser.get_csrf().await.expect(200);
        browser.post(LOGIN, &json!({ "username": "alice", "password": new })).await
    };
    let _ = log_in(&other).await.expect_error(429, "rate_limited");
    let _ = log_in(&browser).await.expect(200);
}

#[tokio::test]
async fn logins_are_limited_by_address_and_a_known_browser_by_itself() {
    let app = TestApp::with(&[ES256, BY_ADDRESS]).await;
    let browser = app.browser().await;
    for expected in [401, 401, 401, 429] {
        let _ = guess(&browser, "nobody").await.expect(expected);
    }
    let app = TestApp::with(&[ES256, BY_BROWSER]).await;
    let (browser, _) = app.browse_as("alice").await;
    for expected in [401, 401, 429] {
        let _ = guess(&browser, "alice").await.expect(expected);
    }
    let _ = log_in(&app.browser().await, "alice").await.expect(200);
}

#[tokio::test]
async fn one_too_many_sessions_ends_the_one_that_rested_longest_and_says_which() {
    let app = TestApp::with(&[ES256, ("USER_SERVICE__LIMITS__SESSIONS_PER_USER", "2")]).await;
    let (first, session) = app.browse_as("alice").await;
    app.clock.turn(TimeDelta::seconds(1));
    let _ = log_in(&app.browser().await, "alice").await.expect(200);
    app.clock.turn(TimeDelta::seconds(1));
    let last = log_in(&app.browser().await, "alice").await.expect(200);
    assert_eq!(last.json["ended_sessions"][0]["session_id"], session["session_id"]);
    assert!(!is_live(&first).await);
}

#[tokio::test]
async fn a_login_renews_an_outdated_hash_as_on_a_device() {
    let app = TestApp::with(&[ES256]).await;
    let _ = app.register("alice").await.expect(201);
    let replica = app.replica_with(&[("USER_SERVICE__PASSWORDS__PASSES", "2")]).await;
    let browser = TestBrowser::new(&replica.url(""), super::browser_support::ORIGIN, "test/1");
    let _ = browser.get_csrf().await.expect(200);
    let _ = log_in(&browser, "alice").await.expect(200);
    let renewed = "SELECT count(*) AS count FROM users WHERE password_hash LIKE '%t=2%'";
    eventually("the hash is renewed", || async {
        (count(&mut app.database.connect().await, renewed).await == 1).then_some(())
    })
    .await;
}
