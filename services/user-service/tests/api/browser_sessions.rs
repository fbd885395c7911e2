//! Sessions of browsers from login to logout, with cookies in a real jar.

use chrono::TimeDelta;
use reqwest::Method;
use serde_json::{Value, json};
use test_support::{Answer, TestBrowser};

use super::browser_support::{LOGOUT, SESSIONS, is_live, log_in, refresh};
use super::support::{PASSWORD, TestApp, claims, count};

const ES256: (&str, &str) = ("USER_SERVICE__SIGNING__ALGORITHM", "ES256");
const REGISTER: &str = "/api/v5/auth/register";

fn items(answer: &Answer) -> &Vec<Value> {
    answer.json["items"].as_array().unwrap()
}

/// Neither of the tokens that the browser holds, nor anything that looks like one.
fn no_token_in(answer: &Answer, browser: &TestBrowser) {
    for kind in ["access", "refresh", "browser"] {
        if let Some(token) = browser.cookie(kind) {
            assert!(!answer.text.contains(&token), "{kind}: {}", answer.text);
        }
    }
    for start in ["eyJ", "lkr_", "lkb_", "access_token", "refresh_token"] {
        assert!(!answer.text.contains(start), "{start}: {}", answer.text);
    }
}

#[tokio::test]
async fn tokens_are_in_cookies_and_no_answer_of_the_whole_walk_has_one_in_its_body() {
    let app = TestApp::with(&[ES256]).await;
    let browser = app.browser().await;
    let account = json!({ "username": "alice", "password": PASSWORD });
    let registered = browser.post(REGISTER, &account).await.expect(201);
    assert!(browser.cookie("access").is_none(), "a registration signs nobody in");
    let pre_session = browser.cookie("presession").unwrap();
    let logged_in = log_in(&browser, "alice").await.expect(200);
    let (access, first) = (browser.cookie("access").unwrap(), browser.cookie("refresh").unwrap());
    assert!(browser.cookie("presession").is_none(), "{pre_session} stands for nothing now");
    let token = claims(&access);
    assert_eq!(token["sid"], logged_in.json["session_id"]);
    assert_eq!(token["client_id"], "latchkey-web");
    assert_eq!((&token["scope"], &token["amr"]), (&json!("chat"), &json!(["pwd"])));
    let listed = browser.get(SESSIONS).await.expect(200);
    let refreshed = refresh(&browser).await.expect(200);
    assert_ne!(browser.cookie("refresh").unwrap(), first);
    assert_eq!(claims(&browser.cookie("access").unwrap())["sid"], token["sid"]);
    let others = browser.delete(SESSIONS).await.expect(200);
    let (mut answers, logged_out) = (vec![registered, logged_in, listed, refreshed, others], {
        browser.post(LOGOUT, &json!({})).await.expect(200)
    });
    answers.push(logged_out);
    answers.push(refresh(&browser).await);
    for answer in &answers {
        no_token_in(answer, &browser);
    }
    for kind in ["access", "refresh", "csrf", "presession"] {
        assert!(browser.cookie(kind).is_none(), "{kind} is cleared");
    }
}

#[tokio::test]
async fn a_browser_is_a_device_of_its_own_and_another_login_in_it_ends_its_session() {
    let app = TestApp::with(&[ES256]).await;
    let phone = app.sign_in().await;
    let browser = app.browser().await;
    let first = log_in(&browser, &phone.username).await.expect(200).member("session_id");
    let listed = app.get_as(&phone, "/api/auth/devices").await.expect(200);
    assert_eq!(items(&listed)[0]["device_name"], "Firefox on Linux");
    // The pre-session is gone: the page asks anew before it logs in again.
    let _ = browser.get_csrf().await.expect(200);
    let second = log_in(&browser, &phone.username).await.expect(200).member("session_id");
    let mut connection = app.database.connect().await;
    let ended = format!(
        "SELECT count(*) AS count FROM auth_sessions WHERE id = '{first}' AND end_reason = 'login'"
    );
    assert_eq!(count(&mut connection, &ended).await, 1);
    let sessions = browser.get(SESSIONS).await.expect(200);
    let current: Vec<&Value> =
        items(&sessions).iter().filter(|item| item["current"] == true).collect();
    assert_eq!((items(&sessions).len(), current.len()), (2, 1));
    assert_eq!(current[0]["session_id"], second.as_str());
    assert_eq!(current[0]["browser"], "Firefox on Linux");
    assert_eq!(current[0]["place"], "127.0.0.0/24");
    assert!(app.is_live(&phone).await, "the phone is another device");
}

#[tokio::test]
async fn somebody_else_in_the_same_browser_ends_the_session_of_who_was_there_before() {
    let app = TestApp::with(&[ES256]).await;
    let (browser, before) = app.browse_as("alice").await;
    let _ = app.register("bob").await.expect(201);
    let _ = browser.get_csrf().await.expect(200);
    let _ = log_in(&browser, "bob").await.expect(200);
    let mut connection = app.database.connect().await;
    let id = before["session_id"].as_str().unwrap();
    let ended = format!(
        "SELECT count(*) AS count FROM auth_sessions WHERE id = '{id}' AND end_reason = 'login'"
    );
    assert_eq!(count(&mut connection, &ended).await, 1);
    assert!(is_live(&browser).await);
}

