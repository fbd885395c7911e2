//! The public parts of a person's keyset.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::Person;
use super::failure::Failure;
use super::services::ask;
use super::session;
use super::show::plain;

/// A JWK set (RFC 7517), and beside it whose key is whose.
#[derive(Serialize)]
pub(super) struct Keys {
    keys: Vec<Value>,
    devices: Vec<Signer>,
}

/// A device and its key.
#[derive(Serialize)]
struct Signer {
    kid: String,
    session_id: Uuid,
    device_id: Uuid,
    device_name: Option<String>,
    current: bool,
}

impl fmt::Display for Keys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, key) in self.keys.iter().enumerate() {
            let kid = key["kid"].as_str().unwrap_or_default();
            for signer in self.devices.iter().filter(|signer| signer.kid == kid) {
                let name = signer.device_name.as_deref().unwrap_or("a device without a name");
                let this = if signer.current { " (this one)" } else { "" };
                writeln!(formatter, "{}{this}, session {}:", plain(name), signer.session_id)?;
            }
            write!(formatter, "{key:#}")?;
            if index + 1 < self.keys.len() {
                writeln!(formatter)?;
            }
        }
        Ok(())
    }
}

/// What the JWKS has of the keys that the person's live sessions sign with.
pub(super) async fn list(person: &mut Person) -> Result<Keys, Failure> {
    let sessions = session::list(person).await?.items;
    let own = signing_key_id(&person.session()?.access_token);
    let devices: Vec<Signer> = sessions
        .into_iter()
        .filter_map(|view| {
            Some(Signer {
                // A service key signs for all devices alike, and only the token tells which.
                kid: view.kid.or_else(|| own.clone())?,
                session_id: view.session_id,
                device_id: view.device_id,
                device_name: view.device_name,
                current: view.current,
            })
        })
        .collect();
    let mut keys: Vec<Value> = Vec::new();
    for signer in &devices {
        if keys.iter().all(|key| key["kid"] != signer.kid) {
            keys.extend(find(person, &signer.kid).await?);
        }
    }
    Ok(Keys { keys, devices })
}

/// None where it was revoked just now.
async fn find(person: &Person, kid: &str) -> Result<Option<Value>, Failure> {
    #[derive(Deserialize)]
    struct Set {
        keys: Vec<Value>,
    }
    let request = person.services.user(Method::GET, "/.well-known/jwks.json");
    let set: Set = ask(request.query(&[("kid", kid)])).await?;
    Ok(set.keys.into_iter().next())
}

fn signing_key_id(access_token: &str) -> Option<String> {
    let header = URL_SAFE_NO_PAD.decode(access_token.split('.').next()?).ok()?;
    let header: Value = serde_json::from_slice(&header).ok()?;
    Some(header["kid"].as_str()?.to_owned())
}
