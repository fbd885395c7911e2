//! The vault's story on a real Keycloak, with auth-manager killed and started again after each
//! step.

use reqwest::{Client, Method};
use serde_json::{Value, json};
use test_support::{
    Answer, Browser, ProvidersFile, ServiceProcess, TestDatabase, TestRealm, eventually, program,
};

use super::processes::free_port;

pub(crate) struct Vault {
    pub(crate) process: ServiceProcess,
    pub(crate) realm: TestRealm,
    port: u16,
    database: TestDatabase,
    file: ProvidersFile,
}

impl Vault {
    pub(crate) async fn start() -> Self {
        let realm = TestRealm::create(&json!({})).await;
        let file = ProvidersFile::new().with_realm("keycloak", &realm, None, "");
        let database = TestDatabase::create("auth", || auth_manager::MIGRATIONS).await;
        Self::start_on(realm, file, database, free_port()).await
    }

    async fn start_on(
        realm: TestRealm,
        file: ProvidersFile,
        database: TestDatabase,
        port: u16,
    ) -> Self {
        let (url, path) = (format!("http://127.0.0.1:{port}"), file.path());
        let port_text = port.to_string();
        let variables = [
            ("__ENVIRONMENT", "development"),
            ("__PUBLIC_URL", url.as_str()),
            ("__HTTP__PORT", &port_text),
            ("__HTTP__TRUSTED_PROXIES", "127.0.0.1/32"),
            ("__DATABASE__URL", database.url()),
            ("__PROVIDERS__FILE", &path),
        ];
        let process = ServiceProcess::start(program("auth-manager").await, &variables).await;
        Self { process, realm, port, database, file }
    }

    async fn crash(self) -> Self {
        self.process.kill().await;
        Self::start_on(self.realm, self.file, self.database, self.port).await
    }

    pub(crate) fn url(&self, path: &str) -> String {
        self.process.url(&format!("/api/auth/manager/{path}"))
    }

    pub(crate) async fn ask(&self, method: Method, path: &str, token: &str) -> Answer {
        let request = Client::builder().build().unwrap().request(method, self.url(path));
        Answer::read(request.bearer_auth(token).send().await.unwrap()).await
    }
}

pub(crate) fn text(answer: &Value, name: &str) -> String {
    answer["data"][name].as_str().unwrap_or_else(|| panic!("`{name}` in {answer}")).to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_every_step_the_vault_loses_no_grant_and_brings_none_back() {
    let vault = Vault::start().await;
    let (browser, user) = (Browser::new(), vault.realm.create_user().await);
    let begun = browser.get(&vault.url("login")).await.expect(302);
    let vault = vault.crash().await;
    let back = browser.sign_in(begun.header("location"), &user).await;
    let signed_in = browser.get(&back).await.expect(200).json;
    let (token, online) =
        (text(&signed_in, "access_token"), text(&signed_in, "persistent_token_id"));
    let vault = vault.crash().await;

    let asked = vault.ask(Method::GET, "offline-token", &token).await.expect(200).json;
    let vault = vault.crash().await;
    let back = browser.sign_in(&text(&asked, "consent_url"), &user).await;
    let offline = text(&browser.get(&back).await.expect(200).json, "persistent_token_id");
    // An answer of the provider's buys one grant, whoever was killed in between.
    let vault = vault.crash().await;
    let _ = browser.get(&back).await.expect_error(400, "invalid_state_token");

    let draw = |id: &str| format!("access-token?persistent_token_id={id}");
    let vault = {
        let _ = vault.ask(Method::POST, &draw(&offline), &token).await.expect(200);
        vault.crash().await
    };
    let _ = vault.ask(Method::POST, &draw(&offline), &token).await.expect(200);
    let path = format!("offline-token-id?id={offline}");
    let revoked = vault.ask(Method::DELETE, &path, &token).await.expect(200).json;
    assert_eq!(revoked["data"]["token_revoked"], true, "{revoked}");
    let vault = vault.crash().await;
    let gone = vault.ask(Method::POST, &draw(&offline), &token).await;
    let _ = gone.expect_error(404, "token_not_found");
    eventually("Keycloak has forgotten the grant", async || {
        vault.realm.offline_sessions(&user, "latchkey-offline").await.is_empty().then_some(())
    })
    .await;
    let _ = vault.ask(Method::POST, &draw(&online), &token).await.expect(200);
}
