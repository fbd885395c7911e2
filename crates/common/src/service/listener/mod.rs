//! A listener: takes connections, shakes hands where it speaks TLS, and serves HTTP/1.1 on them.
//!
//! actix's own server gives the head of a connection's first request a time limit and none to
//! those of later ones, and has all that shake hands wait for each other past a number. So what a
//! connection is, is said here.

mod connection;
mod descriptors;
mod in_flight;

use std::fmt::Debug;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use actix_http::error::DispatchError;
use actix_http::{HttpService, Protocol, Request};
use actix_service::{IntoServiceFactory, ServiceFactory, ServiceFactoryExt as _, map_config};
use actix_web::body::MessageBody;
use actix_web::dev::{AppConfig, Response, Server, Service, fn_service};
use actix_web::rt::net::TcpStream;
use rustls::ServerConfig;
use tokio_rustls::TlsAcceptor;

use connection::Connection;
pub(super) use descriptors::make_room;
pub(super) use in_flight::with_in_flight;

/// How long a connection may wait for its next request.
const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// How long a peer may take to send a request's head.
const HEAD: Duration = Duration::from_secs(5);
/// How long a peer may take to close, once that was begun.
const DISCONNECT: Duration = Duration::from_secs(1);

/// Where and how to listen.
pub(super) struct Listener {
    pub(super) socket: TcpListener,
    /// None: plain HTTP.
    pub(super) tls: Option<ServerConfig>,
    /// Threads; 0 is one a core.
    pub(super) workers: usize,
    /// Connections at a time, in all; whoever comes after them waits.
    pub(super) max_connections: usize,
    /// How long requests in flight may take once the listener is to end.
    pub(super) drain_timeout: Duration,
}

impl Listener {
    /// Serves what `app` makes, once for each worker.
    pub(super) fn serve<F, I, S, B>(self, app: F) -> io::Result<Server>
    where
        F: Fn() -> I + Send + Clone + 'static,
        I: IntoServiceFactory<S, Request>,
        S: ServiceFactory<Request, Config = AppConfig> + 'static,
        S::Error: Into<actix_web::Error> + 'static,
        S::InitError: Debug,
        S::Response: Into<Response<B>> + 'static,
        <S::Service as Service<Request>>::Future: 'static,
        S::Service: 'static,
        B: MessageBody + 'static,
    {
        let workers = match self.workers {
            0 => available_parallelism().map_or(1, usize::from),
            workers => workers,
        };
        let server = Server::build()
            .disable_signals()
            .workers(workers)
            .max_concurrent_connections(self.max_connections.div_ceil(workers))
            .shutdown_timeout(self.drain_timeout.as_secs());
        let ending = server.graceful_shutdown_signal();
        let tls = self.tls.map(|config| TlsAcceptor::from(Arc::new(config)));
        let http = move || {
            let (ending, tls) = (ending.clone(), tls.clone());
            let app = app().into_factory().map_err(|error| error.into().error_response());
            let http = HttpService::build()
                .keep_alive(KEEP_ALIVE)
                .client_request_timeout(HEAD)
                .client_disconnect_timeout(DISCONNECT)
                .graceful_shutdown_signal(move || {
                    let ending = ending.clone();
                    async move { ending.notified().await }
                })
                .on_connect_ext(|connection: &Connection, data| {
                    data.insert(connection.in_flight());
                })
                .finish(map_config(app, |()| AppConfig::default()));
            fn_service(move |stream| accept(stream, tls.clone())).and_then(http)
        };
        Ok(server.listen("http", self.socket, http)?.run())
    }
}

async fn accept(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
) -> Result<(Connection, Protocol, Option<SocketAddr>), DispatchError> {
    // Events and frames are small and must not wait for a reader's acknowledgement.
    stream.set_nodelay(true)?;
    let peer = stream.peer_addr().ok();
    let connection = Connection::open(stream, tls, KEEP_ALIVE + HEAD).await?;
    Ok((connection, Protocol::Http1, peer))
}
