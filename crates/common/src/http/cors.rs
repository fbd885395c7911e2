use std::collections::HashSet;
use std::str::FromStr;
use std::sync::Arc;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, HttpResponse, web};
use serde::Deserialize;
use url::Url;

use crate::readiness::State;
use crate::settings::List;

const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE");
const REQUEST_HEADERS: HeaderValue = HeaderValue::from_static(
    "authorization, content-type, traceparent, x-csrf-token, x-request-id",
);
const EXPOSED: HeaderValue =
    HeaderValue::from_static("etag, retry-after, www-authenticate, x-request-id");
const PREFLIGHT_AGE: HeaderValue = HeaderValue::from_static("600");

/// Section `cors`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CorsSettings {
    /// Exact origins that browsers may call from.
    pub allowed_origins: List<Origin>,
}

/// A serialised origin (RFC 6454, section 6.2): scheme, host, optional port, nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin(String);

impl Origin {
    /// As browsers write it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Origin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let exact = url.is_some_and(|url| {
            // To the URL standard both are hosts: a star is itself, and a final dot makes another
            // origin of the same machine.
            let host = url.host_str().unwrap_or_default();
            // Browsers write an origin in one way alone; in any other it would match nothing.
            !host.contains('*')
                && !host.ends_with('.')
                && url.origin().ascii_serialization() == text
        });
        if exact {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!("`{text}` is not an exact origin such as https://app.example.com"))
        }
    }
}

/// Who may call from a browser.
#[derive(Clone)]
pub struct Cors {
    allowed: Arc<HashSet<String>>,
    public_paths: &'static [&'static str],
}

impl Cors {
    /// `public_paths` are open to all origins, without credentials (keys and metadata).
    #[must_use]
    pub fn new(settings: &CorsSettings, public_paths: &'static [&'static str]) -> Self {
        let allowed = settings.allowed_origins.0.iter().map(|origin| origin.0.clone()).collect();
        Self { allowed: Arc::new(allowed), public_paths }
    }

    /// Whether pages of `origin` may call; WebSocket handshakes ask this, which browsers send to
    /// anywhere without a preflight.
    #[must_use]
    pub fn allows(&self, origin: &str) -> bool {
        self.allowed.contains(origin)
    }

    /// Whether every listed origin is granted what it is to be granted, and a foreign one is not.
    #[must_use]
    pub fn readiness(&self) -> State {
        let granted = |origin: &str| {
            let mut headers = HeaderMap::new();
            HeaderValue::from_str(origin)
                .is_ok_and(|origin| self.grant("/", Some(&origin), &mut headers))
        };
        // No port is beyond 65535, so that nobody's origin it is.
        let foreign = "https://foreign.invalid:65536";
        let sound = self.allowed.iter().all(|origin| granted(origin)) && !granted(foreign);
        let fault = || State::NotReady("`cors.allowed_origins` is not kept to".to_owned());
        if sound { State::Ready } else { fault() }
    }

    /// Whether `path` is open to all.
    pub(super) fn is_public(&self, path: &str) -> bool {
        self.public_paths.contains(&path)
    }

    /// The headers for an answer to `origin` on `path`; none for anyone not allowed.
    fn grant(&self, path: &str, origin: Option<&HeaderValue>, headers: &mut HeaderMap) -> bool {
        if self.is_public(path) {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
            return true;
        }
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
        let Some(origin) = origin else { return false };
        if !origin.to_str().is_ok_and(|origin| self.allows(origin)) {
            return false;
        }
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
        true
    }
}

/// Answers preflights (Fetch standard, section 3.2.2) and marks every other answer, errors too.
pub(crate) async fn with_cors(
    cors: web::Data<Cors>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let origin = request.headers().get(header::ORIGIN).cloned();
    let path = request.path().to_owned();
    let preflight = request.method() == Method::OPTIONS
        && origin.is_some()
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = if preflight {
        request.into_response(HttpResponse::NoContent().finish())
    } else {
        next.call(request).await?.map_into_boxed_body()
    };
    let headers = response.headers_mut();
    if cors.grant(&path, origin.as_ref(), headers) && preflight {
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS);
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_AGE);
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_exact_origins_are_accepted() {
        for good in [
            "https://app.example.com",
            "http://localhost:3000",
            "http://[::1]:8080",
            "http://127.0.0.1",
            "https://xn--bcher-kva.example:65535",
        ] {
            assert!(good.parse::<Origin>().is_ok(), "{good}");
        }
        for bad in [
            "*",
            "https://*",
            "https://*.example.com",
            "app.example.com",
            "//app.example.com",
            "https://",
            "https://a.example/",
            "https://a.example?",
            "https://a.example#",
            "https://A.example",
            "HTTPS://a.example",
            "https://a.example:443",
            "http://a.example:80",
            "https://a.example:",
            "https://a.example:08443",
            "https://a.example:65536",
            "https://a.example.",
            "https://a.example.:8443",
            "https://user@a.example",
            "https://:@a.example",
            "https://b\u{fc}cher.example",
            "https://127.1",
            "https://[0::1]",
            "https://a b.example",
            "https://a.example\t",
            "ftp://a.example",
            "file://",
            "chrome-extension://abcdef",
            "null",
            "",
        ] {
            assert!(bad.parse::<Origin>().is_err(), "{bad}");
        }
    }
}
