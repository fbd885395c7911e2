use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::{Mutex, OnceCell};
use uuid::Uuid;

use super::admin::Admin;
use super::keycloak_url;
use crate::Answer;

const DESCRIPTION: &str = include_str!("../../../../deploy/keycloak/realm.json");
const NAME: &str = "latchkey";

/// A copy of the realm in `deploy/keycloak/realm.json` that nothing else uses, removed at the end.
pub struct TestRealm {
    name: String,
    pub(super) admin: Admin,
    job_subject: String,
    description: Value,
}

/// Somebody who can sign in.
#[derive(Clone, Debug)]
pub struct TestUser {
    /// The subject.
    pub id: String,
    /// What is typed in.
    pub username: String,
    /// And the password.
    pub password: String,
}

static LEFTOVERS: OnceCell<()> = OnceCell::const_new();
/// Those that tests share, by their overrides.
static SHARED: Mutex<BTreeMap<String, Arc<TestRealm>>> = Mutex::const_new(BTreeMap::new());

impl TestRealm {
    /// Makes one on the tests' Keycloak; members of `overrides` replace the description's, such
    /// as `{"revokeRefreshToken": true, "refreshTokenMaxReuse": 1, "accessTokenLifespan": 2}`.
    pub async fn create(overrides: &Value) -> Self {
        Self::create_on(&keycloak_url(), overrides).await
    }

    /// One that the tests of this process share, for those that do no more to it than to have
    /// users of their own. It goes with the next test process.
    pub async fn shared(overrides: &Value) -> Arc<Self> {
        let mut shared = SHARED.lock().await;
        let key = overrides.to_string();
        if let Some(realm) = shared.get(&key) {
            return Arc::clone(realm);
        }
        let realm = Arc::new(Self::create(overrides).await);
        shared.insert(key, Arc::clone(&realm));
        realm
    }

    /// One on another Keycloak.
    pub async fn create_on(base: &str, overrides: &Value) -> Self {
        let admin = Admin::new(base);
        LEFTOVERS.get_or_init(async || remove_leftovers(&admin).await).await;
        let name = format!("test-{}-{}", std::process::id(), Uuid::new_v4().simple());
        let job_subject = Uuid::new_v4().to_string();
        let description = describe(&name, &job_subject, overrides);
        admin.call(Method::POST, "", Some(&description)).await;
        Self { name, admin, job_subject, description }
    }

