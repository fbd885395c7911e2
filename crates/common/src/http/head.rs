//! HEAD wherever GET is answered, and as GET is, without the body (RFC 9110, section 9.3.2).

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

use actix_web::Error;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::middleware::Next;
use actix_web::web::{Bytes, Data};

use super::Context;

/// Hands HEAD to the handler of GET, but for handshakes, which open what has no other form.
pub(crate) async fn with_head(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    if request.method() != Method::HEAD || is_handshake(&request) {
        return Ok(next.call(request).await?.map_into_boxed_body());
    }
    // The connection remembers what was asked for, and sends no body.
    request.head_mut().method = Method::GET;
    let response = next.call(request).await?;
    Ok(response.map_body(|_, body| BoxBody::new(Unsent(body.size()))))
}

fn is_handshake(request: &ServiceRequest) -> bool {
    let context = request.app_data::<Data<Context>>();
    context.is_some_and(|context| context.operations.is_handshake(request.path()))
}

/// Of the size of a body that nobody makes: a stream would have no end.
struct Unsent(BodySize);

impl MessageBody for Unsent {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        self.0
    }

    fn poll_next(
        self: Pin<&mut Self>,
        _: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Bytes, Infallible>>> {
        Poll::Ready(None)
    }
}
