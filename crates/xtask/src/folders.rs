//! Where `up` keeps data.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow};
use nix::fcntl::{Flock, FlockArg};

use crate::redis::Redis;
use crate::workspace;

/// Overrides where PostgreSQL's data is kept.
pub(crate) const DATA_FOLDER: &str = "LATCHKEY_DATA_FOLDER";

/// Keycloak's and Redis's: in the workspace, or beside the folder that the caller names for
/// PostgreSQL's.
pub(crate) struct Folders {
    /// Where Keycloak is unpacked, too.
    pub(crate) keycloak: PathBuf,
    redis: PathBuf,
    wants_redis: bool,
}

impl Folders {
    pub(crate) fn new(given: Option<&Path>, redis: bool) -> Self {
        let of = |name: &str| match given {
            Some(folder) => folder.with_extension(name),
            None => workspace().join(".latchkey").join(name),
        };
        Self { keycloak: of("keycloak"), redis: of("redis"), wants_redis: redis }
    }

    /// Redis's; none where no Redis is asked for.
    pub(crate) fn redis(&self) -> Option<&Path> {
        self.wants_redis.then_some(&self.redis)
    }

    /// Throws the data away.
    pub(crate) async fn clear(&self) -> Result<()> {
        Redis::end_leftover(&self.redis).await?;
        for folder in [&self.keycloak, &self.redis] {
            if folder.exists() {
                std::fs::remove_dir_all(folder)?;
            }
        }
        Ok(())
    }
}

/// Keeps the folder for this run: a second one would take the first one's PostgreSQL for a leftover.
pub(crate) fn hold(folder: &Path) -> Result<Flock<File>> {
    let path = folder.with_extension("lock");
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    let file = File::create(&path).with_context(|| path.display().to_string())?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|_| {
        anyhow!(
            "another `cargo xtask up` runs on the data in {}; end it, or name another folder in \
             {DATA_FOLDER}",
            folder.display()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_folder_serves_one_run_at_a_time() {
        let folder = std::env::temp_dir().join(format!("latchkey-held-{}", std::process::id()));
        let held = hold(&folder).unwrap();
        let error = hold(&folder).unwrap_err().to_string();
        assert!(error.contains(DATA_FOLDER) && !error.contains('\n'), "{error}");
        drop(held);
        assert!(hold(&folder).is_ok());
        std::fs::remove_file(folder.with_extension("lock")).unwrap();
    }
}
