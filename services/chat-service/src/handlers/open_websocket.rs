use actix_web::http::StatusCode;
use actix_web::http::header::{
    AUTHORIZATION, HeaderMap, HeaderValue, ORIGIN, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION,
    UPGRADE,
};
use actix_web::{HttpRequest, HttpResponse, ResponseError as _, get, rt, web};
use common::http::{Cors, ErrorBody, Problem};
use common::settings::Secret;
use token_verifier::{NoToken, Verifier, bearer_token};
use tracing::Instrument as _;

use crate::error::Error;
use crate::live::Connection;
use crate::state::State;

/// The subprotocol that a token may follow, for browsers, which can't set `Authorization`.
const PROTOCOL: &str = "bearer";

const VERSION: &str = "13";

/// A client message of more bytes, in however many pieces, ends the connection.
const MAX_FRAME_BYTES: usize = 64 * 1024;

/// Open a WebSocket for live delivery
///
/// The token comes in `Authorization`, or as subprotocols `bearer, <token>`, of which `bearer` is
/// selected. Frames are JSON: `{"type":"subscribe","room_id","after"?}`, `unsubscribe`, `ping`
/// one way; `subscribed`, `message`, `presence` (who came to a room, `joined`, and who `left`; at
/// first all who are there), `error`, `pong` the other. Close codes: 4401 token revoked or
/// expired, 4408 too slow, 1001 shutting down, 1013 try again shortly.
#[utoipa::path(tag = "messages", security(("bearer" = [])), responses(
    (status = 101, description = "Open; error frames have `code` `invalid_frame`, \
        `room_not_found` or `too_many_subscriptions`"),
    (status = 400, description = "`websocket_expected`", body = ErrorBody),
    (status = 401, description = "`unauthorized` or `invalid_token`", body = ErrorBody),
    (status = 403, description = "`origin_not_allowed`", body = ErrorBody),
    (status = 426, description = "`websocket_version`: only version 13 is spoken", body = ErrorBody),
    (status = 429, description = "`too_many_connections` of this user", body = ErrorBody),
    (status = 503, description = "`verifier_not_ready`", body = ErrorBody),
))]
#[get("/api/ws")]
pub(crate) async fn open_websocket(
    state: web::Data<State>,
    verifier: web::Data<Verifier>,
    cors: web::Data<Cors>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Error> {
    let token = token(request.headers())
        .map_err(|none| Problem::unauthorized(none == NoToken::Malformed))?;
    let caller = verifier.verify(token).await.map_err(Problem::from)?;
    let token = Secret::from(token.to_owned());
    if !is_origin_allowed(&cors, request.headers()) {
        return Err(Error::OriginNotAllowed);
    }
    if has_wrong_version(request.headers()) {
        return Ok(name_version());
    }
    let limit = state.settings.live.max_connections;
    let place = state.places.take(caller.claims.user_id, limit).ok_or(Error::TooManyConnections)?;
    let (response, session, frames) =
        actix_ws::handle_with_protocols(&request, payload, &[PROTOCOL])
            .map_err(|_| Error::WebSocketExpected)?;
    let connection = Connection::new(state, verifier, session, token, caller, place);
    let frames = frames.aggregate_continuations().max_continuation_size(MAX_FRAME_BYTES);
    rt::spawn(connection.serve(frames).in_current_span());
    Ok(response)
}

/// The token in `Authorization`, else the one that follows `bearer` among the subprotocols.
fn token(headers: &HeaderMap) -> Result<&str, NoToken> {
    if headers.contains_key(AUTHORIZATION) {
        return bearer_token(headers);
    }
    let mut protocols = headers
        .get_all(SEC_WEBSOCKET_PROTOCOL)
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim);
    protocols.find(|protocol| *protocol == PROTOCOL).ok_or(NoToken::Missing)?;
    protocols.next().filter(|token| !token.is_empty()).ok_or(NoToken::Malformed)
}

/// Whether a handshake asks for another version than that of RFC 6455.
fn has_wrong_version(headers: &HeaderMap) -> bool {
    headers.get(SEC_WEBSOCKET_VERSION).is_some_and(|version| version != VERSION)
}

/// RFC 6455, section 4.4: which version we speak.
fn name_version() -> HttpResponse {
    let message = "only version 13 of the WebSocket protocol is spoken here";
    let problem = Problem::new(StatusCode::UPGRADE_REQUIRED, "websocket_version", message);
    let mut response = problem.error_response();
    let headers = response.headers_mut();
    headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static(VERSION));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    response
}

/// Browsers send `Origin` and ask nobody first; everything else has no business with it.
fn is_origin_allowed(cors: &Cors, headers: &HeaderMap) -> bool {
    headers.get(ORIGIN).is_none_or(|origin| origin.to_str().is_ok_and(|text| cors.allows(text)))
}
