use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow};

use super::Machine;
use super::download::download;
use crate::ui::Progress;

const VERSION: &str = "26.7.4";
const SHA256: &str = "a286e98b4296d4e75ee88d8527c7cd463b307caa022f088c9f22cffccc741fa1";

/// Fetches the distribution into the cache once and unpacks it in `folder`, where Keycloak keeps
/// its data too; answers its home.
pub(super) async fn provide(machine: &Machine, folder: &Path) -> Result<PathBuf> {
    let home = folder.join(format!("keycloak-{VERSION}"));
    if home.exists() {
        return Ok(home);
    }
    let archive = machine.cache.join(format!("keycloak-{VERSION}.zip"));
    let (repository, artifact) = (&machine.repository, "keycloak-quarkus-dist");
    let url = format!("{repository}/org/keycloak/{artifact}/{VERSION}/{artifact}-{VERSION}.zip");
    let what = format!("Keycloak {VERSION}");
    download(&what, &url, &archive, SHA256).await.map_err(|error| {
        anyhow!(
            "{error:#}; give this machine a way there (HTTPS_PROXY is heeded), or put the file at {}",
            archive.display()
        )
    })?;
    let progress = Progress::start(&format!("unpacking {what}"));
    let (from, to) = (archive.clone(), folder.to_path_buf());
    tokio::task::spawn_blocking(move || unpack(&from, &to))
        .await?
        .with_context(|| format!("{} can't be unpacked", archive.display()))?;
    progress.done(&format!("{what} is unpacked"));
    Ok(home)
}

/// Unpacks beside its place and moves it there once complete.
fn unpack(archive: &Path, folder: &Path) -> Result<()> {
    let unfinished = folder.join("unfinished");
    if unfinished.exists() {
        std::fs::remove_dir_all(&unfinished)?;
    }
    std::fs::create_dir_all(&unfinished)?;
    zip::ZipArchive::new(std::fs::File::open(archive)?)?.extract(&unfinished)?;
    let name = format!("keycloak-{VERSION}");
    for script in std::fs::read_dir(unfinished.join(&name).join("bin"))? {
        let path = script?.path();
        // The archive has no run bits.
        if path.extension().is_some_and(|extension| extension == "sh") {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))?;
        }
    }
    std::fs::rename(unfinished.join(&name), folder.join(&name))?;
    std::fs::remove_dir(unfinished)?;
    Ok(())
}
