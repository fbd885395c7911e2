//! A vault with one person's offline grant in it, and a job that draws on it.

use anyhow::{Context as _, Error, Result};
use auth_manager::MIGRATIONS;
use auth_manager::models::grant;
use auth_manager::vault::token_identity;
use common::settings::Secret;
use reqwest::Client;
use serde_json::{Value, json};
use test_support::{Browser, ProvidersFile, TestDatabase, TestRealm};
use uuid::Uuid;
use vault_crypto::Keyring;

use crate::service::{Service, client};
use crate::wire::Shot;

const KEY: &str = "bench:5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a";
const API: &str = "/api/auth/manager";
const CLIENT: &str = "latchkey-offline";

/// auth-manager on a database and a realm of its own.
pub(crate) struct Vault {
    pub(crate) service: Service,
    pub(crate) database: TestDatabase,
    pub(crate) http: Client,
    realm: TestRealm,
    id: Uuid,
    job: String,
    _file: ProvidersFile,
}

impl Vault {
    /// Starts it; somebody signs in and consents, and the job draws once.
    pub(crate) async fn start() -> Result<Self> {
        let realm = TestRealm::create(&json!({ "accessTokenLifespan": 3600 })).await;
        let file = ProvidersFile::new().with_realm("keycloak", &realm, None, "");
        let database = TestDatabase::create("auth", || MIGRATIONS).await;
        let ports = Service::ports()?;
        let environment = [
            ("DATABASE__URL", database.url().to_owned()),
            ("PROVIDERS__FILE", file.path()),
            ("PUBLIC_URL", format!("http://127.0.0.1:{}", ports[0])),
            ("VAULT__KEYS", KEY.to_owned()),
        ];
        let service = Service::start("auth-manager", ports, &environment).await?;
        let http = client()?;
        let id = consent(&service, &http, &realm).await?;
        let job = realm.service_token("latchkey-job").await;
        let vault = Self { service, database, http, realm, id, job, _file: file };
        vault.draw().await?;
        Ok(vault)
    }

    /// An access token by the persistent id.
    pub(crate) async fn draw(&self) -> Result<()> {
        let answer = self.http.post(self.draw_url()).bearer_auth(&self.job).send().await?;
        answer.error_for_status()?.bytes().await?;
        Ok(())
    }

    /// The same, for a load.
    pub(crate) fn shot(&self) -> Result<Shot> {
        Shot::post(&self.draw_url(), &self.job)
    }

    /// What the same service answers without doing anything.
    pub(crate) fn idle_shot(&self) -> Result<Shot> {
        Shot::get(&self.service.url("/health"))
    }

    fn draw_url(&self) -> String {
        self.service.url(&format!("{API}/access-token?persistent_token_id={}", self.id))
    }

    /// The same from Keycloak's own token endpoint, as a job has it that keeps the grant itself.
    pub(crate) async fn refresh_directly(&self, token: &Secret) -> Result<()> {
        let url = format!("{}/protocol/openid-connect/token", self.realm.issuer());
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("grant_type", "refresh_token"), ("client_id", CLIENT)])
            .append_pair("client_secret", &TestRealm::secret(CLIENT))
            .append_pair("refresh_token", token.expose())
            .finish();
        let request = self.http.post(url).body(body);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        request.send().await?.error_for_status()?.bytes().await?;
        Ok(())
    }

    /// The grant's own token, out of the vault.
    pub(crate) async fn offline_token(&self) -> Result<Secret> {
        let statement = "SELECT grant_id FROM persistent_tokens WHERE id = $1";
        let id: Uuid = self.sql().await?.query_one(statement, &[&self.id]).await?.get(0);
        let found = grant::find(&mut self.database.connect().await, id).await?;
        let grant = found.context("the grant")?;
        let identity = token_identity(&grant.key(), grant.token_type());
        let token = Keyring::parse(KEY)?.open(&identity, &grant.encrypted_token)?;
        Ok(Secret::from(String::from_utf8(token.to_vec())?))
    }

    /// What was drawn counts as expired.
    pub(crate) async fn expire(&self) -> Result<()> {
        self.sql().await?.execute("DELETE FROM drawn_tokens", &[]).await?;
        Ok(())
    }

    /// Token calls to the provider so far.
    pub(crate) async fn token_calls(&self) -> Result<f64> {
        self.service.counter("auth_manager_provider_calls_total", &["endpoint=\"refresh\""]).await
    }

    /// A connection for statements of one's own.
    pub(crate) async fn sql(&self) -> Result<tokio_postgres::Client> {
        self.database.client().await.map_err(Error::msg)
    }
}

/// Sign-in, and consent to offline use: the persistent id.
async fn consent(service: &Service, http: &Client, realm: &TestRealm) -> Result<Uuid> {
    let (browser, user) = (Browser::new(), realm.create_user().await);
    let begun = browser.get(&service.url(&format!("{API}/login"))).await;
    let back = browser.sign_in(begun.header("location"), &user).await;
    let signed_in = browser.get(&back).await;
    let token = text(&signed_in.json["data"]["access_token"])?;
    let url = service.url(&format!("{API}/offline-token"));
    let asked: Value = http.get(url).bearer_auth(token).send().await?.json().await?;
    let back = browser.sign_in(text(&asked["data"]["consent_url"])?, &user).await;
    let consented = browser.get(&back).await;
    Ok(text(&consented.json["data"]["persistent_token_id"])?.parse()?)
}

fn text(value: &Value) -> Result<&str> {
    value.as_str().context("auth-manager did not answer as it should")
}
