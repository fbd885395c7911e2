//! Key fetches over HTTP: bounded in time and size, no redirects.

use std::time::Duration;

use common::http::Correlation;
use reqwest::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url};
use serde_json::Value;
use tokio::time::{sleep, timeout};

use crate::client::{client, describe};
use crate::key::Key;
use crate::settings::VerifierSettings;

/// A whole set above this is refused; 16 MiB hold some 35,000 RSA keys.
const MAX_SET_BYTES: usize = 16 * 1024 * 1024;
const MAX_KEY_BYTES: usize = 64 * 1024;
const FIRST_RETRY: Duration = Duration::from_millis(50);

/// The issuer's JWKS endpoint.
pub(crate) struct KeySource {
    client: Client,
    url: Url,
    timeout: Duration,
    retries: u32,
}

/// The whole set.
pub(crate) enum Listing {
    Unchanged,
    Set { keys: Vec<Value>, etag: Option<String> },
}

impl KeySource {
    pub(crate) fn new(settings: &VerifierSettings) -> Result<Self, String> {
        let url = format!("{}/.well-known/jwks.json", settings.base_url());
        let url = Url::parse(&url)
            .map_err(|error| format!("`verifier.user_service_url` is not a URL: {error}"))?;
        let timeout = settings.fetch_timeout.0;
        Ok(Self {
            client: client(settings.ca_path.as_deref())?,
            url,
            timeout,
            retries: settings.fetch_retries,
        })
    }

    /// How long a fetch may take, retries included.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// One key; `None` where the issuer has none by this id, or none that is any use.
    pub(crate) async fn find(&self, kid: &str) -> Result<Option<Key>, String> {
        let request = || {
            let mut url = self.url.clone();
            url.query_pairs_mut().append_pair("kid", kid);
            self.client.get(url).header(CACHE_CONTROL, "no-cache")
        };
        match self.fetch(request, MAX_KEY_BYTES).await? {
            Listing::Unchanged => Err("not modified since never".to_owned()),
            Listing::Set { keys, .. } => Ok(keys
                .iter()
                .filter(|jwk| jwk["kid"] == kid)
                .find_map(|jwk| Key::from_jwk(jwk).ok())),
        }
    }

    /// The whole set, unless it is still the one that `etag` names.
    pub(crate) async fn list(&self, etag: Option<&str>) -> Result<Listing, String> {
        let request = || {
            let request = self.client.get(self.url.clone());
            match etag {
                Some(etag) => request.header(IF_NONE_MATCH, etag),
                None => request,
            }
        };
        self.fetch(request, MAX_SET_BYTES).await
    }

    async fn fetch(
        &self,
        request: impl Fn() -> RequestBuilder,
        max_bytes: usize,
    ) -> Result<Listing, String> {
        let tries = async {
            let mut pause = FIRST_RETRY;
            for _ in 0..self.retries {
                if let Ok(listing) = fetch_once(request(), max_bytes).await {
                    return Ok(listing);
                }
                sleep(pause).await;
                pause *= 2;
            }
            fetch_once(request(), max_bytes).await
        };
        timeout(self.timeout, tries)
            .await
            .unwrap_or_else(|_| Err(format!("no answer within {:?}", self.timeout)))
    }
}

async fn fetch_once(request: RequestBuilder, max_bytes: usize) -> Result<Listing, String> {
    // Many requests may wait for one fetch; it names the one that began it.
    let headers = Correlation::headers().into_iter();
    let request = headers.fold(request, |request, (name, value)| request.header(name, value));
    let response = request.send().await.map_err(|error| describe(&error))?;
    match response.status() {
        StatusCode::OK => {}
        StatusCode::NOT_MODIFIED => return Ok(Listing::Unchanged),
        status => return Err(format!("the key server answered {status}")),
    }
    if !is_json(&response) {
        return Err("the key server's answer is not JSON".to_owned());
    }
    let etag = response.headers().get(ETAG).and_then(|etag| etag.to_str().ok()).map(str::to_owned);
    let body = read(response, max_bytes).await?;
    let mut set: Value = serde_json::from_slice(&body).map_err(|_| "the key set is not JSON")?;
    match set["keys"].take() {
        Value::Array(keys) => Ok(Listing::Set { keys, etag }),
        _ => Err("the key set has no `keys`".to_owned()),
    }
}

fn is_json(response: &Response) -> bool {
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| {
        kind.starts_with("application/jwk-set+json") || kind.starts_with("application/json")
    })
}

async fn read(mut response: Response, max_bytes: usize) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| describe(&error))? {
        body.extend_from_slice(&chunk);
        if body.len() > max_bytes {
            return Err("the key set is too large".to_owned());
        }
    }
    Ok(body)
}
