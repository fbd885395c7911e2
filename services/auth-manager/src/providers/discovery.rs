//! Where a provider is called: what its discovery document says (OpenID Connect Discovery 1.0,
//! section 4), under what configuration says.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::Url;

use super::http::{Deadline, Http};
use super::settings::{EndpointSettings, ProviderKind, ProviderSettings};
use super::{Call, Fault};

/// A document that was read this recently is not blamed for what goes wrong.
const TRUSTED: Duration = Duration::from_secs(30);
const NAMES_ITSELF: &str = "authorization_response_iss_parameter_supported";

/// Where one provider is called.
#[derive(Clone, Debug, Default)]
pub(crate) struct Endpoints {
    authorization: Option<Url>,
    token: Option<Url>,
    introspection: Option<Url>,
    revocation: Option<Url>,
    userinfo: Option<Url>,
    jwks: Option<Url>,
    /// Clients authenticate in the form instead of the header (RFC 6749, section 2.3.1).
    pub(crate) client_in_form: bool,
    /// It names itself in every answer to an authorization request (RFC 9207, section 3).
    pub(super) names_itself: bool,
}

/// The document, read when it is first needed and again when it is in doubt.
pub(crate) struct Discovery {
    /// None for plain OAuth 2.0.
    url: Option<Url>,
    issuer: String,
    configured: Endpoints,
    known: Mutex<Option<Known>>,
}

struct Known {
    endpoints: Arc<Endpoints>,
    read_at: Instant,
}

impl Discovery {
    /// For the provider that `settings` describe.
    pub(super) fn new(settings: &ProviderSettings) -> Result<Self, String> {
        let given = &settings.endpoints;
        let default = format!(
            "{}/.well-known/openid-configuration",
            settings.issuer.strip_suffix('/').unwrap_or(&settings.issuer)
        );
        let oauth2 = settings.kind == ProviderKind::Oauth2;
        let url = (!oauth2).then(|| parse(given.discovery.as_ref().unwrap_or(&default)));
        Ok(Self {
            url: url.transpose()?,
            issuer: settings.issuer.clone(),
            configured: configured(given, oauth2)?,
            known: Mutex::default(),
        })
    }

    /// The document's own address, where there is one.
    pub(super) fn url(&self) -> Option<&Url> {
        self.url.as_ref()
    }

    /// Where to call. One reading serves all who wait for it.
    pub(super) async fn endpoints(
        &self,
        http: &Http,
        deadline: Deadline,
    ) -> Result<Arc<Endpoints>, Fault> {
        let mut known = self.known.lock().await;
        if let Some(known) = known.as_ref() {
            return Ok(Arc::clone(&known.endpoints));
        }
        let endpoints = Arc::new(self.read(http, deadline).await?);
        *known = Some(Known { endpoints: Arc::clone(&endpoints), read_at: Instant::now() });
        Ok(endpoints)
    }

    /// To be called when an endpoint is not what it should be: the document may have changed.
    pub(super) async fn doubt(&self) {
        let mut known = self.known.lock().await;
        if known.as_ref().is_some_and(|known| known.read_at.elapsed() > TRUSTED) {
            *known = None;
        }
    }

    async fn read(&self, http: &Http, deadline: Deadline) -> Result<Endpoints, Fault> {
        let Some(url) = &self.url else { return Ok(self.configured.clone()) };
        let request = |client: &reqwest::Client| client.get(url.clone());
        let document = http.call(Call::Discovery, deadline, request).await?;
        self.merge(&document).map_err(|wrong| Fault::Misconfigured(format!("discovery: {wrong}")))
    }

    fn merge(&self, document: &Map<String, Value>) -> Result<Endpoints, String> {
        let text = |name: &str| document.get(name).and_then(Value::as_str);
        if text("issuer") != Some(self.issuer.as_str()) {
            return Err(format!("its `issuer` is not {}", self.issuer));
        }
        let tls = self.issuer.starts_with("https:");
        let endpoint = |configured: &Option<Url>, name: &str| match (configured, text(name)) {
            (Some(url), _) => Ok(Some(url.clone())),
            (None, None) => Ok(None),
            (None, Some(given)) => {
                let url = parse(given).map_err(|_| format!("`{name}` is no URL"))?;
                match url.scheme() {
                    "https" => Ok(Some(url)),
                    "http" if !tls => Ok(Some(url)),
                    _ => Err(format!("`{name}` is not https")),
                }
            }
        };
        let own = &self.configured;
        Ok(Endpoints {
            authorization: endpoint(&own.authorization, "authorization_endpoint")?,
            token: endpoint(&own.token, "token_endpoint")?,
            introspection: endpoint(&own.introspection, "introspection_endpoint")?,
            revocation: endpoint(&own.revocation, "revocation_endpoint")?,
            userinfo: endpoint(&own.userinfo, "userinfo_endpoint")?,
            jwks: endpoint(&own.jwks, "jwks_uri")?,
            client_in_form: !takes_basic(document),
            names_itself: document.get(NAMES_ITSELF).and_then(Value::as_bool) == Some(true),
        })
    }
}

