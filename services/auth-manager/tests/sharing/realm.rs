//! A realm of this test process on the Keycloak that the tests run with; a user for each test.

use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use url::Url;
use url::form_urlencoded::Serializer;
use uuid::Uuid;

use crate::browser::Browser;

pub(crate) const PUBLIC_URL: &str = "http://localhost:8000";
pub(crate) const PASSWORD: &str = "a development password";
pub(crate) const SECRET: &str = "sharing-development-secret";
pub(crate) const LOGIN: &str = "login";
pub(crate) const OFFLINE: &str = "offline";

/// A realm.
pub(crate) struct Realm {
    pub(crate) name: String,
    client: Client,
}

/// Somebody who is signed in.
pub(crate) struct Person {
    pub(crate) browser: Browser,
    pub(crate) access_token: String,
    pub(crate) refresh_token: String,
    pub(crate) subject: String,
    pub(crate) session: String,
}

static MADE: OnceCell<String> = OnceCell::const_new();

pub(crate) fn keycloak() -> String {
    std::env::var("TEST_KEYCLOAK_URL")
        .expect("TEST_KEYCLOAK_URL names no Keycloak; run `cargo xtask test`")
}

impl Realm {
    pub(crate) async fn get() -> Self {
        let client = Client::builder().build().unwrap();
        let name = format!("sharing-{}", std::process::id());
        let realm = Self { name, client };
        MADE.get_or_init(async || {
            realm.remove_leftovers().await;
            let made = realm.admin(Method::POST, "").await.json(&realm.description());
            assert_eq!(made.send().await.unwrap().status(), 201);
            realm.name.clone()
        })
        .await;
        realm
    }

    fn description(&self) -> Value {
        let client = |id: &str| {
            json!({
                "clientId": id, "secret": SECRET, "enabled": true, "publicClient": false,
                "redirectUris": [format!("{PUBLIC_URL}/*")],
            })
        };
        let mut login = client(LOGIN);
        login["protocolMappers"] = json!([{
            "name": "audience", "protocol": "openid-connect",
            "protocolMapper": "oidc-audience-mapper",
            "config": {
                "included.client.audience": LOGIN, "access.token.claim": "true",
                "introspection.token.claim": "true",
            },
        }]);
        let mut offline = client(OFFLINE);
        offline["consentRequired"] = json!(true);
        let mut admin = client("admin");
        admin["serviceAccountsEnabled"] = json!(true);
        json!({
            "realm": self.name, "enabled": true, "sslRequired": "none",
            "accessTokenLifespan": 600, "clients": [login, offline, admin],
            "users": [{
                "username": "service-account-admin", "enabled": true,
                "serviceAccountClientId": "admin",
                "clientRoles": { "realm-management": ["manage-users", "view-users"] },
            }],
        })
    }

    pub(crate) fn path(&self, rest: &str) -> String {
        format!("/realms/{}{rest}", self.name)
    }

    /// A new user, signed in.
    pub(crate) async fn person(&self) -> Person {
        let name = Uuid::new_v4().simple().to_string();
        let user = json!({
            "username": name, "enabled": true, "email": format!("{name}@latchkey.test"),
            "emailVerified": true, "firstName": "Some", "lastName": "Body",
            "credentials": [{ "type": "password", "value": PASSWORD, "temporary": false }],
        });
        let made = self.admin(Method::POST, &format!("/{}/users", self.name)).await.json(&user);
        assert_eq!(made.send().await.unwrap().status(), 201);
        self.sign_in(Browser::of(&name)).await
    }

    async fn sign_in(&self, mut browser: Browser) -> Person {
        let redirect = format!("{PUBLIC_URL}/signed-in");
        let url = format!("{}{}", keycloak(), self.path("/protocol/openid-connect/auth"));
        let parameters = [
            ("client_id", LOGIN),
            ("response_type", "code"),
            ("scope", "openid"),
            ("redirect_uri", &redirect),
        ];
        let url = Url::parse_with_params(&url, parameters).unwrap();
        let back = browser.follow(url.as_str()).await;
        let form = [
            ("grant_type", "authorization_code"),
            ("code", &back["code"]),
            ("redirect_uri", &redirect),
        ];
        let answer = self.tokens(LOGIN, &form).await.expect("tokens");
        let text = |name: &str| answer[name].as_str().unwrap().to_owned();
        let facts = auth_manager::providers::TokenFacts::decode(&text("refresh_token")).unwrap();
        Person {
            browser,
            access_token: text("access_token"),
            refresh_token: text("refresh_token"),
            subject: facts.subject.unwrap(),
            session: facts.session_state_id.unwrap(),
        }
    }

    /// What Keycloak gives for a refresh or offline token of `client`, if it still honours it.
    pub(crate) async fn refresh(&self, client: &str, token: &str) -> Result<Value, Value> {
        self.tokens(client, &[("grant_type", "refresh_token"), ("refresh_token", token)]).await
    }

    async fn tokens(&self, client: &str, form: &[(&str, &str)]) -> Result<Value, Value> {
        let url = format!("{}{}", keycloak(), self.path("/protocol/openid-connect/token"));
        let request = self.client.post(url).basic_auth(client, Some(SECRET));
        let answer = send_form(request, form).await;
        if answer.get("error").is_some() { Err(answer) } else { Ok(answer) }
    }

    async fn admin(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}/realms/master/protocol/openid-connect/token", keycloak());
        let form = [
            ("grant_type", "password"),
            ("client_id", "admin-cli"),
            ("username", "admin"),
            ("password", "admin"),
        ];
        let answer = send_form(self.client.post(url), &form).await;
        let token = answer["access_token"].as_str().expect("the development administrator");
        let url = format!("{}/admin/realms{path}", keycloak());
        self.client.request(method, url).bearer_auth(token)
    }

    /// Realms of test processes that have ended.
    async fn remove_leftovers(&self) {
        let realms = self.admin(Method::GET, "?briefRepresentation=true").await;
        let realms: Vec<Value> = realms.send().await.unwrap().json().await.unwrap();
        for name in realms.iter().filter_map(|realm| realm["realm"].as_str()) {
            let Some(process) = name.strip_prefix("sharing-") else { continue };
            if !std::path::Path::new(&format!("/proc/{process}")).exists() {
                let removed = self.admin(Method::DELETE, &format!("/{name}")).await.send().await;
                assert!(removed.is_ok());
            }
        }
    }
}

async fn send_form(request: RequestBuilder, form: &[(&str, &str)]) -> Value {
    let body = Serializer::new(String::new()).extend_pairs(form).finish();
    let request = request.header("content-type", "application/x-www-form-urlencoded").body(body);
    request.send().await.expect("Keycloak answers").json().await.expect("JSON")
}
