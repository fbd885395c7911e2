use common::settings::Secret;
use serde::Deserialize;

/// One table of the providers' file, `[name]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderSettings {
    /// Its dialect.
    pub kind: ProviderKind,
    /// `issuer` of its tokens and discovery; for plain OAuth 2.0 the URL that it is known by.
    pub issuer: String,
    /// PEM of the authorities that its certificates may be from, instead of the machine's own.
    pub ca_path: Option<String>,
    /// People sign in through this client; callers' tokens come from it.
    pub login_client: ClientCredentials,
    /// Consent to offline use goes through this one (Keycloak: `consentRequired`).
    pub offline_client: Option<ClientCredentials>,
    /// Service account that may end sessions (Keycloak).
    pub admin_client: Option<ClientCredentials>,
    /// Further clients whose grants were taken over from elsewhere.
    #[serde(default)]
    pub other_clients: Vec<ClientCredentials>,
    /// Scope asked for at sign-in.
    pub scope: Option<String>,
    /// Callers' tokens are checked against the JWKS although there is introspection.
    #[serde(default)]
    pub verify_locally: bool,
    /// Where refresh tokens rotate: how often one may be presented again
    /// (Keycloak's `refreshTokenMaxReuse`); absent where they do not.
    pub refresh_token_max_reuse: Option<u16>,
    /// Service clients that may draw for absent users.
    #[serde(default)]
    pub service_clients: Vec<ServiceClient>,
    /// Where it is called, where discovery does not say so or this service has another way there.
    #[serde(default)]
    pub endpoints: EndpointSettings,
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

/// Endpoints by configuration; each goes before what discovery says.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndpointSettings {
    /// The discovery document; by default below the issuer.
    pub discovery: Option<String>,
    /// Where browsers are sent.
    pub authorization: Option<String>,
    /// Codes and refresh tokens.
    pub token: Option<String>,
    /// RFC 7662.
    pub introspection: Option<String>,
    /// RFC 7009.
    pub revocation: Option<String>,
    /// Who somebody is.
    pub userinfo: Option<String>,
    /// Public keys.
    pub jwks: Option<String>,
    /// The realm's admin API (Keycloak), `…/admin/realms/<realm>`; by default made from the issuer.
    pub admin: Option<String>,
}

/// A client of ours at a provider.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientCredentials {
    /// `client_id`.
    pub id: String,
    /// `client_secret`, inline …
    pub secret: Option<Secret>,
    /// … or in a file, from which `secret` is filled at start.
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
    /// Scopes it may draw; of a draw that names none, those of them that the grant has.
    pub scopes: Vec<String>,
}

impl ProviderSettings {
    /// Every client of ours there.
    pub fn clients(&self) -> impl Iterator<Item = &ClientCredentials> {
        [Some(&self.login_client), self.offline_client.as_ref(), self.admin_client.as_ref()]
            .into_iter()
            .flatten()
            .chain(&self.other_clients)
    }

    pub(super) fn clients_mut(&mut self) -> impl Iterator<Item = &mut ClientCredentials> {
        [Some(&mut self.login_client), self.offline_client.as_mut(), self.admin_client.as_mut()]
            .into_iter()
            .flatten()
            .chain(&mut self.other_clients)
    }
}

impl EndpointSettings {
    /// Those that are given, by their key.
    pub(super) fn given(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [
            ("discovery", &self.discovery),
            ("authorization", &self.authorization),
            ("token", &self.token),
            ("introspection", &self.introspection),
            ("revocation", &self.revocation),
            ("userinfo", &self.userinfo),
            ("jwks", &self.jwks),
            ("admin", &self.admin),
        ]
        .into_iter()
        .filter_map(|(key, value)| Some((key, value.as_deref()?)))
    }
}
