use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_web::rt::net::TcpStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::in_flight::InFlight;
use crate::tls::HANDSHAKE_TIMEOUT;

/// A peer's connection. It reads as ended when no request was in flight for too long, whatever the
/// peer has begun to say.
pub(super) struct Connection {
    stream: Stream,
    in_flight: InFlight,
    idle_limit: Duration,
    /// When it will have been idle for too long, as far as was known when it was last looked at.
    idle_until: Pin<Box<Sleep>>,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Connection {
    /// Shakes hands first where it speaks TLS, which has a time limit of its own.
    pub(super) async fn open(
        stream: TcpStream,
        tls: Option<TlsAcceptor>,
        idle_limit: Duration,
    ) -> io::Result<Self> {
        let stream = match tls {
            None => Stream::Plain(stream),
            Some(tls) => {
                Stream::Tls(Box::new(timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await??))
            }
        };
        let in_flight = InFlight::default();
        let idle_until = Box::pin(sleep_until(Instant::now() + idle_limit));
        Ok(Self { stream, in_flight, idle_limit, idle_until })
    }

    /// What is in flight on it.
    pub(super) fn in_flight(&self) -> InFlight {
        self.in_flight.clone()
    }

    /// Ready when no request was in flight for too long. Asked after each read that has to wait,
    /// and only a read can end a wait for a request.
    fn poll_idle(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(since) = self.in_flight.none_since() else { return Poll::Pending };
        let until = since + self.idle_limit;
        if self.idle_until.deadline() != until {
            self.idle_until.as_mut().reset(until);
        }
        self.idle_until.as_mut().poll(context)
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Stream::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        };
        if read.is_pending() {
            ready!(self.poll_idle(context));
            return Poll::Ready(Ok(()));
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Stream::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(context),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
