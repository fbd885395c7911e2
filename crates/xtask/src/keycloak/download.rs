use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use reqwest::Response;
use sha2::{Digest as _, Sha256};

use crate::ui::Progress;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// Between two pieces; the whole may take as long as it takes.
const READ_TIMEOUT: Duration = Duration::from_mins(1);

/// Fetches `url` to `path` unless it is there. It lies beside until it is whole and its SHA-256 is
/// the right one.
pub(super) async fn download(what: &str, url: &str, path: &Path, sha256: &str) -> Result<()> {
    if path.exists() {
        return Ok(());
    }
    let folder = path.parent().context("a path in a folder")?;
    std::fs::create_dir_all(folder)
        .with_context(|| format!("{} can't be made", folder.display()))?;
    let part = Part(path.with_extension(format!("part-{}", std::process::id())));
    let mut progress = Progress::start(&format!("fetching {what}"));
    let found = receive(url, &part.0, &mut progress)
        .await
        .with_context(|| format!("{what} can't be fetched from {url}"))?;
    if found != sha256 {
        bail!("{what} as fetched from {url} has another checksum than it should have");
    }
    std::fs::rename(&part.0, path)?;
    progress.done(&format!("{what} is in {}", folder.display()));
    Ok(())
}

/// Goes unless it was moved to its place.
struct Part(PathBuf);

impl Drop for Part {
    fn drop(&mut self) {
        let _moved_already = std::fs::remove_file(&self.0);
    }
}

/// The SHA-256 of what came.
async fn receive(url: &str, path: &Path, progress: &mut Progress) -> Result<String> {
    let client = reqwest::Client::builder();
    let client = client.connect_timeout(CONNECT_TIMEOUT).read_timeout(READ_TIMEOUT).build()?;
    let answer = client.get(url).send().await.and_then(Response::error_for_status);
    let mut answer = answer.map_err(reqwest::Error::without_url)?;
    let total = answer.content_length().unwrap_or_default();
    let (mut file, mut hasher) = (std::fs::File::create(path)?, Sha256::new());
    let mut received = 0;
    while let Some(piece) = answer.chunk().await? {
        file.write_all(&piece)?;
        hasher.update(&piece);
        received += piece.len() as u64;
        progress.advance(received, total);
    }
    file.sync_all()?;
    Ok(hex::encode(hasher.finalize()))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    const SHA256_OF_ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    /// Serves `answer` once.
    async fn serve(answer: &'static str) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/x.zip", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 4096]).await;
            stream.write_all(answer.as_bytes()).await.unwrap();
        });
        url
    }

    #[tokio::test]
    async fn only_a_whole_download_with_the_right_checksum_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.zip");
        for (answer, good) in [
            ("HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nabc", false),
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", false),
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabd", false),
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", true),
        ] {
            let url = serve(answer).await;
            assert_eq!(download("it", &url, &path, SHA256_OF_ABC).await.is_ok(), good, "{answer}");
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), usize::from(good));
        }
        // Nothing is asked again.
        download("it", "http://127.0.0.1:1/", &path, SHA256_OF_ABC).await.unwrap();
    }
}
