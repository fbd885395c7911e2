//! Refreshes in cookies: one head in a browser with many tabs, and none after a replay.

use chrono::TimeDelta;
use diesel_async::SimpleAsyncConnection as _;
use futures_util::future::join_all;
use serde_json::json;
use test_support::TestBrowser;

use super::browser_support::{LOGOUT, is_live, log_in, refresh};
use super::support::{TestApp, blocked, count};

const ES256: (&str, &str) = ("USER_SERVICE__SIGNING__ALGORITHM", "ES256");

/// Puts an earlier refresh token back, as somebody who had copied it would.
fn present(browser: &TestBrowser, token: &str) {
    browser.plant(&format!("latchkey_v5_refresh={token}; Path=/"));
}

#[tokio::test]
async fn fifty_refreshes_at_once_in_one_browser_are_one_rotation() {
    let app = TestApp::with(&[ES256]).await;
    let (browser, _) = app.browse_as("alice").await;
    let answers = join_all((0..50).map(|_| refresh(&browser))).await;
    for answer in answers.into_iter().filter(|answer| answer.status != 200) {
        let answer = answer.expect_error(409, "refresh_in_progress");
        assert_eq!(answer.header("retry-after"), "1");
    }
    let mut connection = app.database.connect().await;
    let head = "SELECT counter AS count FROM auth_sessions WHERE ended_at IS NULL";
    assert_eq!(count(&mut connection, head).await, 1);
    let _ = refresh(&browser).await.expect(200);
    assert_eq!(count(&mut connection, head).await, 2);
}

#[tokio::test]
async fn the_last_cookie_again_gives_the_same_successor_in_time_and_from_the_same_browser_only() {
    let app = TestApp::with(&[ES256]).await;
    let (browser, _) = app.browse_as("alice").await;
    let first = browser.cookie("refresh").unwrap();
    let _ = refresh(&browser).await.expect(200);
    let second = browser.cookie("refresh").unwrap();
    present(&browser, &first);
    let _ = refresh(&browser).await.expect(200);
    assert_eq!(browser.cookie("refresh").unwrap(), second);
    // Another browser with the same user agent, to which the token was carried.
    let id = browser.cookie("browser").unwrap();
    browser.plant("latchkey_v5_browser=; Path=/; Max-Age=0");
    present(&browser, &first);
    let _ = refresh(&browser).await.expect_error(401, "invalid_refresh_token");
    browser.plant(&format!("latchkey_v5_browser={id}; Path=/"));
    present(&browser, &second);
    let _ = refresh(&browser).await.expect_error(401, "invalid_refresh_token");
}

#[tokio::test]
async fn a_replayed_cookie_ends_the_session_and_the_row_says_which_token_it_was() {
    let app = TestApp::with(&[ES256]).await;
    let (browser, _) = app.browse_as("alice").await;
    let first = browser.cookie("refresh").unwrap();
    for _ in 0..2 {
        let _ = refresh(&browser).await.expect(200);
    }
    let newest = browser.cookie("refresh").unwrap();
    present(&browser, &first);
    let _ = refresh(&browser).await.expect_error(401, "invalid_refresh_token");
    assert!(!is_live(&browser).await);
    present(&browser, &newest);
    let _ = refresh(&browser).await.expect_error(401, "invalid_refresh_token");
    let mut connection = app.database.connect().await;
    let ended = "SELECT reused_jti_of AS count FROM auth_sessions WHERE end_reason = 'replay'";
    assert_eq!(count(&mut connection, ended).await, 0);
    let late = "SELECT count(*) AS count FROM auth_sessions WHERE octet_length(device_hash) = 32 \
                AND last_ip_cidr = address_range::cidr";
    assert_eq!(count(&mut connection, late).await, 1);
}

#[tokio::test]
async fn the_last_cookie_too_late_ends_the_session() {
    let app = TestApp::with(&[ES256]).await;
    let (browser, _) = app.browse_as("alice").await;
    let first = browser.cookie("refresh").unwrap();
    let _ = refresh(&browser).await.expect(200);
    app.clock.turn(TimeDelta::seconds(11));
    present(&browser, &first);
    let _ = refresh(&browser).await.expect_error(401, "invalid_refresh_token");
    assert!(!is_live(&browser).await);
}

