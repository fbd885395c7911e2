//! Cookies that somebody else set in a browser: never taken for ours, and nobody is locked out.

use serde_json::json;
use test_support::TestBrowser;

use super::browser_support::{FIREFOX, LOGOUT, SESSIONS, deployed, is_live, log_in, refresh};
use super::cookie_rollout::{OF_SESSION, held, is_all_of};
use super::support::{TestApp, claims};

const VERIFY: &str = "/api/v5/auth/verify-token";
const ES256: (&str, &str) = ("USER_SERVICE__SIGNING__ALGORITHM", "ES256");

#[tokio::test]
async fn a_planted_cookie_locks_nobody_out() {
    let app = TestApp::with(&[ES256]).await;
    let _ = app.register("alice").await.expect(201);
    let browser = app.browser().await;
    for kind in ["presession", "access", "refresh", "csrf"] {
        browser.plant(&format!("latchkey_v5_{kind}=planted; Path=/api/v5"));
    }
    let _ = browser.get_csrf().await.expect(200);
    let _ = log_in(&browser, "alice").await.expect(200);
    assert!(is_live(&browser).await);
    for kind in ["presession", "access", "refresh", "csrf"] {
        for path in ["/", "/api", "/api/", "/api/v5/auth", "/api/v5/auth/sessions"] {
            browser.plant(&format!("latchkey_v5_{kind}=planted; Path={path}"));
        }
        let answer = browser.get(SESSIONS).await;
        if answer.status == 200 {
            continue;
        }
        let answer = answer.expect_error(401, "duplicate_cookies");
        let cleared: Vec<_> = answer.headers.get_all("set-cookie").iter().collect();
        assert!(cleared.iter().all(|cookie| cookie.to_str().unwrap().contains("=; Max-Age=0;")));
        assert_eq!(browser.cookie(kind), None, "{kind}");
        let _ = browser.get_csrf().await.expect(200);
        let _ = log_in(&browser, "alice").await.expect(200);
        assert!(is_live(&browser).await, "{kind}");
    }
}

#[tokio::test]
async fn an_access_cookie_of_another_session_is_not_believed_and_a_refresh_replaces_it() {
    let app = TestApp::with(&[ES256]).await;
    let (browser, session) = app.browse_as("alice").await;
    let (mallory, _) = app.browse_as("mallory").await;
    let planted = mallory.cookie("access").unwrap();
    for leave in [false, true] {
        browser.plant(&format!("latchkey_v5_access={planted}; Path=/"));
        let _ = browser.get(SESSIONS).await.expect_error(401, "invalid_token");
        let _ = browser.get(VERIFY).await.expect_error(401, "invalid_token");
        let all = browser.post("/api/v5/auth/logout-all", &json!({})).await;
        let _ = all.expect_error(401, "invalid_token");
        // The page asks for a token, as it does after any 403, and goes on.
        let _ = browser.get_csrf().await.expect(200);
        if leave {
            let _ = browser.post(LOGOUT, &json!({})).await.expect(200);
        } else {
            let _ = refresh(&browser).await.expect(200);
            let own = claims(&browser.cookie("access").unwrap());
            assert_eq!(own["sid"], session["session_id"]);
            assert!(is_live(&browser).await);
        }
    }
    assert!(is_live(&mallory).await);
}

#[tokio::test]
async fn an_access_cookie_from_a_host_beneath_the_domain_signs_nobody_in() {
    let domain = ("USER_SERVICE__BROWSER__COOKIE_DOMAIN", "example.com");
    let app = deployed("production", &[ES256, domain]).await;
    for name in ["alice", "mallory"] {
        let _ = app.register(name).await.expect(201);
    }
    let browser = || TestBrowser::new(&app.server.url(""), "https://id.example.com", FIREFOX);
    let mallory = browser();
    let _ = mallory.get_csrf().await.expect(200);
    let signed_in = log_in(&mallory, "mallory").await.expect(200);
    let cookie = signed_in.headers.get_all("set-cookie").iter().find_map(|cookie| {
        cookie.to_str().unwrap().strip_prefix("__Secure-latchkey_v5_access=")?.split(';').next()
    });
    let cookie = format!("__Secure-latchkey_v5_access={}; Path=/; Secure", cookie.unwrap());
    let victim = browser();
    victim.plant(&cookie);
    assert!(!is_live(&victim).await);
    let _ = victim.get_csrf().await.expect(200);
    assert!(victim.cookie("presession").is_some(), "the token is of nobody's session");
    let all = victim.post("/api/v5/auth/logout-all", &json!({})).await;
    let _ = all.expect_error(401, "invalid_token");
    let _ = log_in(&victim, "alice").await.expect(200);
    // Beside the refresh cookie of its session it is what it says.
    mallory.plant(&cookie);
    assert!(is_live(&mallory).await);
}

