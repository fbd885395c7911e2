//! OpenMetrics 1.0, the text format that has room for exemplars.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write as _;

use prometheus::proto::{Histogram, LabelPair, MetricFamily, MetricType};

use super::exemplars::{Exemplar, Newest};

pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// `families` as text, with the exemplars of those whose names are in `exemplars`.
pub(super) fn encode(families: &[MetricFamily], exemplars: &HashMap<String, Newest>) -> String {
    let mut text = String::new();
    for family in families {
        write_family(&mut text, family, exemplars.get(family.name()));
    }
    text.push_str("# EOF\n");
    text
}

fn write_family(text: &mut String, family: &MetricFamily, exemplars: Option<&Newest>) {
    let kind = match family.get_field_type() {
        MetricType::COUNTER => "counter",
        MetricType::GAUGE => "gauge",
        MetricType::HISTOGRAM => "histogram",
        // `Metrics` makes none of them.
        MetricType::SUMMARY | MetricType::UNTYPED => return,
    };
    // The suffix is the sample's and not the family's.
    let name = match kind {
        "counter" => family.name().strip_suffix("_total").unwrap_or(family.name()),
        _ => family.name(),
    };
    push(text, format_args!("# TYPE {name} {kind}\n"));
    push(text, format_args!("# HELP {name} {}\n", escaped(family.help())));
    for metric in family.get_metric() {
        let labels = metric.get_label();
        match kind {
            "counter" => {
                let value = metric.get_counter().get_value();
                write_sample(text, name, "_total", (labels, None), value, None);
            }
            "gauge" => {
                write_sample(text, name, "", (labels, None), metric.get_gauge().get_value(), None);
            }
            _ => {
                let values: Vec<_> = labels.iter().map(|label| label.value().to_owned()).collect();
                let values = <[String; 2]>::try_from(values).ok();
                let exemplars = exemplars.zip(values).and_then(|(all, values)| all.get(&values));
                let exemplars = exemplars.map_or(&[][..], |buckets| &buckets[..]);
                write_histogram(text, name, labels, metric.get_histogram(), exemplars);
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "every sample is a float, counts as well")]
fn write_histogram(
    text: &mut String,
    name: &str,
    labels: &[LabelPair],
    histogram: &Histogram,
    exemplars: &[Option<Exemplar>],
) {
    let count = histogram.get_sample_count();
    let buckets = histogram.get_bucket().iter();
    let buckets = buckets.map(|bucket| (bound(bucket.upper_bound()), bucket.cumulative_count()));
    for (at, (bound, count)) in buckets.chain([("+Inf".to_owned(), count)]).enumerate() {
        let exemplar = exemplars.get(at).and_then(Option::as_ref);
        write_sample(text, name, "_bucket", (labels, Some(&bound)), count as f64, exemplar);
    }
    write_sample(text, name, "_count", (labels, None), count as f64, None);
    write_sample(text, name, "_sum", (labels, None), histogram.get_sample_sum(), None);
}

/// One line: `name_suffix{labels,le="…"} value # {exemplar} value timestamp`.
fn write_sample(
    text: &mut String,
    name: &str,
    suffix: &str,
    (labels, bound): (&[LabelPair], Option<&str>),
    value: f64,
    exemplar: Option<&Exemplar>,
) {
    let labels = labels.iter().map(|label| (label.name(), label.value()));
    let labels = write_labels(labels.chain(bound.map(|bound| ("le", bound))));
    push(text, format_args!("{name}{suffix}{labels} {value}"));
    if let Some(Exemplar { trace_id, request_id, value, at }) = exemplar {
        let ids = [("trace_id", trace_id.as_str()), ("request_id", request_id.as_str())];
        let (ids, milliseconds) = (write_labels(ids.into_iter()), at.timestamp_millis());
        let (seconds, rest) = (milliseconds / 1000, milliseconds % 1000);
        push(text, format_args!(" # {ids} {value} {seconds}.{rest:03}"));
    }
    text.push('\n');
}

/// `{name="value",…}`, nothing where there are none.
fn write_labels<'a>(labels: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let pairs: Vec<_> =
        labels.map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
    if pairs.is_empty() { String::new() } else { format!("{{{}}}", pairs.join(",")) }
}

/// For a help text or between a label value's quotes.
fn escaped(text: &str) -> Cow<'_, str> {
    if text.contains(['\\', '"', '\n']) {
        text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").into()
    } else {
        text.into()
    }
}

