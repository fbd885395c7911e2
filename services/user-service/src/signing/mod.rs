//! Which key signs, and what the world sees of it.
//!
//! Both modes are one port: [`Signing::sign`] takes a session and answers a token. In device mode
//! the session names its device's key, which came from the pool of keys born published; in
//! service mode the ring of service keys signs for all. Verifiers can't tell. Where a private key
//! is, in this process or outside it, only its [`signer::SigningKey`] knows.

mod access_token;
mod background;
mod jwks;
mod key_cache;
mod key_lookup;
mod key_pair;
pub mod pem;
mod pool;
mod public_key;
mod ring;
mod signer;
mod store;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use common::clock::Clock;
use common::database::Pool;
use common::readiness::State;
use prometheus::IntCounterVec;
use serde_json::Value;
use token_verifier::{Key, Policy, is_kid};
use uuid::Uuid;
use vault_crypto::Keyring;

pub use jwks::Jwks;
use key_cache::KeyCache;
pub use key_lookup::KeyLookup;
pub use key_pair::{identity as key_identity, key_type};
pub use pool::KeyPool;
pub use public_key::to_pem;
use ring::ServiceRing;
pub use ring::rotate;
pub use signer::Signer;
pub use store::{KeyStores, identity as service_key_identity};

use crate::config::{Settings, SigningMode};
use crate::error::Error;
use crate::metrics::ServiceMetrics;
use crate::models::auth_session::AuthSession;

/// Clock leeway that a verifier may be configured with at most; a revocation matters until the
/// last token's expiry and this.
pub const LARGEST_LEEWAY: chrono::TimeDelta = chrono::TimeDelta::seconds(300);

/// A parsed key never changes, and whether it may be used is told by the session's row, which every
/// request reads: it may be kept for long.
const PARSED_LIFE: Duration = Duration::from_hours(1);

/// Signs access tokens and publishes keys.
#[derive(Clone)]
pub struct Signing {
    mode: SigningMode,
    life: chrono::TimeDelta,
    issuer: String,
    audience: String,
    keyring: Keyring,
    /// How far replicas' clocks may lie apart: a token just signed by another is not of the future.
    leeway: chrono::TimeDelta,
    service: ServiceRing,
    damaged: IntCounterVec,
    signers: KeyCache<String, Arc<Signer>>,
    verifying: KeyCache<String, Key>,
    /// By key id and by user.
    pub lookup: KeyLookup,
    /// The keys that wait.
    pub pool: KeyPool,
    /// The whole set, as served.
    pub jwks: Jwks,
}

impl Signing {
    /// Reads the service keys and starts to fill the pool.
    pub fn start(
        settings: &Settings,
        database: Pool,
        keyring: Keyring,
        clock: &Clock,
        metrics: &ServiceMetrics,
    ) -> Result<Self, String> {
        let leeway = settings.token.leeway.as_delta();
        let service = ServiceRing::start(
            settings,
            database.clone(),
            keyring.clone(),
            clock.clone(),
            &metrics.tasks,
        )?;
        let pool = KeyPool::start(
            &settings.signing,
            database.clone(),
            keyring.clone(),
            clock.clone(),
            metrics.clone(),
        );
        let jwks = Jwks::new(&settings.signing, service.clone(), database, metrics.clone());
        Ok(Self {
            mode: settings.signing.mode,
            life: settings.token.life.as_delta(),
            issuer: settings.issuer().to_owned(),
            audience: settings.token.audience.clone(),
            keyring,
            damaged: metrics.damaged_keys.clone(),
            leeway,
            service,
            signers: KeyCache::new("signing", &metrics.key_lookups, PARSED_LIFE, |_| 1),
            verifying: KeyCache::new("verifying", &metrics.key_lookups, PARSED_LIFE, |_| 1),
            lookup: KeyLookup::new(clock.clone(), metrics, leeway),
            pool,
            jwks,
        })
    }

    /// Whether sessions get a key of their device.
    #[must_use]
    pub fn uses_device_keys(&self) -> bool {
        self.mode == SigningMode::Device
    }

    /// Whether the service key signs, where one is needed.
    pub async fn readiness(&self) -> State {
        if self.uses_device_keys() { State::Ready } else { self.service.readiness().await }
    }

    /// When a token signed at `now` for a session that lives until `session_end` expires, in whole
    /// seconds.
    #[must_use]
    pub fn access_expiry(&self, now: DateTime<Utc>, session_end: DateTime<Utc>) -> DateTime<Utc> {
        let expiry = session_end.min(now + self.life);
        DateTime::from_timestamp(expiry.timestamp(), 0).unwrap_or(expiry)
    }

    /// The key that signs for `session`.
    pub async fn signer(
        &self,
        database: &Pool,
        session: &AuthSession,
    ) -> Result<Arc<Signer>, Error> {
        match &session.kid {
            Some(kid) => self.device_signer(database, session.user_id, kid).await,
            None => self.service.signer().await,
        }
    }

