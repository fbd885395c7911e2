//! Calls over HTTP: bounded in time, size and number, through the breaker, counted. Nothing here
//! follows a redirect, and no error that leaves it carries a URL.

use std::time::Duration;

use common::http::Correlation;
use common::tls::{describe, trust};
use reqwest::header::RETRY_AFTER;
use reqwest::{Client, RequestBuilder, Response, redirect};
use serde_json::{Map, Value};
use tokio::sync::SemaphorePermit;
use tokio::time::{Instant, sleep};

use super::breaker::{Breaker, Permit};
use super::connections::Connections;
use super::verdict::{Reply, judge, unusable};
use super::{Call, Fault};
use crate::config::ProvidersSettings;
use crate::metrics::ServiceMetrics;

const CA_PATH: &str = "ca_path";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const IDLE_TIMEOUT: Duration = Duration::from_mins(1);
/// A call that may be repeated is made this often at most.
const TRIES: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// A longer Retry-After is not worth obeying.
const MAX_RETRY_AFTER: Duration = Duration::from_mins(5);
const AGENT: &str = concat!("latchkey-auth-manager/", env!("CARGO_PKG_VERSION"));

/// The way to one provider.
pub(crate) struct Http {
    client: Client,
    provider: String,
    timeout: Duration,
    connect_timeout: Duration,
    pause: Duration,
    connections: Connections,
    breaker: Breaker,
    metrics: ServiceMetrics,
}

/// Leave to call.
struct Admission<'a> {
    permit: Permit<'a>,
    _connection: SemaphorePermit<'a>,
}

/// When an operation must have ended, whatever number of calls it takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Instant);

impl Http {
    pub(super) fn new(
        provider: &str,
        ca_path: Option<&str>,
        settings: &ProvidersSettings,
        metrics: ServiceMetrics,
    ) -> Result<Self, String> {
        let timeout = settings.timeout.0;
        let connect_timeout = CONNECT_TIMEOUT.min(timeout / 2);
        let client = Client::builder()
            .redirect(redirect::Policy::none())
            .no_proxy()
            .user_agent(AGENT)
            .connect_timeout(connect_timeout)
            .pool_max_idle_per_host(settings.connections)
            .pool_idle_timeout(IDLE_TIMEOUT);
        let client = trust(client, CA_PATH, ca_path)?;
        let client = client.build().map_err(|error| error.to_string())?;
        let pause = settings.breaker_pause.0;
        let open = metrics.breaker_open.with_label_values(&[provider]);
        let breaker = Breaker::new(settings.breaker_failures, pause, open);
        let waiting = metrics.provider_calls_waiting.with_label_values(&[provider]);
        let connections = Connections::new(settings.connections, waiting);
        let provider = provider.to_owned();
        Ok(Self {
            client,
            provider,
            timeout,
            connect_timeout,
            pause,
            connections,
            breaker,
            metrics,
        })
    }

    /// How long a provider that is away is left alone.
    pub(super) fn pause(&self) -> Duration {
        self.pause
    }

    /// Whether anything answers at `url`. An answer does not close the breaker: that this is served
    /// proves nothing of the call that is to follow.
    pub(super) async fn probe(&self, url: &str) -> Result<(), Fault> {
        let deadline = self.deadline();
        let admission = self.admit(Call::Discovery, deadline.0).await?;
        let started = Instant::now();
        let probed = self.reach(url, deadline).await;
        self.observe(Call::Discovery, started, probed.as_ref().err());
        if probed.is_err() {
            admission.permit.fail();
        }
        probed
    }

    async fn reach(&self, url: &str, deadline: Deadline) -> Result<(), Fault> {
        let request = correlate(self.client.get(url)).timeout(deadline.left());
        let sent = request.send().await;
        let status = sent.map_err(|error| self.away(Call::Discovery, error))?.status();
        if status.is_server_error() {
            return Err(Fault::Away { sent: true, retry_after: self.pause });
        }
        Ok(())
    }

    /// For an operation that begins now.
    pub(crate) fn deadline(&self) -> Deadline {
        Deadline(Instant::now() + self.timeout)
    }

    /// Makes a call and judges its answer; repeats it where that is safe.
    pub(crate) async fn call(
        &self,
        call: Call,
        deadline: Deadline,
        request: impl Fn(&Client) -> RequestBuilder,
    ) -> Result<Map<String, Value>, Fault> {
        let mut pause = FIRST_PAUSE;
        for _ in 1..if call.may_be_repeated() { TRIES } else { 1 } {
            let judged = self.call_once(call, deadline, request(&self.client)).await;
            let again = matches!(judged, Err(Fault::Away { retry_after, .. })
                if retry_after <= self.pause && pause < deadline.left());
            if !again || self.breaker.is_open() {
                return judged;
            }
            sleep(pause.mul_f64(rand::random_range(0.5..=1.0))).await;
            pause *= 2;
        }
        self.call_once(call, deadline, request(&self.client)).await
    }