#[tokio::test]
async fn an_older_cookie_that_another_host_has_planted_neither_signs_in_nor_locks_out() {
    let app = TestApp::with(&[ES256]).await;
    let (victim, session) = app.browse_as("alice").await;
    app.set_share(0).await;
    let (mallory, _) = app.browse_as("mallory").await;
    for _ in 0..3 {
        let _ = refresh(&mallory).await.expect(200);
    }
    for (name, value) in mallory.cookies() {
        victim.plant(&format!("{name}={value}; Path=/api"));
    }
    let own = victim.get(SESSIONS).await.expect(200);
    assert_eq!(own.json["items"][0]["session_id"], session["session_id"]);
    let _ = refresh(&victim).await.expect(200);
    let own = victim.get(SESSIONS).await.expect(200);
    assert_eq!(own.json["items"][0]["session_id"], session["session_id"]);
    // One more of each name, deeper down.
    for kind in OF_SESSION {
        victim.plant(&format!("latchkey_v4_{kind}=planted; Path=/api/v5/auth"));
    }
    let _ = victim.get(SESSIONS).await.expect_error(401, "duplicate_cookies");
    let _ = victim.get_csrf().await.expect(200);
    let _ = log_in(&victim, "alice").await.expect(200);
    assert!(is_live(&victim).await);
}

#[tokio::test]
async fn a_pair_of_older_cookies_that_another_host_has_planted_does_nothing_to_a_newer_session() {
    let app = TestApp::with(&[ES256]).await;
    let (victim, session) = app.browse_as("alice").await;
    let known = victim.cookie("browser").unwrap();
    for kind in ["access", "refresh", "presession", "csrf", "browser"] {
        for path in ["/api", "/api/v5/auth"] {
            victim.plant(&format!("latchkey_v4_{kind}=planted; Path={path}"));
        }
        let own = victim.get(SESSIONS).await.expect(200);
        assert_eq!(own.json["items"][0]["session_id"], session["session_id"]);
        let _ = victim.get("/api/v5/auth/verify-token").await.expect(204);
        // A page that is loaded takes away all but what may be our own, and a refresh that too.
        let _ = victim.get_csrf().await.expect(200);
        let _ = refresh(&victim).await.expect(200);
        assert!(is_all_of(&victim, "v5"), "{:?}", victim.cookies());
        assert_eq!(victim.cookie("browser").unwrap(), known);
    }
    for path in ["/api", "/api/v5/auth"] {
        victim.plant(&format!("latchkey_v4_refresh=planted; Path={path}"));
    }
    let _ = victim.post(LOGOUT, &json!({})).await.expect(200);
    assert_eq!(held(&victim, "v5"), ["browser"]);
    // Before a login nothing is certain, but the browser is still the one it was.
    for path in ["/api", "/api/v5/auth"] {
        victim.plant(&format!("latchkey_v4_refresh=planted; Path={path}"));
    }
    let _ = refresh(&victim).await.expect_error(401, "duplicate_cookies");
    assert!(held(&victim, "v4").is_empty());
    victim.plant("latchkey_v4_refresh=planted; Path=/api/v5/auth");
    let _ = refresh(&victim).await.expect_error(401, "invalid_refresh_token");
    assert_eq!((held(&victim, "v4"), victim.cookie("browser").unwrap()), (Vec::new(), known));
}
