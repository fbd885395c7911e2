//! A replica of the service, and its endpoints.

use auth_manager::config::{SCHEMA, Settings};
use common::clock::Clock;
use common::settings::Environment;
use reqwest::{Client, Method, RequestBuilder};
use test_support::{Answer, TestServer};
use tokio::task::{JoinHandle, spawn_blocking};

use crate::person::{Parameters, Person};

/// Where the realm sends browsers back to; nobody follows them there.
const PUBLIC_URL: &str = "http://localhost:8000";

pub(crate) struct App {
    server: Option<TestServer>,
    client: Client,
}

pub(crate) fn settings(environment: &[(&str, &str)]) -> Settings {
    let defaults = [
        ("AUTH_MANAGER__ENVIRONMENT", "development"),
        ("AUTH_MANAGER__PUBLIC_URL", PUBLIC_URL),
        ("AUTH_MANAGER__DATABASE__MAX_CONNECTIONS", "8"),
        ("AUTH_MANAGER__PROVIDERS__TIMEOUT", "10s"),
        ("AUTH_MANAGER__PROVIDERS__BREAKER_FAILURES", "1000"),
    ];
    let environment: Environment = defaults.iter().chain(environment).copied().collect();
    SCHEMA.load(&environment).unwrap()
}

impl App {
    pub(crate) async fn start(settings: Settings, clock: Clock) -> Self {
        let server = TestServer::start(move || auth_manager::app::build(settings, clock)).await;
        Self { server: Some(server), client: Client::builder().build().unwrap() }
    }

    /// Ends it, whatever it is in the middle of.
    pub(crate) async fn stop(mut self) {
        let server = self.server.take();
        spawn_blocking(move || drop(server)).await.unwrap();
    }

    pub(crate) async fn request_offline_token(&self, person: &Person) -> Answer {
        Self::send(self.request(Method::GET, "offline-token", Some(person))).await
    }

    pub(crate) async fn finish_offline_token(&self, parameters: &Parameters) -> Answer {
        self.begin_finish(parameters).await.unwrap()
    }

    pub(crate) fn begin_finish(&self, parameters: &Parameters) -> JoinHandle<Answer> {
        let path = "offline-token/callback";
        Self::spawn(self.request(Method::GET, path, None).query(parameters))
    }

    /// Where the service listens.
    pub(crate) fn address(&self) -> String {
        let url = self.server.as_ref().expect("it runs").url("");
        url.trim_start_matches("http://").to_owned()
    }

    /// A browser's request that brings these, as it goes over the wire.
    pub(crate) fn callback(&self, parameters: &Parameters) -> String {
        let request = self.request(Method::GET, "offline-token/callback", None).query(parameters);
        let url = request.build().unwrap().url().clone();
        let (path, query) = (url.path(), url.query().unwrap());
        format!("GET {path}?{query} HTTP/1.1\r\nhost: {}\r\n\r\n", self.address())
    }

    pub(crate) async fn issue_persistent_id(&self, person: &Person) -> Answer {
        Self::send(self.request(Method::POST, "offline-token-id", Some(person))).await
    }

    pub(crate) async fn revoke_persistent_id(&self, person: &Person, id: &str) -> Answer {
        self.begin_revoke(person, id).await.unwrap()
    }

    pub(crate) fn begin_revoke(&self, person: &Person, id: &str) -> JoinHandle<Answer> {
        let path = "offline-token-id";
        Self::spawn(self.request(Method::DELETE, path, Some(person)).query(&[("id", id)]))
    }

    pub(crate) async fn draw(&self, person: &Person, id: &str) -> Answer {
        let request = self.request(Method::POST, "access-token", Some(person));
        Self::send(request.query(&[("persistent_token_id", id)])).await
    }

    /// The value of a metric's line.
    pub(crate) async fn metric(&self, line: &str) -> Option<i64> {
        let url = self.server.as_ref().expect("it runs").admin_url("/metrics");
        let rendered = Self::send(self.client.get(url)).await.text;
        let line = rendered.lines().find_map(|found| found.strip_prefix(line))?;
        line.trim().parse().ok()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        let server = self.server.as_ref().expect("it runs");
        server.url(&format!("/api/auth/manager/{path}"))
    }

    fn request(&self, method: Method, path: &str, person: Option<&Person>) -> RequestBuilder {
        let request = self.client.request(method, self.url(path));
        match person {
            Some(person) => request.bearer_auth(&person.access_token),
            None => request,
        }
    }

    pub(crate) fn begin(&self, method: Method, path: &str, person: &Person) -> JoinHandle<Answer> {
        Self::spawn(self.request(method, path, Some(person)))
    }

    fn spawn(request: RequestBuilder) -> JoinHandle<Answer> {
        tokio::spawn(async move { Answer::read(request.send().await.unwrap()).await })
    }

    async fn send(request: RequestBuilder) -> Answer {
        Answer::read(request.send().await.unwrap()).await
    }
}

impl Drop for App {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            server.drain();
            std::thread::spawn(move || drop(server));
        }
    }
}
