//! Who gets which generation of cookies, and how a session moves between them.

use diesel_async::SimpleAsyncConnection as _;
use serde_json::json;
use test_support::{TestBrowser, TestServer, eventually};
use user_service::config::{SCHEMA, Settings};
use user_service::rollout::Operator;

use super::browser_support::{LOGOUT, SESSIONS, deployed, is_live, log_in, refresh};
use super::support::{TestApp, count};

const ES256: (&str, &str) = ("USER_SERVICE__SIGNING__ALGORITHM", "ES256");
/// Strict: no token is good a second time.
pub(crate) const STRICT: (&str, &str) = ("USER_SERVICE__REFRESH__GRACE", "0");
pub(crate) const OF_SESSION: [&str; 4] = ["access", "refresh", "csrf", "browser"];

impl TestApp {
    pub(crate) async fn operator(&self) -> Operator {
        let url = ("USER_SERVICE__DATABASE__URL".to_owned(), self.database.url().to_owned());
        let development = ("USER_SERVICE__ENVIRONMENT".to_owned(), "development".to_owned());
        let settings: Settings = SCHEMA.load(&[url, development].into_iter().collect()).unwrap();
        Operator::open(&settings).await.unwrap()
    }

    /// Sets the share, as an operator does, and waits until the service goes by it.
    pub(crate) async fn set_share(&self, share: u8) {
        self.decide(share, &[&self.server]).await;
    }

    /// The same, on all of these replicas.
    pub(crate) async fn decide(&self, share: u8, replicas: &[&TestServer]) {
        let _ = self.operator().await.set(share).await.unwrap();
        let revision = "SELECT revision AS count FROM cookie_rollout";
        let revision = count(&mut self.database.connect().await, revision).await;
        let heard = "user_service_cookie_rollout_revision";
        for replica in replicas {
            eventually("the service goes by the decision", async || {
                let heard = self.metric_of(replica, heard).await;
                (i64::try_from(heard).unwrap() == revision).then_some(())
            })
            .await;
        }
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

pub(crate) fn sorted(kinds: &[&str]) -> Vec<String> {
    let mut kinds: Vec<String> = kinds.iter().map(|kind| (*kind).to_owned()).collect();
    kinds.sort_unstable();
    kinds
}

pub(crate) fn is_all_of(browser: &TestBrowser, generation: &str) -> bool {
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
