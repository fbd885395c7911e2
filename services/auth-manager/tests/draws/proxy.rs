//! What stands between us and Keycloak, and does to a token request what networks and providers
//! do. One request a connection.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::realm::keycloak;

const NONSENSE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 14\r\n\
    Connection: close\r\n\r\n<html></html>\r\n";

/// What becomes of the token requests that come from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Nothing but what Keycloak makes of them.
    Pass,
    /// The connection breaks before Keycloak sees them …
    CutBefore,
    /// … or when it has answered.
    CutAfter,
    /// Keycloak's answer is replaced by nonsense.
    Garble,
    /// They wait here, unseen by Keycloak, until the mode changes …
    HoldBefore,
    /// … or Keycloak's answer waits here.
    HoldAfter,
}

/// How far token requests came so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) received: usize,
    pub(crate) answered_by_keycloak: usize,
    pub(crate) answers_passed_on: usize,
}

/// The proxy; it stops to accept when it is dropped.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    road: Arc<Road>,
    listening: Mutex<Option<JoinHandle<()>>>,
}

struct Road {
    mode: watch::Sender<Mode>,
    counts: watch::Sender<Counts>,
}

impl Proxy {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let road = Arc::new(Road {
            mode: watch::Sender::new(Mode::Pass),
            counts: watch::Sender::new(Counts::default()),
        });
        let listening = Mutex::new(Some(listen(listener, Arc::clone(&road))));
        Self { address, road, listening }
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.road.mode.send_replace(mode);
    }

    pub(crate) fn counts(&self) -> Counts {
        *self.road.counts.borrow()
    }

    /// Waits until token requests have come so far.
    pub(crate) async fn until(&self, come: impl FnMut(&Counts) -> bool) {
        self.road.counts.subscribe().wait_for(come).await.unwrap();
    }

    /// Nothing listens any more: connections are refused.
    pub(crate) async fn go_away(&self) {
        let listening = self.listening.lock().unwrap().take().expect("it listens");
        listening.abort();
        let _ = listening.await;
    }

    pub(crate) async fn come_back(&self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        *self.listening.lock().unwrap() = Some(listen(listener, Arc::clone(&self.road)));
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(listening) = self.listening.lock().unwrap().take() {
            listening.abort();
        }
    }
}

fn listen(listener: TcpListener, road: Arc<Road>) -> JoinHandle<()> {
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let road = Arc::clone(&road);
            tokio::spawn(async move { road.carry(stream).await });
        }
    })
}

impl Road {
    async fn carry(&self, mut stream: TcpStream) -> Option<()> {
        let request = read_request(&mut stream).await?;
        if !request.starts_with(b"POST ") {
            let answer = ask(&request).await?;
            return stream.write_all(&answer).await.ok();
        }
        self.count(|counts| &mut counts.received);
        let answer = self.answer(&request).await?;
        stream.write_all(&answer).await.ok()?;
        self.count(|counts| &mut counts.answers_passed_on);
        Some(())
    }

    /// None: the connection breaks.
    async fn answer(&self, request: &[u8]) -> Option<Vec<u8>> {
        let mode = *self.mode.borrow();
        match mode {
            Mode::CutBefore => return None,
            // What comes of it then is as if it came then.
            Mode::HoldBefore if self.change_from(mode).await == Mode::CutBefore => return None,
            _ => {}
        }
        let answer = ask(request).await?;
        self.count(|counts| &mut counts.answered_by_keycloak);
        match mode {
            Mode::CutAfter => None,
            Mode::Garble => Some(NONSENSE.to_vec()),
            Mode::HoldAfter => {
                self.change_from(mode).await;
                Some(answer)
            }
            Mode::Pass | Mode::CutBefore | Mode::HoldBefore => Some(answer),
        }
    }

    async fn change_from(&self, mode: Mode) -> Mode {
        *self.mode.subscribe().wait_for(|now| *now != mode).await.expect("the road is there")
    }

    fn count(&self, which: impl FnOnce(&mut Counts) -> &mut usize) {
        self.counts.send_modify(|counts| *which(counts) += 1);
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
