//! Key fetches over HTTP: bounded in time and size, no redirects.

use std::time::Duration;

use reqwest::{Client, Response, StatusCode, Url, redirect};
use serde_json::Value;
use tokio::time::sleep;

use crate::key::Key;
use crate::settings::VerifierSettings;

/// A whole set above this is refused; 16 MiB hold some 35,000 RSA keys.
const MAX_BYTES: usize = 16 * 1024 * 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const FIRST_RETRY: Duration = Duration::from_millis(50);

/// The issuer's JWKS endpoint.
pub(crate) struct KeySource {
    client: Client,
    url: Url,
    timeout: Duration,
    retries: u32,
}

impl KeySource {
    pub(crate) fn new(settings: &VerifierSettings) -> Result<Self, String> {
        let url = format!("{}/.well-known/jwks.json", settings.base_url());
        let url = Url::parse(&url)
            .map_err(|error| format!("`verifier.user_service_url` is not a URL: {error}"))?;
        let timeout = settings.fetch_timeout.0;
        Ok(Self { client: client()?, url, timeout, retries: settings.fetch_retries })
    }

    /// One key; `None` where the issuer has none by this id.
    pub(crate) async fn find(&self, kid: &str) -> Result<Option<Key>, String> {
        let mut url = self.url.clone();
        url.query_pairs_mut().append_pair("kid", kid);
        let keys = self.fetch(&url).await?;
        Ok(keys.into_iter().find(|key| key.kid() == kid))
    }

    /// The whole set, without the keys in it that are no use.
    pub(crate) async fn list(&self) -> Result<Vec<Key>, String> {
        self.fetch(&self.url).await
    }

    async fn fetch(&self, url: &Url) -> Result<Vec<Key>, String> {
        let mut pause = FIRST_RETRY;
        let mut tries = 0;
        loop {
            match tokio::time::timeout(self.timeout, self.fetch_once(url)).await {
                Ok(Ok(keys)) => return Ok(keys),
                Ok(Err(error)) if tries >= self.retries => return Err(error),
                Err(_) => return Err(format!("no answer within {:?}", self.timeout)),
                Ok(Err(_)) => {}
            }
            tries += 1;
            sleep(pause).await;
            pause *= 2;
        }
    }

    async fn fetch_once(&self, url: &Url) -> Result<Vec<Key>, String> {
        // reqwest's errors name the URL, which here holds nothing secret.
        let response = self.client.get(url.clone()).send().await.map_err(|e| e.to_string())?;
        if response.status() != StatusCode::OK {
            return Err(format!("the key server answered {}", response.status()));
        }
        let kind = response.headers().get("content-type").and_then(|kind| kind.to_str().ok());
        let json = kind.is_some_and(|kind| {
            kind.starts_with("application/jwk-set+json") || kind.starts_with("application/json")
        });
        if !json {
            return Err("the key server's answer is not JSON".to_owned());
        }
        parse(&read(response).await?)
    }
}

/// A client without redirects, for key fetches and the feed.
pub(crate) fn client() -> Result<Client, String> {
    Client::builder()
        .redirect(redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .build()
        .map_err(|error| error.to_string())
}

async fn read(mut response: Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| error.to_string())? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_BYTES {
            return Err("the key set is too large".to_owned());
        }
    }
    Ok(body)
}

/// One broken key never costs its siblings.
fn parse(body: &[u8]) -> Result<Vec<Key>, String> {
    let set: Value = serde_json::from_slice(body).map_err(|_| "the key set is not JSON")?;
    let keys = set["keys"].as_array().ok_or("the key set has no `keys`")?;
    let parsed = keys.iter().filter_map(|jwk| match Key::from_jwk(jwk) {
        Ok(key) => Some(key),
        Err(error) => {
            tracing::warn!(kid = jwk["kid"].as_str(), %error, "key_skipped");
            None
        }
    });
    Ok(parsed.collect())
}
