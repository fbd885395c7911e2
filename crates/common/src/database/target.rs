//! The one way to a connection: what a URL says, TLS included, as users of libpq know it.

use std::net::IpAddr;
use std::time::Duration;

use diesel_async::AsyncPgConnection;
use tokio::time::timeout;
use tokio_postgres::config::{Host, SslMode as Wire, SslNegotiation};
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Config, Connection, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::failure::{describe, is_of_tls_alone};
use super::ssl_mode::{Parameters, SslMode};
use super::tls::{Authority, connector};
use crate::settings::Secret;

/// How long a TCP connection may take to make.
const CONNECT: Duration = Duration::from_secs(5);

/// Where a database is, and by what its server proves who it is.
#[derive(Clone)]
pub struct Database {
    config: Config,
    mode: SslMode,
    tls: MakeRustlsConnect,
}

/// TLS or not: it is the `sslmode` of the configuration that says so.
type Stream = <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream;

impl Database {
    /// What `url` names. Its server proves itself by an authority in the file at `ca_path`, which
    /// is what the URL's own `sslrootcert` is too. An error is one line, without the setting's name
    /// and without anything secret.
    pub fn new(url: &Secret, ca_path: Option<&str>) -> Result<Self, String> {
        Self::proven_by(ca_path.map(Authority::read).transpose()?, url)
    }

    /// The same with an authority that has been read; an error is the URL's.
    pub(super) fn proven_by(authority: Option<Authority>, url: &Secret) -> Result<Self, String> {
        let Parameters { mut config, mode, root } = Parameters::parse(url.expose())?;
        let authority = match (authority, root.as_deref()) {
            (Some(_), Some(_)) => {
                let error = "the URL's `sslrootcert` and `database.ca_path` are both given";
                return Err(format!("{error}; keep one"));
            }
            (None, Some("system")) => Some(Authority::Machine),
            (None, Some(path)) => {
                Some(Authority::read(path).map_err(|error| format!("`sslrootcert`: {error}"))?)
            }
            (authority, None) => authority,
        };
        let mode = mode_of(&config, mode, authority.as_ref())?;
        if config.get_ssl_negotiation() == SslNegotiation::Direct && mode < SslMode::Require {
            return Err("`sslnegotiation=direct` needs `sslmode=require`, or more".to_owned());
        }
        config.ssl_mode(match mode {
            SslMode::Disable => Wire::Disable,
            SslMode::Prefer => Wire::Prefer,
            SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => Wire::Require,
        });
        // A connection on which nothing is sent for hours must still be known to live, and one
        // whose peer acknowledges nothing is lost.
        config
            .connect_timeout(CONNECT)
            .keepalives(true)
            .keepalives_idle(Duration::from_secs(15))
            .keepalives_interval(Duration::from_secs(5))
            .keepalives_retries(3)
            .tcp_user_timeout(Duration::from_secs(15));
        Ok(Self { config, mode, tls: connector(mode, authority)? })
    }

    /// A connection of one's own; an error is one line.
    pub async fn connect(&self) -> Result<AsyncPgConnection, String> {
        in_time(async {
            let (client, connection) = self.open().await?;
            let made = AsyncPgConnection::try_from_client_and_connection(client, connection).await;
            made.map_err(|error| error.to_string())
        })
        .await
    }

    /// The same without diesel, for tools; it ends when the client is dropped.
    pub async fn client(&self) -> Result<Client, String> {
        let (client, connection) = in_time(self.open()).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    async fn open(&self) -> Result<(Client, Connection<Socket, Stream>), String> {
        let error = match self.config.connect(self.tls.clone()).await {
            Ok(opened) => return Ok(opened),
            Err(error) => error,
        };
        if self.mode != SslMode::Prefer || !is_of_tls_alone(&error) {
            return Err(describe(&error));
        }
        let opened = self.config.clone().ssl_mode(Wire::Disable).connect(self.tls.clone()).await;
        opened.map_err(|plain| format!("{}; without TLS: {}", describe(&error), describe(&plain)))
    }

    /// The `sslmode` that it comes to.
    pub(super) fn ssl_mode(&self) -> &'static str {
        self.mode.as_str()
    }

    /// Whether somebody on the way could read or change what is said.
    pub(super) fn is_exposed(&self) -> bool {
        self.mode < SslMode::VerifyCa && !is_local(&self.config)
    }
}

async fn in_time<T>(connecting: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    // Boxed, as what a handshake keeps is large, and would be a part of whatever connects. The
    // timeout of its own is for the TCP connection alone.
    timeout(2 * CONNECT, Box::pin(connecting)).await.unwrap_or_else(|_| Err("no answer".to_owned()))
}

/// libpq's words, but that who names an authority wants it asked: then nothing is `verify-full`,
/// not `prefer`, and `prefer` is refused.
fn mode_of(
    config: &Config,
    said: Option<SslMode>,
    authority: Option<&Authority>,
) -> Result<SslMode, String> {
    let is_socket = |host: &Host| matches!(host, Host::Unix(_));
    if config.get_hosts().iter().all(is_socket) && config.get_hostaddrs().is_empty() {
        return Ok(SslMode::Disable);
    }
    match (said, authority) {
        (Some(mode @ (SslMode::Disable | SslMode::Prefer)), Some(_)) => {
            let mode = mode.as_str();
            Err(format!("`sslmode={mode}` asks no authority, and one is given; is it verify-full?"))
        }
        (Some(SslMode::VerifyCa), None) => {
            Err("`sslmode=verify-ca` needs an authority of one's own".to_owned())
        }
        // They vouch for anybody, under a name of theirs.
        (Some(SslMode::Require | SslMode::VerifyCa), Some(Authority::Machine)) => {
            Err("`sslrootcert=system` needs `sslmode=verify-full`".to_owned())
        }
        (Some(SslMode::Require), Some(Authority::Own(_))) => Ok(SslMode::VerifyCa),
        (Some(mode), _) => Ok(mode),
        (None, Some(_)) => Ok(SslMode::VerifyFull),
        (None, None) => Ok(SslMode::Prefer),
    }
}

fn is_local(config: &Config) -> bool {
    let is_loopback = |address: IpAddr| address.to_canonical().is_loopback();
    let addresses = config.get_hostaddrs();
    if !addresses.is_empty() {
        return addresses.iter().copied().all(is_loopback);
    }
    config.get_hosts().iter().all(|host| match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => name == "localhost" || name.parse().is_ok_and(is_loopback),
    })
}
