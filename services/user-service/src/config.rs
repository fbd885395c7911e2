//! The settings of user-service.

use common::database::DatabaseSettings;
use common::http::CorsSettings;
use common::service::{AdminSettings, HttpSettings, ServiceSettings};
use common::settings::{
    ADMIN, CORS, DATABASE, DeploymentEnvironment, GENERAL, HTTP, List, Period, Schema, Secret,
    Setting,
};
use common::telemetry::LogSettings;
use serde::Deserialize;

const DEVELOPMENT_KEY: &str =
    "dev:6c61746368206b657920646576656c6f706d656e74206b6579206f6e6c792121";

const OWN: &[Setting] = &[
    Setting::new("http.port", "Port of the API").default("8080"),
    Setting::new("admin.port", "Port of the admin listener").default("9080"),
    Setting::new("database.url", "PostgreSQL, `postgres://user:password@host:port/database`")
        .secret()
        .alias("DATABASE_URL")
        .development("postgres://postgres@127.0.0.1:54320/user_service"),
    Setting::new("public_url", "Where clients reach this service; discovery is built from it")
        .default("http://127.0.0.1:8080"),
];

const VAULT: &[Setting] = &[Setting::new(
    "vault.keys",
    "Keyring that seals private keys and secrets: `id:<64 hex>`, comma separated; the first writes, all read",
)
.secret()
.alias("SESSION_TOKEN_ENCRYPTION_KEY")
.development(DEVELOPMENT_KEY)];

const TOKEN: &[Setting] = &[
    Setting::new("token.issuer", "`iss` of access tokens; the public URL where not given"),
    Setting::new("token.audience", "`aud` of access tokens").default("latchkey"),
    Setting::new("token.client_id", "`client_id` of sessions opened through the bearer API")
        .default("latchkey-app"),
    Setting::new("token.scope", "`scope` of such sessions").default("chat"),
    Setting::new("token.life", "Life of an access token")
        .default("2h")
        .alias("ACCESS_TOKEN_EXPIRY"),
];

const REFRESH: &[Setting] = &[
    Setting::new("refresh.life", "Absolute life of a session").default("30d").alias("REFRESH_TOKEN_EXPIRY"),
    Setting::new("refresh.grace", "How long the last refresh token may be presented again; 0 is strict").default("10s"),
    Setting::new("refresh.rotations_per_hour", "Rotations an hour per device; 0 is no limit").default("10"),
    Setting::new("refresh.mac_keys", "Keys under refresh tokens: `version:<64 hex>`, version 1 to 255; the first writes, all read")
        .secret()
        .development("1:72656672657368206d616320646576656c6f706d656e74206b6579206f6e6c79"),
];

const SIGNING: &[Setting] = &[
    Setting::new(
        "signing.mode",
        "`device`: a key for each device; `service`: the key in `signing.private_key_path` for all",
    )
    .default("device"),
    Setting::new("signing.algorithm", "`RS256` or `ES256`").default("RS256"),
    Setting::new("signing.rsa_bits", "Modulus of new RSA keys: 2048, 3072 or 4096").default("2048"),
    Setting::new(
        "signing.private_key_path",
        "PEM of the current service key; `latchkey keygen` makes one",
    )
    .alias("JWT_PRIVATE_KEY_PATH"),
    Setting::new(
        "signing.next_key_path",
        "PEM of the service key that comes next, published ahead of its use",
    ),
    Setting::new(
        "signing.retired_key_paths",
        "PEM files of service keys that still verify, comma separated",
    )
    .default(""),
    Setting::new("signing.pool_size", "Key pairs kept waiting, born published").default("8"),
    Setting::new("signing.pool_max", "Ceiling that the pool grows to with demand").default("256"),
    Setting::new(
        "signing.pool_age",
        "How long a key is published before it is handed out, where the pool allows",
    )
    .default("600s"),
    Setting::new("signing.pool_threads", "Threads that make key pairs").default("1"),
    Setting::new("signing.jwks_max_keys", "Keys in the whole JWKS at most").default("10000"),
];

const FEED: &[Setting] = &[
    Setting::new(
        "feed.clients",
        "Who may read the change feed: `client_id:secret`, comma separated",
    )
    .secret()
    .development("chat-service:development-feed-secret"),
    Setting::new("feed.streams_per_client", "Streams that one client may hold open on one replica")
        .default("64"),
];

const PASSWORDS: &[Setting] = &[
    Setting::new("passwords.memory_kib", "Argon2id memory in KiB").default("19456"),
    Setting::new("passwords.passes", "Argon2id passes").default("2"),
    Setting::new("passwords.lanes", "Argon2id lanes").default("1"),
    Setting::new("passwords.workers", "Hashes made at once, each with its memory; 0 is one a core")
        .default("0"),
    Setting::new("passwords.queue", "Hashes that may wait; 0 is four a worker. Past it: 503")
        .default("0"),
];