impl Endpoints {
    /// The authorization endpoint.
    pub(super) fn authorization(&self) -> Result<&Url, Fault> {
        known(self.authorization.as_ref(), "authorization")
    }

    /// The token endpoint.
    pub(crate) fn token(&self) -> Result<&Url, Fault> {
        known(self.token.as_ref(), "token")
    }

    /// Whether there is an introspection endpoint.
    pub(super) fn has_introspection(&self) -> bool {
        self.introspection.is_some()
    }

    /// The introspection endpoint.
    pub(super) fn introspection(&self) -> Result<&Url, Fault> {
        known(self.introspection.as_ref(), "introspection")
    }

    /// The revocation endpoint, if there is one.
    pub(super) fn revocation(&self) -> Option<&Url> {
        self.revocation.as_ref()
    }

    /// The userinfo endpoint.
    pub(super) fn userinfo(&self) -> Result<&Url, Fault> {
        known(self.userinfo.as_ref(), "userinfo")
    }

    /// The key set.
    pub(super) fn jwks(&self) -> Result<&Url, Fault> {
        known(self.jwks.as_ref(), "jwks")
    }
}

fn known<'a>(url: Option<&'a Url>, name: &str) -> Result<&'a Url, Fault> {
    url.ok_or_else(|| Fault::Misconfigured(format!("it has no {name} endpoint")))
}

fn configured(given: &EndpointSettings, client_in_form: bool) -> Result<Endpoints, String> {
    let url = |text: &Option<String>| text.as_ref().map(|text| parse(text)).transpose();
    Ok(Endpoints {
        authorization: url(&given.authorization)?,
        token: url(&given.token)?,
        introspection: url(&given.introspection)?,
        revocation: url(&given.revocation)?,
        userinfo: url(&given.userinfo)?,
        jwks: url(&given.jwks)?,
        client_in_form,
        names_itself: false,
    })
}

fn parse(text: &str) -> Result<Url, String> {
    Url::parse(text).map_err(|error| format!("{text} is no URL: {error}"))
}

/// `client_secret_basic` is the default where the document does not list methods.
fn takes_basic(document: &Map<String, Value>) -> bool {
    document
        .get("token_endpoint_auth_methods_supported")
        .and_then(Value::as_array)
        .is_none_or(|methods| methods.iter().any(|method| method == "client_secret_basic"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn discovery(issuer: &str) -> Discovery {
        let settings = json!({
            "kind": "openid", "issuer": issuer, "login_client": { "id": "login" },
            "endpoints": { "token": "http://inside:8080/token" },
        });
        Discovery::new(&serde_json::from_value(settings).unwrap()).unwrap()
    }

    fn merge(issuer: &str, document: &Value) -> Result<Endpoints, String> {
        discovery(issuer).merge(document.as_object().unwrap())
    }

    #[test]
    fn configuration_goes_before_the_document() {
        let document = json!({
            "issuer": "https://id.example/", "token_endpoint": "https://id.example/t",
            "jwks_uri": "https://id.example/k",
            "token_endpoint_auth_methods_supported": ["client_secret_post"],
        });
        let endpoints = merge("https://id.example/", &document).unwrap();
        assert_eq!(endpoints.token().unwrap().as_str(), "http://inside:8080/token");
        assert_eq!(endpoints.jwks().unwrap().as_str(), "https://id.example/k");
        assert!(endpoints.client_in_form && endpoints.userinfo().is_err());
        let url = discovery("https://id.example/").url;
        assert_eq!(url.unwrap().as_str(), "https://id.example/.well-known/openid-configuration");
    }

    #[test]
    fn the_issuer_must_match_to_the_byte_and_endpoints_keep_to_tls() {
        for issuer in [json!("https://id.example"), json!("https://ID.example/"), json!(null)] {
            assert!(merge("https://id.example/", &json!({ "issuer": issuer })).is_err());
        }
        let document = json!({ "issuer": "https://a.example", "jwks_uri": "http://a.example/k" });
        assert!(merge("https://a.example", &document).unwrap_err().contains("jwks_uri"));
        let document = json!({ "issuer": "http://localhost", "jwks_uri": "http://localhost/k" });
        assert!(merge("http://localhost", &document).is_ok());
    }
}
