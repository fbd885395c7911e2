//! Metrics: one registry a service, every name prefixed with the service's own.

mod exemplars;
mod openmetrics;

use std::sync::{Arc, Mutex, PoisonError};

use actix_web::http::header::{Accept, Quality};
pub(crate) use exemplars::{Exemplar, MAX_LABELS, TracedHistograms};
use prometheus::{
    Encoder as _, Histogram, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec,
    Opts, Registry, TextEncoder,
};

use crate::tasks::Tasks;

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
    prefix: String,
    /// By their names.
    traced: Arc<Mutex<Vec<(String, TracedHistograms)>>>,
    tasks: Tasks,
}

/// A way to write metrics down.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Format {
    /// Prometheus' own text.
    Classic,
    /// OpenMetrics 1.0, which has exemplars.
    OpenMetrics,
}

impl Format {
    /// What a scraper likes best of the two; the classic one where it names neither.
    pub(crate) fn of(mut accept: Accept) -> Self {
        accept.retain(|kind| kind.quality > Quality::ZERO);
        let known = accept.ranked().into_iter().find_map(|kind| {
            let version = kind.get_param("version").map(|version| version.as_str().to_owned());
            match (kind.essence_str(), version.as_deref()) {
                ("application/openmetrics-text", None | Some("1.0.0")) => Some(Self::OpenMetrics),
                ("text/plain", None | Some("0.0.4")) => Some(Self::Classic),
                _ => None,
            }
        });
        known.unwrap_or(Self::Classic)
    }

    /// As `Content-Type` names it.
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Classic => "text/plain; version=0.0.4",
            Self::OpenMetrics => openmetrics::CONTENT_TYPE,
        }
    }
}

impl Metrics {
    /// A registry for `service` (`user-service` gives `user_service_…`), with the process's own
    /// figures in it.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a fixed name, registered once, is valid")]
    pub fn new(service: &str) -> Self {
        let prefix = service.replace('-', "_");
        let registry = Registry::new_custom(Some(prefix.clone()), None).expect("a valid prefix");
        let process = prometheus::process_collector::ProcessCollector::for_self();
        registry.register(Box::new(process)).expect("registered once");
        let panics = Opts::new("tasks_panicked_total", "Panics of tasks that were begun again");
        let panics = IntCounterVec::new(panics, &["task"]).expect("a valid name");
        registry.register(Box::new(panics.clone())).expect("registered once");
        Self { registry, prefix, traced: Arc::default(), tasks: Tasks::new(panics) }
    }

    /// The service's long-running tasks, whose panics are counted here.
    #[must_use]
    pub fn tasks(&self) -> Tasks {
        self.tasks.clone()
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

    /// A histogram of seconds with two labels, that keeps exemplars.
    fn traced_histograms(&self, name: &str, help: &str, labels: [&str; 2]) -> TracedHistograms {
        let traced = TracedHistograms::new(self.histograms(name, help, &labels));
        let name = format!("{}_{name}", self.prefix);
        let mut all = self.traced.lock().unwrap_or_else(PoisonError::into_inner);
        all.push((name, traced.clone()));
        traced
    }

    /// Everything registered, in `format`.
    pub(crate) fn render_as(&self, format: Format) -> String {
        if format == Format::Classic {
            return self.render();
        }
        // Before what was counted, so that no exemplar is of a request that is not counted yet.
        let traced = self.traced.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let newest = traced.into_iter().map(|(name, traced)| (name, traced.newest())).collect();
        openmetrics::encode(&self.registry.gather(), &newest)
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
    pub(crate) duration: TracedHistograms,
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
            duration: metrics.traced_histograms(
                "http_request_duration_seconds",
                "Time to answer, by method and route pattern",
                ["method", "route"],
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::Header as _;
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn a_scraper_gets_openmetrics_where_it_likes_that_best() {
        let format = |accept: &str| {
            let request =
                TestRequest::default().insert_header(("accept", accept)).to_http_request();
            Format::of(Accept::parse(&request).unwrap())
        };
        for wants_it in [
            "application/openmetrics-text",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            // Prometheus 2 and 3.
            "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;\
             version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
             application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;\
             escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
        ] {
            assert_eq!(format(wants_it), Format::OpenMetrics, "{wants_it}");
        }
        for other in [
            "*/*",
            "text/*",
            "text/html",
            "application/openmetrics-text;version=0.0.1",
            "application/openmetrics-text;version=1.0.0;q=0",
            "application/openmetrics-text;version=1.0.0;q=0.2,text/plain;version=0.0.4;q=0.3",
            "text/plain;version=0.0.4;q=0.5,*/*;q=0.2",
        ] {
            assert_eq!(format(other), Format::Classic, "{other}");
        }
    }
}
