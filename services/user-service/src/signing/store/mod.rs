//! Where the private keys of the ring are, and how new ones get there.

mod gate;
mod pkcs11;
mod transit;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;
use token_verifier::Algorithm;
use tokio::task::spawn_blocking;
use uuid::Uuid;
use vault_crypto::{Identity, Keyring, SigningKind};

use self::pkcs11::{Pkcs11Key, Token};
use self::transit::{Transit, TransitKey};
use super::key_pair::{self, FreshKey};
use super::signer::Signer;
use crate::config::{KeyStore, SigningSettings};
use crate::error::Error;
use crate::models::service_key::{NEXT, ServiceKey};

/// How long one key may take to be made: a place that hangs is as good as away.
pub(super) const MAKING: Duration = Duration::from_secs(10);

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
    token: Option<Arc<Token>>,
    transit: Option<Arc<Transit>>,
}

/// A key that was made.
pub(super) struct NewKey {
    kid: String,
    public_jwk: Value,
    key_type: String,
    store: KeyStore,
    /// The sealing key's id and what it sealed, where the private key is kept here.
    sealed: Option<(String, Vec<u8>)>,
}

impl NewKey {
    pub(super) fn kid(&self) -> &str {
        &self.kid
    }

    /// As the next key of the ring, published from `now` on, that is to sign tokens of `token_life`
    /// seconds.
    pub(super) fn into_next(self, token_life: i64, now: DateTime<Utc>) -> ServiceKey {
        let (sealing_key_id, sealed_key) = self.sealed.unzip();
        ServiceKey {
            kid: self.kid,
            public_jwk: self.public_jwk,
            key_type: self.key_type,
            store: self.store.as_str().to_owned(),
            state: NEXT.to_owned(),
            sealed_key,
            sealing_key_id,
            token_life,
            published_at: now,
            activated_at: None,
            retired_at: None,
            until: None,
        }
    }
}

impl KeyStores {
    /// For rings of a service with these settings; signs in to the token where one is configured.
    pub fn new(settings: &SigningSettings, keyring: Keyring) -> Result<Self, String> {
        let token = settings.pkcs11()?.map(|place| {
            Token::open(place).map_err(|error| format!("`signing.pkcs11_module`: {error}"))
        });
        let transit = settings.transit()?.map(|settings| Transit::new(&settings));
        Ok(Self {
            kind: settings.store(),
            algorithm: settings.algorithm,
            rsa_bits: settings.rsa_bits,
            keyring,
            token: token.transpose()?.map(Arc::new),
            transit: transit.transpose()?.map(Arc::new),
        })
    }

    /// Whether a new key would be like this one.
    pub(super) fn would_make(&self, key: &ServiceKey) -> bool {
        key.store == self.kind.as_str()
            && key.key_type == key_pair::key_type(self.algorithm, self.rsa_bits)
    }

    /// A new key, of no ring yet.
    pub(super) async fn make(&self) -> Result<NewKey, Error> {
        let (kid, public_jwk, sealed) = match self.kind {
            KeyStore::Database => self.make_here().await?,
            KeyStore::Pkcs11 => {
                let (kid, token) = (new_kid(), reached(self.token.as_ref())?);
                let purpose = signing_kind(self.algorithm, self.rsa_bits);
                let jwk = token.make(purpose, kid.clone()).await?;
                (kid, jwk, None)
            }
            KeyStore::Transit => {
                let (kid, purpose) = (new_kid(), self.transit_purpose());
                let jwk = reached(self.transit.as_ref())?.make(&purpose, &kid).await?;
                (kid, jwk, None)
            }
        };
        let key_type = key_pair::key_type(self.algorithm, self.rsa_bits);
        Ok(NewKey { kid, public_jwk, key_type, store: self.kind, sealed })
    }

    /// Takes a key that is to sign nothing from outside the process, where it was made.
    pub(super) async fn remove(&self, key: &NewKey) -> Result<(), Error> {
        match key.store {
            KeyStore::Database => Ok(()),
            KeyStore::Pkcs11 => reached(self.token.as_ref())?.remove(key.kid.clone()).await,
            KeyStore::Transit => reached(self.transit.as_ref())?.remove(&key.kid).await,
        }
    }

    async fn make_here(&self) -> Result<(String, Value, Option<(String, Vec<u8>)>), Error> {
        let (algorithm, bits) = (self.algorithm, self.rsa_bits);
        let made = spawn_blocking(move || key_pair::fresh(algorithm, bits)).await;
        let made = made.map_err(|error| Error::Internal(error.to_string()))?;
        let FreshKey { kid, public_jwk, private } = made.map_err(Error::Internal)?;
        let sealed = self.keyring.seal(&identity(&kid), &private);
        let sealing_key_id = sealed.key_id().to_owned();
        Ok((kid, public_jwk, Some((sealing_key_id, sealed.into_bytes()))))
    }

    fn transit_purpose(&self) -> String {
        match self.algorithm {
            Algorithm::Rs256 => format!("rsa-{}", self.rsa_bits),
            Algorithm::Es256 => "ecdsa-p256".to_owned(),
        }
    }

    /// The signer of a key that may sign.
    pub(super) fn open(&self, key: &ServiceKey) -> Result<Signer, Error> {
        let es256 = key.public_jwk["alg"] == Algorithm::Es256.as_str();
        let algorithm = if es256 { Algorithm::Es256 } else { Algorithm::Rs256 };
        let kid = key.kid.clone();
        if key.store == KeyStore::Pkcs11.as_str() {
            let token = Arc::clone(reached(self.token.as_ref())?);
            let purpose = signing_kind(algorithm, self.rsa_bits);
            return Ok(Signer::new(
                &key.kid,
                algorithm,
                Box::new(Pkcs11Key { token, purpose, kid }),
            ));
        }
        if key.store == KeyStore::Transit.as_str() {
            let transit = Arc::clone(reached(self.transit.as_ref())?);
            let there = TransitKey { transit, algorithm, kid };
            return Ok(Signer::new(&key.kid, algorithm, Box::new(there)));
        }
        let sealed = key.sealed_key.as_deref().unwrap_or_default();
        let private = self.keyring.open(&identity(&key.kid), sealed)?;
        Signer::from_pkcs8(&key.kid, &private).map_err(|error| Error::Internal(error.to_string()))
    }
}

fn new_kid() -> String {
    Uuid::new_v4().simple().to_string()
}

fn signing_kind(algorithm: Algorithm, rsa_bits: u32) -> SigningKind {
    match algorithm {
        Algorithm::Rs256 => SigningKind::Rsa(rsa_bits),
        Algorithm::Es256 => SigningKind::P256,
    }
}

/// A key may stand where the ring was kept before: its settings must stay until it is retired.
fn reached<T>(store: Option<&T>) -> Result<&T, Error> {
    store.ok_or_else(|| {
        Error::SignerUnavailable("a service key is where no setting leads".to_owned())
    })
}
