//! Two generations of cookies side by side and apart: what one brings helps nobody in the other.

use serde_json::json;
use test_support::TestBrowser;

use super::browser_support::{FIREFOX, ORIGIN, SESSIONS, is_live, log_in, refresh};
use super::cookie_rollout::{OF_SESSION, STRICT, held, is_all_of, sorted};
use super::support::{TestApp, count, send};

const ES256: (&str, &str) = ("USER_SERVICE__SIGNING__ALGORITHM", "ES256");

#[tokio::test]
async fn of_two_refresh_cookies_the_lower_is_stale_and_no_replay() {
    let app = TestApp::with(&[ES256, STRICT]).await;
    let (browser, _) = app.browse_as("alice").await;
    let first = browser.cookie("refresh").unwrap();
    app.set_share(0).await;
    for _ in 0..3 {
        let _ = refresh(&browser).await.expect(200);
        // What a clearing that was lost leaves behind.
        browser.plant(&format!("latchkey_v5_refresh={first}; Path=/"));
        assert!(is_live(&browser).await);
    }
    let (older, csrf) = (browser.cookies(), browser.cookie("csrf").unwrap());
    app.set_share(100).await;
    let _ = refresh(&browser).await.expect(200);
    assert!(is_all_of(&browser, "v5"));
    // The other way round: two older cookies beside the newer ones.
    for (name, value) in older.iter().filter(|(name, _)| name.starts_with("latchkey_v4_")) {
        browser.plant(&format!("{name}={value}; Path=/api"));
    }
    let _ = refresh(&browser).await.expect(200);
    assert!(is_all_of(&browser, "v5") && is_live(&browser).await);
    assert_ne!(browser.cookie("csrf").unwrap(), csrf);
    let mut connection = app.database.connect().await;
    let replays = "SELECT count(*) AS count FROM auth_sessions WHERE end_reason = 'replay'";
    assert_eq!(count(&mut connection, replays).await, 0);
}

#[tokio::test]
async fn nothing_of_one_generation_helps_in_the_other() {
    let app = TestApp::with(&[ES256]).await;
    let (newer, _) = app.browse_as("alice").await;
    app.set_share(0).await;
    let (older, _) = app.browse_as("bob").await;
    let refused = async |cookies: &str, csrf: &str| {
        let request = app.request(reqwest::Method::POST, "/api/v5/auth/refresh");
        let request = request.header("origin", ORIGIN);
        let request = request.header("cookie", cookies).header("x-csrf-token", csrf);
        send(request).await.expect_error(403, "csrf_invalid")
    };
    let of = |browser: &TestBrowser, kind: &str| browser.cookie(kind).unwrap();
    // A plain token beside the newer refresh cookie, and the bound one's cookie missing.
    let plain = of(&older, "csrf");
    for name in ["v4", "v5"] {
        let cookies =
            format!("latchkey_v5_refresh={}; latchkey_{name}_csrf={plain}", of(&newer, "refresh"));
        let _ = refused(&cookies, &plain).await;
    }
    let bound = of(&newer, "csrf");
    for name in ["v4", "v5"] {
        let cookies =
            format!("latchkey_v4_refresh={}; latchkey_{name}_csrf={bound}", of(&older, "refresh"));
        let _ = refused(&cookies, &bound).await;
    }
    let empty = format!("latchkey_v4_refresh={}; latchkey_v4_csrf=", of(&older, "refresh"));
    let _ = refused(&empty, "").await;
    let access = format!(
        "latchkey_v5_refresh={}; latchkey_v4_access={}",
        of(&newer, "refresh"),
        of(&older, "access")
    );
    let request = app.request(reqwest::Method::GET, SESSIONS).header("cookie", access);
    let _ = send(request).await.expect_error(401, "unauthorized");
    assert!(is_live(&newer).await && is_live(&older).await);
}

#[tokio::test]
async fn older_cookies_have_the_same_checks_of_where_a_request_comes_from() {
    let app = TestApp::with(&[ES256, ("USER_SERVICE__BROWSER__ROLLOUT_SHARE", "0")]).await;
    let (browser, _) = app.browse_as("alice").await;
    for (name, value) in [("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")] {
        let request = browser.request(reqwest::Method::POST, "/api/v5/auth/refresh");
        let mut request = request.json(&json!({})).build().unwrap();
        request.headers_mut().insert(name, value.parse().unwrap());
        let request = reqwest::RequestBuilder::from_parts(app.client.clone(), request);
        let request = request.header("cookie", line(&browser));
        let _ = send(request).await.expect_error(403, "csrf_invalid");
    }
    // Another tab has the same token: it goes on after this one has asked for it, and refreshed.
    let csrf = browser.cookie("csrf").unwrap();
    let _ = browser.get_csrf().await.expect(200);
    let _ = refresh(&browser).await.expect(200);
    assert_eq!(browser.cookie("csrf").unwrap(), csrf);
}

fn line(browser: &TestBrowser) -> String {
    let pairs = browser.cookies().into_iter().map(|(name, value)| format!("{name}={value}"));
    pairs.collect::<Vec<_>>().join("; ")
}

#[tokio::test]
async fn once_the_rollout_is_over_the_older_cookies_are_good_for_nothing() {
    let none = ("USER_SERVICE__BROWSER__ROLLOUT_SHARE", "0");
    let app = TestApp::with(&[ES256, none]).await;
    let over = app.replica_with(&[("USER_SERVICE__BROWSER__ACCEPT_V4", "false")]).await;
    let (older, _) = app.browse_as("mallory").await;
    assert!(is_all_of(&older, "v4") && is_live(&older).await);
    let _ = app.register("alice").await.expect(201);
    let browser = TestBrowser::new(&over.url(""), ORIGIN, FIREFOX);
    // What was planted neither signs anybody in nor stands in the way, once or twice of a name.
    for path in ["/api", "/api/v5/auth"] {
        for (name, value) in older.cookies() {
            browser.plant(&format!("{name}={value}; Path={path}"));
        }
        let _ = browser.get(SESSIONS).await.expect_error(401, "unauthorized");
    }
    let _ = browser.get_csrf().await.expect(200);
    let session = log_in(&browser, "alice").await.expect(200).json;
    assert_eq!(held(&browser, "v5"), sorted(&OF_SESSION), "whatever the share");
    let _ = refresh(&browser).await.expect(200);
    let own = browser.get(SESSIONS).await.expect(200);
    assert_eq!(own.json["items"][0]["session_id"], session["session_id"]);
    assert!(is_live(&older).await, "elsewhere it is good");
}
