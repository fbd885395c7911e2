use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use common::http::{Cors, CorsSettings, Hsts, document};
use common::metrics::Metrics;
use common::readiness::Readiness;
use common::service::{AdminSettings, Blueprint, HttpSettings};
use common::settings::{List, Period};
use common::tls::TlsSettings;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::TestCertificate;

/// A service on free ports and a thread of its own, drained at the end.
pub struct TestServer {
    address: SocketAddr,
    admin_address: SocketAddr,
    scheme: &'static str,
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

    /// The same over TLS.
    pub async fn start_tls<B, F>(certificate: &TestCertificate, build: B) -> Self
    where
        B: FnOnce() -> F + Send + 'static,
        F: Future<Output = Result<Blueprint, String>>,
    {
        Self::start_tls_with(Self::http(), certificate, build).await
    }

    /// The same over TLS with a public listener of one's own kind.
    pub async fn start_tls_with<B, F>(
        http: HttpSettings,
        certificate: &TestCertificate,
        build: B,
    ) -> Self
    where
        B: FnOnce() -> F + Send + 'static,
        F: Future<Output = Result<Blueprint, String>>,
    {
        Self::listen(http, certificate.settings(), build).await
    }

    /// The same with a public listener of one's own kind.
    pub async fn start_with<B, F>(http: HttpSettings, build: B) -> Self
    where
        B: FnOnce() -> F + Send + 'static,
        F: Future<Output = Result<Blueprint, String>>,
    {
        Self::listen(http, TlsSettings::default(), build).await
    }

    async fn listen<B, F>(http: HttpSettings, tls: TlsSettings, build: B) -> Self
    where
        B: FnOnce() -> F + Send + 'static,
        F: Future<Output = Result<Blueprint, String>>,
    {
        let scheme = if tls.certificate_path.is_some() { "https" } else { "http" };
        let stop = CancellationToken::new();
        let (stopped, (sender, receiver)) = (stop.clone(), oneshot::channel());
        let thread = std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let blueprint = build().await.expect("good settings");
                let running = blueprint.listen(&http, &admin(), &tls).expect("free ports");
                sender.send((running.address, running.admin_address)).expect("a waiting test");
                running.run_until(stopped).await.expect("a clean end");
            });
        });
        let (address, admin_address) = receiver.await.expect("the service starts");
        Self { address, admin_address, scheme, stop, thread: Some(thread) }
    }

    /// A service of no more than these routes.
    #[must_use]
    pub fn bare(routes: fn(&mut ServiceConfig)) -> Blueprint {
        Blueprint {
            document: document("A service", "For a test"),
            routes: Arc::new(routes),
            metrics: Metrics::new("a-service"),
            readiness: Readiness::default(),
            cors: Cors::new(&CorsSettings { allowed_origins: List(Vec::new()) }, &[]),
            hsts: Hsts::default(),
            draining: CancellationToken::new(),
            finish: None,
        }
    }

    /// `http://127.0.0.1:port`, `https` over TLS, and `path`.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.address)
    }

    /// The same on the admin listener.
    #[must_use]
    pub fn admin_url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.admin_address)
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
            max_connections: 10_000,
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
