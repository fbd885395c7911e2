use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_web::Error;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::web::Bytes;
use tokio::time::Instant;

/// The requests of a connection that are being answered; clones share everything.
#[derive(Clone)]
pub(super) struct InFlight(Rc<Inner>);

struct Inner {
    count: Cell<usize>,
    /// When the last one ended, or the connection began.
    ended_at: Cell<Instant>,
}

impl Default for InFlight {
    fn default() -> Self {
        Self(Rc::new(Inner { count: Cell::new(0), ended_at: Cell::new(Instant::now()) }))
    }
}

impl InFlight {
    /// Since when there is none, if there is none.
    pub(super) fn none_since(&self) -> Option<Instant> {
        (self.0.count.get() == 0).then(|| self.0.ended_at.get())
    }

    fn begin(&self) -> Turn {
        self.0.count.set(self.0.count.get() + 1);
        Turn(self.clone())
    }
}

/// One request, in flight for as long as this is held.
struct Turn(InFlight);

impl Drop for Turn {
    fn drop(&mut self) {
        let Self(InFlight(inner)) = self;
        inner.count.set(inner.count.get() - 1);
        inner.ended_at.set(Instant::now());
    }
}

/// Counts a request as in flight until its answer has been written, streams and sockets included.
pub(in super::super) async fn with_in_flight(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let turn = request.conn_data::<InFlight>().map(InFlight::begin);
    let response = next.call(request).await?;
    Ok(response.map_body(|_, body| Answer { body: body.boxed(), _turn: turn }))
}

struct Answer {
    body: BoxBody,
    _turn: Option<Turn>,
}

impl MessageBody for Answer {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        self.body.as_pin_mut().poll_next(context)
    }
}
