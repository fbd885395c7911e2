use reqwest::{Client, Method};
use serde_json::Value;

use super::{FORM, form};
use crate::Answer;

/// Calls to the admin API of a Keycloak.
pub(super) struct Admin {
    pub(super) base: String,
    http: Client,
}

impl Admin {
    pub(super) fn new(base: &str) -> Self {
        // Connections belong to the runtime of the test that opened them, a realm to several.
        let http = Client::builder().pool_max_idle_per_host(0).build().unwrap();
        Self { base: base.to_owned(), http }
    }

    /// One call below `/admin/realms`; must succeed.
    pub(super) async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let answer = self.try_call(method, path, body).await;
        assert!(answer.status.is_success(), "{path}: {} {}", answer.status, answer.text);
        answer
    }

    /// The same, whatever comes of it.
    pub(super) async fn try_call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Answer {
        let url = format!("{}/admin/realms{path}", self.base);
        // Tokens live a minute: a fresh one for each call is the simplest.
        let mut request = self.http.request(method, url).bearer_auth(self.token().await);
        if let Some(body) = body {
            request = request.json(body);
        }
        Answer::read(request.send().await.expect("Keycloak answers")).await
    }

    /// A token for a client's service account.
    pub(super) async fn client_token(&self, realm: &str, client: &str, secret: &str) -> String {
        self.ask(
            realm,
            &[
                ("grant_type", "client_credentials"),
                ("client_id", client),
                ("client_secret", secret),
            ],
        )
        .await
    }

    async fn token(&self) -> String {
        self.ask(
            "master",
            &[
                ("grant_type", "password"),
                ("client_id", "admin-cli"),
                ("username", "admin"),
                ("password", "admin"),
            ],
        )
        .await
    }

    async fn ask(&self, realm: &str, pairs: &[(&str, &str)]) -> String {
        self.post_form(realm, pairs).await.expect(200).member("access_token")
    }

    /// A request to a realm's token endpoint.
    pub(super) async fn post_form(&self, realm: &str, pairs: &[(&str, &str)]) -> Answer {
        let url = format!("{}/realms/{realm}/protocol/openid-connect/token", self.base);
        let request = self.http.post(url).header(FORM.0, FORM.1).body(form(pairs));
        Answer::read(request.send().await.expect("Keycloak answers")).await
    }
}
