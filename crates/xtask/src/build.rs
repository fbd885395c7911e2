//! Builds programs and learns from cargo where they lie.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::{cargo, check};

/// The paths of programs by name.
pub(crate) struct Programs(HashMap<String, PathBuf>);

impl Programs {
    /// Builds the programs of `packages`.
    pub(crate) async fn build(packages: &[&str]) -> Result<Self> {
        Self::build_as("dev", packages).await
    }

    /// The same with optimisation, as they are shipped.
    pub(crate) async fn build_for_release(packages: &[&str]) -> Result<Self> {
        Self::build_as("release", packages).await
    }

    async fn build_as(profile: &str, packages: &[&str]) -> Result<Self> {
        let mut command = cargo(&["build", "--quiet", "--message-format=json-render-diagnostics"]);
        command
            .args(["--profile", profile])
            .args(packages.iter().flat_map(|package| ["--package", package]));
        let child = command.stdout(Stdio::piped()).spawn().context("cargo can't be started")?;
        let output = child.wait_with_output().await?;
        check("cargo build", output.status)?;
        Ok(Self::read(&String::from_utf8_lossy(&output.stdout)))
    }

    fn read(messages: &str) -> Self {
        let programs = messages.lines().filter_map(|line| {
            let message: Value = serde_json::from_str(line).ok()?;
            let name = message["target"]["name"].as_str()?;
            Some((name.to_owned(), PathBuf::from(message["executable"].as_str()?)))
        });
        Self(programs.collect())
    }

    /// Where one of them is.
    pub(crate) fn path(&self, name: &str) -> Result<&PathBuf> {
        self.0.get(name).with_context(|| format!("cargo built no program `{name}`"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_where_cargo_says() {
        let programs = Programs::read(
            "{\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"lib\"},\"executable\":null}\n\
             {\"target\":{\"name\":\"chat-service\"},\"executable\":\"/x/debug/chat-service\"}\n\
             {\"reason\":\"build-finished\",\"success\":true}\n",
        );
        assert_eq!(programs.path("chat-service").unwrap(), "/x/debug/chat-service");
        assert!(programs.path("lib").is_err());
    }
}
