//! What auth-manager counts.

use common::metrics::Metrics;
use common::tasks::Tasks;
use prometheus::{HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

/// The service's metrics; every label has a bounded set of values.
#[derive(Clone)]
pub struct ServiceMetrics {
    /// Draws by `outcome` (`ok` or an error's code) and `cache` (`hit`, `miss`, `waited`, `none`).
    pub draws: IntCounterVec,
    /// Calls to providers by `provider`, `endpoint` and `outcome`.
    pub provider_calls: IntCounterVec,
    /// Their duration by `provider` and `endpoint`.
    pub provider_call_duration: HistogramVec,
    /// Calls that wait for a connection, by `provider`.
    pub provider_calls_waiting: IntGaugeVec,
    /// Leases by `outcome`: `taken`, `waited`, `lost`.
    pub leases: IntCounterVec,
    /// Ledger entries that could not be kept.
    pub ledger_lost: IntCounter,
    /// Grants by `type`, `state` and `key_id`, the key that sealed their own tokens.
    pub grants: IntGaugeVec,
    /// Calls that wait in the outbox.
    pub outbox_depth: IntGauge,
    /// Breakers by `provider`: 0 closed, 1 open.
    pub breaker_open: IntGaugeVec,
    /// Caller checks by `outcome`: `active`, `inactive`, `fault`; and `without_audience`.
    pub callers: IntCounterVec,
    /// Sign-ins and consents by `kind` and `outcome`.
    pub callbacks: IntCounterVec,
    /// Rows removed by cleaning, by `what` they were.
    pub cleaned: IntCounterVec,
    /// Connections of the database pool by `state`.
    pub database_connections: IntGaugeVec,
    /// What runs as long as the service does.
    pub tasks: Tasks,
}

impl ServiceMetrics {
    /// Registers them all.
    #[must_use]
    pub fn register(metrics: &Metrics) -> Self {
        Self {
            tasks: metrics.tasks(),
            draws: metrics.counter(
                "draws_total",
                "Access tokens asked for, by outcome and state of the cache",
                &["outcome", "cache"],
            ),
            provider_calls: metrics.counter(
                "provider_calls_total",
                "Calls to providers by endpoint and outcome",
                &["provider", "endpoint", "outcome"],
            ),
            provider_call_duration: metrics.histograms(
                "provider_call_duration_seconds",
                "Duration of calls to providers",
                &["provider", "endpoint"],
            ),
            provider_calls_waiting: metrics.gauges(
                "provider_calls_waiting",
                "Calls to a provider that wait for one of its connections",
                &["provider"],
            ),
            leases: metrics.counter(
                "leases_total",
                "Leases on grants: taken, waited (another held it), lost (ran out while held)",
                &["outcome"],
            ),
            ledger_lost: metrics
                .counter("ledger_lost_total", "Uses that did not get into the ledger", &[])
                .with_label_values::<&str>(&[]),
            grants: metrics.gauges(
                "grants",
                "Rows of the vault by type, state and sealing key",
                &["type", "state", "key_id"],
            ),
            outbox_depth: metrics.gauge("outbox_depth", "Calls that providers still have to hear"),
            breaker_open: metrics.gauges(
                "provider_breaker_open",
                "1 while a provider counts as away and is left alone",
                &["provider"],
            ),
            callers: metrics.counter(
                "caller_checks_total",
                "Checks of callers' tokens: active, inactive, fault; without_audience counts beside \
                 inactive where a token was good, but not for us",
                &["outcome"],
            ),
            callbacks: metrics.counter(
                "callbacks_total",
                "Returns from providers by kind (sign_in, link, consent) and outcome",
                &["kind", "outcome"],
            ),
            cleaned: metrics.counter(
                "cleaned_rows_total",
                "Rows removed by cleaning, by what they were",
                &["what"],
            ),
            database_connections: metrics.gauges(
                "database_connections",
                "Connections of the pool by state",
                &["state"],
            ),
        }
    }
}
