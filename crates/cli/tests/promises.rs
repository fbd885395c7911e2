//! What `docs/` promises against the code: each test, setting and page that it names is there.

use std::fs;
use std::path::{Path, PathBuf};

use common::settings::{Schema, Setting};

/// The pages that name tests for what they promise.
const PAGES: [&str; 2] = ["SECURITY.md", "TLS.md"];
const SCHEMAS: [&Schema; 3] =
    [&user_service::config::SCHEMA, &chat_service::config::SCHEMA, &auth_manager::config::SCHEMA];

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

fn page(name: &str) -> String {
    fs::read_to_string(docs().join(name)).unwrap_or_default()
}

fn sources(folder: &Path, all: &mut String) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() && !path.ends_with("target") {
            sources(&path, all);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            all.push_str(&fs::read_to_string(&path).unwrap_or_default());
        }
    }
}

/// What a page has between backticks, where it is no more than words of this kind of letters.
fn quoted<'a>(page: &'a str, mark: &str) -> impl Iterator<Item = &'a str> {
    let is_word = move |text: &&str| {
        !text.is_empty()
            && text.chars().all(|one| one.is_ascii_alphanumeric() || mark.contains(one))
    };
    page.split('`').skip(1).step_by(2).filter(is_word)
}

/// Whether there is a test of this name: a function beneath an attribute.
fn is_test(code: &str, name: &str) -> bool {
    code.match_indices(&format!("fn {name}(")).any(|(at, _)| {
        let before = code[..at].trim_end();
        before.strip_suffix("async").unwrap_or(before).trim_end().ends_with(']')
    })
}

#[test]
fn each_test_that_a_promise_names_is_there() {
    let mut code = String::new();
    for folder in ["crates", "services"] {
        sources(&docs().join("..").join(folder), &mut code);
    }
    for name in PAGES {
        let text = page(name);
        // Names of tests are sentences, so they have several underscores.
        let named: Vec<_> =
            quoted(&text, "_").filter(|name| name.matches('_').count() >= 3).collect();
        assert!(named.len() > 10, "{name}: {named:?}");
        let missing: Vec<_> = named.into_iter().filter(|name| !is_test(&code, name)).collect();
        assert!(missing.is_empty(), "{name}: {missing:?}");
    }
}

#[test]
fn each_setting_and_each_page_that_a_promise_names_is_there() {
    let settings: Vec<_> =
        SCHEMAS.iter().flat_map(|schema| schema.settings()).map(Setting::key).collect();
    let sections: Vec<_> = settings.iter().filter_map(|key| key.split_once('.')).collect();
    for name in PAGES {
        let text = page(name);
        let named = quoted(&text, "_.").filter_map(|word| word.split_once('.'));
        let of_sections = named.filter(|(section, _)| sections.iter().any(|one| one.0 == *section));
        let missing: Vec<_> = of_sections.filter(|key| !sections.contains(key)).collect();
        assert!(missing.is_empty(), "{name}: {missing:?}");
        for link in text.split("](").skip(1).filter_map(|rest| rest.split_once(')')) {
            let (file, anchor) = link.0.split_once('#').unwrap_or((link.0, ""));
            let file = if file.is_empty() { name } else { file };
            let linked = page(file);
            let there = !linked.is_empty() && (anchor.is_empty() || has_anchor(&linked, anchor));
            assert!(there, "{name}: {}", link.0);
        }
    }
}

/// As GitHub makes one of a heading.
fn has_anchor(page: &str, anchor: &str) -> bool {
    let headings = page.lines().filter(|line| line.starts_with('#'));
    headings.map(|line| line.trim_start_matches('#').trim().to_lowercase()).any(|heading| {
        let kept = heading.chars().filter(|one| one.is_alphanumeric() || " -_".contains(*one));
        kept.collect::<String>().replace(' ', "-") == anchor
    })
}
