use std::path::PathBuf;

use anyhow::Result;

use crate::needs;
use crate::postgres::Owner;

/// Where what Keycloak takes is found, or comes from.
pub(crate) struct Machine {
    /// `JAVA_HOME`, where it is set.
    pub(crate) java_home: Option<PathBuf>,
    /// A Java in each of its folders.
    pub(crate) javas: PathBuf,
    /// The one on the path.
    pub(crate) java: PathBuf,
    /// Whether a Java that is missing may be installed.
    pub(crate) installs: bool,
    /// What was fetched once.
    pub(crate) cache: PathBuf,
    /// Where it is fetched from.
    pub(crate) repository: String,
}

impl Machine {
    /// This one, with Maven Central.
    pub(crate) fn this() -> Result<Self> {
        Ok(Self {
            java_home: std::env::var_os("JAVA_HOME").map(PathBuf::from),
            javas: "/usr/lib/jvm".into(),
            java: "java".into(),
            installs: needs::can_be_installed(),
            cache: Owner::find()?.cache_folder()?,
            repository: "https://repo.maven.apache.org/maven2".to_owned(),
        })
    }
}
