use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use url::Url;

/// What becomes of requests on a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProxyFault {
    /// The connection breaks before Keycloak sees them …
    CutBefore,
    /// … or once Keycloak has answered …
    CutAfter,
    /// … or between the answer's head and its body.
    CutAfterHead,
    /// They wait, unseen by Keycloak, until the fault is over …
    HoldBefore,
    /// … or Keycloak's answer waits.
    HoldAfter,
    /// Keycloak never sees them; this is answered instead: status and body.
    Answer(u16, &'static str),
    /// Keycloak sees them, and its answer is replaced by this.
    Garble(&'static str),
}

/// What stands between a service and Keycloak, and does to requests what networks do. A path is
/// named by how it ends, such as `/token`, or by what stands before its last segment, such as
/// `/sessions/`.
pub struct FaultProxy {
    address: SocketAddr,
    road: Arc<Road>,
    listening: Mutex<Option<JoinHandle<()>>>,
}

struct Road {
    target: (String, u16),
    faults: watch::Sender<BTreeMap<&'static str, ProxyFault>>,
    seen: watch::Sender<Vec<Seen>>,
    answered: watch::Sender<Vec<String>>,
    connections: Mutex<Connections>,
}

#[derive(Default)]
struct Connections {
    open: usize,
    most: usize,
}

struct Seen {
    path: String,
    request: String,
}

impl FaultProxy {
    /// To the Keycloak at `base`.
    pub async fn start(base: &str) -> Self {
        let base = Url::parse(base).unwrap();
        let target = (base.host_str().unwrap().to_owned(), base.port_or_known_default().unwrap());
        let (faults, seen) = (watch::Sender::default(), watch::Sender::default());
        let (answered, connections) = (watch::Sender::default(), Mutex::default());
        let road = Road { target, faults, seen, answered, connections };
        let (listener, road) = (TcpListener::bind(("127.0.0.1", 0)).await.unwrap(), Arc::new(road));
        let address = listener.local_addr().unwrap();
        let listening = Mutex::new(Some(listen(listener, Arc::clone(&road))));
        Self { address, road, listening }
    }

    /// `http://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on; replaces what the path had.
    pub fn fail(&self, path: &'static str, fault: ProxyFault) {
        self.road.faults.send_modify(|faults| {
            faults.insert(path, fault);
        });
    }

    /// All is well again on the path; what was held goes on.
    pub fn mend(&self, path: &str) {
        self.road.faults.send_modify(|faults| {
            faults.remove(path);
        });
    }

    /// How many requests have come on the path so far.
    pub fn calls(&self, path: &str) -> usize {
        self.road.seen.borrow().iter().filter(|seen| is_named(path, &seen.path)).count()
    }

    /// The last request on the path, head and body; empty where none has come.
    pub fn last(&self, path: &str) -> String {
        let seen = self.road.seen.borrow();
        let last = seen.iter().rfind(|seen| is_named(path, &seen.path));
        last.map_or_else(String::new, |last| last.request.clone())
    }

    /// How many connections were open at the same time at most, each until its answer is on its
    /// way.
    pub fn most_at_once(&self) -> usize {
        self.road.connections.lock().unwrap().most
    }

    /// Waits until so many have come.
    pub async fn until_calls(&self, path: &str, calls: usize) {
        let mut seen = self.road.seen.subscribe();
        let came = |seen: &Vec<Seen>| seen.iter().filter(|seen| is_named(path, &seen.path)).count();
        seen.wait_for(|seen| came(seen) >= calls).await.unwrap();
    }

    /// Waits until Keycloak has answered so many, whatever became of its answers.
    pub async fn until_answered(&self, path: &str, calls: usize) {
        let mut answered = self.road.answered.subscribe();
        let came = |answered: &Vec<String>| {
            answered.iter().filter(|answered| is_named(path, answered)).count()
        };
        answered.wait_for(|answered| came(answered) >= calls).await.unwrap();
    }

    /// Connections are refused.
    pub async fn go_away(&self) {
        let listening = self.listening.lock().unwrap().take().expect("it listens");
        listening.abort();
        let _ = listening.await;
    }

    /// And taken again.
    pub async fn come_back(&self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        *self.listening.lock().unwrap() = Some(listen(listener, Arc::clone(&self.road)));
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        if let Some(listening) = self.listening.lock().unwrap().take() {
            listening.abort();
        }
    }
}

fn is_named(name: &str, path: &str) -> bool {
    path.ends_with(name)
        || name.ends_with('/')
            && path.rsplit_once('/').is_some_and(|(before, _)| format!("{before}/").ends_with(name))
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
    /// One request; none: the connection breaks.
    async fn carry(&self, mut stream: TcpStream) -> Option<()> {
        let answer = {
            let _open = self.open();
            self.answer(&mut stream).await?
        };
        stream.write_all(&answer).await.ok()
    }

    async fn answer(&self, stream: &mut TcpStream) -> Option<Vec<u8>> {
        let (path, request) = read_request(stream).await?;
        let text = String::from_utf8_lossy(&request).into_owned();
        self.seen.send_modify(|seen| seen.push(Seen { path: path.clone(), request: text }));
        let mut fault = self.fault(&path);
        if fault == Some(ProxyFault::HoldBefore) {
            // What comes of it then is as if it came then.
            fault = self.change(&path, &ProxyFault::HoldBefore).await;
        }
        let answer = match fault {
            Some(ProxyFault::CutBefore) => return None,
            Some(ProxyFault::Answer(status, body)) => written(status, body),
            _ => {
                let answer = self.ask(&request).await?;
                self.answered.send_modify(|answered| answered.push(path.clone()));
                answer
            }
        };
        match fault {
            Some(ProxyFault::CutAfter) => None,
            Some(ProxyFault::CutAfterHead) => Some(head_of(answer)),
            Some(ProxyFault::Garble(body)) => Some(written(200, body)),
            Some(ProxyFault::HoldAfter) => {
                self.change(&path, &ProxyFault::HoldAfter).await;
                Some(answer)
            }
            _ => Some(answer),
        }
    }

    fn open(&self) -> Open<'_> {
        let mut connections = self.connections.lock().unwrap();
        connections.open += 1;
        connections.most = connections.most.max(connections.open);
        Open(self)
    }

    fn fault(&self, path: &str) -> Option<ProxyFault> {
        fault_of(&self.faults.borrow(), path)
    }

    async fn change(&self, path: &str, from: &ProxyFault) -> Option<ProxyFault> {
        let mut faults = self.faults.subscribe();
        let changed = faults.wait_for(|now| fault_of(now, path).as_ref() != Some(from)).await;
        fault_of(&changed.expect("the road is there"), path)
    }

    async fn ask(&self, request: &[u8]) -> Option<Vec<u8>> {
        let mut stream = TcpStream::connect((self.target.0.as_str(), self.target.1)).await.ok()?;
        stream.write_all(request).await.ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.ok()?;
        Some(answer)
    }
}

