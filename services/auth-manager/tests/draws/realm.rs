//! Realms on the Keycloak that the tests run with, one for each way to rotate, and users' grants
//! in them.

use std::collections::BTreeMap;

use auth_manager::providers::TokenFacts;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use test_support::keycloak_url;
use tokio::sync::Mutex;
use url::form_urlencoded::Serializer;

/// Consent to offline use goes through this client …
pub(crate) const CLIENT: &str = "offline";
/// … and people sign in through this one.
pub(crate) const LOGIN: &str = "login";
/// The same without an audience mapper.
pub(crate) const BARE_LOGIN: &str = "bare-login";
/// A service account.
pub(crate) const JOB: &str = "job";
/// Of every client, since the realm goes with its test process.
pub(crate) const SECRET: &str = "realm-development-secret";
pub(crate) const ALICE: &str = "alice";
pub(crate) const BOB: &str = "bob";
const PASSWORD: &str = "people-development-password";

/// How a realm treats refresh tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rotation {
    /// A token is good until its session ends.
    Off,
    /// A token is good once.
    Strict,
    /// A token may be presented once more.
    OneReuse,
}

pub(crate) const ROTATIONS: [Rotation; 3] = [Rotation::Off, Rotation::Strict, Rotation::OneReuse];

/// A realm.
#[derive(Clone)]
pub(crate) struct Realm {
    pub(crate) name: String,
    pub(crate) rotation: Rotation,
    pub(crate) client: Client,
}

/// An offline grant in it.
pub(crate) struct OfflineGrant {
    pub(crate) token: String,
    pub(crate) scope: String,
    pub(crate) subject: String,
    pub(crate) session: String,
}

static REALMS: Mutex<BTreeMap<Rotation, Realm>> = Mutex::const_new(BTreeMap::new());

impl Realm {
    /// The one of this test process; made at first.
    pub(crate) async fn with(rotation: Rotation) -> Self {
        let mut realms = REALMS.lock().await;
        let client = Client::builder().build().unwrap();
        if let Some(known) = realms.get(&rotation) {
            // Connections belong to the runtime of the test that opened them.
            return Self { client, ..known.clone() };
        }
        let name = format!("draws-{}-{rotation:?}", std::process::id()).to_lowercase();
        let realm = Self { name, rotation, client };
        if realms.is_empty() {
            realm.remove_leftovers().await;
        }
        let made = realm.admin(Method::POST, "").await.json(&realm.description());
        assert_eq!(made.send().await.unwrap().status(), 201);
        realms.insert(rotation, realm.clone());
        realm
    }

    fn description(&self) -> Value {
        json!({
            "realm": self.name, "enabled": true, "sslRequired": "none",
            "accessTokenLifespan": 300,
            "revokeRefreshToken": self.rotation != Rotation::Off,
            "refreshTokenMaxReuse": self.reuse().unwrap_or_default(),
            "clients": [client(CLIENT), client(BARE_LOGIN), heard_by_login(LOGIN), heard_by_login(JOB)],
            "users": [self.user(ALICE), self.user(BOB)],
        })
    }

    fn user(&self, name: &str) -> Value {
        json!({
            "username": name, "enabled": true, "email": format!("{name}@latchkey.test"),
            "emailVerified": true, "firstName": name, "lastName": "Example",
            "credentials": [{ "type": "password", "value": PASSWORD, "temporary": false }],
            "realmRoles": [format!("default-roles-{}", self.name)],
        })
    }

    /// `refresh_token_max_reuse` of the provider.
    pub(crate) fn reuse(&self) -> Option<u16> {
        match self.rotation {
            Rotation::Off => None,
            Rotation::Strict => Some(0),
            Rotation::OneReuse => Some(1),
        }
    }

    pub(crate) fn path(&self, rest: &str) -> String {
        format!("/realms/{}{rest}", self.name)
    }

