use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use url::Url;

/// What stands between a service and its database, and does to bytes what networks do.
pub struct TcpProxy {
    address: SocketAddr,
    state: watch::Sender<State>,
    listening: JoinHandle<()>,
}

#[derive(Clone, Copy)]
struct State {
    way: Way,
    /// How often it froze: a connection that is older than the last time is silent.
    frosts: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Open,
    Held,
    Cut,
}

impl TcpProxy {
    /// To the server of `url`, which names its port.
    pub async fn start(url: &str) -> Self {
        let url = Url::parse(url).unwrap();
        let target = (url.host_str().unwrap().to_owned(), url.port().unwrap());
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (state, seen) = watch::channel(State { way: Way::Open, frosts: 0 });
        let listening = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, target.clone(), seen.clone()));
            }
        });
        Self { address, state, listening }
    }

    /// `url` by way of this proxy.
    pub fn url(&self, url: &str) -> String {
        let mut url = Url::parse(url).unwrap();
        url.set_host(Some(&self.address.ip().to_string())).unwrap();
        url.set_port(Some(self.address.port())).unwrap();
        url.into()
    }

    /// From now on nothing gets through and nobody is told.
    pub fn hold(&self) {
        self.state.send_modify(|state| state.way = Way::Held);
    }

    /// Connections break, and new ones break too.
    pub fn cut(&self) {
        self.state.send_modify(|state| state.way = Way::Cut);
    }

    /// All is well again; what was held goes on.
    pub fn mend(&self) {
        self.state.send_modify(|state| state.way = Way::Open);
    }

    /// The connections that there are fall silent for good; new ones are well.
    pub fn freeze(&self) {
        self.state.send_modify(|state| state.frosts += 1);
    }
}

impl Drop for TcpProxy {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn carry(client: TcpStream, target: (String, u16), state: watch::Receiver<State>) {
    if state.borrow().way == Way::Cut {
        return;
    }
    let Ok(server) = TcpStream::connect(target).await else { return };
    let ((from_client, to_client), (from_server, to_server)) =
        (client.into_split(), server.into_split());
    let mut cut = state.clone();
    tokio::select! {
        () = pass(from_client, to_server, state.clone()) => {}
        () = pass(from_server, to_client, state) => {}
        _ = cut.wait_for(|state| state.way == Way::Cut) => {}
    }
}

/// Ends with either side, and both directions with it.
async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut state: watch::Receiver<State>) {
    let born = state.borrow().frosts;
    let mut bytes = vec![0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        if state.wait_for(|state| state.way != Way::Held && state.frosts == born).await.is_err()
            || to.write_all(&bytes[..count]).await.is_err()
        {
            return;
        }
    }
}
