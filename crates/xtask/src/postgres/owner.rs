use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use nix::unistd::{User, geteuid};
use tokio::process::Command;

/// Whom PostgreSQL's processes run as. It refuses root, so root's drop to another user, and their
/// files lie where that user can reach them.
#[derive(Clone, Debug)]
pub struct Owner {
    /// The user to drop to; none where we are not root.
    user: Option<User>,
}

impl Owner {
    /// Ourselves, or for root `postgres` or `nobody`.
    pub fn find() -> Result<Self> {
        if !geteuid().is_root() {
            return Ok(Self { user: None });
        }
        for name in ["postgres", "nobody"] {
            if let Some(user) = User::from_name(name)? {
                return Ok(Self { user: Some(user) });
            }
        }
        anyhow::bail!(
            "PostgreSQL refuses to run as root, and there is no user `nobody` to run it as"
        )
    }

    /// Where fetched binaries are kept.
    pub fn cache_folder(&self) -> Result<PathBuf> {
        if self.user.is_some() {
            return Ok(PathBuf::from("/var/cache/latchkey"));
        }
        let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
        let cache = cache.or_else(home).context("neither XDG_CACHE_HOME nor HOME is set")?;
        Ok(cache.join("latchkey"))
    }

    /// Where the data of `workspace` is kept.
    #[must_use]
    pub fn data_folder(&self, workspace: &Path) -> PathBuf {
        if self.user.is_none() {
            return workspace.join(".latchkey/postgres");
        }
        let mut hasher = DefaultHasher::new();
        workspace.hash(&mut hasher);
        PathBuf::from(format!("/var/lib/latchkey/{:016x}", hasher.finish()))
    }

    /// A folder that the owner alone can use.
    pub fn make_folder(&self, folder: &Path) -> Result<()> {
        let context = || format!("{} can't be made", folder.display());
        std::fs::create_dir_all(folder).with_context(context)?;
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))?;
        if let Some(user) = &self.user {
            chown(folder, Some(user.uid.as_raw()), Some(user.gid.as_raw()))?;
        }
        Ok(())
    }

    /// A command that runs as the owner, out of reach of the terminal's Ctrl-C.
    #[must_use]
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.process_group(0).current_dir("/");
        if let Some(user) = &self.user {
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        command
    }
}
