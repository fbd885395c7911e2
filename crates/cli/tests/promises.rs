//! `docs/SECURITY.md` against the code: each test that it names is there.

use std::fs;
use std::path::{Path, PathBuf};

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

/// Names of tests are sentences, so they have several underscores.
fn tests_named_in(page: &str) -> Vec<&str> {
    page.split('`').skip(1).step_by(2).filter(|name| name.matches('_').count() >= 3).collect()
}

#[test]
fn each_test_that_a_promise_names_is_there() {
    let root: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = fs::read_to_string(root.join("docs/SECURITY.md")).unwrap_or_default();
    let mut code = String::new();
    for folder in ["crates", "services"] {
        sources(&root.join(folder), &mut code);
    }
    let named = tests_named_in(&page);
    assert!(named.len() > 30, "{named:?}");
    let missing: Vec<_> =
        named.into_iter().filter(|name| !code.contains(&format!("fn {name}("))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
