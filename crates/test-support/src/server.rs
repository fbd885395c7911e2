use std::net::SocketAddr;
use std::thread::JoinHandle;

use common::service::{AdminSettings, Blueprint, HttpSettings};
use common::settings::{List, Period};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// A service on free ports and a thread of its own, drained at the end.
pub struct TestServer {
    address: SocketAddr,
    admin_address: SocketAddr,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl TestServer {
    /// Builds and starts a service; `build` runs where the service will.
    pub async fn start<B, F>(build: B) -> Self
    where
        B: FnOnce() -> F + Send + 'static,
        F: Future<Output = Result<Blueprint, String>>,
    {
        Self::start_with(Self::http(), build).await
    }

    /// The same with a public listener of one's own kind.
    pub async fn start_with<B, F>(http: HttpSettings, build: B) -> Self
    where
        B: FnOnce() -> F + Send + 'static,
        F: Future<Output = Result<Blueprint, String>>,
    {
        let stop = CancellationToken::new();
        let (stopped, (sender, receiver)) = (stop.clone(), oneshot::channel());
        let thread = std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let blueprint = build().await.expect("good settings");
                let running = blueprint.listen(&http, &admin()).expect("free ports");
                sender.send((running.address, running.admin_address)).expect("a waiting test");
                running.run_until(stopped).await.expect("a clean end");
            });
        });
        let (address, admin_address) = receiver.await.expect("the service starts");
        Self { address, admin_address, stop, thread: Some(thread) }
    }

    /// `http://127.0.0.1:port` and `path`.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The same on the admin listener.
    #[must_use]
    pub fn admin_url(&self, path: &str) -> String {
        format!("http://{}{path}", self.admin_address)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The public listener of [`Self::start`].
    #[must_use]
    pub fn http() -> HttpSettings {
        HttpSettings {
            host: [127, 0, 0, 1].into(),
            port: 0,
            workers: 2,
            drain_timeout: Period(std::time::Duration::from_secs(5)),
            write_timeout: Period(std::time::Duration::from_secs(30)),
            body_timeout: Period(std::time::Duration::from_secs(20)),
            trusted_proxies: List(Vec::new()),
        }
    }

    /// Begins to drain, as SIGTERM does.
    pub fn drain(&self) {
        self.stop.cancel();
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !std::thread::panicking()
        {
            panic!("the service panicked");
        }
    }
}

fn admin() -> AdminSettings {
    AdminSettings { host: [127, 0, 0, 1].into(), port: 0 }
}
