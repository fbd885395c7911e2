//! A reader of OpenMetrics 1.0 that refuses whatever a scraper may.

use std::collections::HashSet;

/// A metric family with its samples in their order.
#[derive(Debug)]
pub struct Family {
    pub name: String,
    pub kind: String,
    pub samples: Vec<Sample>,
}

/// `suffix{labels} value # exemplar` of a family.
#[derive(Debug)]
pub struct Sample {
    pub suffix: String,
    pub labels: Vec<(String, String)>,
    pub value: f64,
    pub exemplar: Option<Exemplar>,
}

/// `{labels} value timestamp`.
#[derive(Debug)]
pub struct Exemplar {
    pub labels: Vec<(String, String)>,
    pub value: f64,
    pub timestamp: Option<f64>,
}

impl Sample {
    pub fn has(&self, label: &str) -> bool {
        self.labels.iter().any(|(name, _)| name == label)
    }

    /// A label's value; empty where it is missing.
    pub fn label(&self, label: &str) -> &str {
        self.labels.iter().find(|(name, _)| name == label).map_or("", |(_, value)| value)
    }

    /// The upper bound of a bucket.
    pub fn bound(&self) -> f64 {
        number(self.label("le"))
    }

    /// Its labels but for the bound.
    fn series(&self) -> Vec<&(String, String)> {
        self.labels.iter().filter(|(name, _)| name != "le").collect()
    }
}

/// All families of `text`.
pub fn parse(text: &str) -> Vec<Family> {
    let lines = text.strip_suffix("# EOF\n").expect("ends in # EOF");
    assert!(lines.ends_with('\n') && !lines.contains("# EOF"), "one end, on a line of its own");
    let mut families: Vec<Family> = Vec::new();
    let mut names = HashSet::new();
    for line in lines.lines() {
        if let Some(family) = line.strip_prefix("# TYPE ") {
            let (name, kind) = family.split_once(' ').unwrap();
            for suffix in suffixes(kind) {
                assert!(names.insert(format!("{name}{suffix}")), "{line} is there twice");
            }
            let (name, kind) = (name.to_owned(), kind.to_owned());
            families.push(Family { name, kind, samples: Vec::new() });
            continue;
        }
        let family = families.last_mut().expect("a type comes first");
        if let Some(help) = line.strip_prefix("# HELP ") {
            let text = help.strip_prefix(&family.name).expect("the family's own help");
            assert!(text.starts_with(' ') && family.samples.is_empty(), "{line} comes too late");
            let _ = unescape(text);
        } else {
            let sample = sample(line, family);
            family.samples.push(sample);
        }
    }
    families.iter().for_each(check);
    families
}

fn suffixes(kind: &str) -> &'static [&'static str] {
    match kind {
        "counter" => &["_total"],
        "gauge" => &[""],
        "histogram" => &["_bucket", "_count", "_sum"],
        _ => panic!("nothing here is a {kind}"),
    }
}

fn sample(line: &str, family: &Family) -> Sample {
    let rest = line.strip_prefix(&family.name).unwrap_or_else(|| panic!("{line} has no type"));
    let (suffix, rest) = rest.split_at(rest.find(['{', ' ']).expect("a value"));
    assert!(suffixes(&family.kind).contains(&suffix), "{line} in a {}", family.kind);
    let (labels, rest) = labels(rest);
    let rest = rest.strip_prefix(' ').expect("one blank");
    let (value, exemplar) = match rest.split_once(" # ") {
        Some((value, exemplar)) => (value, Some(self::exemplar(exemplar))),
        None => (rest, None),
    };
    assert!(exemplar.is_none() || matches!(suffix, "_bucket" | "_total"), "{line}");
    Sample { suffix: suffix.to_owned(), labels, value: number(value), exemplar }
}

fn exemplar(text: &str) -> Exemplar {
    assert!(text.starts_with('{'), "{text}");
    let (labels, rest) = labels(text);
    let characters =
        labels.iter().map(|(name, value)| name.chars().count() + value.chars().count());
    assert!(characters.sum::<usize>() <= 128, "{text}");
    let mut parts = rest.strip_prefix(' ').expect("one blank").split(' ');
    let value = number(parts.next().unwrap());
    let timestamp = parts.next().map(number);
    assert_eq!(parts.next(), None, "{text}");
    Exemplar { labels, value, timestamp }
}

/// Labels, each name once, and what comes behind them.
fn labels(text: &str) -> (Vec<(String, String)>, &str) {
    let Some(mut rest) = text.strip_prefix('{') else { return (Vec::new(), text) };
    let mut labels: Vec<(String, String)> = Vec::new();
    loop {
        let (name, value) = rest.split_once("=\"").expect("a label");
        let letter = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
        assert!(name.bytes().all(letter) && !name.is_empty(), "{name}");
        assert!(labels.iter().all(|(other, _)| other != name), "{name} is there twice");
        let mut escaped = false;
        let end = value.find(|letter| {
            let ends = letter == '"' && !escaped;
            escaped = letter == '\\' && !escaped;
            ends
        });
        let (value, behind) = value.split_at(end.expect("a closing quote"));
        labels.push((name.to_owned(), unescape(value)));
        let behind = &behind[1..];
        match behind.strip_prefix(',') {
            Some(more) => rest = more,
            None => return (labels, behind.strip_prefix('}').expect("a closing brace")),
        }
    }
}

fn unescape(text: &str) -> String {
    let mut letters = text.chars();
    let mut plain = String::new();
    while let Some(letter) = letters.next() {
        plain.push(match letter {
            '\\' => match letters.next() {
                Some('n') => '\n',
                Some(letter @ ('\\' | '"')) => letter,
                other => panic!("{other:?} can't be escaped in {text}"),
            },
            '"' => panic!("a quote in {text}"),
            letter => letter,
        });
    }
    plain
}

fn number(text: &str) -> f64 {
    let digits = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+' | b'e');
    assert!(matches!(text, "+Inf" | "-Inf" | "NaN") || text.bytes().all(digits), "{text}");
    text.parse().unwrap()
}

/// A series' samples stand together, no sample twice; buckets go up, to all that was counted.
fn check(family: &Family) {
    let mut seen = HashSet::new();
    for series in family.samples.chunk_by(|one, other| one.series() == other.series()) {
        assert!(seen.insert(series[0].series()), "{} is scattered", family.name);
        if family.kind != "histogram" {
            assert_eq!(series.len(), 1, "{series:?}");
            continue;
        }
        let (rest, buckets): (Vec<_>, Vec<_>) =
            series.iter().partition(|sample| sample.suffix != "_bucket");
        let suffixes: Vec<_> = rest.iter().map(|sample| sample.suffix.as_str()).collect();
        assert_eq!(suffixes, ["_count", "_sum"]);
        for pair in buckets.windows(2) {
            assert!(pair[0].bound() < pair[1].bound() && pair[0].value <= pair[1].value);
        }
        let last = buckets.last().expect("a bucket");
        assert_eq!(last.label("le"), "+Inf");
        assert_eq!(last.value.to_string(), rest[0].value.to_string());
    }
}
