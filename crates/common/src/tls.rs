//! TLS: on the listeners, where a certificate is given, and towards servers whose certificates an
//! authority of one's own vouches for.

mod authorities;
mod pair;
mod served;
mod trust;

use serde::Deserialize;

use crate::metrics::Metrics;
use crate::settings::Setting;
use pair::Pair;

pub(crate) use authorities::{Authorities, client_config, read_authorities};
pub(crate) use served::HANDSHAKE_TIMEOUT;
pub use trust::{describe, trust};

/// Section `tls`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsSettings {
    /// PEM of the certificate and its chain; none: plain HTTP.
    pub certificate_path: Option<String>,
    /// PEM of its private key.
    pub key_path: Option<String>,
}

/// The settings of the section.
pub const TLS: &[Setting] = &[
    Setting::new(
        "tls.certificate_path",
        "PEM of the certificate, its chain after it, under which both listeners speak TLS; without one they speak plain HTTP, for a proxy in front. Read again when it changes",
    ),
    Setting::new("tls.key_path", "PEM of its private key, which nobody else may read"),
];

impl TlsSettings {
    /// What is wrong, in one line that names the key.
    pub fn check(&self) -> Result<(), String> {
        self.paths()?.map_or(Ok(()), |(certificate, key)| Pair::read(certificate, key).map(drop))
    }

    /// What listeners speak TLS by, kept up with the files; `None` where they speak plain HTTP.
    pub(crate) fn open(&self, metrics: &Metrics) -> Result<Option<rustls::ServerConfig>, String> {
        let Some((certificate, key)) = self.paths()? else { return Ok(None) };
        served::config(certificate, key, metrics).map(Some)
    }

    fn paths(&self) -> Result<Option<(&str, &str)>, String> {
        match (&self.certificate_path, &self.key_path) {
            (Some(certificate), Some(key)) => Ok(Some((certificate, key))),
            (None, None) => Ok(None),
            (Some(_), None) => Err("`tls.certificate_path` is given, and no `tls.key_path`".into()),
            (None, Some(_)) => Err("`tls.key_path` is given, and no `tls.certificate_path`".into()),
        }
    }
}