    /// Makes it once more, on a Keycloak that has lost all it had: with the name that it had, new
    /// keys, and nobody in it.
    pub async fn create_anew(&self) {
        self.admin.call(Method::POST, "", Some(&self.description)).await;
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `iss` of its tokens.
    pub fn issuer(&self) -> String {
        format!("{}{}", self.admin.base, self.path(""))
    }

    /// The subject of `latchkey-job`, its service account.
    pub fn job_subject(&self) -> &str {
        &self.job_subject
    }

    /// A path below `/realms/<name>`.
    pub fn path(&self, rest: &str) -> String {
        format!("/realms/{}{rest}", self.name)
    }

    /// The development secret of a client of the description.
    pub fn secret(client: &str) -> String {
        format!("{client}-development-secret")
    }

    /// A token of the service account of `client`.
    pub async fn service_token(&self, client: &str) -> String {
        self.admin.client_token(&self.name, client, &Self::secret(client)).await
    }

    /// Somebody new, whose sessions are nobody else's.
    pub async fn create_user(&self) -> TestUser {
        let username = format!("user-{}", Uuid::new_v4().simple());
        let password = Uuid::new_v4().to_string();
        let body = json!({
            "username": username, "enabled": true, "email": format!("{username}@latchkey.test"),
            "emailVerified": true, "firstName": "Test", "lastName": "User",
            "credentials": [{ "type": "password", "value": password, "temporary": false }],
        });
        let answer = self.call(Method::POST, "/users", Some(&body)).await;
        let id = answer.header("location").rsplit('/').next().unwrap().to_owned();
        TestUser { id, username, password }
    }

    /// Changes settings of the realm.
    pub async fn change(&self, members: &Value) {
        self.call(Method::PUT, "", Some(members)).await;
    }

    /// Changes a user, such as `{"enabled": false}`.
    pub async fn change_user(&self, user: &TestUser, members: &Value) {
        self.call(Method::PUT, &format!("/users/{}", user.id), Some(members)).await;
    }

    /// Changes a client; `attributes` are added to those that are there.
    pub async fn change_client(&self, client: &str, members: &Value) {
        let mut changed = self.client(client).await;
        for (name, value) in members.as_object().unwrap() {
            if let (Some(old), Some(new)) = (changed[name].as_object_mut(), value.as_object()) {
                old.extend(new.clone());
            } else {
                changed[name] = value.clone();
            }
        }
        let path = format!("/clients/{}", changed["id"].as_str().unwrap());
        self.call(Method::PUT, &path, Some(&changed)).await;
    }

    /// Lets `client` send browsers to `uri` too.
    pub async fn add_redirect_uri(&self, client: &str, uri: &str) {
        let mut uris = self.client(client).await["redirectUris"].clone();
        uris.as_array_mut().unwrap().push(json!(uri));
        self.change_client(client, &json!({ "redirectUris": uris })).await;
    }

    /// The ids of the user's online sessions.
    pub async fn sessions(&self, user: &TestUser) -> Vec<String> {
        ids(&self.call(Method::GET, &format!("/users/{}/sessions", user.id), None).await)
    }

    /// The ids of the user's offline sessions with `client`.
    pub async fn offline_sessions(&self, user: &TestUser, client: &str) -> Vec<String> {
        let client = self.client(client).await;
        let client = client["id"].as_str().unwrap();
        let path = format!("/users/{}/offline-sessions/{client}", user.id);
        ids(&self.call(Method::GET, &path, None).await)
    }

    /// Ends an online session.
    pub async fn end_session(&self, id: &str) {
        self.call(Method::DELETE, &format!("/sessions/{id}"), None).await;
    }

    /// Ends a session with every offline grant of it, as a Keycloak that lost it has it.
    pub async fn end_offline_session(&self, id: &str) {
        self.call(Method::DELETE, &format!("/sessions/{id}?isOffline=true"), None).await;
    }

    async fn client(&self, client: &str) -> Value {
        let answer = self.call(Method::GET, &format!("/clients?clientId={client}"), None).await;
        answer.json[0].clone()
    }

    /// A call of the admin API below the realm; must succeed.
    pub async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        self.admin.call(method, &format!("/{}{path}", self.name), body).await
    }
}

impl Drop for TestRealm {
    fn drop(&mut self) {
        let (base, path) = (self.admin.base.clone(), format!("/{}", self.name));
        // As databases are dropped; a Keycloak of the test's own may be gone already.
        let removed = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(Admin::new(&base).try_call(Method::DELETE, &path, None));
        });
        let _ = removed.join();
    }
}

/// The description under another name; what is unique in all of a Keycloak is new.
fn describe(name: &str, job_subject: &str, overrides: &Value) -> Value {
    let text =
        DESCRIPTION.replace(&format!("default-roles-{NAME}"), &format!("default-roles-{name}"));
    let mut description: Value = serde_json::from_str(&text).unwrap();
    let members = description.as_object_mut().unwrap();
    members.remove("id");
    members.insert("realm".to_owned(), json!(name));
    // Nobody listens there; a test that does says where.
    let login = members["clients"].as_array_mut().unwrap().iter_mut();
    for client in login.filter(|client| client["clientId"] == "latchkey-login") {
        client["attributes"].as_object_mut().unwrap().remove("backchannel.logout.url");
    }
    for user in members["users"].as_array_mut().unwrap() {
        let user = user.as_object_mut().unwrap();
        user.remove("id");
        if user.get("serviceAccountClientId") == Some(&json!("latchkey-job")) {
            user.insert("id".to_owned(), json!(job_subject));
        }
    }
    members.extend(overrides.as_object().unwrap().clone());
    description
}

fn ids(answer: &Answer) -> Vec<String> {
    let sessions = answer.json.as_array().unwrap();
    sessions.iter().map(|session| session["id"].as_str().unwrap().to_owned()).collect()
}

/// Realms of test processes that have ended.
async fn remove_leftovers(admin: &Admin) {
    if !Path::new("/proc/self").exists() {
        return;
    }
    let realms = admin.call(Method::GET, "?briefRepresentation=true", None).await;
    for realm in realms.json.as_array().unwrap() {
        let name = realm["realm"].as_str().unwrap_or_default();
        let Some(process) = name.strip_prefix("test-").and_then(|rest| rest.split('-').next())
        else {
            continue;
        };
        if !Path::new(&format!("/proc/{process}")).exists() {
            // Another test process may be faster.
            admin.try_call(Method::DELETE, &format!("/{name}"), None).await;
        }
    }
}
