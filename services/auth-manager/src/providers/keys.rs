//! A provider's public keys: read when first needed, again when an unknown key id comes up, but
//! not at the pace at which somebody invents them.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use serde_json::{Map, Value};
use token_verifier::Key;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::discovery::Endpoints;
use super::http::{Deadline, Http};
use super::{Call, Fault};

/// A set older than this is read again, so that keys taken out of it stop being believed.
const FRESH: Duration = Duration::from_mins(10);
/// Readings for unknown ids, and after a failure, are at least this far apart.
const COOLDOWN: Duration = Duration::from_secs(10);
/// More keys than any provider publishes.
const MAX_KEYS: usize = 100;

#[derive(Default)]
pub(crate) struct Keys {
    set: RwLock<KeySet>,
    /// One reading at a time; whoever waits for it finds its key in the set then.
    reading: Mutex<Option<Instant>>,
}

#[derive(Default)]
struct KeySet {
    by_id: HashMap<String, Key>,
    read_at: Option<Instant>,
}

impl Keys {
    /// The key by this id; none where the provider publishes no such key.
    pub(super) async fn find(
        &self,
        kid: &str,
        http: &Http,
        endpoints: &Endpoints,
        deadline: Deadline,
    ) -> Result<Option<Key>, Fault> {
        let (known, fresh) = self.look_up(kid);
        if known.is_some() && fresh {
            return Ok(known);
        }
        // A known key goes on being believed while its set is read again, or can't be.
        let mut last = match &known {
            Some(_) => match self.reading.try_lock() {
                Ok(last) => last,
                Err(_) => return Ok(known),
            },
            None => self.reading.lock().await,
        };
        let (known, fresh) = self.look_up(kid);
        let cooling = last.is_some_and(|at| at.elapsed() < COOLDOWN);
        if (known.is_some() && fresh) || (cooling && self.was_read()) {
            return Ok(known);
        }
        *last = Some(Instant::now());
        match read(http, endpoints, deadline).await {
            Ok(by_id) => self.replace(by_id),
            Err(fault) if known.is_none() => return Err(fault),
            Err(_) => return Ok(known),
        }
        Ok(self.look_up(kid).0)
    }

    fn look_up(&self, kid: &str) -> (Option<Key>, bool) {
        let set = self.set.read().unwrap_or_else(PoisonError::into_inner);
        let fresh = set.read_at.is_some_and(|at| at.elapsed() < FRESH);
        (set.by_id.get(kid).cloned(), fresh)
    }

    fn was_read(&self) -> bool {
        self.set.read().unwrap_or_else(PoisonError::into_inner).read_at.is_some()
    }

    fn replace(&self, by_id: HashMap<String, Key>) {
        let mut set = self.set.write().unwrap_or_else(PoisonError::into_inner);
        *set = KeySet { by_id, read_at: Some(Instant::now()) };
    }
}

async fn read(
    http: &Http,
    endpoints: &Endpoints,
    deadline: Deadline,
) -> Result<HashMap<String, Key>, Fault> {
    let url = endpoints.jwks()?;
    let document = http.call(Call::Keys, deadline, |client| client.get(url.clone())).await?;
    parse(&document)
        .ok_or_else(|| Fault::Misconfigured("keys: no signature key that is any use".to_owned()))
}

/// One broken or foreign key never costs its siblings.
fn parse(document: &Map<String, Value>) -> Option<HashMap<String, Key>> {
    let keys = document.get("keys")?.as_array()?.iter().take(MAX_KEYS);
    let keys = keys.filter_map(|jwk| Key::from_jwk(jwk).ok());
    let by_id: HashMap<_, _> = keys.map(|key| (key.kid().to_owned(), key)).collect();
    (!by_id.is_empty()).then_some(by_id)
}
