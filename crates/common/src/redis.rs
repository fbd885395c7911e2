//! Redis, where one is configured: what replicas share for speed. It may be lost at any moment, so
//! whoever asks it has another way, and is told at once for a while after a failure.

use std::sync::Arc;
use std::time::Duration;

use prometheus::{IntCounterVec, IntGauge};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisResult, TlsCertificates};
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use crate::metrics::Metrics;
use crate::readiness::State;
use crate::settings::{Period, Secret, Setting, positive};
use crate::tls::read_authorities;

/// After a failure nobody is made to wait for it again so soon.
const PAUSE: Duration = Duration::from_secs(1);

/// Section `redis`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RedisSettings {
    /// Where it is; none: there is no Redis.
    pub url: Option<Secret>,
    /// Who vouches for it, where the machine's authorities do not.
    pub ca_file: Option<String>,
    /// What all keys begin with.
    pub prefix: String,
    /// How long it may take, connecting included.
    #[serde(deserialize_with = "positive")]
    pub timeout: Period,
}

/// The settings of the section.
pub const REDIS: &[Setting] = &[
    Setting::new("redis.url", "Redis, where there is one: `redis://user:password@host:port/number`, or `rediss://` over TLS").secret(),
    Setting::new("redis.ca_file", "PEM of the authority that Redis's certificate is checked against, in place of the machine's own"),
    Setting::new("redis.prefix", "What all keys in Redis begin with").default("latchkey:"),
    Setting::new("redis.timeout", "How long Redis may take before what is asked goes its other way").default("250ms"),
];

/// Redis did not do it; how it failed is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Redis is away")]
pub struct Away;

/// One Redis; clones share everything.
#[derive(Clone)]
pub struct Redis(Arc<Shared>);

struct Shared {
    settings: RedisSettings,
    link: Mutex<Link>,
    up: IntGauge,
    calls: IntCounterVec,
}

struct Link {
    client: Client,
    connection: Option<MultiplexedConnection>,
    /// None while all is well.
    away_until: Option<Instant>,
}

impl RedisSettings {
    /// What is wrong, in one line that names the key.
    pub fn check(&self) -> Result<(), String> {
        self.client().map(drop)
    }

    /// Connects with the first call and not before; `None` where there is no Redis.
    pub fn open(&self, metrics: &Metrics) -> Result<Option<Redis>, String> {
        let Some(client) = self.client()? else { return Ok(None) };
        Ok(Some(Redis(Arc::new(Shared {
            settings: self.clone(),
            link: Mutex::new(Link { client, connection: None, away_until: None }),
            up: metrics.gauge("redis_up", "1 while Redis answers, as far as is known"),
            calls: metrics.counter(
                "redis_calls_total",
                "Calls of Redis by outcome: ok, failed, skipped (within a second of a failure)",
                &["outcome"],
            ),
        }))))
    }

    fn client(&self) -> Result<Option<Client>, String> {
        let Some(url) = &self.url else {
            let unused = self.ca_file.is_some();
            let needs = || "`redis.ca_file` is given, and no `redis.url`".to_owned();
            return if unused { Err(needs()) } else { Ok(None) };
        };
        let wrong =
            || "`redis.url` is no URL such as rediss://user:password@host:6379/0".to_owned();
        let client = match &self.ca_file {
            None => Client::open(url.expose()),
            Some(file) => {
                if !url.expose().starts_with("rediss://") {
                    return Err(
                        "`redis.ca_file` needs a `redis.url` that begins with rediss://".to_owned()
                    );
                }
                let pem =
                    read_authorities(file).map_err(|error| format!("`redis.ca_file`: {error}"))?;
                let certificates = TlsCertificates { client_tls: None, root_cert: Some(pem) };
                Client::build_with_tls(url.expose(), certificates)
            }
        };
        // Its errors may quote the URL, which may hold a password.
        client.map(Some).map_err(|_| wrong())
    }
}

impl Redis {
    /// The name of a key in Redis.
    #[must_use]
    pub fn key(&self, kind: &str, name: &str) -> String {
        format!("{}{kind}:{name}", self.0.settings.prefix)
    }

