use std::sync::Arc;

use serde_json::Value;
use token_verifier::Key;

use super::super::signer::Signer;
use super::super::store::KeyStores;
use crate::models::service_key::{CURRENT, ServiceKey};

/// The ring at one moment.
#[derive(Default)]
pub(super) struct Snapshot {
    /// The key that signs, with its id; none where it can't be used.
    signer: Option<(String, Arc<Signer>)>,
    /// Whether the first of `keys` is the one that signs.
    has_current: bool,
    keys: Vec<RingKey>,
}

/// A key that verifies.
#[derive(Clone)]
pub(super) struct RingKey {
    pub(super) jwk: Value,
    pub(super) key: Key,
}

impl RingKey {
    pub(super) fn is_called(&self, kid: &str) -> bool {
        self.jwk["kid"] == kid
    }
}

impl Snapshot {
    /// A ring that does not change.
    pub(super) fn fixed(signer: Option<(String, Arc<Signer>)>, keys: Vec<RingKey>) -> Self {
        Self { has_current: signer.is_some(), signer, keys }
    }

    /// From the table, the current key first; a signer that is open stays so.
    pub(super) fn of(keys: &[ServiceKey], before: &Self, stores: &KeyStores) -> Self {
        let current = keys.first().filter(|key| key.state == CURRENT);
        let signer = current.and_then(|key| match &before.signer {
            Some((kid, signer)) if *kid == key.kid => Some(Arc::clone(signer)),
            _ => stores
                .open(key)
                .inspect_err(|error| tracing::error!(kid = key.kid, %error, "service_key_unusable"))
                .ok()
                .map(Arc::new),
        });
        let signer = current.map(|key| key.kid.clone()).zip(signer);
        let keys = keys.iter().filter_map(|key| {
            let parsed = Key::from_jwk(&key.public_jwk)
                .inspect_err(|error| tracing::error!(kid = key.kid, %error, "key_damaged"))
                .ok()?;
            Some(RingKey { jwk: key.public_jwk.clone(), key: parsed })
        });
        let keys: Vec<RingKey> = keys.collect();
        let has_current = current
            .is_some_and(|current| keys.first().is_some_and(|key| key.is_called(&current.kid)));
        Self { signer, has_current, keys }
    }

    /// Says in the log which key signs, where that is another than before.
    pub(super) fn tell_change(&self, before: &Self) {
        let kid = |ring: &Self| ring.signer.as_ref().map(|(kid, _)| kid.clone());
        if let Some(current) = kid(self)
            && kid(before).as_ref() != Some(&current)
        {
            tracing::info!(kid = current, "service_key_signs");
        }
    }

    /// The same ring, less a key that was revoked.
    pub(super) fn without(&self, kid: &str) -> Self {
        let ends = self.keys.first().is_some_and(|key| key.is_called(kid));
        let keys = self.keys.iter().filter(|key| !key.is_called(kid)).cloned().collect();
        let signer = self.signer.clone().filter(|(current, _)| current != kid);
        Self { signer, has_current: self.has_current && !ends, keys }
    }

    pub(super) fn signer(&self) -> Option<Arc<Signer>> {
        self.signer.as_ref().map(|(_, signer)| Arc::clone(signer))
    }

    /// The public JWK of the key that signs.
    pub(super) fn current(&self) -> Option<&Value> {
        self.keys.first().filter(|_| self.has_current).map(|key| &key.jwk)
    }

    /// Those that verify, the current one first.
    pub(super) fn keys(&self) -> &[RingKey] {
        &self.keys
    }

    pub(super) fn contains(&self, kid: &str) -> bool {
        self.keys.iter().any(|key| key.is_called(kid))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}
