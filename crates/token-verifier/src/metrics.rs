use common::metrics::Metrics;
use prometheus::{Histogram, IntCounter, IntCounterVec, IntGauge};

/// What a verifier counts.
#[derive(Clone)]
pub(crate) struct VerifierMetrics {
    pub(crate) verifications: IntCounterVec,
    /// Of `verifications`, for the path that must be quick.
    pub(crate) accepted: IntCounter,
    pub(crate) token_cache_hits: IntCounter,
    pub(crate) token_cache_misses: IntCounter,
    pub(crate) key_fetches: IntCounterVec,
    pub(crate) keys_cached: IntGauge,
    pub(crate) feed_connected: IntGauge,
    pub(crate) feed_last_heard: IntGauge,
    pub(crate) tombstones: IntGauge,
    pub(crate) revocation_delay: Histogram,
}

impl VerifierMetrics {
    pub(crate) fn register(metrics: &Metrics) -> Self {
        let verifications = metrics.counter(
            "token_verifications_total",
            "Tokens checked, by outcome (accepted, refused, cannot_judge) and reason",
            &["outcome", "reason"],
        );
        let token_cache = metrics.counter(
            "token_cache_lookups_total",
            "Look-ups of already verified tokens: hit, miss",
            &["result"],
        );
        Self {
            accepted: verifications.with_label_values(&["accepted", ""]),
            verifications,
            token_cache_hits: token_cache.with_label_values(&["hit"]),
            token_cache_misses: token_cache.with_label_values(&["miss"]),
            key_fetches: metrics.counter(
                "key_fetches_total",
                "Key fetches by outcome: found, unknown, failed, limited (too many at once), \
                 listed (the whole set), broken_key",
                &["outcome"],
            ),
            keys_cached: metrics.gauge("keys_cached", "Keys kept in memory"),
            feed_connected: metrics
                .gauge("feed_connected", "1 while the change feed is connected and caught up"),
            feed_last_heard: metrics.gauge(
                "feed_last_heard_timestamp_seconds",
                "When the change feed was last heard, Unix seconds",
            ),
            tombstones: metrics.gauge("tombstones", "Revoked keys, sessions and token ids kept"),
            revocation_delay: metrics.histogram(
                "revocation_delay_seconds",
                "From a revocation's entry into the change feed to its effect here; without what \
                 is replayed at a start",
            ),
        }
    }
}