    /// Does `work` on the connection; any failure, one of the network or not, is [`Away`].
    pub async fn run<T>(
        &self,
        work: impl AsyncFnOnce(&mut MultiplexedConnection) -> RedisResult<T>,
    ) -> Result<T, Away> {
        let worked = timeout(self.0.settings.timeout.0, async {
            let mut connection = self.connection().await?;
            work(&mut connection).await.map_err(Failure::Redis)
        });
        match worked.await.unwrap_or(Err(Failure::Slow)) {
            Ok(done) => {
                self.count("ok");
                Ok(done)
            }
            Err(Failure::Skipped) => {
                self.count("skipped");
                Err(Away)
            }
            Err(failure) => {
                self.count("failed");
                self.lose(&failure).await;
                Err(Away)
            }
        }
    }

    /// Whether it answers now; without it everything goes on.
    pub async fn readiness(&self) -> State {
        let ping = self.run(async |connection| redis::cmd("PING").exec_async(connection).await);
        ping.await.map_or_else(|away| State::Degraded(away.to_string()), |()| State::Ready)
    }

    async fn connection(&self) -> Result<MultiplexedConnection, Failure> {
        // Who comes while another connects waits for that connection, and no longer than for one.
        let mut link = self.0.link.lock().await;
        if link.away_until.is_some_and(|until| Instant::now() < until) {
            return Err(Failure::Skipped);
        }
        if let Some(connection) = &link.connection {
            return Ok(connection.clone());
        }
        // The file of authorities may have changed; one that is no good any more changes nothing.
        match self.0.settings.client() {
            Ok(Some(client)) => link.client = client,
            Ok(None) => {}
            Err(reason) => tracing::error!(reason, "tls_authorities_refused"),
        }
        let longest = Some(self.0.settings.timeout.0);
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(longest)
            .set_response_timeout(longest);
        let connecting = link.client.get_multiplexed_async_connection_with_config(&config);
        let connection = connecting.await.map_err(Failure::Redis)?;
        if link.away_until.take().is_some() {
            tracing::info!("redis_back");
        }
        self.0.up.set(1);
        link.connection = Some(connection.clone());
        Ok(connection)
    }

    async fn lose(&self, failure: &Failure) {
        let mut link = self.0.link.lock().await;
        if link.away_until.is_none() {
            tracing::warn!(reason = failure.describe(), "redis_away");
        }
        self.0.up.set(0);
        // A connection that fell silent is no good either.
        link.connection = None;
        link.away_until = Some(Instant::now() + PAUSE);
    }

    fn count(&self, outcome: &str) {
        self.0.calls.with_label_values(&[outcome]).inc();
    }
}

enum Failure {
    Skipped,
    Slow,
    Redis(redis::RedisError),
}

impl Failure {
    /// Without what Redis was sent.
    fn describe(&self) -> String {
        match self {
            Self::Skipped => "left alone".to_owned(),
            Self::Slow => "no answer in time".to_owned(),
            Self::Redis(error) => error.code().unwrap_or_else(|| error.category()).to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: Option<&str>, ca_file: Option<&str>) -> Result<(), String> {
        let settings = RedisSettings {
            url: url.map(|url| Secret::from(url.to_owned())),
            ca_file: ca_file.map(str::to_owned),
            prefix: String::new(),
            timeout: Period(Duration::from_secs(1)),
        };
        settings.check()
    }

    #[test]
    fn what_is_no_redis_is_named_and_its_password_is_not() {
        for (url, ca_file, key) in [
            (Some("http://hidden@redis.test"), None, "redis.url"),
            (Some("hidden"), None, "redis.url"),
            (Some("redis://:hidden@redis.test"), Some("/no/such/file"), "redis.ca_file"),
            (Some("rediss://:hidden@redis.test"), Some("/no/such/file"), "redis.ca_file"),
            (None, Some("/no/such/file"), "redis.ca_file"),
        ] {
            let error = check(url, ca_file).unwrap_err();
            assert!(error.contains(key) && !error.contains("hidden"), "{error}");
        }
        assert_eq!(check(Some("rediss://:hidden@redis.test:6379/1"), None), Ok(()));
        assert_eq!(check(None, None), Ok(()));
    }
}
