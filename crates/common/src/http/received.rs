use std::future::Future;
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap};
use actix_web::web::{BytesMut, Data};
use futures_util::StreamExt as _;
use tokio::time::timeout;

use super::Problem;

/// Bodies above this many bytes are refused with 413.
const MAX_BYTES: usize = 64 * 1024;

/// A body that is not there by then is given up: nobody holds a request open for ever.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyTimeout(pub(crate) Duration);

impl Default for BodyTimeout {
    fn default() -> Self {
        Self(Duration::from_secs(20))
    }
}

/// What a body is to be.
#[derive(Clone, Copy, Debug)]
pub enum BodyKind {
    /// `application/json`.
    Json,
    /// `application/x-www-form-urlencoded`.
    Form,
}

impl BodyKind {
    fn essence(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Form => "application/x-www-form-urlencoded",
        }
    }
}

/// A request's whole body, where its head says that it is of this kind, in UTF-8 and not
/// compressed; 400 where it is cut short, 408 where it does not come in time, 413 where it is too
/// large, 415 where it is something else. None at all may come without a content type, for endpoints whose body is optional.
pub fn read_body(
    request: &HttpRequest,
    payload: &mut Payload,
    kind: BodyKind,
) -> impl Future<Output = Result<BytesMut, Problem>> + 'static {
    let checked = check_head(request.headers(), kind);
    let payload = payload.take();
    let limit =
        request.app_data::<Data<BodyTimeout>>().map(|limit| *limit.get_ref()).unwrap_or_default();
    async move {
        let typed = checked?;
        let bytes = timeout(limit.0, read(payload)).await.map_err(|_| too_slow())??;
        if !typed && !bytes.is_empty() {
            return Err(wrong_kind(kind));
        }
        Ok(bytes)
    }
}

/// Whether there is a content type.
fn check_head(headers: &HeaderMap, kind: BodyKind) -> Result<bool, Problem> {
    let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    if length.is_some_and(|length: u64| length > MAX_BYTES as u64) {
        return Err(too_large());
    }
    if headers
        .get_all(CONTENT_ENCODING)
        .any(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"))
    {
        return Err(unsupported("send the body as it is, without `Content-Encoding`"));
    }
    let mut types = headers.get_all(CONTENT_TYPE);
    let Some(first) = types.next() else { return Ok(false) };
    if types.next().is_some() {
        return Err(unsupported("send one `Content-Type` alone"));
    }
    let mut parts = first.to_str().unwrap_or_default().split(';').map(str::trim);
    if !parts.next().is_some_and(|essence| essence.eq_ignore_ascii_case(kind.essence())) {
        return Err(wrong_kind(kind));
    }
    let charsets = parts.filter_map(|parameter| parameter.split_once('='));
    for (_, charset) in charsets.filter(|(name, _)| name.eq_ignore_ascii_case("charset")) {
        if !charset.trim_matches('"').eq_ignore_ascii_case("utf-8") {
            return Err(unsupported("send the body in UTF-8"));
        }
    }
    Ok(true)
}

async fn read(mut payload: Payload) -> Result<BytesMut, Problem> {
    let mut bytes = BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| {
            let message = "the body is cut short or badly framed";
            Problem::new(StatusCode::BAD_REQUEST, "invalid_request", message)
        })?;
        if bytes.len() + chunk.len() > MAX_BYTES {
            return Err(too_large());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn too_slow() -> Problem {
    let message = "the body took too long to come; send it again";
    Problem::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", message)
}

pub(super) fn too_large() -> Problem {
    Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "payload_too_large",
        "bodies may have at most 65536 bytes",
    )
}

fn wrong_kind(kind: BodyKind) -> Problem {
    unsupported(match kind {
        BodyKind::Json => "send JSON with `Content-Type: application/json`",
        BodyKind::Form => "send a form with `Content-Type: application/x-www-form-urlencoded`",
    })
}

fn unsupported(message: &'static str) -> Problem {
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message)
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    fn status(pairs: &[(HeaderName, &'static str)]) -> Result<bool, u16> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name.clone(), HeaderValue::from_static(value));
        }
        check_head(&headers, BodyKind::Json).map_err(|problem| problem.status.as_u16())
    }

    #[test]
    fn the_head_says_what_the_body_is() {
        assert_eq!(status(&[]), Ok(false));
        for good in [
            "application/json",
            "Application/JSON; charset=UTF-8",
            r#"application/json;charset="utf-8""#,
        ] {
            assert_eq!(status(&[(CONTENT_TYPE, good)]), Ok(true), "{good}");
        }
        for bad in [
            "",
            "text/json",
            "application/json, text/plain",
            "application/jsonx",
            "application/json; charset=utf-16",
        ] {
            assert_eq!(status(&[(CONTENT_TYPE, bad)]), Err(415), "{bad}");
        }
        let json = (CONTENT_TYPE, "application/json");
        assert_eq!(status(&[json.clone(), json.clone()]), Err(415));
        assert_eq!(status(&[json.clone(), (CONTENT_ENCODING, "identity")]), Ok(true));
        assert_eq!(status(&[json.clone(), (CONTENT_ENCODING, "gzip")]), Err(415));
        assert_eq!(status(&[json, (CONTENT_LENGTH, "65537")]), Err(413));
    }
}
