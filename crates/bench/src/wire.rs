//! A connection that sends one request again and again, as cheaply as can be: on a small machine
//! a heavy client's own work would stand in every latency that it measures.

use anyhow::{Result, ensure};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{AUTHORIZATION, HOST, HeaderMap};
use hyper::{Method, Request, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// What every request of a load is.
#[derive(Clone)]
pub(crate) struct Shot {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
}

impl Shot {
    /// A POST without a body to `url`, with a Bearer token.
    pub(crate) fn post(url: &str, token: &str) -> Result<Self> {
        let mut shot = Self::get(url)?;
        shot.method = Method::POST;
        shot.headers.insert(AUTHORIZATION, format!("Bearer {token}").parse()?);
        Ok(shot)
    }

    /// A GET of `url`.
    pub(crate) fn get(url: &str) -> Result<Self> {
        let uri: Uri = url.parse()?;
        let host = uri.authority().map_or("", |authority| authority.as_str()).parse()?;
        Ok(Self { method: Method::GET, uri, headers: HeaderMap::from_iter([(HOST, host)]) })
    }

    /// A connection of its own, which the runtime of the caller drives.
    pub(crate) async fn connect(self) -> Result<Wire> {
        let address = self.headers[HOST].to_str()?;
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Wire { sender, shot: self })
    }
}

/// A kept connection to one server.
pub(crate) struct Wire {
    sender: SendRequest<Empty<Bytes>>,
    shot: Shot,
}

impl Wire {
    /// Sends the request; an answer other than 2xx is an error.
    pub(crate) async fn send(&mut self) -> Result<()> {
        let mut request = Request::new(Empty::new());
        *request.method_mut() = self.shot.method.clone();
        // Origin form (RFC 9112, section 3.2.1).
        if let Some(path) = self.shot.uri.path_and_query() {
            *request.uri_mut() = path.clone().into();
        }
        *request.headers_mut() = self.shot.headers.clone();
        self.sender.ready().await?;
        let answer = self.sender.send_request(request).await?;
        let status = answer.status();
        answer.into_body().collect().await?;
        ensure!(status.is_success(), "{status} instead of an answer");
        Ok(())
    }
}
