//! Metrics: one registry a service, every name prefixed with the service's own.

use prometheus::{
    Encoder as _, Histogram, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec,
    Opts, Registry, TextEncoder,
};

/// Upper bounds in seconds that suit requests of 1 ms to 10 s.
pub const DURATION_BUCKETS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// The same for what takes no I/O.
const SHORT_BUCKETS: &[f64] =
    &[0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002, 0.005, 0.025, 0.1];

/// A registry whose metrics all begin with the service's name.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
}

impl Metrics {
    /// A registry for `service` (`user-service` gives `user_service_…`), with the process's own
    /// figures in it.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a fixed name, registered once, is valid")]
    pub fn new(service: &str) -> Self {
        let prefix = service.replace('-', "_");
        let registry = Registry::new_custom(Some(prefix), None).expect("a valid prefix");
        let process = prometheus::process_collector::ProcessCollector::for_self();
        registry.register(Box::new(process)).expect("registered once");
        Self { registry }
    }

    /// A counter with labels; `name` ends in `_total`.
    #[must_use]
    pub fn counter(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.register(IntCounterVec::new(Opts::new(name, help), labels))
    }

    /// A gauge.
    #[must_use]
    pub fn gauge(&self, name: &str, help: &str) -> IntGauge {
        self.register(IntGauge::new(name, help))
    }

    /// A gauge with labels.
    #[must_use]
    pub fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        self.register(IntGaugeVec::new(Opts::new(name, help), labels))
    }

    /// A histogram of seconds.
    #[must_use]
    pub fn histogram(&self, name: &str, help: &str) -> Histogram {
        let opts = HistogramOpts::new(name, help).buckets(DURATION_BUCKETS.to_vec());
        self.register(Histogram::with_opts(opts))
    }

    /// A histogram of seconds that are mostly far below a thousandth.
    #[must_use]
    pub fn short_histogram(&self, name: &str, help: &str) -> Histogram {
        let opts = HistogramOpts::new(name, help).buckets(SHORT_BUCKETS.to_vec());
        self.register(Histogram::with_opts(opts))
    }

    /// A histogram of seconds with labels.
    #[must_use]
    pub fn histograms(&self, name: &str, help: &str, labels: &[&str]) -> HistogramVec {
        let opts = HistogramOpts::new(name, help).buckets(DURATION_BUCKETS.to_vec());
        self.register(HistogramVec::new(opts, labels))
    }

    /// The text exposition format of everything registered.
    #[must_use]
    pub fn render(&self) -> String {
        let mut buffer = Vec::new();
        // Writing to memory fails only on metrics without samples or names, which registration
        // rules out.
        if TextEncoder::new().encode(&self.registry.gather(), &mut buffer).is_err() {
            return String::new();
        }
        String::from_utf8(buffer).unwrap_or_default()
    }

    #[expect(clippy::expect_used, reason = "names are literals; a clash shows in the first test")]
    fn register<M: prometheus::core::Collector + Clone + 'static>(
        &self,
        metric: prometheus::Result<M>,
    ) -> M {
        let metric = metric.expect("a valid metric name");
        self.registry.register(Box::new(metric.clone())).expect("a metric name used once");
        metric
    }
}

/// Requests by method, route pattern and status.
#[derive(Clone)]
pub(crate) struct HttpMetrics {
    pub(crate) requests: IntCounterVec,
    pub(crate) duration: HistogramVec,
}

impl HttpMetrics {
    pub(crate) fn register(metrics: &Metrics) -> Self {
        let labels = &["method", "route", "status"];
        Self {
            requests: metrics.counter(
                "http_requests_total",
                "Requests answered, by method, route pattern and status",
                labels,
            ),
            duration: metrics.histograms(
                "http_request_duration_seconds",
                "Time to answer, by method and route pattern",
                &["method", "route"],
            ),
        }
    }
}
