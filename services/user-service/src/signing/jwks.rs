//! The whole JWKS, as served: kept for a second, rebuilt at once after a revocation here.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use common::database::Pool;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::sync::Mutex;

use super::ring::ServiceRing;
use crate::config::SigningSettings;
use crate::error::Error;
use crate::metrics::ServiceMetrics;
use crate::models::published_key;

/// How long one reading of the database serves.
const KEPT: Duration = Duration::from_secs(1);

/// Share of the ceiling, in percent, from which an operator is warned.
const NEARLY_FULL: usize = 80;

/// The document (RFC 7517, section 5) and its entity tag.
#[derive(Clone, Debug)]
pub struct JwksDocument {
    /// JSON.
    pub body: Bytes,
    /// Quoted, strong.
    pub etag: String,
}

/// Builds and keeps the document.
#[derive(Clone)]
pub struct Jwks {
    inner: Arc<Inner>,
}

struct Inner {
    max_keys: i64,
    service: ServiceRing,
    database: Pool,
    metrics: ServiceMetrics,
    generation: AtomicU64,
    /// The last [`Room`] logged, so that a change is logged once and not each second.
    room: AtomicU8,
    /// Held while the database is read, so that many askers cost one reading.
    kept: Mutex<Option<(u64, Instant, JwksDocument)>>,
}

impl Jwks {
    pub(super) fn new(
        settings: &SigningSettings,
        service: ServiceRing,
        database: Pool,
        metrics: ServiceMetrics,
    ) -> Self {
        let inner = Inner {
            max_keys: settings.jwks_max_keys,
            service,
            database,
            metrics,
            generation: AtomicU64::new(0),
            room: AtomicU8::new(Room::Enough as u8),
            kept: Mutex::new(None),
        };
        Self { inner: Arc::new(inner) }
    }

    /// The document, at most a second old and never older than the last revocation here.
    pub async fn document(&self) -> Result<JwksDocument, Error> {
        let inner = &self.inner;
        let mut kept = inner.kept.lock().await;
        let generation = inner.generation.load(Ordering::Acquire);
        if let Some((of, at, document)) = kept.as_ref()
            && *of == generation
            && at.elapsed() < KEPT
        {
            return Ok(document.clone());
        }
        let document = inner.read().await?;
        *kept = Some((generation, Instant::now(), document.clone()));
        Ok(document)
    }

    /// Makes the next asker read the database.
    pub fn expire(&self) {
        self.inner.generation.fetch_add(1, Ordering::Release);
    }
}

impl Inner {
    async fn read(&self) -> Result<JwksDocument, Error> {
        let service = self.service.list_public().await?;
        let mut connection = self.database.get().await?;
        // One more than is shown tells whether all are.
        let rows =
            published_key::list_public(&mut connection, self.max_keys.saturating_add(1)).await?;
        drop(connection);
        let (sound, damaged): (Vec<_>, Vec<_>) =
            rows.into_iter().partition(|(kid, jwk)| looks_sound(kid, jwk));
        self.tell_damaged(&damaged);
        let mut keys: Vec<Value> = sound.into_iter().map(|(_, jwk)| jwk).collect();
        let limit = usize::try_from(self.max_keys).unwrap_or(usize::MAX);
        let room = Room::of(keys.len(), limit);
        self.tell(room, keys.len(), limit);
        keys.truncate(limit);
        let all: Vec<&Value> = service.iter().chain(&keys).collect();
        let body = Bytes::from(json!({ "keys": all }).to_string());
        let etag = format!("\"{}\"", &hex::encode(Sha256::digest(&body))[..32]);
        Ok(JwksDocument { body, etag })
    }

    /// Sets the metric; logs a change once.
    fn tell_damaged(&self, damaged: &[(String, Value)]) {
        let count = i64::try_from(damaged.len()).unwrap_or(i64::MAX);
        let before = self.metrics.jwks_damaged.get();
        self.metrics.jwks_damaged.set(count);
        if count > before {
            let kid = &damaged[0].0;
            tracing::error!(count, kid, "published_keys_damaged");
        }
    }

    /// Sets the metrics; logs what is new, and what is wrong in time.
    fn tell(&self, room: Room, keys: usize, max_keys: usize) {
        self.metrics.jwks_keys.set(i64::try_from(keys).unwrap_or(i64::MAX));
        self.metrics.jwks_complete.set(i64::from(room != Room::TooLittle));
        if self.room.swap(room as u8, Ordering::Relaxed) == room as u8 {
            return;
        }
        match room {
            Room::Enough => tracing::info!(keys, max_keys, "jwks_has_room"),
            Room::Little => tracing::warn!(
                keys,
                max_keys,
                advice = "raise signing.jwks_max_keys, or prepare for service mode or ?kid=",
                "jwks_nearly_full"
            ),
            Room::TooLittle => tracing::warn!(
                max_keys,
                advice = "clients that fetch the whole set miss keys: raise signing.jwks_max_keys, \
                          or use service mode, ?kid= or introspection",
                "jwks_cut"
            ),
        }
    }
}

/// Whether clients that choke on one bad member can read the set with this one in it. What a row
/// looked like when it was written is not asked, only what somebody may have made of it: parsing
/// every key each second would be too much.
fn looks_sound(kid: &str, jwk: &Value) -> bool {
    let is_number = |name: &str| {
        jwk[name].as_str().is_some_and(|text| {
            !text.is_empty()
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        })
    };
    let members: &[&str] = match jwk["kty"].as_str() {
        Some("RSA") => &["n", "e"],
        Some("EC") => &["x", "y"],
        _ => return false,
    };
    jwk["kid"] == kid && members.iter().all(|name| is_number(name))
}

/// How near the whole set is to its ceiling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Room {
    Enough,
    Little,
    TooLittle,
}

impl Room {
    fn of(keys: usize, limit: usize) -> Self {
        if keys > limit {
            Self::TooLittle
        } else if keys.saturating_mul(100) >= limit.saturating_mul(NEARLY_FULL) {
            Self::Little
        } else {
            Self::Enough
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operator_is_warned_before_the_set_is_cut() {
        let rooms = [0, 79, 80, 100, 101].map(|keys| Room::of(keys, 100));
        let expected = [Room::Enough, Room::Enough, Room::Little, Room::Little, Room::TooLittle];
        assert_eq!(rooms, expected);
    }
}
