//! A realm, the way to it, and this service's side of it without the rest of the service.

use std::sync::Arc;
use std::time::Duration;

use auth_manager::config::{SCHEMA, Settings};
use auth_manager::metrics::ServiceMetrics;
use auth_manager::providers::{AuthorizationRequest, Provider, Providers, TokenAnswer};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use common::clock::Clock;
use common::metrics::Metrics;
use common::settings::Environment;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use test_support::{Browser, FaultProxy, ProvidersFile, TestRealm, TestUser, keycloak_url};
use url::Url;
use uuid::Uuid;

pub(crate) const LOGIN: &str = "latchkey-login";
pub(crate) const OFFLINE: &str = "latchkey-offline";
pub(crate) const NONCE: &str = "a nonce";
pub(crate) const VERIFIER: &str = "a-verifier-of-43-or-more-characters-as-rfc-7636-has-it";

/// Endpoints, as the proxy names them.
pub(crate) const TOKEN: &str = "/token";
pub(crate) const INTROSPECTION: &str = "/introspect";
pub(crate) const REVOCATION: &str = "/revoke";
pub(crate) const KEYS: &str = "/certs";
pub(crate) const DISCOVERY: &str = "/.well-known/openid-configuration";

pub(crate) struct World {
    pub(crate) name: String,
    pub(crate) realm: TestRealm,
    pub(crate) proxy: FaultProxy,
    pub(crate) user: TestUser,
    pub(crate) metrics: Metrics,
    pub(crate) clock: Clock,
    providers: Providers,
    _file: ProvidersFile,
}

/// A name that log lines and metrics of this world alone have.
pub(crate) fn unique_name() -> String {
    format!("kc-{}", &Uuid::new_v4().simple().to_string()[..12])
}

pub(crate) fn settings(environment: &[(&str, &str)]) -> Settings {
    let defaults = [
        ("AUTH_MANAGER__ENVIRONMENT", "development"),
        ("AUTH_MANAGER__DATABASE__MAX_CONNECTIONS", "8"),
        ("AUTH_MANAGER__PROVIDERS__TIMEOUT", "2s"),
        ("AUTH_MANAGER__PROVIDERS__BREAKER_FAILURES", "1000"),
    ];
    let environment: Environment = defaults.iter().chain(environment).copied().collect();
    SCHEMA.load(&environment).unwrap()
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(&json!({}), "", &[]).await
    }

    /// With other settings of the realm, more lines of the provider's table, and more of ours.
    pub(crate) async fn with(realm: &Value, lines: &str, more: &[(&str, &str)]) -> Self {
        crate::log::start();
        let (name, realm) = (unique_name(), TestRealm::create(realm).await);
        let proxy = FaultProxy::start(&keycloak_url()).await;
        let file = ProvidersFile::new().with_realm(&name, &realm, Some(&proxy), lines);
        let (metrics, clock) = (Metrics::new("auth-manager"), Clock::default());
        let providers = start(&name, &file.path(), more, &clock, &metrics).unwrap();
        let user = realm.create_user().await;
        Self { name, realm, proxy, user, metrics, clock, providers, _file: file }
    }

    pub(crate) fn provider(&self) -> &Arc<Provider> {
        self.providers.default()
    }

    /// The user signs in, or consents: the code that comes back.
    pub(crate) async fn code(&self, client_id: &str, scope: &str) -> String {
        let request = AuthorizationRequest {
            client_id,
            redirect_uri: redirect_uri(client_id),
            scope,
            state: "a state",
            nonce: NONCE,
            code_challenge: &URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER)),
        };
        let url = self.provider().authorization_url(&request).await.unwrap();
        let back = Browser::new().sign_in(&url, &self.user).await;
        let back = Url::parse(&back).unwrap();
        let (_, code) = back.query_pairs().find(|(name, _)| name == "code").expect("a code");
        code.into_owned()
    }

    pub(crate) async fn tokens(&self, client_id: &str, scope: &str) -> TokenAnswer {
        let code = self.code(client_id, scope).await;
        let redirect_uri = redirect_uri(client_id);
        let provider = self.provider();
        provider.exchange_code(client_id, &code, VERIFIER, redirect_uri).await.unwrap()
    }

    /// The tokens of somebody who signed in.
    pub(crate) async fn sign_in(&self) -> TokenAnswer {
        self.tokens(LOGIN, "openid").await
    }

    /// An offline token.
    pub(crate) async fn offline_token(&self) -> String {
        refresh_token(&self.tokens(OFFLINE, "openid offline_access").await)
    }

    /// How often calls to an endpoint had an outcome.
    pub(crate) fn calls(&self, endpoint: &str, outcome: &str) -> u64 {
        self.metric(&format!(
            r#"auth_manager_provider_calls_total{{endpoint="{endpoint}",outcome="{outcome}",provider="{}"}}"#,
            self.name
        ))
    }

    /// The value of a metric's line, 0 where it is not there.
    pub(crate) fn metric(&self, line: &str) -> u64 {
        let rendered = self.metrics.render();
        let found = rendered.lines().find_map(|found| found.strip_prefix(line));
        found.map_or(0, |value| value.trim().parse().unwrap())
    }
}

/// The providers of a file, `name` as the default.
pub(crate) fn start(
    name: &str,
    file: &str,
    more: &[(&str, &str)],
    clock: &Clock,
    metrics: &Metrics,
) -> Result<Providers, String> {
    let own = [("AUTH_MANAGER__PROVIDERS__FILE", file), ("AUTH_MANAGER__PROVIDERS__DEFAULT", name)];
    let environment: Vec<_> = own.iter().chain(more).copied().collect();
    let settings = settings(&environment);
    let counted = ServiceMetrics::register(metrics);
    Providers::start(&settings.providers, settings.environment, clock, &counted)
}

pub(crate) fn redirect_uri(client_id: &str) -> &'static str {
    match client_id {
        LOGIN => "http://localhost/api/auth/manager/callback",
        _ => "http://localhost/api/auth/manager/offline-token/callback",
    }
}

pub(crate) fn refresh_token(answer: &TokenAnswer) -> String {
    answer.refresh_token.as_ref().expect("a refresh token").expose().to_owned()
}

/// So much later, without waiting for it.
pub(crate) async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}
