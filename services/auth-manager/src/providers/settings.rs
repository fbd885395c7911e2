use std::collections::BTreeMap;

use common::settings::Secret;
use serde::Deserialize;

/// One table of the providers' file, `[name]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderSettings {
    /// Its dialect.
    pub kind: ProviderKind,
    /// `issuer` of its tokens and discovery.
    pub issuer: String,
    /// People sign in through this client; callers' tokens come from it.
    pub login_client: ClientCredentials,
    /// Consent to offline use goes through this one (Keycloak: `consentRequired`).
    pub offline_client: Option<ClientCredentials>,
    /// Service account that may end sessions (Keycloak).
    pub admin_client: Option<ClientCredentials>,
    /// Scope asked for at sign-in.
    pub scope: Option<String>,
    /// Callers' tokens are checked against the JWKS instead of by introspection.
    #[serde(default)]
    pub verify_locally: bool,
    /// Where refresh tokens rotate: how often one may be presented again
    /// (Keycloak's `refreshTokenMaxReuse`); absent where they do not.
    pub refresh_token_max_reuse: Option<u32>,
    /// Service clients that may draw for absent users.
    #[serde(default)]
    pub service_clients: Vec<ServiceClient>,
    /// Endpoints, where there is no discovery (`kind = "oauth2"`).
    #[serde(default)]
    pub endpoints: BTreeMap<String, String>,
    /// Member of the userinfo answer that is the subject (`kind = "oauth2"`); `sub` by default.
    pub subject_member: Option<String>,
}

/// A provider's dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProviderKind {
    /// A Keycloak realm: OpenID Connect, and its admin API.
    Keycloak,
    /// Any OpenID Connect issuer with discovery.
    Openid,
    /// Plain OAuth 2.0: configured endpoints, userinfo, no id token.
    Oauth2,
}

/// A client of ours at a provider.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientCredentials {
    /// `client_id`.
    pub id: String,
    /// `client_secret`, inline …
    pub secret: Option<Secret>,
    /// … or in a file.
    pub secret_file: Option<String>,
}

/// A service client that may draw access tokens while the user is away.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceClient {
    /// Its `client_id` (`azp` of its tokens).
    pub client_id: String,
    /// Its service account's subject.
    pub subject: String,
    /// Grants of these clients only.
    pub consent_clients: Vec<String>,
    /// Scopes it may ask for; a draw without a scope needs none.
    #[serde(default)]
    pub scopes: Vec<String>,
}