const LIMITS: &[Setting] = &[
    Setting::new("limits.registration_open", "Whether anybody may register").default("true"),
    Setting::new("limits.registrations_per_hour", "Registrations an hour from one address")
        .default("60"),
    Setting::new(
        "limits.device_registrations_per_hour",
        "Device registrations an hour from one address",
    )
    .default("120"),
    Setting::new("limits.logins_per_minute", "Login attempts a minute from one address")
        .default("60"),
    Setting::new(
        "limits.unbound_devices",
        "Registered devices that nobody has signed in on, at most",
    )
    .default("100000"),
    Setting::new(
        "limits.recent_sign_in",
        "How fresh a sign-in must be to remove another device without the password",
    )
    .default("10m"),
];

/// Every setting of the service.
pub const SCHEMA: Schema = Schema {
    service: "user-service",
    sections: &[
        GENERAL, OWN, HTTP, ADMIN, CORS, DATABASE, VAULT, TOKEN, REFRESH, SIGNING, FEED, PASSWORDS,
        LIMITS,
    ],
};

/// The settings as read.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where the service runs.
    pub environment: DeploymentEnvironment,
    /// Where clients reach it.
    pub public_url: String,
    /// Logs.
    pub log: LogSettings,
    /// Public listener.
    pub http: HttpSettings,
    /// Admin listener.
    pub admin: AdminSettings,
    /// Browsers.
    pub cors: CorsSettings,
    /// PostgreSQL.
    pub database: DatabaseSettings,
    /// Sealing keys.
    pub vault: VaultSettings,
    /// Access tokens.
    pub token: TokenSettings,
    /// Refresh tokens and sessions.
    pub refresh: RefreshSettings,
    /// Signing keys.
    pub signing: SigningSettings,
    /// Change feed.
    pub feed: FeedSettings,
    /// Password hashing.
    pub passwords: PasswordSettings,
    /// Limits.
    pub limits: LimitSettings,
}

/// Section `vault`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VaultSettings {
    /// See [`vault_crypto::Keyring::parse`].
    pub keys: Secret,
}

/// Section `token`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenSettings {
    /// `iss`, where it is not the public URL.
    pub issuer: Option<String>,
    /// `aud`.
    pub audience: String,
    /// `client_id` of the bearer API.
    pub client_id: String,
    /// `scope` of the bearer API.
    pub scope: String,
    /// Life of an access token.
    pub life: Period,
}

/// Section `refresh`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefreshSettings {
    /// Absolute life of a session.
    pub life: Period,
    /// Grace window of the last token.
    pub grace: Period,
    /// Rotations an hour per device; 0 is no limit.
    pub rotations_per_hour: usize,
    /// `version:<64 hex>`, comma separated; the first writes, all read.
    pub mac_keys: Secret,
}

/// Which key signs a session's tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SigningMode {
    /// The session's device's own.
    Device,
    /// The current service key.
    Service,
}

/// Section `signing`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SigningSettings {
    /// Which key signs.
    pub mode: SigningMode,
    /// What new keys are for.
    pub algorithm: token_verifier::Algorithm,
    /// Modulus of new RSA keys.
    pub rsa_bits: u32,
    /// The current service key.
    pub private_key_path: Option<String>,
    /// The service key that comes next.
    pub next_key_path: Option<String>,
    /// Service keys that still verify.
    pub retired_key_paths: List<String>,
    /// Keys kept waiting.
    pub pool_size: i64,
    /// What the pool may grow to.
    pub pool_max: i64,
    /// How long a key waits, where the pool allows.
    pub pool_age: Period,
    /// Threads that make keys.
    pub pool_threads: usize,
    /// Keys in the whole JWKS at most.
    pub jwks_max_keys: i64,
}

/// Section `feed`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeedSettings {
    /// Readers and their secrets.
    pub clients: Secret,
    /// Streams one of them may hold open.
    pub streams_per_client: usize,
}

/// Section `passwords`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PasswordSettings {
    /// Argon2id memory in KiB.
    pub memory_kib: u32,
    /// Argon2id passes.
    pub passes: u32,
    /// Argon2id lanes.
    pub lanes: u32,
    /// Hashes made at once; 0 is one a core.
    pub workers: usize,
    /// Hashes that may wait; 0 is four a worker.
    pub queue: usize,
}

/// Section `limits`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitSettings {
    /// Whether anybody may register.
    pub registration_open: bool,
    /// From one address.
    pub registrations_per_hour: u32,
    /// From one address.
    pub device_registrations_per_hour: u32,
    /// From one address.
    pub logins_per_minute: u32,
    /// At most, in all.
    pub unbound_devices: i64,
    /// How fresh a sign-in must be for sensitive changes.
    pub recent_sign_in: Period,
}

impl Settings {
    /// `iss` of access tokens and discovery's `issuer`.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.token.issuer.as_deref().unwrap_or(&self.public_url)
    }
}

impl ServiceSettings for Settings {
    fn log(&self) -> &LogSettings {
        &self.log
    }

    fn http(&self) -> &HttpSettings {
        &self.http
    }

    fn admin(&self) -> &AdminSettings {
        &self.admin
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::settings::Environment;

    #[test]
    fn development_needs_no_settings_and_production_names_what_it_lacks() {
        let development = Environment::from_iter([("USER_SERVICE__ENVIRONMENT", "development")]);
        SCHEMA.load::<Settings>(&development).unwrap();
        let error = SCHEMA.load::<Settings>(&Environment::default()).unwrap_err();
        assert!(error.to_string().contains("USER_SERVICE__DATABASE__URL"), "{error}");
    }
}