#[tokio::test]
async fn a_family_refreshes_through_its_own_api_only_and_an_attempt_ends_nothing() {
    let app = TestApp::with(&[ES256]).await;
    let (browser, _) = app.browse_as("alice").await;
    let phone = app.log_in(&app.register_device().await, "alice").await;
    let cookie = browser.cookie("refresh").unwrap();
    let _ = app.refresh(&cookie).await.expect_error(401, "invalid_refresh_token");
    let refused = r#"user_service_refreshes_total{outcome="other_api"}"#;
    assert_eq!(app.metric(refused).await, 1);
    // The CSRF token is that of another session than the cookie names.
    present(&browser, &phone.refresh_token);
    let _ = refresh(&browser).await.expect_error(403, "csrf_invalid");
    present(&browser, &cookie);
    let _ = refresh(&browser).await.expect(200);
    let _ = app.refresh(&phone.refresh_token).await.expect(200);
}

#[tokio::test]
async fn forged_and_missing_cookies_buy_nothing_and_end_nothing() {
    let app = TestApp::with(&[ES256]).await;
    let (browser, _) = app.browse_as("alice").await;
    let cookie = browser.cookie("refresh").unwrap();
    let (access, csrf) = (browser.cookie("access").unwrap(), browser.cookie("csrf").unwrap());
    let mut forged = cookie.clone();
    forged.replace_range(10..11, if &cookie[10..11] == "A" { "B" } else { "A" });
    present(&browser, &forged);
    let _ = refresh(&browser).await.expect_error(401, "invalid_refresh_token");
    let _ = refresh(&browser).await.expect(401);
    present(&browser, &cookie);
    browser.plant(&format!("latchkey_v5_access={access}; Path=/"));
    browser.plant(&format!("latchkey_v5_csrf={csrf}; Path=/"));
    let _ = refresh(&browser).await.expect(200);
}

#[tokio::test]
async fn a_refresh_and_a_logout_at_once_leave_nothing_alive() {
    let app = TestApp::with(&[ES256]).await;
    for name in ["alice", "bob", "carol"] {
        let (browser, _) = app.browse_as(name).await;
        let nothing = json!({});
        let (_, logged_out) = tokio::join!(refresh(&browser), browser.post(LOGOUT, &nothing));
        let _ = logged_out.expect(200);
        assert!(!is_live(&browser).await);
    }
    let mut connection = app.database.connect().await;
    let live = "SELECT count(*) AS count FROM auth_sessions WHERE ended_at IS NULL";
    assert_eq!(count(&mut connection, live).await, 0);
}

#[tokio::test]
async fn a_refresh_whose_session_ends_before_it_is_written_down_sets_no_cookie() {
    let app = TestApp::with(&[ES256]).await;
    let (browser, _) = app.browse_as("alice").await;
    let mut ending = app.database.connect().await;
    let end = "BEGIN; UPDATE auth_sessions SET ended_at = now(), end_reason = 'login'";
    ending.batch_execute(end).await.unwrap();
    let (answer, ()) = tokio::join!(refresh(&browser), async {
        blocked(&app, 1).await;
        ending.batch_execute("COMMIT").await.unwrap();
    });
    let answer = answer.expect_error(401, "invalid_refresh_token");
    assert!(answer.headers.get("set-cookie").is_none());
}

#[tokio::test]
async fn rotations_are_limited_and_a_required_device_proof_asks_nothing_of_browsers() {
    let required = ("USER_SERVICE__REFRESH__DEVICE_PROOF", "required");
    let limit = ("USER_SERVICE__REFRESH__ROTATIONS_PER_HOUR", "2");
    let app = TestApp::with(&[ES256, required, limit]).await;
    let (browser, _) = app.browse_as("alice").await;
    for _ in 0..2 {
        let _ = refresh(&browser).await.expect(200);
    }
    let _ = refresh(&browser).await.expect_error(429, "rate_limited");
    assert!(is_live(&browser).await);
    let _ = log_in(&browser, "alice").await.expect(200);
    let _ = refresh(&browser).await.expect(200);
}