    /// A grant of alice's, with a session of its own.
    pub(crate) async fn grant(&self) -> OfflineGrant {
        let answer = self.sign_in(CLIENT, ALICE, "openid offline_access").await;
        let token = answer["refresh_token"].as_str().unwrap().to_owned();
        let facts = TokenFacts::decode(&token).unwrap();
        assert!(facts.is_offline());
        OfflineGrant {
            token,
            scope: answer["scope"].as_str().unwrap().to_owned(),
            subject: facts.subject.unwrap(),
            session: facts.session_state_id.unwrap(),
        }
    }

    /// Tokens of somebody who signs in through `client`.
    pub(crate) async fn sign_in(&self, client: &str, user: &str, scope: &str) -> Value {
        let form = [
            ("grant_type", "password"),
            ("username", user),
            ("password", PASSWORD),
            ("scope", scope),
        ];
        self.tokens(client, &form).await.expect("tokens")
    }

    /// An access token of the service account.
    pub(crate) async fn job_token(&self) -> String {
        let answer = self.tokens(JOB, &[("grant_type", "client_credentials")]).await;
        answer.expect("a token")["access_token"].as_str().unwrap().to_owned()
    }

    /// Whether Keycloak still honours `token`.
    pub(crate) async fn honours(&self, token: &str) -> bool {
        let form = [("grant_type", "refresh_token"), ("refresh_token", token)];
        self.tokens(CLIENT, &form).await.is_ok()
    }

    async fn tokens(&self, client: &str, form: &[(&str, &str)]) -> Result<Value, Value> {
        let url = format!("{}{}", keycloak_url(), self.path("/protocol/openid-connect/token"));
        let request = self.client.post(url).basic_auth(client, Some(SECRET));
        let answer = send_form(request, form).await;
        if answer.get("error").is_some() { Err(answer) } else { Ok(answer) }
    }

    /// Ends an online session, or an offline one with all its grants.
    pub(crate) async fn end_session(&self, session: &str, offline: bool) {
        let path = format!("/{}/sessions/{session}?isOffline={offline}", self.name);
        let ended = self.admin(Method::DELETE, &path).await.send().await.unwrap();
        assert_eq!(ended.status(), 204);
    }

    async fn admin(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}/realms/master/protocol/openid-connect/token", keycloak_url());
        let form = [
            ("grant_type", "password"),
            ("client_id", "admin-cli"),
            ("username", "admin"),
            ("password", "admin"),
        ];
        let answer = send_form(self.client.post(url), &form).await;
        let token = answer["access_token"].as_str().expect("the development administrator");
        let url = format!("{}/admin/realms{path}", keycloak_url());
        self.client.request(method, url).bearer_auth(token)
    }

    /// Realms of test processes that have ended.
    async fn remove_leftovers(&self) {
        let realms = self.admin(Method::GET, "?briefRepresentation=true").await;
        let realms: Vec<Value> = realms.send().await.unwrap().json().await.unwrap();
        for name in realms.iter().filter_map(|realm| realm["realm"].as_str()) {
            let Some(process) = name.strip_prefix("draws-") else { continue };
            let process = process.split('-').next().unwrap_or_default();
            if !std::path::Path::new(&format!("/proc/{process}")).exists() {
                let removed = self.admin(Method::DELETE, &format!("/{name}")).await.send().await;
                assert!(removed.is_ok());
            }
        }
    }
}

fn client(id: &str) -> Value {
    json!({
        "clientId": id, "secret": SECRET, "enabled": true, "publicClient": false,
        "standardFlowEnabled": false, "directAccessGrantsEnabled": true,
        "serviceAccountsEnabled": id == JOB,
    })
}

/// One whose access tokens the login client may introspect.
fn heard_by_login(id: &str) -> Value {
    let mut client = client(id);
    client["protocolMappers"] = json!([{
        "name": "audience", "protocol": "openid-connect",
        "protocolMapper": "oidc-audience-mapper",
        "config": { "included.client.audience": LOGIN, "access.token.claim": "true" },
    }]);
    client
}

async fn send_form(request: RequestBuilder, form: &[(&str, &str)]) -> Value {
    let body = Serializer::new(String::new()).extend_pairs(form).finish();
    let request = request.header("content-type", "application/x-www-form-urlencoded").body(body);
    request.send().await.expect("Keycloak answers").json().await.expect("JSON")
}
