use common::metrics::Metrics;
use prometheus::{IntCounterVec, IntGauge};

/// What a verifier counts.
#[derive(Clone)]
pub(crate) struct VerifierMetrics {
    pub(crate) verifications: IntCounterVec,
    pub(crate) token_cache: IntCounterVec,
    pub(crate) key_fetches: IntCounterVec,
    pub(crate) feed_connected: IntGauge,
    pub(crate) feed_last_heard: IntGauge,
    pub(crate) tombstones: IntGauge,
}

impl VerifierMetrics {
    pub(crate) fn register(metrics: &Metrics) -> Self {
        Self {
            verifications: metrics.counter(
                "token_verifications_total",
                "Tokens checked, by outcome (accepted, refused, cannot_judge) and reason",
                &["outcome", "reason"],
            ),
            token_cache: metrics.counter(
                "token_cache_lookups_total",
                "Look-ups of already verified tokens: hit, miss",
                &["result"],
            ),
            key_fetches: metrics.counter(
                "key_fetches_total",
                "Key fetches by outcome: found, unknown, failed",
                &["outcome"],
            ),
            feed_connected: metrics
                .gauge("feed_connected", "1 while the change feed is connected and caught up"),
            feed_last_heard: metrics.gauge(
                "feed_last_heard_timestamp_seconds",
                "When the change feed was last heard, Unix seconds",
            ),
            tombstones: metrics.gauge("tombstones", "Revoked keys, sessions and token ids kept"),
        }
    }
}
