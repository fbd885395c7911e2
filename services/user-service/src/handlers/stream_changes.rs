use actix_web::{HttpRequest, HttpResponse, get, web};
use common::http::ErrorBody;

use crate::error::Error;
use crate::feed;
use crate::state::State;

/// Revocations as server-sent events
///
/// `key_revoked`, `session_revoked` and `jti_revoked` carry `{"kid" | "sid" | "jti", "until"}`;
/// `caught_up` ends a replay; `reset` says that `Last-Event-ID` is unknown and everything comes
/// again. A comment every 5 seconds.
#[utoipa::path(tag = "keys", security(("client" = [])),
    params(("Last-Event-ID" = Option<String>, Header, description = "The last event's id, to go on from there")),
    responses(
    (status = 200, description = "A stream without end", content_type = "text/event-stream", body = String),
    (status = 401, description = "`invalid_client`", body = ErrorBody),
    (status = 429, description = "`too_many_streams` of this client", body = ErrorBody),
))]
#[get("/.well-known/jwks/changes")]
pub(crate) async fn stream_changes(
    state: web::Data<State>,
    request: HttpRequest,
) -> Result<HttpResponse, Error> {
    let slot = state.feed_clients.admit(request.headers())?;
    let last_event_id = request
        .headers()
        .get("last-event-id")
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        .filter(|id| !id.is_empty());
    let source = feed::Source {
        hub: state.hub.clone(),
        pool: state.pool.clone(),
        clock: state.clock.clone(),
        draining: state.draining.clone(),
        metrics: state.metrics.clone(),
    };
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        // Proxies that buffer would hold back what must arrive within milliseconds.
        .insert_header(("x-accel-buffering", "no"))
        .streaming(feed::open(source, slot, last_event_id)))
}
