//! Two generations of cookies side by side: who gets which, and how a session moves between them.

use diesel_async::SimpleAsyncConnection as _;
use serde_json::json;
use test_support::{TestBrowser, TestServer, eventually};
use user_service::config::{SCHEMA, Settings};
use user_service::rollout::Operator;

use super::browser_support::{
    FIREFOX, LOGOUT, ORIGIN, SESSIONS, deployed, is_live, log_in, refresh,
};
use super::support::{TestApp, count};

const ES256: (&str, &str) = ("USER_SERVICE__SIGNING__ALGORITHM", "ES256");
/// Strict: no token is good a second time.
const STRICT: (&str, &str) = ("USER_SERVICE__REFRESH__GRACE", "0");
const OF_SESSION: [&str; 4] = ["access", "refresh", "csrf", "browser"];

impl TestApp {
    pub(crate) async fn operator(&self) -> Operator {
        let url = ("USER_SERVICE__DATABASE__URL".to_owned(), self.database.url().to_owned());
        let development = ("USER_SERVICE__ENVIRONMENT".to_owned(), "development".to_owned());
        let settings: Settings = SCHEMA.load(&[url, development].into_iter().collect()).unwrap();
        Operator::open(&settings).await.unwrap()
    }

    /// Sets the share, as an operator does, and waits until the service goes by it.
    pub(crate) async fn set_share(&self, share: u8) {
        let _ = self.operator().await.set(share).await.unwrap();
        self.follows(share).await;
    }

    pub(crate) async fn follows(&self, share: u8) {
        eventually("the service goes by the share", || async {
            (rollout(self, &self.server).await == Some(u64::from(share))).then_some(())
        })
        .await;
    }
}

/// The share that a replica goes by, once it has read it.
pub(crate) async fn rollout(app: &TestApp, replica: &TestServer) -> Option<u64> {
    let revision = app.metric_of(replica, "user_service_cookie_rollout_revision").await;
    let share = app.metric_of(replica, "user_service_cookie_rollout_share").await;
    (revision > 0).then_some(share)
}

/// What the browser holds of one generation, by kind.
pub(crate) fn held(browser: &TestBrowser, generation: &str) -> Vec<String> {
    let prefix = format!("latchkey_{generation}_");
    let names = browser.cookies().into_iter().map(|(name, _)| name);
    let mut kinds: Vec<String> =
        names.filter_map(|name| Some(name.strip_prefix(&prefix)?.to_owned())).collect();
    kinds.sort_unstable();
    kinds
}

fn sorted(kinds: &[&str]) -> Vec<String> {
    let mut kinds: Vec<String> = kinds.iter().map(|kind| (*kind).to_owned()).collect();
    kinds.sort_unstable();
    kinds
}

fn is_all_of(browser: &TestBrowser, generation: &str) -> bool {
    let other = if generation == "v4" { "v5" } else { "v4" };
    held(browser, generation) == sorted(&OF_SESSION) && held(browser, other).is_empty()
}

#[tokio::test]
async fn at_a_share_of_nought_everybody_has_the_older_cookies_and_at_all_the_newer() {
    for (share, generation) in [("0", "v4"), ("100", "v5")] {
        let app = TestApp::with(&[ES256, ("USER_SERVICE__BROWSER__ROLLOUT_SHARE", share)]).await;
        let (browser, _) = app.browse_as("alice").await;
        assert!(is_all_of(&browser, generation), "{:?}", browser.cookies());
        let _ = browser.get("/api/v5/auth/verify-token").await.expect(204);
        let _ = refresh(&browser).await.expect(200);
        assert!(is_live(&browser).await && is_all_of(&browser, generation));
        let _ = browser.post(LOGOUT, &json!({})).await.expect(200);
        assert_eq!(held(&browser, generation), ["browser"]);
    }
}

#[tokio::test]
async fn a_share_of_logins_gets_the_newer_cookies_and_a_greater_one_takes_them_from_nobody() {
    let app = TestApp::with(&[ES256, ("USER_SERVICE__BROWSER__ROLLOUT_SHARE", "25")]).await;
    let _ = app.register("alice").await.expect(201);
    let mut browsers = Vec::new();
    for _ in 0..40 {
        let browser = app.browser().await;
        let _ = log_in(&browser, "alice").await.expect(200);
        browsers.push(browser);
    }
    let newer = |browsers: &[TestBrowser]| -> Vec<bool> {
        browsers.iter().map(|browser| is_all_of(browser, "v5")).collect()
    };
    let before = newer(&browsers);
    // Of forty coins that show a head once in four throws: none and forty are out of the question.
    let heads = before.iter().filter(|newer| **newer).count();
    assert!((1..30).contains(&heads), "{heads}");
    app.set_share(60).await;
    for browser in &browsers {
        let _ = refresh(browser).await.expect(200);
        assert!(is_all_of(browser, "v4") || is_all_of(browser, "v5"));
    }
    let after = newer(&browsers);
    assert!(before.iter().zip(&after).all(|(before, after)| *after || !before));
    assert!(after.iter().filter(|newer| **newer).count() > heads);
}

