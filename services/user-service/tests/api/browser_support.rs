//! Browsers of the cookie API.

use reqwest::Method;
use serde_json::{Value, json};
use test_support::{Answer, TestBrowser};
use uuid::Uuid;

use super::support::{PASSWORD, TestApp};

/// What the service under test takes itself for.
pub(crate) const ORIGIN: &str = "http://127.0.0.1:8080";
pub(crate) const FIREFOX: &str =
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
pub(crate) const LOGIN: &str = "/api/v5/auth/login";
pub(crate) const REFRESH: &str = "/api/v5/auth/refresh";
pub(crate) const LOGOUT: &str = "/api/v5/auth/logout";
pub(crate) const SESSIONS: &str = "/api/v5/auth/sessions";

impl TestApp {
    /// A browser that has loaded a page and knows its CSRF token.
    pub(crate) async fn browser(&self) -> TestBrowser {
        let browser = TestBrowser::new(&self.server.url(""), ORIGIN, FIREFOX);
        let _ = browser.get_csrf().await.expect(200);
        browser
    }

    /// A browser in which a new user has signed in, and what the login answered.
    pub(crate) async fn browse_as(&self, username: &str) -> (TestBrowser, Value) {
        let _ = self.register(username).await.expect(201);
        let browser = self.browser().await;
        let answer = log_in(&browser, username).await.expect(200);
        (browser, answer.json)
    }
}

pub(crate) async fn log_in(browser: &TestBrowser, username: &str) -> Answer {
    browser.post(LOGIN, &json!({ "username": username, "password": PASSWORD })).await
}

pub(crate) async fn refresh(browser: &TestBrowser) -> Answer {
    browser.post(REFRESH, &json!({})).await
}

/// Whether the browser's session lives.
pub(crate) async fn is_live(browser: &TestBrowser) -> bool {
    browser.get(SESSIONS).await.status == 200
}

/// Every operation of the cookie API that the document has, an id in the place of each parameter.
pub(crate) async fn operations(app: &TestApp) -> Vec<(Method, String)> {
    let document = app.get("/openapi.json").await.expect(200).json;
    let (id, paths) = (Uuid::nil().to_string(), document["paths"].as_object().unwrap());
    let paths = paths.iter().filter(|(path, _)| path.starts_with("/api/v5/auth/"));
    let operations: Vec<_> = paths
        .flat_map(|(path, item)| {
            let parts = path.split('/').map(|part| if part.starts_with('{') { &id } else { part });
            let path = parts.collect::<Vec<_>>().join("/");
            let methods = item.as_object().unwrap().keys().map(|name| name.to_uppercase());
            methods.map(move |name| (name.parse().unwrap(), path.clone()))
        })
        .collect();
    assert!(operations.len() > 20, "{operations:?}");
    operations
}

/// A body that is right in form for each of them.
pub(crate) fn any_body() -> Value {
    json!({
        "username": "alice",
        "password": PASSWORD,
        "current_password": PASSWORD,
        "new_password": "a longer horse battery",
        "name": "laptop",
        "device_name": "kitchen",
        "scopes": ["chat"],
        "role": "user",
        "credential": {},
    })
}

/// The `Cookie` line of a browser, with another CSRF token where one is given.
pub(crate) fn cookie_line(browser: &TestBrowser, csrf: Option<&str>) -> String {
    let kinds = ["access", "refresh", "presession", "csrf"].into_iter().filter_map(|kind| {
        let own = browser.cookie(kind)?;
        let value = csrf.filter(|_| kind == "csrf").unwrap_or(&own);
        Some(format!("latchkey_v5_{kind}={value}"))
    });
    kinds.collect::<Vec<_>>().join("; ")
}

/// A service as it is deployed at `https://id.example.com`, outside development.
pub(crate) async fn deployed(environment: &str, more: &[(&str, &str)]) -> TestApp {
    let key = format!("first:{}", "ab".repeat(32));
    let version = format!("1:{}", "ab".repeat(32));
    let settings = [
        ("USER_SERVICE__ENVIRONMENT", environment),
        ("USER_SERVICE__PUBLIC_URL", "https://id.example.com"),
        ("USER_SERVICE__VAULT__KEYS", &key),
        ("USER_SERVICE__REFRESH__MAC_KEYS", &version),
        ("USER_SERVICE__BROWSER__CSRF_KEYS", &version),
        ("USER_SERVICE__AUDIT__CHAIN_KEYS", &version),
        ("USER_SERVICE__FEED__CLIENTS", "chat-service:0123456789abcdef0123456789abcdef"),
        ("USER_SERVICE__CAPTCHA__PROVIDER", "off"),
    ];
    TestApp::with(&[&settings[..], more].concat()).await
}
