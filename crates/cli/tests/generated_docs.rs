//! The README's tables and `.env.example` are what the code says.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::path::{Path, PathBuf};
use std::process::Command;

const BEGIN: &str = "writes what follows -->\n";
const END: &str = "<!-- end of settings -->";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn printed(format: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_latchkey"))
        .args(["settings", "--format", format])
        .output()
        .unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

fn check(file: &str, expected: &str) {
    let path = root().join(file);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, expected).unwrap();
    }
    let actual = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        actual == expected,
        "{file} is not what the code says; `UPDATE_DOCS=1 cargo test --package latchkey` writes it"
    );
}

#[test]
fn env_example_has_every_setting() {
    check(".env.example", &printed("env"));
}

#[test]
fn the_readme_s_tables_have_every_setting() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let (before, rest) = readme.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    check("README.md", &format!("{before}{BEGIN}\n{}\n{END}{after}", printed("markdown")));
}
