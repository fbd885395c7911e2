use std::path::PathBuf;

use anyhow::Result;
use tokio::process::Command;

use super::Machine;
use crate::needs;

/// The oldest that Keycloak runs on.
const OLDEST: u32 = 17;

/// A Java that runs Keycloak.
#[derive(Clone, Debug)]
pub(super) struct Java(pub(super) PathBuf);

impl Java {
    /// Finds one, or installs it where that can be done; the error is a line that says how to get
    /// one.
    pub(super) async fn provide(machine: &Machine) -> Result<Self> {
        if let Some(java) = Self::find(machine).await {
            return Ok(java);
        }
        needs::provide_java(machine.installs).await?;
        Self::find(machine)
            .await
            .ok_or_else(|| anyhow::anyhow!("the Java that was installed is too old"))
    }

    /// `JAVA_HOME`, else the newest of the machine's, else the one on the path.
    async fn find(machine: &Machine) -> Option<Self> {
        let set = machine.java_home.as_ref().map(|home| home.join("bin/java"));
        if let Some(java) = set
            && version(&java).await.is_some_and(|version| version >= OLDEST)
        {
            return Some(Self(java));
        }
        let mut newest = None;
        for entry in std::fs::read_dir(&machine.javas).into_iter().flatten().flatten() {
            let java = entry.path().join("bin/java");
            newest = newest.max(version(&java).await.map(|version| (version, java)));
        }
        let on_path = machine.java.clone();
        let on_path = version(&on_path).await.map(|version| (version, on_path));
        [newest, on_path]
            .into_iter()
            .flatten()
            .find_map(|(version, java)| (version >= OLDEST).then_some(Self(java)))
    }
}

async fn version(java: &PathBuf) -> Option<u32> {
    let output = Command::new(java).arg("-version").output().await.ok()?;
    parse(&String::from_utf8_lossy(&output.stderr))
}

/// The first number of `openjdk version "17.0.19" …`; 8 and older begin with a 1.
fn parse(said: &str) -> Option<u32> {
    let version = said.split_once("version \"")?.1;
    version.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_java_says_them() {
        assert_eq!(parse("openjdk version \"17.0.19\" 2026-04-21"), Some(17));
        assert_eq!(parse("Picked up X\njava version \"25\" 2025-09-16 LTS"), Some(25));
        assert_eq!(parse("java version \"1.8.0_402\""), Some(1));
        assert_eq!(parse("Unable to locate a Java Runtime."), None);
    }
}
