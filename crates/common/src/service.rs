//! A service from its settings to its end: build, listen, run, drain.

mod admin;
mod listener;
mod run;

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::middleware::from_fn;
use actix_web::{App, HttpRequest, web};
use ipnet::IpNet;
use serde::Deserialize;
use socket2::{Domain, Socket, Type};
use tokio_util::sync::CancellationToken;
use utoipa::openapi::OpenApi;
use utoipa_actix_web::AppExt as _;
use utoipa_actix_web::service_config::ServiceConfig;

pub use run::{ServiceSettings, load, run};

use crate::http::{
    BodyTimeout, Context, Cors, Hsts, Operations, TrustedProxies, health, pages, ready,
};
use crate::http::{with_common_errors, with_context, with_cors, with_head, with_protection};
use crate::metrics::{HttpMetrics, Metrics};
use crate::readiness::{Checking, Readiness};
use crate::settings::{List, Period, positive};
use crate::tls::TlsSettings;
use listener::{Listener, make_room, with_in_flight};

/// Connections that wait to be taken. What comes past them the system forgets, and tells nobody.
const BACKLOG: i32 = 2048;

/// Section `http`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpSettings {
    /// Address to listen on.
    pub host: IpAddr,
    /// Port; 0 takes a free one.
    pub port: u16,
    /// Worker threads; 0 is one a core.
    pub workers: usize,
    /// Connections at a time, of all workers together.
    #[serde(deserialize_with = "positive")]
    pub max_connections: usize,
    /// How long requests in flight may take after SIGTERM.
    pub drain_timeout: Period,
    /// How long a peer may leave untaken what was sent to it.
    #[serde(deserialize_with = "positive")]
    pub write_timeout: Period,
    /// How long a peer may take to send a request's body.
    #[serde(deserialize_with = "positive")]
    pub body_timeout: Period,
    /// Networks whose `X-Forwarded-For` is believed.
    pub trusted_proxies: List<IpNet>,
}

/// Section `admin`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdminSettings {
    /// Address of the admin listener.
    pub host: IpAddr,
    /// Its port; 0 takes a free one.
    pub port: u16,
}

type Routes = Arc<dyn Fn(&mut ServiceConfig) + Send + Sync>;
/// Writes what a service still holds when its last request has been answered.
pub type Finish = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Everything that [`Blueprint::listen`] makes a running service of.
pub struct Blueprint {
    /// The OpenAPI document's title, version and security schemes; paths come from `routes`.
    pub document: OpenApi,
    /// The service's state and its route table.
    pub routes: Routes,
    /// The registry that `/metrics` renders.
    pub metrics: Metrics,
    /// What `/ready` asks.
    pub readiness: Readiness,
    /// Who may call from a browser.
    pub cors: Cors,
    /// Which browsers are told to keep to TLS.
    pub hsts: Hsts,
    /// Cancelled when the service begins to drain; live connections end themselves then.
    pub draining: CancellationToken,
    /// Waited for at the very end; bounds its own time.
    pub finish: Option<Finish>,
}

/// A service that listens.
pub struct Running {
    /// Where the public listener is.
    pub address: SocketAddr,
    /// Where the admin listener is.
    pub admin_address: SocketAddr,
    /// Whether both speak TLS.
    pub tls: bool,
    public: actix_web::dev::Server,
    admin: actix_web::dev::Server,
    draining: CancellationToken,
    finish: Option<Finish>,
    checking: Checking,
}

impl Blueprint {
    /// The document with every documented route in it.
    #[must_use]
    pub fn openapi(&self) -> OpenApi {
        let routes = Arc::clone(&self.routes);
        let (_, document) = App::new()
            .into_utoipa_app()
            .openapi(self.document.clone())
            .configure(move |config| all_routes(config, &routes))
            .split_for_parts();
        with_common_errors(document)
    }

    /// Opens both ports and starts to serve, over TLS where there is a certificate.
    pub fn listen(
        mut self,
        http: &HttpSettings,
        admin: &AdminSettings,
        tls: &TlsSettings,
    ) -> std::io::Result<Running> {
        let (cors, tasks) = (self.cors.clone(), self.metrics.tasks());
        self.readiness = self
            .readiness
            .with_known("cors_origins", move || cors.readiness())
            .with_known("tasks", move || tasks.readiness())
            .until(self.draining.clone());
        let tls = tls.open(&self.metrics).map_err(std::io::Error::other)?;
        let public_socket = bind(http.host, http.port)?;
        limit_untaken(&public_socket, http.write_timeout.0)?;
        let admin_socket = bind(admin.host, admin.port)?;
        let (address, admin_address) = (public_socket.local_addr()?, admin_socket.local_addr()?);
        let (metrics, readiness) = (self.metrics.clone(), self.readiness.clone());
        let room = make_room(http.max_connections + admin::MAX_CONNECTIONS);
        let max_connections = room.saturating_sub(admin::MAX_CONNECTIONS).max(1);
        let admin_server = admin::serve(admin_socket, metrics, readiness, &self.hsts, tls.clone())?;
        let (draining, finish) = (self.draining.clone(), self.finish.take());
        let (is_tls, checking) = (tls.is_some(), self.readiness.start());
        let listener = Listener {
            socket: public_socket,
            tls,
            workers: http.workers,
            max_connections,
            drain_timeout: http.drain_timeout.0,
        };
        let public = self.serve(listener, http)?;
        Ok(Running {
            address,
            admin_address,
            tls: is_tls,
            public,
            admin: admin_server,
            draining,
            finish,
            checking,
        })
    }

