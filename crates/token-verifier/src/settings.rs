use common::settings::{List, Period, Secret, Setting};
use serde::Deserialize;

/// The section `verifier` of a service that verifies.
pub const SETTINGS: &[Setting] = &[
    Setting::new("verifier.user_service_url", "Where the issuer's keys and change feed are")
        .default("http://127.0.0.1:8080")
        .alias("USER_SERVICE_URL"),
    Setting::new("verifier.issuer", "`iss` of accepted tokens; the issuer's URL where not given"),
    Setting::new("verifier.audience", "`aud` of accepted tokens").default("latchkey"),
    Setting::new("verifier.client_id", "Who we are to the change feed").default("chat-service"),
    Setting::new("verifier.client_secret", "Our secret at the change feed")
        .secret()
        .development("development-feed-secret"),
    Setting::new(
        "verifier.public_key_files",
        "PEM public keys instead of an issuer's URL, comma separated: no network, no revocation",
    )
    .default(""),
    Setting::new("verifier.leeway", "Clock leeway, 5 minutes at most").default("60s"),
    Setting::new("verifier.stale_limit", "How long to go on without the change feed")
        .default("30s"),
    Setting::new("verifier.fetch_retries", "Further tries of a failed key fetch")
        .default("3")
        .alias("JWT_PUBLIC_KEY_FETCH_RETRY"),
    Setting::new("verifier.fetch_timeout", "How long a key fetch may take")
        .default("10s")
        .alias("JWT_PUBLIC_KEY_FETCH_TIMEOUT"),
    Setting::new("verifier.max_keys", "Keys kept in memory").default("100000"),
    Setting::new("verifier.max_tokens", "Verified tokens kept in memory").default("100000"),
];

/// Section `verifier`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VerifierSettings {
    /// Where the issuer's keys and change feed are.
    pub user_service_url: String,
    /// `iss`, where it is not the URL.
    pub issuer: Option<String>,
    /// `aud`.
    pub audience: String,
    /// Who we are to the change feed.
    pub client_id: String,
    /// Our secret there.
    pub client_secret: Secret,
    /// PEM public keys instead of a URL.
    pub public_key_files: List<String>,
    /// Clock leeway.
    pub leeway: Period,
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

impl VerifierSettings {
    pub(crate) fn issuer(&self) -> &str {
        self.issuer.as_deref().unwrap_or(&self.user_service_url)
    }

    pub(crate) fn base_url(&self) -> &str {
        self.user_service_url.trim_end_matches('/')
    }
}
