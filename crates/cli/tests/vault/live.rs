//! auth-manager itself on a realm that rotates, people who consented there, and the job that draws
//! on their grants.

use auth_manager::config::SCHEMA;
use common::clock::Clock;
use common::settings::Environment;
use reqwest::{Client, Method};
use serde_json::json;
use test_support::{Answer, Browser, ProvidersFile, TestDatabase, TestRealm, TestServer};
use url::Url;

/// Where the realm sends browsers back to; nobody follows them there.
const PUBLIC_URL: &str = "http://localhost:8000";
const OFFLINE: &str = "latchkey-offline";

/// A realm in which a refresh token is good once.
pub(crate) struct Live {
    pub(crate) realm: TestRealm,
    file: ProvidersFile,
}

/// A replica of the service, and the job that asks it.
pub(crate) struct Replica {
    server: TestServer,
    client: Client,
    job: String,
}

impl Live {
    /// Access tokens live for 2 s: what was drawn a second ago is drawn anew.
    pub(crate) async fn start() -> Self {
        let rotating = json!({ "revokeRefreshToken": true, "refreshTokenMaxReuse": 0 });
        let realm = TestRealm::create(&rotating).await;
        let short = json!({ "attributes": { "access.token.lifespan": "2" } });
        realm.change_client(OFFLINE, &short).await;
        let reuse = "refresh_token_max_reuse = 0";
        let file = ProvidersFile::new().with_realm("keycloak", &realm, None, reuse);
        Self { realm, file }
    }

    pub(crate) async fn replica(&self, database: &TestDatabase, ring: &str) -> Replica {
        let path = self.file.path();
        let environment = Environment::from_iter([
            ("AUTH_MANAGER__ENVIRONMENT", "development"),
            ("AUTH_MANAGER__PUBLIC_URL", PUBLIC_URL),
            ("AUTH_MANAGER__DATABASE__URL", database.url()),
            ("AUTH_MANAGER__DATABASE__MAX_CONNECTIONS", "8"),
            ("AUTH_MANAGER__VAULT__KEYS", ring),
            ("AUTH_MANAGER__PROVIDERS__FILE", &path),
        ]);
        let settings = SCHEMA.load(&environment).unwrap();
        let build = move || auth_manager::app::build(settings, Clock::default());
        let server = TestServer::start(build).await;
        let job = self.realm.service_token("latchkey-job").await;
        Replica { server, client: Client::builder().build().unwrap(), job }
    }

    /// Somebody new consents to offline use; the persistent id.
    pub(crate) async fn consent(&self, replica: &Replica) -> String {
        let (browser, user) = (Browser::new(), self.realm.create_user().await);
        let tokens = self.realm.sign_in(&browser, &user).await;
        let token = tokens["access_token"].as_str().unwrap();
        let asked = replica.ask(Method::GET, "offline-token", token).await.expect(200);
        let url = asked.json["data"]["consent_url"].as_str().unwrap();
        let back = Url::parse(&browser.sign_in(url, &user).await).unwrap();
        let path = format!("offline-token/callback?{}", back.query().unwrap());
        let answer = replica.ask(Method::GET, &path, "").await.expect(200);
        answer.json["data"]["persistent_token_id"].as_str().unwrap().to_owned()
    }
}

impl Replica {
    pub(crate) async fn draw(&self, id: &str, scope: &str) -> Answer {
        let path = format!("access-token?persistent_token_id={id}&scope={scope}");
        self.ask(Method::POST, &path, &self.job).await
    }

    async fn ask(&self, method: Method, path: &str, token: &str) -> Answer {
        let url = self.server.url(&format!("/api/auth/manager/{path}"));
        let request = self.client.request(method, url).bearer_auth(token);
        Answer::read(request.send().await.unwrap()).await
    }
}
