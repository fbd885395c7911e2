//! The whole service over HTTP, on a database and a realm of its own.

use auth_manager::MIGRATIONS;
use auth_manager::app;
use auth_manager::models::grant::{self, Grant};
use common::clock::Clock;
use diesel::sql_types::Uuid as SqlUuid;
use diesel_async::RunQueryDsl as _;
use reqwest::{Client, Method};
use serde_json::Value;
use test_support::{
    Answer, Browser, FaultProxy, ProvidersFile, TestDatabase, TestRealm, TestServer, TestUser,
    keycloak_url,
};
use uuid::Uuid;

use crate::world::{settings, unique_name};

const PUBLIC_URL: &str = "http://localhost:8000";

pub(crate) struct App {
    pub(crate) name: String,
    pub(crate) clock: Clock,
    pub(crate) realm: TestRealm,
    pub(crate) proxy: FaultProxy,
    /// A token of the job that may draw while people are away.
    pub(crate) job: String,
    database: TestDatabase,
    server: TestServer,
    client: Client,
    _file: ProvidersFile,
}

/// An offline grant of somebody, and the id to draw on it by.
pub(crate) struct Consented {
    pub(crate) id: String,
    pub(crate) session: String,
}

#[derive(diesel::QueryableByName)]
struct Id {
    #[diesel(sql_type = SqlUuid)]
    grant_id: Uuid,
}

impl App {
    /// On `realm` of the tests' Keycloak, with further tables in the providers' file.
    pub(crate) async fn start(realm: TestRealm, tables: &str) -> Self {
        Self::start_on(&keycloak_url(), realm, "", tables, &[]).await
    }

    /// On the Keycloak at `base`, with more lines of the provider's table and further settings too.
    pub(crate) async fn start_on(
        base: &str,
        realm: TestRealm,
        lines: &str,
        tables: &str,
        more: &[(&str, &str)],
    ) -> Self {
        crate::log::start();
        let (name, proxy) = (unique_name(), FaultProxy::start(base).await);
        let file = ProvidersFile::new().with_realm(&name, &realm, Some(&proxy), lines).with(tables);
        let database = TestDatabase::create("auth", || MIGRATIONS).await;
        let path = file.path();
        let own = [
            ("AUTH_MANAGER__DATABASE__URL", database.url()),
            ("AUTH_MANAGER__PROVIDERS__FILE", path.as_str()),
            ("AUTH_MANAGER__PROVIDERS__DEFAULT", name.as_str()),
            ("AUTH_MANAGER__PUBLIC_URL", PUBLIC_URL),
            ("AUTH_MANAGER__CALLERS__CACHE", "1h"),
            ("AUTH_MANAGER__DRAW__WAIT", "1s"),
        ];
        let environment: Vec<_> = own.iter().chain(more).copied().collect();
        let (settings, clock) = (settings(&environment), Clock::default());
        let service_clock = clock.clone();
        let server = TestServer::start(move || app::build(settings, service_clock)).await;
        let job = realm.service_token("latchkey-job").await;
        let client = Client::builder().build().unwrap();
        Self { name, clock, realm, proxy, job, database, server, client, _file: file }
    }

    pub(crate) async fn ask(&self, method: Method, path: &str, token: &str) -> Answer {
        let request = self.client.request(method, self.url(path)).bearer_auth(token);
        Answer::read(request.send().await.unwrap()).await
    }

    /// Follows a sign-in, link or consent to its end in `browser`.
    pub(crate) async fn follow(&self, browser: &Browser, url: &str, user: &TestUser) -> Answer {
        let back = browser.sign_in(url, user).await;
        let rest = back.strip_prefix(PUBLIC_URL).expect("our own callback");
        browser.get(&self.server.url(rest)).await
    }

    /// Comes back to our callback as a browser that has no cookie but this.
    pub(crate) async fn return_with(&self, back: &str, cookie: &str) -> Answer {
        let rest = back.strip_prefix(PUBLIC_URL).expect("our own callback");
        let request = self.client.get(self.server.url(rest)).header("cookie", cookie);
        Answer::read(request.send().await.unwrap()).await
    }

    /// Signs `user` in at the default provider, or at the one that `query` names.
    pub(crate) async fn sign_in(&self, browser: &Browser, query: &str, user: &TestUser) -> Value {
        let answer = browser.get(&self.url(&format!("/login{query}"))).await.expect(302);
        let answer = self.follow(browser, answer.header("location"), user).await;
        data(&answer.expect(200))
    }

    /// Somebody new signs in and consents to offline use.
    pub(crate) async fn consent(&self) -> Consented {
        let (browser, user) = (Browser::new(), self.realm.create_user().await);
        let token = text(&self.sign_in(&browser, "", &user).await, "access_token");
        let asked = data(&self.ask(Method::GET, "/offline-token", &token).await.expect(200));
        let answer = self.follow(&browser, &text(&asked, "consent_url"), &user).await;
        let consented = data(&answer.expect(200));
        Consented {
            id: text(&consented, "persistent_token_id"),
            session: text(&consented, "session_state_id"),
        }
    }

    /// The job draws.
    pub(crate) async fn draw(&self, id: &str) -> Answer {
        self.ask(Method::POST, &format!("/access-token?persistent_token_id={id}"), &self.job).await
    }

    /// What was drawn is forgotten, so that the next draw asks the provider.
    pub(crate) async fn forget_drawn(&self) {
        let mut connection = self.database.connect().await;
        let forgotten = diesel::sql_query("DELETE FROM drawn_tokens");
        forgotten.execute(&mut connection).await.unwrap();
    }

    /// The grant behind an id.
    pub(crate) async fn grant_of(&self, id: &str) -> Grant {
        let mut connection = self.database.connect().await;
        let query = "SELECT grant_id FROM persistent_tokens WHERE id = $1";
        let query = diesel::sql_query(query).bind::<SqlUuid, _>(id.parse::<Uuid>().unwrap());
        let found: Id = query.get_result(&mut connection).await.expect("the id");
        grant::find(&mut connection, found.grant_id).await.unwrap().expect("the grant")
    }

    /// The value of a metric's line, 0 where it is not there.
    pub(crate) async fn metric(&self, line: &str) -> u64 {
        let request = self.client.get(self.server.admin_url("/metrics"));
        let rendered = Answer::read(request.send().await.unwrap()).await.text;
        let found = rendered.lines().find_map(|found| found.strip_prefix(line));
        found.map_or(0, |value| value.trim().parse().unwrap())
    }

    pub(crate) async fn post_logout_token(&self, token: &str) -> Answer {
        let request = self.client.post(self.url("/backchannel-logout"));
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let body = format!("logout_token={token}");
        Answer::read(request.body(body).send().await.unwrap()).await
    }

    pub(crate) fn url(&self, path: &str) -> String {
        self.server.url(&format!("/api/auth/manager{path}"))
    }
}

pub(crate) fn data(answer: &Answer) -> Value {
    assert_eq!(answer.json["success"], true, "{}", answer.text);
    answer.json["data"].clone()
}

pub(crate) fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_else(|| panic!("`{name}` in {value}")).to_owned()
}
