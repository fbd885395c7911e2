//! Where Keycloak and Redis keep their data.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::redis::Redis;
use crate::workspace;

/// In the workspace, or beside the folder that the caller names for PostgreSQL's.
pub(crate) struct Folders {
    /// Where Keycloak is unpacked, too.
    pub(crate) keycloak: PathBuf,
    /// None where no Redis is asked for.
    pub(crate) redis: Option<PathBuf>,
}

impl Folders {
    pub(crate) fn new(given: Option<&Path>, redis: bool) -> Self {
        let of = |name: &str| match given {
            Some(folder) => folder.with_extension(name),
            None => workspace().join(".latchkey").join(name),
        };
        Self { keycloak: of("keycloak"), redis: redis.then(|| of("redis")) }
    }

    /// Throws the data away.
    pub(crate) async fn clear(&self) -> Result<()> {
        if let Some(redis) = &self.redis {
            Redis::end_leftover(redis).await?;
        }
        for folder in [Some(&self.keycloak), self.redis.as_ref()].into_iter().flatten() {
            if folder.exists() {
                std::fs::remove_dir_all(folder)?;
            }
        }
        Ok(())
    }
}
