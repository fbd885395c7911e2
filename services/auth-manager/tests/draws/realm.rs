//! Realms of this test process, one for each way to rotate, and people's grants in them. Clients
//! here take passwords: a browser's way to a grant is tested elsewhere.

use std::collections::BTreeMap;
use std::sync::Arc;

use auth_manager::providers::TokenFacts;
use serde_json::{Value, json};
use test_support::{TestRealm, TestUser};
use tokio::sync::Mutex;

/// Consent to offline use goes through this client …
pub(crate) const CLIENT: &str = "offline";
/// … and people sign in through this one.
pub(crate) const LOGIN: &str = "login";
/// The same without an audience mapper.
pub(crate) const BARE_LOGIN: &str = "bare-login";
/// A service account.
pub(crate) const JOB: &str = "job";

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

/// A realm, and two people in it.
#[derive(Clone)]
pub(crate) struct Realm {
    pub(crate) rotation: Rotation,
    pub(crate) alice: TestUser,
    pub(crate) bob: TestUser,
    keycloak: Arc<TestRealm>,
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
        if let Some(known) = realms.get(&rotation) {
            return known.clone();
        }
        let overrides = json!({
            "accessTokenLifespan": 300,
            // Tests sign in as one person at one time.
            "bruteForceProtected": false,
            "revokeRefreshToken": rotation != Rotation::Off,
            "refreshTokenMaxReuse": rotation.reuse().unwrap_or_default(),
            "clients":
                [client(CLIENT), client(BARE_LOGIN), heard_by_login(LOGIN), heard_by_login(JOB)],
            "users": [],
        });
        let realm = Arc::new(TestRealm::create(&overrides).await);
        let (alice, bob) = (realm.create_user().await, realm.create_user().await);
        let realm = Self { rotation, alice, bob, keycloak: realm };
        realms.insert(rotation, realm.clone());
        realm
    }

    pub(crate) fn issuer(&self) -> String {
        self.keycloak.issuer()
    }

    pub(crate) fn path(&self, rest: &str) -> String {
        self.keycloak.path(rest)
    }

    /// A grant of alice's, with a session of its own.
    pub(crate) async fn grant(&self) -> OfflineGrant {
        let answer = self.sign_in(CLIENT, &self.alice, "openid offline_access").await;
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
    pub(crate) async fn sign_in(&self, client: &str, user: &TestUser, scope: &str) -> Value {
        let form = [
            ("grant_type", "password"),
            ("username", &user.username),
            ("password", &user.password),
            ("scope", scope),
        ];
        self.keycloak.tokens(client, &form).await.expect("tokens")
    }

    /// An access token of the service account.
    pub(crate) async fn job_token(&self) -> String {
        self.keycloak.service_token(JOB).await
    }

    /// Whether Keycloak still honours `token`.
    pub(crate) async fn honours(&self, token: &str) -> bool {
        self.keycloak.refresh(CLIENT, token).await.is_ok()
    }

    /// Ends an online session, or an offline one with all its grants.
    pub(crate) async fn end_session(&self, session: &str, offline: bool) {
        if offline {
            self.keycloak.end_offline_session(session).await;
        } else {
            self.keycloak.end_session(session).await;
        }
    }
}

impl Rotation {
    /// `refresh_token_max_reuse` of the provider.
    pub(crate) fn reuse(self) -> Option<u16> {
        match self {
            Self::Off => None,
            Self::Strict => Some(0),
            Self::OneReuse => Some(1),
        }
    }
}

fn client(id: &str) -> Value {
    json!({
        "clientId": id, "secret": TestRealm::secret(id), "enabled": true, "publicClient": false,
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