/// A connection that is counted as open.
struct Open<'a>(&'a Road);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.connections.lock().unwrap().open -= 1;
    }
}

fn fault_of(faults: &BTreeMap<&'static str, ProxyFault>, path: &str) -> Option<ProxyFault> {
    faults.iter().find(|(name, _)| is_named(name, path)).map(|(_, fault)| fault.clone())
}

fn head_of(mut answer: Vec<u8>) -> Vec<u8> {
    let end = answer.windows(4).position(|end| end == b"\r\n\r\n").expect("a head");
    answer.truncate(end + 4);
    answer
}

fn written(status: u16, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 {status} Any\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    )
    .into_bytes()
}

/// A request's path, and the whole of it, asking for the connection to be closed after it.
async fn read_request(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut request = Vec::new();
    loop {
        if stream.read_buf(&mut request).await.ok()? == 0 {
            return None;
        }
        let Some(head) = request.windows(4).position(|end| end == b"\r\n\r\n") else { continue };
        let text = String::from_utf8_lossy(&request[..head]).into_owned();
        let lengths = text.lines().filter_map(|line| line.split_once(':'));
        let mut lengths = lengths.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
        let length = lengths.next().map_or(0, |(_, length)| length.trim().parse().unwrap());
        if request.len() >= head + 4 + length {
            let target = text.split(' ').nth(1)?;
            let path = target.split('?').next()?.to_owned();
            request.splice(head..head, *b"\r\nConnection: close");
            return Some((path, request));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_named_by_its_end_or_by_what_stands_before_its_last_segment() {
        assert!(is_named("/token", "/realms/one/protocol/openid-connect/token"));
        assert!(!is_named("/token", "/realms/one/protocol/openid-connect/token/introspect"));
        assert!(is_named("/sessions/", "/admin/realms/one/sessions/abc"));
        assert!(!is_named("/sessions/", "/admin/realms/one/sessions/abc/more"));
        assert!(!is_named("/sessions/", "/admin/realms/one/sessions"));
    }

    #[test]
    fn an_answer_is_cut_after_its_head() {
        let answer = written(200, "{}");
        assert_eq!(head_of(answer.clone()), answer[..answer.len() - 2]);
    }
}
