//! Cookies are accepted nowhere but where CSRF protection stands.

use chrono::TimeDelta;
use reqwest::{Method, RequestBuilder};
use serde_json::json;
use test_support::Answer;
use uuid::Uuid;

use super::browser_support::{
    FIREFOX, LOGIN, ORIGIN, REFRESH, SESSIONS, any_body, cookie_line, deployed, is_live, log_in,
    operations,
};
use super::support::{PASSWORD, TestApp, send};

const CSRF: &str = "/api/v5/auth/csrf";
const ES256: (&str, &str) = ("USER_SERVICE__SIGNING__ALGORITHM", "ES256");
const PAGE: &str = "https://app.example.com";
const CALLERS: (&str, &str) = ("USER_SERVICE__CORS__ALLOWED_ORIGINS", PAGE);

/// A request that names no session there is: past the guard it is a 404.
fn removal(app: &TestApp, cookies: &str, headers: &[(&str, &str)]) -> RequestBuilder {
    let path = format!("{SESSIONS}/{}", Uuid::nil());
    let request = app.request(Method::DELETE, &path).header("cookie", cookies);
    headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))
}

async fn refused(request: RequestBuilder) -> Answer {
    send(request).await.expect_error(403, "csrf_invalid")
}

#[tokio::test]
async fn an_unsafe_request_needs_the_token_of_this_session_in_header_and_cookie_alike() {
    let app = TestApp::with(&[ES256]).await;
    let (browser, _) = app.browse_as("alice").await;
    let (other, _) = app.browse_as("bob").await;
    let stranger = app.browser().await;
    let token = browser.cookie("csrf").unwrap();
    let ask = |csrf: &str, headers: &[(&str, &str)]| {
        removal(&app, &cookie_line(&browser, Some(csrf)), headers)
    };
    let (agent, origin) = (("user-agent", FIREFOX), ("origin", ORIGIN));
    let good = ask(&token, &[agent, origin, ("x-csrf-token", &token)]);
    let [valid, invalid] = ["valid", "invalid"]
        .map(|outcome| format!(r#"user_service_csrf_checks_total{{outcome="{outcome}"}}"#));
    // Two logins.
    assert_eq!((app.metric(&valid).await, app.metric(&invalid).await), (2, 0));
    let _ = send(good).await.expect_error(404, "session_not_found");
    assert_eq!((app.metric(&valid).await, app.metric(&invalid).await), (3, 0));
    let foreign = other.cookie("csrf").unwrap();
    let of_nobody = stranger.cookie("csrf").unwrap();
    let mut bad = vec![
        ask(&token, &[agent, origin]),
        ask(&token, &[agent, origin, ("x-csrf-token", "")]),
        ask(&token, &[agent, origin, ("x-csrf-token", &token), ("x-csrf-token", &token)]),
        ask(&token, &[agent, origin, ("x-csrf-token", &foreign)]),
        ask("", &[agent, origin, ("x-csrf-token", "")]),
        ask(&token, &[("user-agent", "another"), origin, ("x-csrf-token", &token)]),
        ask(&token, &[agent, ("x-csrf-token", &token)]),
        ask(&token, &[agent, ("origin", "null"), ("x-csrf-token", &token)]),
        ask(&token, &[agent, ("origin", "https://evil.example"), ("x-csrf-token", &token)]),
    ];
    for planted in [&foreign, &of_nobody] {
        bad.push(ask(planted, &[agent, origin, ("x-csrf-token", planted)]));
    }
    for site in ["cross-site", "none", "same-site", "anything"] {
        let headers = [agent, origin, ("x-csrf-token", &*token), ("sec-fetch-site", site)];
        bad.push(ask(&token, &headers));
    }
    let without_cookie = format!("latchkey_v5_access={}", browser.cookie("access").unwrap());
    let headers = [agent, origin, ("x-csrf-token", &*token)];
    bad.push(removal(&app, &without_cookie, &headers));
    let count = u64::try_from(bad.len()).unwrap();
    for request in bad {
        let _ = refused(request).await;
    }
    assert_eq!((app.metric(&valid).await, app.metric(&invalid).await), (3, count));
    assert!(is_live(&browser).await);
}

#[tokio::test]
async fn no_unsafe_operation_of_the_cookie_api_goes_without_a_token() {
    let app = TestApp::with(&[ES256]).await;
    let (browser, _) = app.browse_as("alice").await;
    for (method, path) in operations(&app).await.into_iter().filter(|(method, _)| method != "GET") {
        let request = app.request(method, &path).header("cookie", cookie_line(&browser, None));
        let request = request.header("user-agent", FIREFOX).header("origin", ORIGIN);
        let _ = refused(request.json(&any_body())).await;
    }
    assert!(is_live(&browser).await);
}

#[tokio::test]
async fn a_token_before_login_is_good_until_the_end_of_the_next_day() {
    let app = TestApp::with(&[ES256]).await;
    let _ = app.register("alice").await.expect(201);
    for (days, expected) in [(1, 200), (2, 403)] {
        let browser = app.browser().await;
        app.clock.turn(TimeDelta::days(days));
        let answer = log_in(&browser, "alice").await.expect(expected);
        if expected == 403 {
            let _ = answer.expect_error(403, "csrf_invalid");
            let _ = browser.get_csrf().await.expect(200);
            let _ = log_in(&browser, "alice").await.expect(200);
        }
    }
}

#[tokio::test]
async fn a_token_of_the_former_key_is_taken_while_that_key_is_configured() {
    let app = TestApp::with(&[ES256]).await;
    let _ = app.register("alice").await.expect(201);
    // That of development.
    let former = "6373726620746f6b656e20646576656c6f706d656e74206b6579206f6e6c7921";
    let new = "ab".repeat(32);
    for (keys, expected) in [(format!("2:{new},1:{former}"), 200), (format!("2:{new}"), 403)] {
        let replica = app.replica_with(&[("USER_SERVICE__BROWSER__CSRF_KEYS", &keys)]).await;
        let browser = app.browser().await;
        let request = app.client.post(replica.url(LOGIN)).header("origin", ORIGIN);
        let request = request.header("user-agent", FIREFOX);
        let request = request.header("cookie", cookie_line(&browser, None));
        let request = request.header("x-csrf-token", browser.cookie("csrf").unwrap());
        let body = json!({ "username": "alice", "password": PASSWORD });
        let _ = send(request.json(&body)).await.expect(expected);
    }
}

#[tokio::test]
async fn a_token_in_authorization_that_is_not_the_cookie_s_is_refused() {
    let app = TestApp::with(&[ES256]).await;
    let (browser, _) = app.browse_as("alice").await;
    let bearer = app.sign_in().await;
    let token = browser.cookie("access").unwrap();
    let others = [format!("Bearer {}", bearer.access_token), "Basic abc".into(), "Bearer".into()];
    for (method, path) in operations(&app).await {
        for other in &others {
            let request = browser.request(method.clone(), &path).header("authorization", other);
            let request = if method == Method::GET { request } else { request.json(&any_body()) };
            let refused = send(request).await.expect_error(400, "invalid_request");
            assert!(refused.member("error").contains("Authorization"), "{method} {path}");
        }
    }
    for path in [SESSIONS, "/api/v5/auth/verify-token", CSRF] {
        let request = browser.request(Method::GET, path).bearer_auth(&token);
        let status = send(request).await.status.as_u16();
        assert!([200, 204].contains(&status), "{path}");
    }
    let request = browser.request(Method::POST, REFRESH).bearer_auth(&token);
    let _ = send(request).await.expect(200);
    let _ = app.get_as(&bearer, SESSIONS).await.expect_error(401, "unauthorized");
}

#[tokio::test]
async fn pages_of_listed_origins_get_a_token_and_others_do_not() {
    let app = TestApp::with(&[ES256, CALLERS]).await;
    let ask = |origin: &str| app.request(Method::GET, CSRF).header("origin", origin);
    let answer = send(ask(PAGE)).await.expect(200);
    assert_eq!(answer.header("access-control-allow-origin"), PAGE);
    assert_eq!(answer.header("cache-control"), "no-store");
    let _ = refused(ask("https://evil.example")).await;
    let _ = refused(ask("null")).await;
    let again = send(ask(ORIGIN)).await.expect(200);
    assert_ne!(again.json["csrf_token"], answer.json["csrf_token"], "each has its own pre-session");
}

#[tokio::test]
async fn no_link_and_no_picture_on_another_page_replaces_the_csrf_cookie() {
    let app = TestApp::with(&[ES256, CALLERS]).await;
    let ask = |site: &str, mode: &str| {
        let request = app.request(Method::GET, CSRF).header("sec-fetch-site", site);
        request.header("sec-fetch-mode", mode)
    };
    for (site, mode) in [("cross-site", "navigate"), ("cross-site", "no-cors")] {
        assert!(refused(ask(site, mode)).await.headers.get("set-cookie").is_none());
    }
    let invalid = r#"user_service_csrf_checks_total{outcome="invalid"}"#;
    assert_eq!(app.metric(invalid).await, 2);
    let _ = send(ask("same-origin", "cors")).await.expect(200);
    let _ = send(ask("cross-site", "cors").header("origin", PAGE)).await.expect(200);
    assert_eq!(app.metric(invalid).await, 2);
}

#[tokio::test]
async fn cookies_are_set_as_their_environment_says() {
    for (environment, attributes) in [
        ("production", "; Path=/; HttpOnly; SameSite=Strict; Secure"),
        ("preview", "; Path=/; HttpOnly; SameSite=None; Secure"),
    ] {
        let app = deployed(environment, &[ES256]).await;
        let answer = app.get(CSRF).await.expect(200);
        let cookies: Vec<_> = answer.headers.get_all("set-cookie").iter().collect();
        assert_eq!(cookies.len(), 2);
        for (cookie, kind) in cookies.iter().zip(["csrf", "presession"]) {
            let cookie = cookie.to_str().unwrap();
            assert!(cookie.starts_with(&format!("__Host-latchkey_v5_{kind}=")), "{cookie}");
            assert!(cookie.ends_with(attributes), "{cookie}");
        }
    }
}