#[tokio::test]
async fn a_session_moves_forth_and_back_with_its_refreshes_and_stays_the_same() {
    let app = TestApp::with(&[ES256, STRICT]).await;
    let (browser, session) = app.browse_as("alice").await;
    let id = browser.cookie("browser").unwrap();
    for (share, generation) in [(0, "v4"), (100, "v5"), (0, "v4")] {
        app.set_share(share).await;
        // Both are accepted until then.
        assert!(is_live(&browser).await && !is_all_of(&browser, generation));
        let _ = browser.get_csrf().await.expect(200);
        let _ = refresh(&browser).await.expect(200);
        assert!(is_all_of(&browser, generation), "{:?}", browser.cookies());
        let answer = browser.get(SESSIONS).await.expect(200);
        let current = answer.json["items"].as_array().unwrap();
        assert_eq!((current.len(), &current[0]["session_id"]), (1, &session["session_id"]));
        assert_eq!(browser.cookie("browser").unwrap(), id);
    }
}

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
        super::support::send(request).await.expect_error(403, "csrf_invalid")
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
    let _ = super::support::send(request).await.expect_error(401, "unauthorized");
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
        let _ = super::support::send(request).await.expect_error(403, "csrf_invalid");
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

#[tokio::test]
async fn operators_are_told_how_many_sessions_may_still_have_the_older_cookies() {
    let app = TestApp::with(&[ES256, ("USER_SERVICE__BROWSER__ROLLOUT_SHARE", "0")]).await;
    let (browser, _) = app.browse_as("alice").await;
    let (other, _) = app.browse_as("bob").await;
    let mut operator = app.operator().await;
    assert_eq!(operator.set(50).await.unwrap().may_have_v4, None);
    assert_eq!(operator.set(100).await.unwrap().may_have_v4, Some(2));
    // An hour after the decision.
    let mut connection = app.database.connect().await;
    let hour = "UPDATE cookie_rollout SET decided_at = decided_at - interval '1 hour';
        UPDATE auth_sessions SET created_at = created_at - interval '2 hours',
            rotated_at = rotated_at - interval '2 hours'";
    connection.batch_execute(hour).await.unwrap();
    assert_eq!(operator.show().await.unwrap().may_have_v4, Some(2));
    let _ = refresh(&browser).await.expect(200);
    assert_eq!(operator.show().await.unwrap().may_have_v4, Some(1));
    let _ = other.post(LOGOUT, &json!({})).await.expect(200);
    assert_eq!(operator.show().await.unwrap().may_have_v4, Some(0));
}

#[tokio::test]
async fn previews_have_the_newer_cookies_whatever_the_share() {
    let none = ("USER_SERVICE__BROWSER__ROLLOUT_SHARE", "0");
    let app = deployed("preview", &[ES256, none]).await;
    let origin = "https://id.example.com";
    let browser = TestBrowser::new(&app.server.url(""), origin, "test/1");
    let set = browser.get_csrf().await.expect(200);
    let set: Vec<_> = set.headers.get_all("set-cookie").iter().collect();
    assert!(!set.is_empty());
    assert!(set.iter().all(|cookie| cookie.to_str().unwrap().starts_with("__Host-latchkey_v5_")));
}

#[tokio::test]
async fn replicas_agree_on_what_was_decided_last_whatever_their_settings_say() {
    let app = TestApp::with(&[ES256]).await;
    app.set_share(0).await;
    let other = app.replica().await;
    eventually("the replica reads the row", || async {
        (rollout(&app, &other).await == Some(0)).then_some(())
    })
    .await;
    let mut operator = app.operator().await;
    assert_eq!(operator.show().await.unwrap().decided_by, "operator");
    let _ = operator.set(25).await.unwrap();
    eventually("both follow", || async {
        let both = [rollout(&app, &app.server).await, rollout(&app, &other).await];
        (both == [Some(25); 2]).then_some(())
    })
    .await;
    let wrong = "UPDATE cookie_rollout SET share = 101";
    assert!(app.database.connect().await.batch_execute(wrong).await.is_err());
}
