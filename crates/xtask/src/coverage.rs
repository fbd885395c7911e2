//! `cargo xtask test --coverage`: how much of the vault the tests reach.

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use tokio::process::Command;

use crate::postgres::Durability;
use crate::servers::{Keycloak, with_postgres};
use crate::ui::say;
use crate::{cargo, needs, run, workspace};

/// What is measured: packages, and where their code is.
const MEASURED: [(&str, &str); 2] =
    [("auth-manager", "services/auth-manager/src/"), ("vault-crypto", "crates/vault-crypto/src/")];
/// Per cent of the lines of each.
const LEAST: f64 = 80.0;

/// Runs the tests of the vault and says how much of it they reach; an error where it is too little.
pub(crate) async fn measure(arguments: &[String]) -> Result<()> {
    needs::check_for_coverage().await?;
    let keycloak = Keycloak::start().await?;
    let result = with_postgres(Durability::ThrownAway, async |url| {
        let mut tests = cargo(&["llvm-cov", "--no-report", "--no-fail-fast"]);
        tests.args(MEASURED.iter().flat_map(|(package, _)| ["--package", package]));
        keycloak.name_to(&mut tests);
        run(tests.args(arguments).env("TEST_DATABASE_URL", url)).await
    });
    let result = result.await;
    keycloak.stop().await?;
    result?;
    judge(&report().await?)
}

async fn report() -> Result<Value> {
    let mut report: Command = cargo(&["llvm-cov", "report", "--json", "--summary-only"]);
    let output = report.output().await.context("cargo can't be started")?;
    if !output.status.success() {
        bail!("no report: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn judge(report: &Value) -> Result<()> {
    let mut too_little = Vec::new();
    for (package, folder) in MEASURED {
        let folder = workspace().join(folder);
        let [covered, lines] = count(report, &folder.to_string_lossy());
        let share = 100.0 * covered / lines;
        say(&format!("{package}: the tests reach {share:.1} % of {lines} lines"));
        // No line at all is no share either.
        if share.is_nan() || share < LEAST {
            too_little.push(package);
        }
    }
    if !too_little.is_empty() {
        bail!("less than {LEAST} % of the lines of {}", too_little.join(" and "));
    }
    Ok(())
}

/// Lines below `folder`: those reached, and all.
fn count(report: &Value, folder: &str) -> [f64; 2] {
    let files = report["data"][0]["files"].as_array().map_or(&[][..], Vec::as_slice);
    let own = files.iter().filter(|file| {
        let name = file["filename"].as_str().unwrap_or_default();
        // Unit tests in files of their own reach themselves.
        name.starts_with(folder) && !name.ends_with("_tests.rs")
    });
    own.fold([0.0; 2], |[covered, lines], file| {
        let summary = &file["summary"]["lines"];
        let number = |name: &str| summary[name].as_f64().unwrap_or_default();
        [covered + number("covered"), lines + number("count")]
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn report(covered: u32) -> Value {
        let file = |name: &str, covered: u32| {
            let name = workspace().join(name);
            json!({ "filename": name, "summary": { "lines": { "count": 10, "covered": covered } } })
        };
        json!({ "data": [{ "files": [
            file("services/auth-manager/src/a.rs", covered),
            file("services/auth-manager/src/a_tests.rs", 10),
            file("crates/vault-crypto/src/a.rs", 9),
        ] }] })
    }

    #[test]
    fn too_little_is_an_error_and_so_is_nothing() {
        assert!(judge(&report(8)).is_ok());
        let error = judge(&report(7)).unwrap_err().to_string();
        assert!(error.contains("auth-manager") && !error.contains("vault-crypto"), "{error}");
        assert!(judge(&json!({})).is_err());
    }
}
