use std::error::Error;
use std::io;

use reqwest::ClientBuilder;
use rustls::CertificateError::{
    BadSignature, Expired, ExpiredContext, NotValidForName, NotValidForNameContext, UnknownIssuer,
};

use super::{Authorities, client_config};

/// Makes a client trust the authorities in a file of PEM, as it is when a connection is made, and
/// no others; without one, the machine's own. An error names `setting`.
pub fn trust(
    client: ClientBuilder,
    setting: &str,
    ca_path: Option<&str>,
) -> Result<ClientBuilder, String> {
    let Some(path) = ca_path else { return Ok(client) };
    let authorities = Authorities::read(path).map_err(|error| format!("`{setting}`: {error}"))?;
    Ok(client.tls_backend_preconfigured(client_config(authorities)?))
}

/// A failed call with its causes, the innermost of which says what happened, and what to do where
/// it is TLS that failed; `setting` is that of [`trust`]. It carries the URL unless it was taken
/// out before.
#[must_use]
pub fn describe(error: &reqwest::Error, setting: &str) -> String {
    let mut text = error.to_string();
    let mut advice = None;
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        advice = advice.or_else(|| advise(inner, setting));
        cause = inner.source();
    }
    advice.map_or(text.clone(), |advice| format!("{text}; {advice}"))
}

/// An error of the network is a wrapper that its `source` leaps over.
fn advise(error: &(dyn Error + 'static), setting: &str) -> Option<String> {
    if let Some(wrapped) = error.downcast_ref::<io::Error>() {
        return advise(wrapped.get_ref()?, setting);
    }
    match error.downcast_ref::<rustls::Error>()? {
        // The latter is of one that calls itself as one of them does.
        rustls::Error::InvalidCertificate(UnknownIssuer | BadSignature) => {
            Some(format!("`{setting}` names the authorities that are trusted there"))
        }
        rustls::Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. }) => {
            Some("call it by a name that is in its certificate, or have it certified".to_owned())
        }
        rustls::Error::InvalidCertificate(Expired | ExpiredContext { .. }) => {
            Some("it must renew its certificate".to_owned())
        }
        rustls::Error::InvalidMessage(_) => {
            Some("what listens there speaks no TLS; does the URL begin with http://?".to_owned())
        }
        _ => None,
    }
}
