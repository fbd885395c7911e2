use std::net::SocketAddr;
use std::thread::JoinHandle;

use actix_web::dev::ServerHandle;
use actix_web::web::ServiceConfig;
use actix_web::{App, HttpServer};
use tokio::sync::oneshot;

/// An HTTP server that stands in for somebody on the internet, on a free port and a thread of its
/// own; it ends with this.
pub struct StandInServer {
    address: SocketAddr,
    handle: ServerHandle,
    thread: Option<JoinHandle<()>>,
}

impl StandInServer {
    /// With the routes that `configure` gives it.
    pub async fn start(configure: impl Fn(&mut ServiceConfig) + Send + Clone + 'static) -> Self {
        let (sender, receiver) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let server = HttpServer::new(move || App::new().configure(configure.clone()));
                let server = server.workers(1).disable_signals();
                let server = server.bind(("127.0.0.1", 0)).expect("a free port");
                let address = server.addrs()[0];
                let server = server.run();
                sender.send((address, server.handle())).expect("a waiting test");
                server.await.expect("a clean end");
            });
        });
        let (address, handle) = receiver.await.expect("the server starts");
        Self { address, handle, thread: Some(thread) }
    }

    /// `http://127.0.0.1:port` and `path`.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

impl Drop for StandInServer {
    fn drop(&mut self) {
        // The handle works whether or not its answer is awaited.
        drop(self.handle.stop(false));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
