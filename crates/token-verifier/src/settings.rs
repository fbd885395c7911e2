use std::time::Duration;

use chrono::{DateTime, Utc};
use common::settings::{List, Period, Secret, Setting, web_url};
use serde::Deserialize;

use crate::client::client;
use crate::policy::Legacy;

/// The section `verifier` of a service that verifies.
pub const SETTINGS: &[Setting] = &[
    Setting::new("verifier.user_service_url", "Where the issuer's keys and change feed are")
        .default("http://127.0.0.1:8080")
        .alias("USER_SERVICE_URL"),
    Setting::new(
        "verifier.ca_path",
        "PEM of the authorities that its certificate may be from, instead of the machine's own",
    ),
    Setting::new("verifier.issuer", "`iss` of accepted tokens; the issuer's URL where not given"),
    Setting::new("verifier.audience", "`aud` of accepted tokens").default("latchkey"),
    Setting::new("verifier.client_id", "Who we are to the change feed").default("chat-service"),
    Setting::new("verifier.client_secret", "Our secret at the change feed; PEM files need none")
        .secret()
        .optional()
        .development("development-feed-secret"),
    Setting::new(
        "verifier.public_key_files",
        "PEM public keys instead of an issuer's URL, comma separated: no network, no revocation",
    )
    .default(""),
    Setting::new("verifier.leeway", "Clock leeway, 5 minutes at most").default("60s"),
    Setting::new(
        "verifier.legacy_until",
        "Until when (RFC 3339) tokens that an older layout issued are accepted: `typ` JWT, and \
         without claims that they lack; never where not given",
    ),
    Setting::new("verifier.legacy_issuer", "`iss` of such tokens, beside the present one"),
    Setting::new("verifier.stale_limit", "How long to go on without the change feed")
        .default("30s"),
    Setting::new("verifier.fetch_retries", "Further tries of a failed key fetch")
        .default("3")
        .alias("JWT_PUBLIC_KEY_FETCH_RETRY"),
    Setting::new("verifier.fetch_timeout", "How long a key fetch may take, retries included")
        .default("10s")
        .alias("JWT_PUBLIC_KEY_FETCH_TIMEOUT"),
    Setting::new("verifier.max_keys", "Keys kept in memory").default("10000"),
    Setting::new("verifier.max_tokens", "Verified tokens kept in memory").default("100000"),
];

/// Section `verifier`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VerifierSettings {
    /// Where the issuer's keys and change feed are.
    #[serde(deserialize_with = "web_url")]
    pub user_service_url: String,
    /// Authorities that its certificate may be from, instead of the machine's own.
    pub ca_path: Option<String>,
    /// `iss`, where it is not the URL.
    pub issuer: Option<String>,
    /// `aud`.
    pub audience: String,
    /// Who we are to the change feed.
    pub client_id: String,
    /// Our secret there; needed unless there are PEM files.
    pub client_secret: Option<Secret>,
    /// PEM public keys instead of a URL.
    pub public_key_files: List<String>,
    /// Clock leeway.
    pub leeway: Period,
    /// Until when tokens of an older layout are accepted.
    pub legacy_until: Option<DateTime<Utc>>,
    /// Their `iss`, beside the present one.
    pub legacy_issuer: Option<String>,
    /// How long to go on without the feed.
    pub stale_limit: Period,
    /// Further tries of a failed fetch.
    pub fetch_retries: u32,
    /// How long a fetch may take.
    pub fetch_timeout: Period,
    /// Keys kept in memory.
    pub max_keys: u64,
    /// Verified tokens kept in memory.
    pub max_tokens: u64,
}

/// Leeways above this are refused: the issuer keeps revocations for `exp` and this.
const LARGEST_LEEWAY: Duration = Duration::from_mins(5);

/// The feed says something every 5 seconds; a limit below twice that would refuse in between.
const SMALLEST_STALE_LIMIT: Duration = Duration::from_secs(10);

