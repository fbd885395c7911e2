//! Where the private keys of the ring are, and how new ones get there.

use chrono::{DateTime, Utc};
use token_verifier::Algorithm;
use tokio::task::spawn_blocking;
use vault_crypto::{Identity, Keyring};

use super::key_pair::{self, FreshKey};
use super::signer::Signer;
use crate::config::{KeyStore, SigningSettings};
use crate::error::Error;
use crate::models::service_key::ServiceKey;

/// What a sealed service key is bound to.
pub fn identity(kid: &str) -> Identity {
    Identity::new("service_key").field(kid)
}

/// Makes keys for the ring where the settings say, and opens them wherever they are.
pub struct KeyStores {
    kind: KeyStore,
    algorithm: Algorithm,
    rsa_bits: u32,
    keyring: Keyring,
}

impl KeyStores {
    /// For rings of a service with these settings.
    #[must_use]
    pub fn new(settings: &SigningSettings, keyring: Keyring) -> Self {
        Self {
            kind: settings.store(),
            algorithm: settings.algorithm,
            rsa_bits: settings.rsa_bits,
            keyring,
        }
    }

    /// Whether a new key would be like this one.
    pub(super) fn would_make(&self, key: &ServiceKey) -> bool {
        key.store == self.kind.as_str()
            && key.key_type == key_pair::key_type(self.algorithm, self.rsa_bits)
    }

    /// A new key, published from `now` on, that is to sign tokens of `token_life` seconds.
    pub(super) async fn make(
        &self,
        state: &str,
        token_life: i64,
        now: DateTime<Utc>,
    ) -> Result<ServiceKey, String> {
        let (algorithm, bits) = (self.algorithm, self.rsa_bits);
        let made = spawn_blocking(move || key_pair::fresh(algorithm, bits)).await;
        let FreshKey { kid, public_jwk, private } = made.map_err(|error| error.to_string())??;
        let sealed = self.keyring.seal(&identity(&kid), &private);
        Ok(ServiceKey {
            public_jwk,
            key_type: key_pair::key_type(algorithm, bits),
            store: self.kind.as_str().to_owned(),
            state: state.to_owned(),
            sealing_key_id: Some(sealed.key_id().to_owned()),
            sealed_key: Some(sealed.into_bytes()),
            token_life,
            published_at: now,
            activated_at: None,
            retired_at: None,
            until: None,
            kid,
        })
    }

    /// The signer of a key that may sign.
    pub(super) fn open(&self, key: &ServiceKey) -> Result<Signer, Error> {
        let sealed = key.sealed_key.as_deref().unwrap_or_default();
        let private = self.keyring.open(&identity(&key.kid), sealed)?;
        Signer::from_pkcs8(&key.kid, &private).map_err(|error| Error::Internal(error.to_string()))
    }
}