    async fn call_once(
        &self,
        call: Call,
        deadline: Deadline,
        request: RequestBuilder,
    ) -> Result<Map<String, Value>, Fault> {
        // With less time than it takes to give up connecting, an end of it would not tell whether
        // anything was sent.
        let least = if call.may_be_repeated() { Duration::ZERO } else { self.connect_timeout };
        let admission = self.admit(call, deadline.0 - least).await?;
        let started = Instant::now();
        let judged = self.exchange(call, request.timeout(deadline.left())).await;
        self.observe(call, started, judged.as_ref().err());
        match &judged {
            Err(Fault::Away { .. }) => admission.permit.fail(),
            _ => admission.permit.succeed(),
        }
        judged
    }

    /// Waits for a connection, but in no line for a provider that is left alone, and for as long
    /// as a call may still begin.
    async fn admit(&self, call: Call, until: Instant) -> Result<Admission<'_>, Fault> {
        let away = |retry_after| Fault::Away { sent: false, retry_after };
        let refuse = |retry_after| {
            self.count(call, "breaker_open");
            away(retry_after)
        };
        if let Some(retry_after) = self.breaker.refusal() {
            return Err(refuse(retry_after));
        }
        let Some(connection) = self.connections.take(until).await else {
            self.count(call, "no_connection");
            return Err(away(self.pause));
        };
        if until <= Instant::now() {
            return Err(away(self.pause));
        }
        let permit = self.breaker.admit().map_err(refuse)?;
        Ok(Admission { permit, _connection: connection })
    }

    async fn exchange(
        &self,
        call: Call,
        request: RequestBuilder,
    ) -> Result<Map<String, Value>, Fault> {
        let away = |error: reqwest::Error| self.away(call, error);
        let response = correlate(request).send().await.map_err(away)?;
        let (status, retry_after) = (response.status().as_u16(), retry_after(&response));
        let body = read(response, call.max_bytes()).await.map_err(away)?;
        let body = body.ok_or_else(|| unusable(call, "its answer is too large", self.pause))?;
        judge(call, &Reply { status, retry_after, body }, self.pause)
    }

    /// Only a connection that never stood is certain to have carried nothing.
    fn away(&self, call: Call, error: reqwest::Error) -> Fault {
        let sent = !error.is_connect() && !error.is_builder();
        // The URL of an error is its caller's, with whatever that put in.
        let error = error.without_url();
        let (provider, endpoint) = (self.provider.as_str(), call.as_str());
        tracing::warn!(
            provider,
            endpoint,
            sent,
            error = describe(&error, CA_PATH),
            "provider_call_failed"
        );
        if error.is_builder() {
            return Fault::Misconfigured(format!("{endpoint}: no request can be made of it"));
        }
        Fault::Away { sent, retry_after: self.pause }
    }

    fn observe(&self, call: Call, started: Instant, fault: Option<&Fault>) {
        self.count(call, fault.map_or("ok", Fault::as_str));
        let labels = [self.provider.as_str(), call.as_str()];
        let histogram = self.metrics.provider_call_duration.with_label_values(&labels);
        histogram.observe(started.elapsed().as_secs_f64());
        if let Some(Fault::Misconfigured(reason)) = fault {
            tracing::error!(provider = labels[0], reason, "provider_misconfigured");
        }
    }

    fn count(&self, call: Call, outcome: &str) {
        let labels = [self.provider.as_str(), call.as_str(), outcome];
        self.metrics.provider_calls.with_label_values(&labels).inc();
    }
}

impl Deadline {
    fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }
}

/// The call with the names of the request that causes it.
fn correlate(call: RequestBuilder) -> RequestBuilder {
    let headers = Correlation::headers().into_iter();
    headers.fold(call, |call, (name, value)| call.header(name, value))
}

fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(MAX_RETRY_AFTER))
}

/// The body, none where it is larger than `max_bytes`.
async fn read(mut response: Response, max_bytes: usize) -> reqwest::Result<Option<Vec<u8>>> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        body.extend_from_slice(&chunk);
        if body.len() > max_bytes {
            return Ok(None);
        }
    }
    Ok(Some(body))
}

#[cfg(test)]
mod tests {
    use common::metrics::Metrics;
    use serde_json::json;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_call_that_may_not_be_repeated_is_not_begun_without_time_to_connect() {
        let settings = json!({
            "file": "", "default": "", "timeout": "10s", "connections": 1, "breaker_failures": 5,
            "breaker_pause": "5s",
        });
        let metrics = ServiceMetrics::register(&Metrics::new("auth-manager"));
        let http =
            Http::new("a", None, &serde_json::from_value(settings).unwrap(), metrics).unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let deadline = Deadline(Instant::now() + http.connect_timeout);
        let called = http.call(Call::Refresh, deadline, |client| client.post(&url)).await;
        assert_eq!(called, Err(Fault::Away { sent: false, retry_after: http.pause }));
        let whole = http.deadline();
        let calling = http.call(Call::Refresh, whole, |client| client.post(&url));
        let (called, ()) = tokio::join!(calling, async {
            drop(listener.accept().await.unwrap());
        });
        assert_eq!(called, Err(Fault::Away { sent: true, retry_after: http.pause }));
    }
}
