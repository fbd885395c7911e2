//! A service on a database and two realms of its own, with one method per endpoint.

use auth_manager::MIGRATIONS;
use auth_manager::app;
use auth_manager::config::{SCHEMA, Settings};
use common::clock::Clock;
use common::settings::{Environment, Schema};
use diesel::sql_types::BigInt;
use diesel_async::{RunQueryDsl as _, SimpleAsyncConnection as _};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use test_support::{
    Answer, Browser, FaultProxy, ProvidersFile, TestDatabase, TestRealm, TestServer, TestUser,
    keycloak_url,
};
use url::Url;

const PUBLIC_URL: &str = "http://localhost:8000";
pub(crate) const APP: &str = "https://app.example.com";
pub(crate) const LOGIN_CLIENT: &str = "latchkey-login";
const API: &str = "/api/auth/manager";
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

pub(crate) struct TestApp {
    pub(crate) server: TestServer,
    pub(crate) database: TestDatabase,
    /// On the way to the first realm.
    pub(crate) proxy: FaultProxy,
    pub(crate) clock: Clock,
    pub(crate) realm: TestRealm,
    pub(crate) partner: TestRealm,
    pub(crate) user: TestUser,
    client: Client,
    settings: Settings,
    _file: ProvidersFile,
}

#[derive(diesel::QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

impl TestApp {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[], "").await
    }

    /// With further settings, and further tables of the providers' file.
    pub(crate) async fn start_with(settings: &[(&str, &str)], providers: &str) -> Self {
        let realm = TestRealm::create(&json!({})).await;
        let partner = TestRealm::create(&json!({})).await;
        let proxy = FaultProxy::start(&keycloak_url()).await;
        let file = ProvidersFile::new()
            .with_realm("keycloak", &realm, Some(&proxy), "")
            .with_realm("partner", &partner, None, "")
            .with(providers);
        let database = TestDatabase::create("auth", || MIGRATIONS).await;
        let path = file.path();
        let own = [
            ("AUTH_MANAGER__ENVIRONMENT", "development"),
            ("AUTH_MANAGER__DATABASE__MAX_CONNECTIONS", "8"),
            ("AUTH_MANAGER__DATABASE__URL", database.url()),
            ("AUTH_MANAGER__PROVIDERS__FILE", path.as_str()),
            ("AUTH_MANAGER__PUBLIC_URL", PUBLIC_URL),
            ("AUTH_MANAGER__STATES__RETURN_TO", APP),
        ];
        let environment: Environment = own.iter().chain(settings).copied().collect();
        let (settings, clock) = (Schema::load(&SCHEMA, &environment).unwrap(), Clock::default());
        let server = serve(&settings, &clock).await;
        let user = realm.create_user().await;
        let client = Client::builder().build().unwrap();
        Self { server, database, proxy, clock, realm, partner, user, client, settings, _file: file }
    }

    /// Another replica, on the same database.
    pub(crate) async fn replica(&self) -> TestServer {
        serve(&self.settings, &self.clock).await
    }

    pub(crate) async fn run(&self, statements: &str) {
        self.database.connect().await.batch_execute(statements).await.unwrap();
    }

    /// How many rows a `SELECT FROM …` has.
    pub(crate) async fn count(&self, rows: &str) -> i64 {
        let query = diesel::sql_query(format!("SELECT count(*) AS count FROM ({rows}) AS rows"));
        let count: Count = query.get_result(&mut self.database.connect().await).await.unwrap();
        count.count
    }

    /// Tokens that the login client obtained elsewhere, in a session that is none of ours.
    pub(crate) async fn tokens_of(&self, realm: &TestRealm, user: &TestUser, scope: &str) -> Value {
        realm.change_client(LOGIN_CLIENT, &json!({ "directAccessGrantsEnabled": true })).await;
        let form = [
            ("grant_type", "password"),
            ("client_id", LOGIN_CLIENT),
            ("client_secret", &TestRealm::secret(LOGIN_CLIENT)),
            ("username", &user.username),
            ("password", &user.password),
            ("scope", scope),
        ];
        let url = format!("{}/protocol/openid-connect/token", realm.issuer());
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request = self.client.post(url).header(FORM.0, FORM.1).body(body);
        Answer::read(request.send().await.unwrap()).await.expect(200).json
    }

    pub(crate) fn url(&self, path: &str) -> String {
        self.server.url(&format!("{API}{path}"))
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
        self.ask_at(&self.server, method, path, token).await
    }

    /// The same of a replica.
    pub(crate) async fn ask_at(
        &self,
        server: &TestServer,
        method: Method,
        path: &str,
        token: &str,
    ) -> Answer {
        let url = server.url(&format!("{API}{path}"));
        let request = self.client.request(method, url).bearer_auth(token);
        Answer::read(request.send().await.unwrap()).await
    }

    pub(crate) async fn post_logout_token(&self, token: &str) -> Answer {
        let request = self.client.post(self.url("/backchannel-logout"));
        let request = request.header(FORM.0, FORM.1);
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

async fn serve(settings: &Settings, clock: &Clock) -> TestServer {
    let (settings, clock) = (settings.clone(), clock.clone());
    TestServer::start(move || app::build(settings, clock)).await
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
