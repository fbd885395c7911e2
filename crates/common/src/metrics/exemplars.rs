//! Histograms that remember, for each series and bucket, the newest request that fell into it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use chrono::{DateTime, Utc};
use prometheus::{Histogram, HistogramVec};

use super::DURATION_BUCKETS;

/// What an exemplar's label names and values may come to together, in characters (OpenMetrics 1.0,
/// section "Exemplars").
pub(crate) const MAX_LABELS: usize = 128;

/// One bucket more than bounds: the last has none.
const BUCKETS: usize = DURATION_BUCKETS.len() + 1;

/// A request that stands for others of its bucket.
#[derive(Clone, Debug)]
pub(crate) struct Exemplar {
    /// 32 hexadecimal digits.
    pub(crate) trace_id: String,
    pub(crate) request_id: String,
    /// What was observed, in seconds.
    pub(crate) value: f64,
    pub(crate) at: DateTime<Utc>,
}

/// The newest exemplar of each bucket, by the series' label values.
pub(super) type Newest = HashMap<[String; 2], [Option<Exemplar>; BUCKETS]>;

/// A histogram of seconds with two labels, the first of them from a list in the code.
#[derive(Clone)]
pub(crate) struct TracedHistograms {
    histograms: HistogramVec,
    series: Arc<RwLock<HashMap<&'static str, HashMap<String, Series>>>>,
}

impl TracedHistograms {
    /// Of `histograms` with [`DURATION_BUCKETS`] and two labels.
    pub(super) fn new(histograms: HistogramVec) -> Self {
        Self { histograms, series: Arc::default() }
    }

    /// Counts `exemplar.value` and keeps the exemplar.
    pub(crate) fn observe(&self, labels: (&'static str, &str), exemplar: Exemplar) {
        let known = self.series.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(series) = known.get(labels.0).and_then(|others| others.get(labels.1)) {
            return series.observe(exemplar);
        }
        drop(known);
        let series = Series::new(self.histograms.with_label_values(&[labels.0, labels.1]));
        let mut known = self.series.write().unwrap_or_else(PoisonError::into_inner);
        let others = known.entry(labels.0).or_default();
        others.entry(labels.1.to_owned()).or_insert(series).observe(exemplar);
    }

    pub(super) fn newest(&self) -> Newest {
        let known = self.series.read().unwrap_or_else(PoisonError::into_inner);
        let all = known.iter().flat_map(|(first, others)| {
            others.iter().map(|(second, series)| ([(*first).to_owned(), second.clone()], series))
        });
        all.map(|(labels, series)| (labels, series.newest())).collect()
    }
}

struct Series {
    histogram: Histogram,
    newest: [Mutex<Option<Exemplar>>; BUCKETS],
}

impl Series {
    fn new(histogram: Histogram) -> Self {
        Self { histogram, newest: Default::default() }
    }

    fn observe(&self, exemplar: Exemplar) {
        self.histogram.observe(exemplar.value);
        let bucket = DURATION_BUCKETS.partition_point(|bound| *bound < exemplar.value);
        // Nobody waits here: who holds it writes one as new, or reads.
        if let Ok(mut newest) = self.newest[bucket].try_lock() {
            *newest = Some(exemplar);
        }
    }

    fn newest(&self) -> [Option<Exemplar>; BUCKETS] {
        let copy = |bucket: &Mutex<Option<_>>| {
            bucket.lock().unwrap_or_else(PoisonError::into_inner).clone()
        };
        self.newest.each_ref().map(copy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::metrics::Metrics;

    fn exemplar(request_id: &str, value: f64) -> Exemplar {
        let at = Clock::default().now();
        Exemplar { trace_id: "0af".to_owned(), request_id: request_id.to_owned(), value, at }
    }

    #[test]
    fn each_bucket_of_each_series_keeps_its_newest_and_no_other() {
        let traced = TracedHistograms::new(Metrics::new("a").histograms("h", "h", &["m", "r"]));
        for (route, id, value) in [
            ("/a", "older", 0.001),
            ("/a", "newer", 0.0),
            ("/a", "above", 0.001_000_1),
            ("/a", "endless", 11.0),
            ("/b", "other", 10.0),
        ] {
            traced.observe(("GET", route), exemplar(id, value));
        }
        let newest = traced.newest();
        let kept = |route: &str| {
            let buckets = &newest[&["GET".to_owned(), route.to_owned()]];
            let kept = buckets.iter().enumerate();
            let kept = kept.filter_map(|(at, kept)| Some((at, kept.as_ref()?.request_id.clone())));
            kept.collect::<Vec<_>>()
        };
        let named = |bucket: usize, id: &str| (bucket, id.to_owned());
        assert_eq!(kept("/a"), [named(0, "newer"), named(1, "above"), named(13, "endless")]);
        assert_eq!(kept("/b"), [named(12, "other")]);
        let counted = traced.histograms.with_label_values(&["GET", "/a"]).get_sample_count();
        assert_eq!((counted, newest.len()), (4, 2));
    }
}