impl VerifierSettings {
    /// The defaults of [`SETTINGS`], for a service that has settings of its own kind.
    #[must_use]
    pub fn new(user_service_url: &str, client_id: &str, client_secret: Secret) -> Self {
        Self {
            user_service_url: user_service_url.to_owned(),
            ca_path: None,
            issuer: None,
            audience: "latchkey".to_owned(),
            client_id: client_id.to_owned(),
            client_secret: Some(client_secret),
            public_key_files: List::default(),
            leeway: Period(Duration::from_mins(1)),
            legacy_until: None,
            legacy_issuer: None,
            stale_limit: Period(Duration::from_secs(30)),
            fetch_retries: 3,
            fetch_timeout: Period(Duration::from_secs(10)),
            max_keys: 10_000,
            max_tokens: 100_000,
        }
    }

    pub(crate) fn issuer(&self) -> &str {
        self.issuer.as_deref().unwrap_or(self.base_url())
    }

    pub(crate) fn base_url(&self) -> &str {
        self.user_service_url.trim_end_matches('/')
    }

    pub(crate) fn legacy(&self) -> Option<Legacy> {
        let issuer = self.legacy_issuer.clone();
        self.legacy_until.map(|until| Legacy { until, issuer })
    }

    /// What is wrong, in one line that names the key.
    pub fn check(&self) -> Result<(), String> {
        self.check_rules()?;
        client(self.ca_path.as_deref()).map(drop)
    }

    fn check_rules(&self) -> Result<(), &'static str> {
        if self.public_key_files.0.is_empty() && self.client_secret.is_none() {
            return Err("`verifier.client_secret` is required without `verifier.public_key_files`");
        }
        if self.ca_path.is_some() && !self.user_service_url.starts_with("https://") {
            return Err("`verifier.ca_path` needs a `verifier.user_service_url` of https://");
        }
        if self.leeway.0 > LARGEST_LEEWAY {
            return Err("`verifier.leeway` may be 5 minutes at most");
        }
        if self.stale_limit.0 < SMALLEST_STALE_LIMIT {
            return Err("`verifier.stale_limit` must be 10 seconds at least: \
                        the feed may be silent for 5");
        }
        if self.fetch_timeout.0.is_zero() {
            return Err("`verifier.fetch_timeout` must be above zero");
        }
        if self.max_keys == 0 {
            return Err("`verifier.max_keys` must be above zero");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use common::settings::{Environment, Schema};

    use super::*;

    #[derive(Deserialize)]
    struct Settings {
        verifier: VerifierSettings,
    }

    #[test]
    fn both_ways_to_the_defaults_agree() {
        const SCHEMA: Schema = Schema { service: "a-service", sections: &[SETTINGS] };
        let secret = ("A_SERVICE__VERIFIER__CLIENT_SECRET", "s");
        let loaded: Settings = SCHEMA.load(&Environment::from_iter([secret])).unwrap();
        let built = VerifierSettings::new(
            "http://127.0.0.1:8080",
            "chat-service",
            Secret::from("s".to_owned()),
        );
        assert_eq!(format!("{:?}", loaded.verifier), format!("{built:?}"));
        assert_eq!(built.check(), Ok(()));
    }

    #[test]
    fn a_leeway_that_outlives_revocations_is_refused() {
        let mut settings =
            VerifierSettings::new("http://issuer.example/", "me", Secret::from(String::new()));
        assert_eq!(settings.issuer(), "http://issuer.example");
        settings.leeway = Period(Duration::from_secs(301));
        assert!(settings.check().is_err());
    }

    #[test]
    fn only_pem_files_make_up_for_a_missing_secret() {
        let mut settings =
            VerifierSettings::new("http://issuer.example/", "me", Secret::from(String::new()));
        settings.client_secret = None;
        assert!(settings.check().unwrap_err().contains("verifier.client_secret"));
        settings.public_key_files = List(vec!["key.pem".to_owned()]);
        assert_eq!(settings.check(), Ok(()));
        settings.stale_limit = Period(Duration::from_secs(9));
        assert!(settings.check().unwrap_err().contains("verifier.stale_limit"));
    }
}
