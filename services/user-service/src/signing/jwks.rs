//! The whole JWKS, as served: kept for a second, rebuilt at once after a revocation here.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use common::database::Pool;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::sync::Mutex;

use super::service_keys::ServiceKeys;
use crate::config::SigningSettings;
use crate::error::Error;
use crate::metrics::ServiceMetrics;
use crate::models::published_key;

/// How long one reading of the database serves.
const KEPT: Duration = Duration::from_secs(1);

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
    service: Vec<Value>,
    database: Pool,
    metrics: ServiceMetrics,
    generation: AtomicU64,
    /// Held while the database is read, so that many askers cost one reading.
    kept: Mutex<Option<(u64, Instant, JwksDocument)>>,
}

impl Jwks {
    pub(super) fn new(
        settings: &SigningSettings,
        service: &ServiceKeys,
        database: Pool,
        metrics: ServiceMetrics,
    ) -> Self {
        let inner = Inner {
            max_keys: settings.jwks_max_keys,
            service: service.list_public().cloned().collect(),
            database,
            metrics,
            generation: AtomicU64::new(0),
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
        let mut connection = self.database.get().await?;
        // One more than is shown tells whether all are.
        let mut keys =
            published_key::list_public(&mut connection, self.max_keys.saturating_add(1)).await?;
        drop(connection);
        let limit = usize::try_from(self.max_keys).unwrap_or(usize::MAX);
        let complete = keys.len() <= limit;
        self.metrics.jwks_complete.set(i64::from(complete));
        if !complete {
            tracing::warn!(
                max_keys = limit,
                "jwks_cut: clients that fetch the whole set miss keys; raise signing.jwks_max_keys \
                 or use service mode, ?kid= or introspection"
            );
            keys.truncate(limit);
        }
        let all: Vec<&Value> = self.service.iter().chain(&keys).collect();
        let body = Bytes::from(json!({ "keys": all }).to_string());
        let etag = format!("\"{}\"", &hex::encode(Sha256::digest(&body))[..32]);
        Ok(JwksDocument { body, etag })
    }
}
