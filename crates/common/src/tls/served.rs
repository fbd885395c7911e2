use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::Duration;

use prometheus::{IntCounterVec, IntGauge};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, SupportedProtocolVersion};
use tokio::task::spawn_blocking;
use tokio::time::interval;

use super::pair::{Files, Pair};
use crate::metrics::Metrics;

/// How long a peer may take to shake hands.
pub(crate) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(3);
/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// RFC 9325, section 3.1.1.
const VERSIONS: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];

/// The pair that new connections get; those that stand keep theirs.
#[derive(Debug)]
struct Served {
    key: RwLock<Arc<CertifiedKey>>,
    expires: IntGauge,
    changes: IntCounterVec,
}

impl ResolvesServerCert for Served {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.key.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl Served {
    /// What the files are now, if it is any good.
    fn change(&self, pair: Result<Pair, String>) {
        let outcome = if pair.is_ok() { "replaced" } else { "refused" };
        match pair {
            Ok(pair) => {
                self.serve(pair);
                tracing::info!("tls_certificate_replaced");
            }
            Err(reason) => tracing::error!(reason, "tls_certificate_refused"),
        }
        self.changes.with_label_values(&[outcome]).inc();
    }

    fn serve(&self, pair: Pair) {
        *self.key.write().unwrap_or_else(PoisonError::into_inner) = pair.key;
        self.expires.set(pair.expires);
    }
}

/// Listens with the pair in these files, and with what replaces it, for as long as the
/// configuration is kept.
pub(super) fn config(
    certificate: &str,
    key: &str,
    metrics: &Metrics,
) -> Result<ServerConfig, String> {
    let files = Files::read(certificate, key)?;
    let pair = Pair::of(&files, certificate, key)?;
    let expires = metrics.gauge(
        "tls_certificate_expires_timestamp_seconds",
        "When the certificate of the listeners expires, in seconds since 1970",
    );
    expires.set(pair.expires);
    let changes = metrics.counter(
        "tls_certificate_changes_total",
        "Changes of the listeners' certificate by outcome: replaced, refused (the one before goes on)",
        &["outcome"],
    );
    let served = Arc::new(Served { key: RwLock::new(pair.key), expires, changes });
    let paths = [certificate.to_owned(), key.to_owned()];
    let (watched, digest) = (Arc::downgrade(&served), files.digest());
    metrics.tasks().run("tls_certificate", move || watch(watched.clone(), paths.clone(), digest));
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(VERSIONS)
        .map_err(|error| error.to_string())?;
    let mut config = config.with_no_client_auth().with_cert_resolver(served);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// A pair that is no good, or no longer, is said to be so once; the one that was served goes on.
async fn watch(served: Weak<Served>, [certificate, key]: [String; 2], digest: [u8; 32]) {
    let mut seen = (Some(digest), true);
    let mut ticks = interval(LOOK_EVERY);
    loop {
        ticks.tick().await;
        let (certificate, key) = (certificate.clone(), key.clone());
        let looked = spawn_blocking(move || look(&certificate, &key)).await;
        let Some(served) = served.upgrade() else { return };
        let (digest, pair) = looked.unwrap_or_else(|error| (None, Err(error.to_string())));
        let now = (digest, pair.is_ok());
        if now == seen {
            continue;
        }
        seen = now;
        served.change(pair);
    }
}

fn look(certificate: &str, key: &str) -> (Option<[u8; 32]>, Result<Pair, String>) {
    match Files::read(certificate, key) {
        Ok(files) => (Some(files.digest()), Pair::of(&files, certificate, key)),
        Err(reason) => (None, Err(reason)),
    }
}