    /// Signs an access token for `session` and answers it with the seconds that it lives. Nobody
    /// may be given it before its expiry, [`Signing::access_expiry`] of `now`, is recorded in the
    /// session's row.
    pub async fn sign(
        &self,
        signer: &Signer,
        session: &AuthSession,
        now: DateTime<Utc>,
    ) -> Result<(String, i64), Error> {
        let expires_at = self.access_expiry(now, session.expires_at);
        let claims = access_token::claims(session, &self.issuer, &self.audience, now, expires_at);
        let token = signer.sign(&claims).await?;
        Ok((token, claims.exp - claims.iat))
    }

    async fn device_signer(
        &self,
        database: &Pool,
        user: Uuid,
        kid: &str,
    ) -> Result<Arc<Signer>, Error> {
        if let Some(signer) = self.signers.get(kid, |_| true) {
            return Ok(signer);
        }
        let key = self.lookup.find_in_keyset(database, user, kid).await?;
        // Revoked between the session's reading and now, or damaged.
        let key = key.ok_or(Error::InvalidRefreshToken)?;
        // A ring that lacks a key is the operator's mistake, for which nobody is logged out.
        let lacks = |id| !self.keyring.key_ids().any(|known| known == id);
        let mistake = vault_crypto::key_id_of(&key.sealed).is_some_and(lacks);
        self.remember_signer(kid, &key.sealed).map_err(|error| match error {
            Error::Internal(reason) if !mistake => {
                self.report_damage(kid, "private", &reason);
                Error::InvalidRefreshToken
            }
            error => error,
        })
    }

    fn report_damage(&self, kid: &str, part: &'static str, reason: &dyn std::fmt::Display) {
        self.damaged.with_label_values(&[part]).inc();
        tracing::error!(kid, part, %reason, "key_damaged");
    }

    /// Opens a sealed private key and keeps it parsed, so that a login's first token and the
    /// refreshes after it need no further look at the keyset.
    pub fn remember_signer(&self, kid: &str, sealed: &[u8]) -> Result<Arc<Signer>, Error> {
        let private = self.keyring.open(&key_pair::identity(kid), sealed)?;
        let signer = Signer::from_pkcs8(kid, &private)
            .map_err(|error| Error::Internal(error.to_string()))?;
        let signer = Arc::new(signer);
        self.signers.insert(kid.to_owned(), Arc::clone(&signer));
        Ok(signer)
    }

    /// Forgets the keys of ended sessions.
    pub fn forget<'a>(&self, kids: impl IntoIterator<Item = &'a str>) {
        for kid in kids {
            self.signers.remove(kid);
            self.verifying.remove(kid);
            self.service.forget(kid);
            self.lookup.forget(kid);
        }
        self.jwks.expire();
    }

    /// The public JWK served under `kid`.
    pub async fn find_public(&self, database: &Pool, kid: &str) -> Result<Option<Value>, Error> {
        if let Some((jwk, _)) = self.service.find(kid).await? {
            return Ok(Some(jwk));
        }
        if !is_kid(kid) {
            return Ok(None);
        }
        let Some(jwk) = self.lookup.find_public(database, kid).await? else { return Ok(None) };
        match Key::from_jwk(&jwk) {
            Ok(_) if jwk["kid"] == kid => Ok(Some(jwk)),
            Ok(_) => {
                self.report_damage(kid, "public", &"another key's id");
                Ok(None)
            }
            Err(error) => {
                self.report_damage(kid, "public", &error);
                Ok(None)
            }
        }
    }

    /// The public JWK of the current service key.
    pub async fn service_public(&self) -> Result<Option<Value>, Error> {
        self.service.current_public().await
    }

    /// Something was written that the ring of service keys may be part of.
    pub fn wake(&self) {
        self.service.wake();
    }

    /// The key to check one of our own tokens with; whether its session lives is for the caller to
    /// ask.
    pub async fn verification_key(&self, database: &Pool, kid: &str) -> Result<Option<Key>, Error> {
        if let Some((_, key)) = self.service.find(kid).await? {
            return Ok(Some(key));
        }
        if let Some(key) = self.verifying.get(kid, |_| true) {
            return Ok(Some(key));
        }
        let jwk = self.find_public(database, kid).await?;
        let key = jwk.and_then(|jwk| Key::from_jwk(&jwk).ok());
        if let Some(key) = &key {
            self.verifying.insert(kid.to_owned(), key.clone());
        }
        Ok(key)
    }

    /// What our own tokens must say; their expiry is to be checked without the leeway.
    #[must_use]
    pub fn policy(&self) -> Policy {
        Policy {
            issuer: self.issuer.clone(),
            audience: self.audience.clone(),
            leeway: self.leeway,
            legacy: None,
        }
    }
}
