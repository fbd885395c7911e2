use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{AUTHORIZATION, HeaderMap};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::http::Problem;
use common::settings::Secret;
use subtle::ConstantTimeEq as _;

use crate::config::FeedSettings;

/// The configured clients, who may read the feed and ask about tokens, and how many streams each
/// has open.
#[derive(Clone)]
pub struct FeedClients {
    inner: Arc<Inner>,
}

struct Inner {
    secrets: HashMap<String, Secret>,
    ceiling: usize,
    open: Mutex<HashMap<String, usize>>,
}

/// One open stream; given back when dropped.
pub struct Slot {
    client: String,
    inner: Arc<Inner>,
}

impl FeedClients {
    /// From `client_id:secret`, comma separated.
    pub fn parse(settings: &FeedSettings) -> Result<Self, String> {
        let mut secrets = HashMap::new();
        for (index, part) in settings.clients.expose().split(',').map(str::trim).enumerate() {
            match part.split_once(':') {
                Some((client, secret)) if !client.is_empty() && !secret.is_empty() => {
                    secrets.insert(client.to_owned(), Secret::from(secret.to_owned()));
                }
                _ => {
                    return Err(format!(
                        "`feed.clients`: entry {} is not `client_id:secret`",
                        index + 1
                    ));
                }
            }
        }
        let ceiling = settings.streams_per_client;
        Ok(Self { inner: Arc::new(Inner { secrets, ceiling, open: Mutex::default() }) })
    }

    /// Admits the client that the `Authorization: Basic` header (RFC 7617) names.
    pub fn admit(&self, headers: &HeaderMap) -> Result<Slot, Problem> {
        let client = self.authenticate(headers).ok_or_else(refused)?;
        let mut open = self.inner.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(client.clone()).or_insert(0);
        if *count >= self.inner.ceiling {
            let message = "this client has too many streams open";
            return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_streams", message)
                .with_retry_after(Duration::from_secs(5)));
        }
        *count += 1;
        Ok(Slot { client, inner: Arc::clone(&self.inner) })
    }

    /// Whether `client` is configured here, and so can prove that it is itself.
    #[must_use]
    pub fn knows(&self, client: &str) -> bool {
        self.inner.secrets.contains_key(client)
    }

    /// The client that the `Authorization: Basic` header names, its secret found right. RFC 6749,
    /// section 2.3.1 has both form-encoded; RFC 7617, and most who write them, as they are.
    #[must_use]
    pub fn authenticate(&self, headers: &HeaderMap) -> Option<String> {
        let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
        let (scheme, encoded) = value.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let credentials = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
        let (client, secret) = credentials.split_once(':')?;
        let as_they_are = self.check(client, secret);
        as_they_are.or_else(|| self.check(&form_decoded(client), &form_decoded(secret)))
    }

    fn check(&self, client: &str, secret: &str) -> Option<String> {
        let expected = self.inner.secrets.get(client)?;
        let same: bool = expected.expose().as_bytes().ct_eq(secret.as_bytes()).into();
        same.then(|| client.to_owned())
    }
}

/// One value, form-encoded by itself.
fn form_decoded(text: &str) -> String {
    let pair = form_urlencoded::parse(text.as_bytes()).next();
    pair.map(|(name, _)| name.into_owned()).unwrap_or_default()
}

fn refused() -> Problem {
    let message = "authenticate as a configured client with HTTP Basic";
    let mut problem = Problem::new(StatusCode::UNAUTHORIZED, "invalid_client", message);
    problem.challenge = Some(r#"Basic realm="latchkey""#.into());
    problem
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut open = self.inner.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.client) {
            *count = count.saturating_sub(1);
        }
    }
}
