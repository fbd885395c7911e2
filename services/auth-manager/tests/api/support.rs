//! A service on a database and two realms of its own, with one method per endpoint.

use auth_manager::MIGRATIONS;
use auth_manager::app;
use auth_manager::config::SCHEMA;
use common::clock::Clock;
use common::settings::Environment;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use test_support::{Answer, Browser, ProvidersFile, TestDatabase, TestRealm, TestServer, TestUser};
use url::Url;

const PUBLIC_URL: &str = "http://localhost:8000";
pub(crate) const APP: &str = "https://app.example.com";
pub(crate) const LOGIN_CLIENT: &str = "latchkey-login";

pub(crate) struct TestApp {
    pub(crate) server: TestServer,
    _database: TestDatabase,
    pub(crate) clock: Clock,
    pub(crate) realm: TestRealm,
    pub(crate) partner: TestRealm,
    pub(crate) user: TestUser,
    client: Client,
    _file: ProvidersFile,
}

impl TestApp {
    pub(crate) async fn start() -> Self {
        let realm = TestRealm::create(&json!({})).await;
        let partner = TestRealm::create(&json!({})).await;
        let file = ProvidersFile::new()
            .with_realm("keycloak", &realm, None, "")
            .with_realm("partner", &partner, None, "");
        let database = TestDatabase::create("auth", || MIGRATIONS).await;
        let path = file.path();
        let environment: Environment = [
            ("AUTH_MANAGER__ENVIRONMENT", "development"),
            ("AUTH_MANAGER__DATABASE__MAX_CONNECTIONS", "8"),
            ("AUTH_MANAGER__DATABASE__URL", database.url()),
            ("AUTH_MANAGER__PROVIDERS__FILE", path.as_str()),
            ("AUTH_MANAGER__PUBLIC_URL", PUBLIC_URL),
            ("AUTH_MANAGER__STATES__RETURN_TO", APP),
        ]
        .into_iter()
        .collect();
        let (settings, clock) = (SCHEMA.load(&environment).unwrap(), Clock::default());
        let service_clock = clock.clone();
        let server = TestServer::start(move || app::build(settings, service_clock)).await;
        let user = realm.create_user().await;
        let client = Client::builder().build().unwrap();
        Self { server, _database: database, clock, realm, partner, user, client, _file: file }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        self.server.url(&format!("/api/auth/manager{path}"))
    }

    /// A request to any path of the public listener.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, self.server.url(path))
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        Answer::read(self.request(Method::GET, path).send().await.unwrap()).await
    }

    pub(crate) async fn get_admin(&self, path: &str) -> Answer {
        let request = self.client.get(self.server.admin_url(path));
        Answer::read(request.send().await.unwrap()).await
    }

    pub(crate) async fn ask(&self, method: Method, path: &str, token: &str) -> Answer {
        let request = self.client.request(method, self.url(path)).bearer_auth(token);
        Answer::read(request.send().await.unwrap()).await
    }

    pub(crate) async fn post_logout_token(&self, token: &str) -> Answer {
        let request = self.client.post(self.url("/backchannel-logout"));
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let body = format!("logout_token={token}");
        Answer::read(request.body(body).send().await.unwrap()).await
    }

    /// Begins in `browser`: where it is sent.
    pub(crate) async fn begin(&self, browser: &Browser, query: &str) -> String {
        let answer = browser.get(&self.url(&format!("/login{query}"))).await.expect(302);
        assert!(answer.header("set-cookie").contains("HttpOnly; SameSite=Lax"));
        answer.header("location").to_owned()
    }

    /// The callback's URL as this server is reached, once the user has signed in at Keycloak.
    pub(crate) async fn return_from(&self, browser: &Browser, url: &str) -> Url {
        self.return_of(browser, url, &self.user).await
    }

    pub(crate) async fn return_of(&self, browser: &Browser, url: &str, user: &TestUser) -> Url {
        let back = browser.sign_in(url, user).await;
        let rest = back.strip_prefix(PUBLIC_URL).expect("our own callback");
        Url::parse(&self.server.url(rest)).unwrap()
    }

    /// Signs the user in; the `data` of the answer.
    pub(crate) async fn sign_in(&self, browser: &Browser) -> Value {
        self.sign_in_as(browser, "", &self.user).await
    }

    pub(crate) async fn sign_in_as(&self, browser: &Browser, query: &str, who: &TestUser) -> Value {
        let url = self.begin(browser, query).await;
        let back = self.return_of(browser, &url, who).await;
        data(&browser.get(back.as_str()).await.expect(200))
    }
}

pub(crate) fn data(answer: &Answer) -> Value {
    assert_eq!(answer.json["success"], true, "{}", answer.text);
    answer.json["data"].clone()
}

pub(crate) fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("`{name}` in {value}"))
}

/// `url` with one parameter replaced, or dropped where `value` is none.
pub(crate) fn with_parameter(url: &Url, name: &str, value: Option<&str>) -> Url {
    let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let mut changed = url.clone();
    let others = pairs.iter().filter(|(key, _)| key != name);
    changed.query_pairs_mut().clear().extend_pairs(others);
    if let Some(value) = value {
        changed.query_pairs_mut().append_pair(name, value);
    }
    changed
}
