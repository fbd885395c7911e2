//! Requests to the two services, and what their answers mean.

use std::time::Duration;

use reqwest::header::RETRY_AFTER;
use reqwest::redirect::Policy;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use super::failure::Failure;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(30);
const AGENT: &str = concat!("latchkey/", env!("CARGO_PKG_VERSION"));

pub(crate) struct Services {
    client: Client,
    pub(crate) user_service: String,
    pub(crate) chat_service: String,
}

impl Services {
    pub(crate) fn new(user_service: &str, chat_service: &str) -> Result<Self, Failure> {
        let client = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            // A redirect would carry passwords and tokens elsewhere.
            .redirect(Policy::none())
            .user_agent(AGENT)
            .build()
            .map_err(|error| Failure::Usage(error.to_string()))?;
        let (user_service, chat_service) = (base(user_service)?, base(chat_service)?);
        Ok(Self { client, user_service, chat_service })
    }

    pub(crate) fn user(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.user_service))
    }

    pub(crate) fn chat(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.chat_service))
    }
}

fn base(url: &str) -> Result<String, Failure> {
    match Url::parse(url) {
        Ok(parsed) if matches!(parsed.scheme(), "http" | "https") && parsed.has_host() => {
            Ok(url.trim_end_matches('/').to_owned())
        }
        _ => Err(Failure::Usage(format!("`{url}` is not an http or https URL"))),
    }
}

/// Sends; any answer that is not a success is a failure.
pub(crate) async fn ask<T: DeserializeOwned>(request: RequestBuilder) -> Result<T, Failure> {
    let response = request.send().await.map_err(|error| unreachable(&error))?;
    let url = response.url().to_string();
    if !response.status().is_success() {
        return Err(refusal(url, response).await);
    }
    response.json().await.map_err(|error| {
        let what = if error.is_decode() { "its answer is not Latchkey's" } else { "no answer" };
        Failure::Unreachable { url, why: what.to_owned() }
    })
}

fn unreachable(error: &reqwest::Error) -> Failure {
    let why = if error.is_timeout() { "no answer in time" } else { "can't be reached" };
    Failure::Unreachable {
        url: error.url().map(Url::to_string).unwrap_or_default(),
        why: why.to_owned(),
    }
}

async fn refusal(url: String, response: Response) -> Failure {
    let status = response.status();
    let retry_after = response.headers().get(RETRY_AFTER);
    let retry_after = retry_after.and_then(|value| value.to_str().ok()?.parse().ok());
    let body: Value = response.json().await.unwrap_or_default();
    let (Some(error), Some(code)) = (body["error"].as_str(), body["code"].as_str()) else {
        return Failure::Unreachable {
            url,
            why: format!("answered {status}, not as Latchkey does"),
        };
    };
    let (error, code) = (error.to_owned(), code.to_owned());
    if status.is_server_error() {
        return Failure::Unreachable { url, why: format!("{error} ({code})") };
    }
    if status == StatusCode::TOO_MANY_REQUESTS || code == "refresh_in_progress" {
        return Failure::Later { code, error, retry_after };
    }
    let request_id = body["request_id"].as_str().map(str::to_owned);
    Failure::Refused { status: status.as_u16(), code, error, request_id }
}
