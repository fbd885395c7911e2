//! Steps with their times.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use reqwest::{Client, Method, StatusCode};
use serde_json::Value;

use super::Arguments;

/// How long anything in the story may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

pub(super) struct Story {
    client: Client,
    pub(super) user_service: String,
    pub(super) chat_service: String,
    pub(super) auth_manager: String,
    step: u32,
}

/// A member that is text.
pub(super) fn text(answer: &Value, member: &str) -> Result<String> {
    let found = answer[member].as_str().with_context(|| format!("no `{member}` in {answer}"))?;
    Ok(found.to_owned())
}

impl Story {
    pub(super) fn new(arguments: &Arguments) -> Result<Self> {
        let client = Client::builder().timeout(PATIENCE).user_agent("latchkey-demo").build()?;
        let trim = |url: &str| url.trim_end_matches('/').to_owned();
        Ok(Self {
            client,
            user_service: trim(&arguments.user_service),
            chat_service: trim(&arguments.chat_service),
            auth_manager: trim(&arguments.auth_manager),
            step: 0,
        })
    }

    /// A step at user-service that must succeed.
    pub(super) async fn user(&mut self, what: &str, path: &str, body: &Value) -> Result<Value> {
        let url = format!("{}{path}", self.user_service);
        self.must(what, &url, None, body).await
    }

    /// A step at chat-service that must succeed.
    pub(super) async fn chat(
        &mut self,
        what: &str,
        path: &str,
        token: &str,
        body: &Value,
    ) -> Result<Value> {
        let url = format!("{}{path}", self.chat_service);
        self.must(what, &url, Some(token), body).await
    }

    async fn must(
        &mut self,
        what: &str,
        url: &str,
        token: Option<&str>,
        body: &Value,
    ) -> Result<Value> {
        let started = Instant::now();
        let (status, answer) = self.send(Method::POST, url, token, Some(body)).await?;
        if !status.is_success() {
            bail!("{what}: {url} answered {status}: {answer}");
        }
        self.tell(what, started);
        Ok(answer)
    }

    pub(super) async fn read(&self, token: &str, room: &str) -> Result<(StatusCode, Value)> {
        let url = format!("{}/api/messages/{room}", self.chat_service);
        self.send(Method::GET, &url, Some(token), None).await
    }

    pub(super) async fn send(
        &self,
        method: Method,
        url: &str,
        token: Option<&str>,
        body: Option<&Value>,
    ) -> Result<(StatusCode, Value)> {
        let mut request = self.client.request(method, url);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.with_context(|| {
            format!("{url} can't be reached; `cargo xtask up` starts the services")
        })?;
        let status = response.status();
        Ok((status, response.json().await.unwrap_or_default()))
    }

    /// A form's answer.
    pub(super) async fn post_form(&self, url: &str, body: String) -> Result<Value> {
        let request = self.client.post(url).body(body);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        Ok(request.send().await?.error_for_status()?.json().await?)
    }

    pub(super) fn tell(&mut self, what: &str, started: Instant) {
        self.step += 1;
        let ms = started.elapsed().as_secs_f64() * 1000.0;
        println!("{:>2}. {what:<48} {ms:>8.1} ms", self.step);
    }
}
