use actix_web::dev::ServiceRequest;
use actix_web::http::header::HeaderValue;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use url::{Host, Url};

use super::client_address::{came_by_tls, host_of};
use crate::settings::{DeploymentEnvironment, Period};

/// Section `hsts`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HstsSettings {
    /// How long browsers keep to TLS; by zero they forget that they should.
    #[serde(deserialize_with = "whole_seconds")]
    pub max_age: Period,
    /// Whether the hosts beneath are meant too.
    pub include_subdomains: bool,
}

fn whole_seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Period, D::Error> {
    let period = Period::deserialize(deserializer)?;
    if period.0.subsec_nanos() == 0 {
        Ok(period)
    } else {
        Err(D::Error::custom("it must be whole seconds"))
    }
}

/// `Strict-Transport-Security` (RFC 6797): to whom it is said, and what.
#[derive(Clone, Debug, Default)]
pub struct Hsts {
    said: Option<HeaderValue>,
    behind_tls: bool,
    secure: bool,
}

impl Hsts {
    /// For a service that browsers reach at `public_url`, where it knows: by one of `https://` a
    /// proxy in front ends TLS, whatever it says of a request. In development nobody is told.
    #[must_use]
    pub fn new(
        settings: HstsSettings,
        environment: DeploymentEnvironment,
        public_url: Option<&str>,
    ) -> Self {
        if environment == DeploymentEnvironment::Development {
            return Self::default();
        }
        let beneath = if settings.include_subdomains { "; includeSubDomains" } else { "" };
        let said = format!("max-age={}{beneath}", settings.max_age.as_secs());
        let public_url = public_url.and_then(|url| Url::parse(url).ok());
        let behind_tls = public_url.is_some_and(|url| url.scheme() == "https" && can_keep(&url));
        Self { said: said.try_into().ok(), behind_tls, secure: false }
    }

    /// The same for a listener that browsers reach at no public URL.
    pub(crate) fn direct(&self) -> Self {
        Self { behind_tls: false, ..self.clone() }
    }

    /// The same for a listener that speaks TLS itself, or does not.
    pub(crate) fn on(self, secure: bool) -> Self {
        Self { secure, ..self }
    }

    /// What the answer says: over plain HTTP nothing (section 7.2).
    pub(crate) fn said_to(&self, request: &ServiceRequest) -> Option<HeaderValue> {
        let can_keep = || {
            let url = Url::parse(&format!("https://{}", host_of(request)?)).ok()?;
            Some(can_keep(&url))
        };
        let told = if self.behind_tls && !self.secure {
            // The proxy may call us by another name than browsers do.
            true
        } else {
            (self.secure || came_by_tls(request)) && can_keep().unwrap_or_default()
        };
        self.said.clone().filter(|_| told)
    }
}

/// Browsers keep no address to TLS (section 8.1.1); and who was told of one service on `localhost`
/// would reach no other there without.
fn can_keep(url: &Url) -> bool {
    let Some(Host::Domain(name)) = url.host() else { return false };
    let name = name.strip_suffix('.').unwrap_or(name);
    name != "localhost" && !name.ends_with(".localhost")
}