#[tokio::test]
async fn sessions_are_ended_one_by_one_all_others_at_once_and_everywhere() {
    let app = TestApp::with(&[ES256]).await;
    let (browser, _) = app.browse_as("alice").await;
    let phone = app.log_in(&app.register_device().await, "alice").await;
    let other = app.browser().await;
    let _ = log_in(&other, "alice").await.expect(200);
    let _ = browser.delete(&format!("{SESSIONS}/{}", phone.id)).await.expect(200);
    assert!(!app.is_live(&phone).await);
    let _ = browser
        .delete(&format!("{SESSIONS}/{}", phone.id))
        .await
        .expect_error(404, "session_not_found");
    let ended = browser.delete(SESSIONS).await.expect(200);
    assert_eq!(ended.json["sessions_ended"], 1);
    assert!(!is_live(&other).await && is_live(&browser).await);
    let phone = app.log_in(&app.register_device().await, "alice").await;
    let ended = browser.post("/api/v5/auth/logout-all", &json!({})).await.expect(200);
    assert_eq!(ended.json["sessions_ended"], 2);
    assert!(browser.cookie("refresh").is_none() && !app.is_live(&phone).await);
}

#[tokio::test]
async fn who_logged_in_long_ago_ends_no_others_and_a_refresh_makes_it_no_later() {
    let app = TestApp::with(&[ES256]).await;
    let (one, other) = (app.browser().await, app.browser().await);
    let account = json!({ "username": "alice", "password": PASSWORD });
    let _ = one.post(REGISTER, &account).await.expect(201);
    let _ = log_in(&one, "alice").await.expect(200);
    let _ = log_in(&other, "alice").await.expect(200);
    let logged_in = claims(&one.cookie("access").unwrap())["auth_time"].clone();
    app.clock.turn(TimeDelta::minutes(11));
    let _ = refresh(&one).await.expect(200);
    assert_eq!(claims(&one.cookie("access").unwrap())["auth_time"], logged_in);
    let that_one = format!("{SESSIONS}/{}", claims(&other.cookie("access").unwrap())["sid"]);
    for path in [SESSIONS, &that_one.replace('"', "")] {
        let refused = one.delete(path).await;
        let _ = refused.expect_error(401, "insufficient_user_authentication");
    }
    assert!(is_live(&other).await);
    let _ = log_in(&one, "alice").await.expect(200);
    let _ = one.delete(SESSIONS).await.expect(200);
    assert!(!is_live(&other).await);
    // One's own is ended whenever one likes.
    app.clock.turn(TimeDelta::minutes(11));
    let own = format!("{SESSIONS}/{}", claims(&one.cookie("access").unwrap())["sid"]);
    let _ = one.delete(&own.replace('"', "")).await.expect(200);
}

#[tokio::test]
async fn nobody_ends_or_sees_a_session_of_somebody_else() {
    let app = TestApp::with(&[ES256]).await;
    let (alice, session) = app.browse_as("alice").await;
    let (mallory, _) = app.browse_as("mallory").await;
    let path = format!("{SESSIONS}/{}", session["session_id"].as_str().unwrap());
    let _ = mallory.delete(&path).await.expect_error(404, "session_not_found");
    assert_eq!(items(&mallory.get(SESSIONS).await.expect(200)).len(), 1);
    assert!(is_live(&alice).await);
}

#[tokio::test]
async fn logout_without_an_access_cookie_ends_the_session_that_the_refresh_cookie_names() {
    let app = TestApp::with(&[ES256]).await;
    let (browser, session) = app.browse_as("alice").await;
    app.clock.turn(TimeDelta::hours(3));
    browser.plant("latchkey_v5_access=; Path=/; Max-Age=0");
    assert!(!is_live(&browser).await, "the access cookie has run out");
    let _ = browser.post(LOGOUT, &json!({})).await.expect(200);
    let mut connection = app.database.connect().await;
    let ended = format!(
        "SELECT count(*) AS count FROM auth_sessions WHERE id = '{}' AND end_reason = 'logout'",
        session["session_id"].as_str().unwrap()
    );
    assert_eq!(count(&mut connection, &ended).await, 1);
}

#[tokio::test]
async fn a_browser_whose_session_is_long_over_is_no_device_any_more() {
    let app = TestApp::with(&[ES256]).await;
    let (browser, _) = app.browse_as("alice").await;
    let _ = browser.post(LOGOUT, &json!({})).await.expect(200);
    let mut connection = app.database.connect().await;
    let browsers = "SELECT count(*) AS count FROM devices WHERE browser";
    assert_eq!(count(&mut connection, browsers).await, 1);
    // Past the life of its last access token and the hour that ended sessions are kept.
    app.clock.turn(TimeDelta::hours(4));
    let replica = app.replica().await;
    test_support::eventually("the browser goes with its session", || async {
        (count(&mut app.database.connect().await, browsers).await == 0).then_some(())
    })
    .await;
    drop(replica);
}

#[tokio::test]
async fn a_bearer_token_opens_nothing_here_and_a_cookie_s_token_nothing_there() {
    let app = TestApp::with(&[ES256]).await;
    let (browser, _) = app.browse_as("alice").await;
    let phone = app.log_in(&app.register_device().await, "alice").await;
    let token = browser.cookie("access").unwrap();
    let there = app.request(Method::GET, "/api/auth/sessions").bearer_auth(&token);
    let _ = super::support::send(there).await.expect_error(401, "invalid_token");
    browser.plant(&format!("latchkey_v5_access={}; Path=/", phone.access_token));
    let _ = browser.get(SESSIONS).await.expect(401);
    let introspected = app.post_token("/api/auth/introspect", &token).await.expect(200);
    assert_eq!(introspected.json["active"], true);
    assert!(app.is_live(&phone).await);
}
