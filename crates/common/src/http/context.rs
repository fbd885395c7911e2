use std::time::Instant;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, HttpResponse, web};
use tracing::Instrument as _;
use uuid::Uuid;

use super::unread::KeptPayload;
use super::{Correlation, ErrorBody, Operations, Problem};
use crate::clock::Clock;
use crate::metrics::{Exemplar, HttpMetrics, MAX_LABELS};

const HEADER: HeaderName = HeaderName::from_static("x-request-id");
const MAX_LENGTH: usize = 64;
/// An exemplar names request and trace.
const _: () = assert!("request_id".len() + MAX_LENGTH + "trace_id".len() + 32 <= MAX_LABELS);

/// The id of the request being served, taken over from the caller where well-formed: 1 to 64 of
/// `[A-Za-z0-9._-]`.
#[derive(Clone, Debug)]
pub struct RequestId(pub String);

impl RequestId {
    fn of(request: &ServiceRequest) -> Self {
        let given = request.headers().get(HEADER).and_then(|value| value.to_str().ok());
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        match given {
            Some(id) if (1..=MAX_LENGTH).contains(&id.len()) && id.bytes().all(allowed) => {
                Self(id.to_owned())
            }
            _ => Self(Uuid::new_v4().to_string()),
        }
    }
}

/// What the outermost middleware works with.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) operations: Operations,
    pub(crate) metrics: HttpMetrics,
}

/// Gives every request an id, a log line and its metrics, and every error its body.
pub(crate) async fn with_context(
    context: web::Data<Context>,
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let started = Instant::now();
    let method = known_method(request.method());
    let id = RequestId::of(&request);
    request.extensions_mut().insert(id.clone());
    let payload = KeptPayload::of(&mut request);
    let correlation = Correlation::of(&request, &id);
    let trace_id = correlation.trace_id().to_owned();
    let span = tracing::info_span!("request", request_id = %id.0, trace_id);
    let answered = async move {
        let response = next.call(request).await?.map_into_boxed_body();
        let mut response = render_error(&context.operations, &id, response);
        let headers = response.headers_mut();
        if let Ok(value) = HeaderValue::from_str(&id.0) {
            headers.insert(HEADER, value);
        }
        record(&context.metrics, method, &response, started, (id, trace_id));
        Ok(match payload {
            Some(payload) => response.map_body(|_, body| payload.until_sent(body)),
            None => response,
        })
    };
    correlation.scope(answered).instrument(span).await
}

/// Puts the body of the contract in the place of an error's own.
fn render_error(
    operations: &Operations,
    id: &RequestId,
    response: ServiceResponse,
) -> ServiceResponse {
    let status = response.status();
    let problem = response.response().extensions().get::<Problem>().cloned();
    let problem = match problem {
        Some(problem) => problem,
        // actix's own refusals carry plain text; errors that a handler wrote itself are JSON.
        None if status.is_client_error() || status.is_server_error() => {
            let kind = response.headers().get(CONTENT_TYPE);
            if kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/json")) {
                return response;
            }
            generic(status)
        }
        None => return response,
    };
    let (request, response) = response.into_parts();
    let body = ErrorBody {
        error: problem.message.into_owned(),
        code: problem.code.to_owned(),
        details: problem.details,
        operation: operations.id_of(&request).to_owned(),
        request_id: id.0.clone(),
    };
    let mut rendered = HttpResponse::build(problem.status).json(body);
    for (name, value) in response.headers() {
        if name != CONTENT_TYPE && name != CONTENT_LENGTH {
            rendered.headers_mut().append(name.clone(), value.clone());
        }
    }
    ServiceResponse::new(request, rendered)
}

fn generic(status: StatusCode) -> Problem {
    match status {
        StatusCode::PAYLOAD_TOO_LARGE => super::received::too_large(),
        StatusCode::NOT_FOUND => super::operations::no_such_path(),
        status if status.is_server_error() => Problem::internal(&status),
        status => Problem::new(status, "invalid_request", "the request can't be understood"),
    }
}

fn record(
    metrics: &HttpMetrics,
    method: &'static str,
    response: &ServiceResponse<impl MessageBody>,
    started: Instant,
    (RequestId(request_id), trace_id): (RequestId, String),
) {
    // Only the pattern: a raw path would be an unbounded label and could carry what it should not.
    let route = response.request().match_pattern().unwrap_or_else(|| "unmatched".to_owned());
    let status = response.status();
    let elapsed = started.elapsed();
    metrics.requests.with_label_values(&[method, &route, status.as_str()]).inc();
    let (value, at) = (elapsed.as_secs_f64(), Clock::default().now());
    metrics.duration.observe((method, &route), Exemplar { trace_id, request_id, value, at });
    let duration_ms = elapsed.as_secs_f64() * 1000.0;
    tracing::info!(method, route, status = status.as_u16(), duration_ms, "request");
}

/// Methods are the caller's to invent; labels are not.
fn known_method(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}
