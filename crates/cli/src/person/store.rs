//! The file with the device's key and the tokens.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::failure::Failure;
use crate::device::DeviceFile;

/// Who this device belongs to, where its services are, and its session.
#[derive(Serialize, Deserialize)]
pub(crate) struct Profile {
    pub(crate) user_service: String,
    pub(crate) chat_service: String,
    pub(crate) username: String,
    pub(crate) device: DeviceFile,
    /// None once logged out; the device stays.
    pub(crate) session: Option<Session>,
}

/// A session's newest tokens.
#[derive(Serialize, Deserialize)]
pub(crate) struct Session {
    /// The tokens' `sid`.
    #[serde(rename = "session_id")]
    pub(crate) id: Uuid,
    pub(crate) access_token: String,
    /// End of the access token, by this machine's clock.
    #[serde(serialize_with = "common::clock::serialize")]
    pub(crate) expires_at: DateTime<Utc>,
    pub(crate) refresh_token: String,
}

/// The file, held by this process alone: a refresh token must not be presented by two.
pub(crate) struct Store {
    path: PathBuf,
    _lock: File,
}

/// `latchkey/session.json` in the user's config folder, by the XDG base directory specification.
pub(crate) fn default_path() -> Result<PathBuf, Failure> {
    let configured = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from);
    let folder = configured
        .filter(|folder| folder.is_absolute())
        .or_else(|| Some(std::env::home_dir()?.join(".config")))
        .ok_or_else(|| Failure::Usage("no home folder; name a file with --file".to_owned()))?;
    Ok(folder.join("latchkey").join("session.json"))
}

impl Store {
    /// Waits until no other process holds the file.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        // A link stays a link: what it points to is replaced.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
            made.map_err(|error| Failure::file(folder, "can't be made", &error))?;
        }
        let lock_path = beside(&path, "lock");
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&lock_path)
            .and_then(|file| file.lock().map(|()| file))
            .map_err(|error| Failure::file(&lock_path, "can't be locked", &error))?;
        Ok(Self { path, _lock: lock })
    }

    /// What is kept, if anything is.
    pub(crate) fn load(&self) -> Result<Option<Profile>, Failure> {
        let path = &self.path;
        let unreadable = |error| Failure::file(path, "can't be read", &error);
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unreadable(error)),
        };
        let mode = path.metadata().map_err(unreadable)?.permissions().mode();
        if mode & 0o077 != 0 {
            let path = path.display();
            return Err(Failure::File(format!("others can read {path}: run `chmod 600 {path}`")));
        }
        let damaged = "is damaged; move it away and log in with `latchkey login`";
        let profile = serde_json::from_slice(&text);
        // The parser's own words could quote a secret.
        profile.map(Some).map_err(|error| Failure::file(path, damaged, &place(&error)))
    }

    /// Replaces the file in one step: a crash leaves the old one or the new one, whole.
    pub(crate) fn save(&self, profile: &Profile) -> Result<(), Failure> {
        self.replace(profile).map_err(|error| Failure::file(&self.path, "can't be written", &error))
    }

    fn replace(&self, profile: &Profile) -> std::io::Result<()> {
        let next = beside(&self.path, "new");
        // Left by a crash, perhaps with another mode.
        if let Err(error) = fs::remove_file(&next)
            && error.kind() != ErrorKind::NotFound
        {
            return Err(error);
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&next)?;
        file.write_all(&serde_json::to_vec_pretty(profile)?)?;
        file.sync_all()?;
        fs::rename(&next, &self.path)?;
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }
}

fn beside(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    name.into()
}

fn place(error: &serde_json::Error) -> String {
    format!("line {}, column {}", error.line(), error.column())
}
