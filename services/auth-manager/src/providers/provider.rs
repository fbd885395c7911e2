use std::sync::Arc;

use common::clock::Clock;
use url::Url;

use super::Fault;
use super::discovery::{Discovery, Endpoints};
use super::http::{Deadline, Http};
use super::keys::Keys;
use super::settings::{ClientCredentials, ProviderKind, ProviderSettings, ServiceClient};
use crate::config::ProvidersSettings;
use crate::keycloak::AdminApi;
use crate::metrics::ServiceMetrics;

/// One provider: its clients, the way to it, and what was read from it.
pub struct Provider {
    name: String,
    pub(super) settings: ProviderSettings,
    pub(super) clock: Clock,
    pub(super) http: Http,
    pub(super) keys: Keys,
    discovery: Discovery,
    admin: Option<AdminApi>,
}

/// Where a browser is sent (RFC 6749, section 4.1.1, RFC 7636).
#[derive(Debug)]
pub struct AuthorizationRequest<'a> {
    /// Our client.
    pub client_id: &'a str,
    /// Where it comes back to.
    pub redirect_uri: &'a str,
    /// Space separated.
    pub scope: &'a str,
    /// The state token.
    pub state: &'a str,
    /// OpenID Connect nonce.
    pub nonce: &'a str,
    /// Of the PKCE verifier, S256.
    pub code_challenge: &'a str,
}

impl Provider {
    pub(super) fn new(
        name: &str,
        settings: ProviderSettings,
        calls: &ProvidersSettings,
        clock: &Clock,
        metrics: &ServiceMetrics,
    ) -> Result<Self, String> {
        Ok(Self {
            name: name.to_owned(),
            clock: clock.clone(),
            http: Http::new(name, settings.ca_path.as_deref(), calls, metrics.clone())?,
            keys: Keys::default(),
            discovery: Discovery::new(&settings)?,
            admin: AdminApi::new(&settings)?,
            settings,
        })
    }

    /// Its name in the configuration.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `iss` of its tokens.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.settings.issuer
    }

    /// Its dialect.
    #[must_use]
    pub fn kind(&self) -> ProviderKind {
        self.settings.kind
    }

    /// People sign in through this client.
    #[must_use]
    pub fn login_client(&self) -> &ClientCredentials {
        &self.settings.login_client
    }

    /// Consent to offline use goes through this one, if there is one.
    #[must_use]
    pub fn offline_client(&self) -> Option<&ClientCredentials> {
        self.settings.offline_client.as_ref()
    }

    /// Scope asked for at sign-in.
    #[must_use]
    pub fn sign_in_scope(&self) -> &str {
        let default = if self.kind() == ProviderKind::Oauth2 { "" } else { "openid" };
        self.settings.scope.as_deref().unwrap_or(default)
    }

    /// How often one refresh token may be sent where they rotate; none where they do not.
    #[must_use]
    pub fn max_presentations(&self) -> Option<i32> {
        self.settings.refresh_token_max_reuse.map(|reuse| i32::from(reuse) + 1)
    }

    /// The service client that a token with this client and subject belongs to.
    #[must_use]
    pub fn service_client(&self, client_id: &str, subject: &str) -> Option<&ServiceClient> {
        let mut clients = self.settings.service_clients.iter();
        clients.find(|client| client.client_id == client_id && client.subject == subject)
    }

    /// Whether callers' tokens are checked against the JWKS: where configuration says so, and where
    /// there is no introspection endpoint.
    pub async fn verifies_locally(&self) -> Result<bool, Fault> {
        Ok(self.settings.verify_locally
            || !self.endpoints(self.http.deadline()).await?.has_introspection())
    }

    /// Whether every answer to an authorization request names its issuer (RFC 9207): Keycloak's do,
    /// and another's where discovery says so.
    pub async fn names_itself(&self) -> Result<bool, Fault> {
        Ok(self.kind() == ProviderKind::Keycloak
            || self.endpoints(self.http.deadline()).await?.names_itself)
    }

    /// Where to send a browser; `nonce` only where there are id tokens.
    pub async fn authorization_url(
        &self,
        request: &AuthorizationRequest<'_>,
    ) -> Result<String, Fault> {
        let endpoints = self.endpoints(self.http.deadline()).await?;
        let mut url: Url = endpoints.authorization()?.clone();
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", request.client_id)
            .append_pair("redirect_uri", request.redirect_uri)
            .append_pair("scope", request.scope)
            .append_pair("state", request.state)
            .append_pair("code_challenge", request.code_challenge)
            .append_pair("code_challenge_method", "S256");
        if self.kind() != ProviderKind::Oauth2 {
            url.query_pairs_mut().append_pair("nonce", request.nonce);
        }
        Ok(url.into())
    }

    /// Whether [`Self::end_session`] does anything.
    #[must_use]
    pub fn can_end_sessions(&self) -> bool {
        self.admin.is_some()
    }

    /// Ends a session at the provider: the browser is signed out there, and every client's online
    /// tokens of it end. Offline grants go on until they are revoked. A session that is not there
    /// is success, and so is a provider that can't.
    pub async fn end_session(&self, session_state_id: &str) -> Result<(), Fault> {
        let Some(admin) = &self.admin else { return Ok(()) };
        let deadline = self.http.deadline();
        let endpoints = self.endpoints(deadline).await?;
        admin.end_session(session_state_id, &self.http, &endpoints, deadline).await
    }

    /// Tells whether it answers, by a harmless call, unless it counts as away; an answer closes no
    /// breaker.
    pub async fn probe(&self) -> Result<(), Fault> {
        match (self.discovery.url(), &self.settings.endpoints.token) {
            (Some(url), _) => self.http.probe(url.as_str()).await,
            (None, Some(token)) => self.http.probe(token).await,
            (None, None) => Ok(()),
        }
    }

    pub(super) async fn endpoints(&self, deadline: Deadline) -> Result<Arc<Endpoints>, Fault> {
        self.discovery.endpoints(&self.http, deadline).await
    }

    /// After a call: where its endpoint was not what it should be, discovery is read again.
    pub(super) async fn learn<T>(&self, outcome: Result<T, Fault>) -> Result<T, Fault> {
        if matches!(outcome, Err(Fault::Misconfigured(_))) {
            self.discovery.doubt().await;
        }
        outcome
    }

    /// A client of ours by its id.
    pub(super) fn client(&self, client_id: &str) -> Result<&ClientCredentials, Fault> {
        self.settings.clients().find(|client| client.id == client_id).ok_or_else(|| {
            Fault::Misconfigured(format!("provider `{}` has no client `{client_id}`", self.name))
        })
    }
}

impl std::fmt::Debug for Provider {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Provider").field("name", &self.name).finish_non_exhaustive()
    }
}
