use std::path::{Path, PathBuf};

use anyhow::Result;

use super::{Java, Machine, distribution};
use crate::workspace;

const REALM: &str = "deploy/keycloak/realm.json";
/// As the realm has it, where Keycloak tells auth-manager of a sign-out.
const USUAL_AUTH_BASE: &str = "http://localhost:8000/";

/// What Keycloak is started with.
pub(crate) struct Provided {
    pub(super) java: Java,
    pub(super) home: PathBuf,
}

impl Provided {
    /// Java, and Keycloak's home in `folder`, with our realm laid out for import, where
    /// auth-manager is on `auth_port`: a realm that is there already is left alone. An error is a
    /// line that says how to get what is missing.
    pub(crate) async fn new(machine: &Machine, folder: &Path, auth_port: u16) -> Result<Self> {
        let java = Java::provide(machine).await?;
        std::fs::create_dir_all(folder)?;
        let home = distribution::provide(machine, folder).await?;
        let import = home.join("data/import");
        std::fs::create_dir_all(&import)?;
        let realm = std::fs::read_to_string(workspace().join(REALM))?;
        let realm = realm.replace(USUAL_AUTH_BASE, &format!("http://localhost:{auth_port}/"));
        std::fs::write(import.join("latchkey-realm.json"), realm)?;
        Ok(Self { java, home })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn refusal(machine: &Machine) -> String {
        let folder = tempfile::tempdir().unwrap();
        let provided = Provided::new(machine, &folder.path().join("keycloak"), 8000).await;
        let line = format!("{:#}", provided.err().expect("something is missing"));
        assert!(!line.contains('\n'), "{line}");
        line
    }

    #[tokio::test]
    async fn a_machine_without_java_is_told_in_one_line_how_to_get_it() {
        let folder = tempfile::tempdir().unwrap();
        let machine = Machine {
            java_home: Some(folder.path().to_owned()),
            javas: folder.path().to_owned(),
            java: folder.path().join("java"),
            installs: false,
            ..Machine::this().unwrap()
        };
        let line = refusal(&machine).await;
        assert!(
            line.starts_with("Java 17 or newer, which Keycloak runs on, is missing."),
            "{line}"
        );
        assert!(line.contains("`apt-get install default-jre-headless`"), "{line}");
    }

    #[tokio::test]
    async fn a_machine_that_can_not_fetch_keycloak_is_told_in_one_line_what_else_to_do() {
        let cache = tempfile::tempdir().unwrap();
        let machine = Machine {
            cache: cache.path().to_owned(),
            repository: "http://127.0.0.1:1".to_owned(),
            ..Machine::this().unwrap()
        };
        let line = refusal(&machine).await;
        assert!(line.contains("can't be fetched from http://127.0.0.1:1/"), "{line}");
        let archive = cache.path().join("keycloak-").display().to_string();
        assert!(line.contains(&format!("put the file at {archive}")), "{line}");
        assert_eq!(std::fs::read_dir(cache.path()).unwrap().count(), 0);
    }
}
