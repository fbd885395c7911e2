use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// Far longer than anything takes; a test never passes by it.
const PATIENCE: Duration = Duration::from_secs(20);

/// An answer as it came over the wire; status 0 where the connection was closed without one.
#[derive(Debug, Default)]
pub struct RawAnswer {
    /// Its status.
    pub status: u16,
    /// Its status line and headers, in lower case.
    pub head: String,
    /// Its body, as far as it came.
    pub text: String,
    /// Its body as JSON, null where it is none.
    pub json: Value,
}

/// A connection on which anything at all can be said.
pub struct RawConnection(TcpStream);

impl RawConnection {
    /// To a service that listens.
    pub async fn open(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).await.expect("a listening service"))
    }

    /// Sends `bytes`, to which more will follow.
    ///
    /// # Panics
    /// When the other side has closed.
    pub async fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.expect("an open connection");
    }

    /// Sends `bytes` as far as they are taken, and reads the answer meanwhile.
    ///
    /// # Panics
    /// When there is neither an answer nor an end.
    pub async fn ask(&mut self, bytes: &[u8]) -> RawAnswer {
        let (mut reader, mut writer) = self.0.split();
        let send = async {
            // Who has answered need not take the rest.
            let _ = writer.write_all(bytes).await;
            std::future::pending::<()>().await;
        };
        let answer = async {
            tokio::select! {
                () = send => unreachable!("sending never ends the exchange"),
                answer = read(&mut reader) => answer,
            }
        };
        timeout(PATIENCE, answer).await.expect("an answer or an end")
    }

    /// Sends `bytes` and says no more, whatever they announced.
    ///
    /// # Panics
    /// When there is neither an answer nor an end.
    pub async fn ask_and_hang_up(&mut self, bytes: &[u8]) -> RawAnswer {
        let _ = self.0.write_all(bytes).await;
        let _ = self.0.shutdown().await;
        timeout(PATIENCE, read(&mut self.0)).await.expect("an answer or an end")
    }

    /// Waits until the other side closes.
    ///
    /// # Panics
    /// When it does not.
    pub async fn closed(&mut self) {
        let mut rest = vec![0; 4096];
        let end = async { while let Ok(1..) = self.0.read(&mut rest).await {} };
        timeout(PATIENCE, end).await.expect("the connection is closed");
    }

    /// The same while `bytes` go on being sent to it, with a pause after each time.
    ///
    /// # Panics
    /// When it does not.
    pub async fn closed_though_sent(&mut self, bytes: &[u8], pause: Duration) {
        let (mut reader, mut writer) = self.0.split();
        let mut rest = vec![0; 4096];
        let end = async { while let Ok(1..) = reader.read(&mut rest).await {} };
        let send = async {
            while writer.write_all(bytes).await.is_ok() {
                sleep(pause).await;
            }
        };
        let closed = async {
            tokio::select! {
                () = end => {}
                () = send => {}
            }
        };
        timeout(PATIENCE, closed).await.expect("the connection is closed");
    }
}

async fn read(reader: &mut (impl AsyncRead + Unpin)) -> RawAnswer {
    let (mut bytes, mut chunk) = (Vec::new(), vec![0; 16 * 1024]);
    loop {
        if let Some(answer) = parse(&bytes, false) {
            return answer;
        }
        match reader.read(&mut chunk).await {
            Ok(count @ 1..) => bytes.extend_from_slice(&chunk[..count]),
            _ => return parse(&bytes, true).unwrap_or_default(),
        }
    }
}

/// None while more is to come.
fn parse(bytes: &[u8], ended: bool) -> Option<RawAnswer> {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let head = head.to_lowercase();
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let whole = match length {
        Some(length) => body.len() >= length.parse::<usize>().ok()?,
        // Nobody waits for the end of a stream.
        None => head.contains("text/event-stream") || body.ends_with("0\r\n\r\n"),
    };
    let json = serde_json::from_str(body).unwrap_or_default();
    (whole || ended).then(|| RawAnswer { status, head, text: body.to_owned(), json })
}