/// A bucket's bound as the specification wants it, so that it is one label everywhere ("Canonical
/// Numbers"): `1.0`, `0.0025`, `1e-05`.
fn bound(value: f64) -> String {
    let text = format!("{value:?}");
    match text.split_once("e-") {
        Some((digits, exponent)) => format!("{digits}e-{exponent:0>2}"),
        None => text,
    }
}

fn push(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to memory does not fail.
    let _ = text.write_fmt(arguments);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;
    use chrono::DateTime;
    use prometheus::Registry;

    /// What is registered in `registry`, with one exemplar above the last bound of `/a`.
    fn text(registry: &Registry, request_id: &str) -> String {
        let exemplar = Exemplar {
            trace_id: "4bf92f3577b34da6a3ce929d0e0e4736".to_owned(),
            request_id: request_id.to_owned(),
            value: 12.5,
            at: DateTime::from_timestamp_millis(1_700_000_000_007).unwrap(),
        };
        let mut buckets: [Option<Exemplar>; 14] = Default::default();
        buckets[13] = Some(exemplar);
        let newest = Newest::from([(["GET".to_owned(), "/a".to_owned()], buckets)]);
        let exemplars = HashMap::from([("a_service_seconds".to_owned(), newest)]);
        encode(&registry.gather(), &exemplars)
    }

    #[test]
    fn counters_gauges_and_histograms_are_written_as_the_specification_says() {
        let metrics = Metrics::new("a-service");
        let _ = metrics.counter("tries_total", "Tries, \"good\"\nor \\bad", &["how"]);
        metrics.counter("made_total", "Made", &["how"]).with_label_values(&["a\"\\\nb"]).inc_by(3);
        metrics.gauge("open", "Open").set(-2);
        metrics.short_histogram("short_seconds", "Short").observe(0.000_02);
        let durations = metrics.histograms("seconds", "Say \"how\"\n\\ long", &["method", "route"]);
        durations.with_label_values(&["GET", "/a"]).observe(12.5);
        durations.with_label_values(&["GET", "/b"]).observe(0.75);
        let text = text(&metrics.registry, "mine");
        for lines in [
            "# TYPE a_service_made counter\n# HELP a_service_made Made\n\
             a_service_made_total{how=\"a\\\"\\\\\\nb\"} 3\n",
            "# TYPE a_service_open gauge\n# HELP a_service_open Open\na_service_open -2\n",
            "# TYPE a_service_process_cpu_seconds counter\n",
            "# HELP a_service_seconds Say \\\"how\\\"\\n\\\\ long\n\
             a_service_seconds_bucket{method=\"GET\",route=\"/a\",le=\"0.001\"} 0\n",
            "a_service_seconds_bucket{method=\"GET\",route=\"/a\",le=\"10.0\"} 0\n\
             a_service_seconds_bucket{method=\"GET\",route=\"/a\",le=\"+Inf\"} 1 \
             # {trace_id=\"4bf92f3577b34da6a3ce929d0e0e4736\",request_id=\"mine\"} \
             12.5 1700000000.007\n\
             a_service_seconds_count{method=\"GET\",route=\"/a\"} 1\n\
             a_service_seconds_sum{method=\"GET\",route=\"/a\"} 12.5\n",
            "a_service_seconds_bucket{method=\"GET\",route=\"/b\",le=\"1.0\"} 1\n",
            "a_service_short_seconds_bucket{le=\"1e-05\"} 0\n\
             a_service_short_seconds_bucket{le=\"2.5e-05\"} 1\n",
        ] {
            assert!(text.contains(lines), "{lines}\nis missing in\n{text}");
        }
        // A family without samples has no lines.
        assert!(!text.contains("tries"), "{text}");
        assert_eq!(text.matches(" # {").count(), 1);
        assert!(text.ends_with("\n# EOF\n"));
    }

    #[test]
    fn what_an_exemplar_says_cannot_end_its_line() {
        let metrics = Metrics::new("a-service");
        let durations = metrics.histograms("seconds", "How long", &["method", "route"]);
        durations.with_label_values(&["GET", "/a"]).observe(12.5);
        let text = text(&metrics.registry, "\"} 1\nforged 1\\");
        assert!(text.contains(",request_id=\"\\\"} 1\\nforged 1\\\\\"} 12.5 1"), "{text}");
        assert!(!text.lines().any(|line| line.starts_with("forged")));
    }
}