    fn serve(
        self,
        listener: Listener,
        http: &HttpSettings,
    ) -> std::io::Result<actix_web::dev::Server> {
        let document = self.openapi();
        let operations = Operations::of(&document);
        let metrics = HttpMetrics::register(&self.metrics);
        let context = web::Data::new(Context { operations: operations.clone(), metrics });
        let cors = web::Data::new(self.cors);
        let readiness = web::Data::new(self.readiness);
        let hsts = web::Data::new(self.hsts.on(listener.tls.is_some()));
        let body_timeout = web::Data::new(BodyTimeout(http.body_timeout.0));
        let proxies = web::Data::new(TrustedProxies(http.trusted_proxies.0.clone()));
        let routes = self.routes;
        listener.serve(move || {
            let (document, routes) = (document.clone(), Arc::clone(&routes));
            let operations = operations.clone();
            let (app, _) = App::new()
                .into_utoipa_app()
                .app_data(context.clone())
                .app_data(cors.clone())
                .app_data(hsts.clone())
                .app_data(readiness.clone())
                .app_data(body_timeout.clone())
                .app_data(proxies.clone())
                .configure(move |config| all_routes(config, &routes))
                .split_for_parts();
            app.configure(move |config| pages(config, document))
                .default_service(web::to(move |request: HttpRequest| {
                    let response = operations.refuse(&request);
                    async move { response }
                }))
                .wrap(from_fn(with_head))
                .wrap(from_fn(with_cors))
                .wrap(from_fn(with_context))
                .wrap(from_fn(with_protection))
                .wrap(from_fn(with_in_flight))
        })
    }
}

fn all_routes(config: &mut ServiceConfig, routes: &Routes) {
    config.service(health).service(ready);
    routes(config);
}

fn bind(host: IpAddr, port: u16) -> std::io::Result<TcpListener> {
    let address = SocketAddr::from((host, port));
    let bound = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        // As `TcpListener::bind` has it: a port is free again once its listener is closed.
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    };
    bound().map_err(|error: std::io::Error| {
        std::io::Error::new(error.kind(), format!("{host}:{port} can't be opened: {error}"))
    })
}

/// Connections to `socket` inherit it. Without it a peer that reads no more and keeps its end open
/// holds memory and a file descriptor here for ever.
#[cfg(target_os = "linux")]
fn limit_untaken(socket: &TcpListener, after: Duration) -> std::io::Result<()> {
    socket2::SockRef::from(socket).set_tcp_user_timeout(Some(after))
}

#[cfg(not(target_os = "linux"))]
fn limit_untaken(_: &TcpListener, _: Duration) -> std::io::Result<()> {
    Ok(())
}

impl Running {
    /// Serves until `stop` is cancelled, then drains: the listener closes, live connections are
    /// told, requests in flight end, and what is still held is written. A listener that ends
    /// unasked is an error.
    pub async fn run_until(self, stop: CancellationToken) -> std::io::Result<()> {
        let handles = (self.public.handle(), self.admin.handle());
        let (mut public, mut admin) = (pin!(self.public), pin!(self.admin));
        let ended = tokio::select! {
            () = stop.cancelled() => None,
            ended = &mut public => Some(ended),
            ended = &mut admin => Some(ended),
        };
        self.draining.cancel();
        if let Some(ended) = ended {
            return ended.and_then(|()| Err(std::io::Error::other("a listener ended unasked")));
        }
        tracing::info!("draining");
        let servers = async { tokio::try_join!(public, admin) };
        let (result, ()) = tokio::join!(servers, stop_all(&handles.0, &handles.1));
        drop(self.checking);
        if let Some(finish) = self.finish {
            finish.await;
        }
        result.map(|_| ())
    }
}

async fn stop_all(public: &ServerHandle, admin: &ServerHandle) {
    // The public listener first, so that the admin one can still be scraped while it drains.
    public.stop(true).await;
    admin.stop(false).await;
    // Workers report their end just before their threads are gone.
    tokio::time::sleep(Duration::ZERO).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::CorsSettings;

    #[actix_web::test]
    async fn a_listener_that_ends_by_itself_ends_the_service() {
        let blueprint = Blueprint {
            document: crate::http::document("A service", "For a test"),
            routes: Arc::new(|_| {}),
            metrics: Metrics::new("a-service"),
            readiness: Readiness::default(),
            cors: Cors::new(&CorsSettings { allowed_origins: List(Vec::new()) }, &[]),
            hsts: Hsts::default(),
            draining: CancellationToken::new(),
            finish: None,
        };
        let host = [127, 0, 0, 1].into();
        let http = HttpSettings {
            host,
            port: 0,
            workers: 1,
            max_connections: 100,
            drain_timeout: Period(Duration::from_secs(1)),
            write_timeout: Period(Duration::from_secs(1)),
            body_timeout: Period(Duration::from_secs(1)),
            trusted_proxies: List::default(),
        };
        let admin = AdminSettings { host, port: 0 };
        let running = blueprint.listen(&http, &admin, &TlsSettings::default()).unwrap();
        let (handle, draining) = (running.public.handle(), running.draining.clone());
        let (result, ()) =
            tokio::join!(running.run_until(CancellationToken::new()), handle.stop(false));
        assert!(result.unwrap_err().to_string().contains("unasked"));
        assert!(draining.is_cancelled());
    }
}
