//! Files with secrets: readable by their owner alone, and never overwritten.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};

/// Writes a new file with `mode`; one that exists is left alone and is an error.
pub(crate) fn write_new(path: &Path, contents: &[u8], mode: u32) -> Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder)
            .with_context(|| format!("{} can't be made", folder.display()))?;
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .with_context(|| format!("{} can't be written", path.display()))?;
    file.write_all(contents)?;
    Ok(())
}
