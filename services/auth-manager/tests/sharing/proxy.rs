//! What stands between us and Keycloak: it counts calls by their endpoint, and keeps or breaks
//! those of one endpoint. One request a connection.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::realm::keycloak;

/// An endpoint, by a part of its path.
pub(crate) const REVOKE: &str = "/openid-connect/revoke";
pub(crate) const TOKEN: &str = "/openid-connect/token ";
pub(crate) const SESSIONS: &str = "/sessions/";

/// What becomes of requests to one endpoint that come from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The connection breaks before Keycloak sees them.
    CutBefore,
    /// They wait here, unseen by Keycloak, until the mode changes …
    HoldBefore,
    /// … or Keycloak's answer waits here.
    HoldAfter,
}

/// A request that came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    request: String,
    answered_by_keycloak: bool,
}

/// The proxy.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    road: Arc<Road>,
}

struct Road {
    fault: watch::Sender<Option<(&'static str, Mode)>>,
    seen: watch::Sender<Vec<Seen>>,
}

impl Proxy {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let road = Arc::new(Road {
            fault: watch::Sender::new(None),
            seen: watch::Sender::new(Vec::new()),
        });
        let listening = Arc::clone(&road);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let road = Arc::clone(&listening);
                tokio::spawn(async move { road.carry(stream).await });
            }
        });
        Self { address, road }
    }

    pub(crate) fn set(&self, endpoint: &'static str, mode: Mode) {
        self.road.fault.send_replace(Some((endpoint, mode)));
    }

    pub(crate) fn pass(&self) {
        self.road.fault.send_replace(None);
    }

    /// How many requests to `endpoint` came so far.
    pub(crate) fn count(&self, endpoint: &str) -> usize {
        count(&self.road.seen.borrow(), endpoint, false)
    }

    /// Whether the last request to `endpoint` had `text` in it.
    pub(crate) fn last_had(&self, endpoint: &str, text: &str) -> bool {
        let seen = self.road.seen.borrow();
        let last = seen.iter().rfind(|seen| seen.request.contains(endpoint));
        last.is_some_and(|last| last.request.contains(text))
    }

    /// Waits until so many requests to `endpoint` came …
    pub(crate) async fn until_received(&self, endpoint: &str, wanted: usize) {
        let mut seen = self.road.seen.subscribe();
        seen.wait_for(|seen| count(seen, endpoint, false) >= wanted).await.unwrap();
    }

    /// … or were answered by Keycloak, whether or not the answer went on.
    pub(crate) async fn until_answered(&self, endpoint: &str, wanted: usize) {
        let mut seen = self.road.seen.subscribe();
        seen.wait_for(|seen| count(seen, endpoint, true) >= wanted).await.unwrap();
    }
}

fn count(seen: &[Seen], endpoint: &str, answered: bool) -> usize {
    let counts =
        |seen: &&Seen| seen.request.contains(endpoint) && (seen.answered_by_keycloak || !answered);
    seen.iter().filter(counts).count()
}

impl Road {
    async fn carry(&self, mut stream: TcpStream) -> Option<()> {
        let request = read_request(&mut stream).await?;
        let text = String::from_utf8_lossy(&request).into_owned();
        let fault = self.fault.borrow().filter(|(endpoint, _)| text.contains(endpoint));
        let mut number = 0;
        self.seen.send_modify(|seen| {
            number = seen.len();
            seen.push(Seen { request: text, answered_by_keycloak: false });
        });
        match fault {
            Some((_, Mode::CutBefore)) => return None,
            Some((_, Mode::HoldBefore)) => self.wait_for_change(fault).await,
            _ => {}
        }
        let answer = ask(&request).await?;
        self.seen.send_modify(|seen| seen[number].answered_by_keycloak = true);
        if matches!(fault, Some((_, Mode::HoldAfter))) {
            self.wait_for_change(fault).await;
        }
        stream.write_all(&answer).await.ok()
    }

    async fn wait_for_change(&self, fault: Option<(&'static str, Mode)>) {
        self.fault.subscribe().wait_for(|now| *now != fault).await.expect("the road is there");
    }
}

/// A request with its body, asking for the connection to be closed after it.
async fn read_request(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut request = Vec::new();
    loop {
        if stream.read_buf(&mut request).await.ok()? == 0 {
            return None;
        }
        let Some(head) = request.windows(4).position(|end| end == b"\r\n\r\n") else { continue };
        let text = String::from_utf8_lossy(&request[..head]).to_lowercase();
        let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
        let length: usize = length.map_or(0, |length| length.trim().parse().unwrap());
        if request.len() >= head + 4 + length {
            request.splice(head..head, *b"\r\nConnection: close");
            return Some(request);
        }
    }
}

async fn ask(request: &[u8]) -> Option<Vec<u8>> {
    let url = url::Url::parse(&keycloak()).unwrap();
    let address = (url.host_str().unwrap(), url.port_or_known_default().unwrap());
    let mut stream = TcpStream::connect(address).await.ok()?;
    stream.write_all(request).await.ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.ok()?;
    Some(answer)
}
