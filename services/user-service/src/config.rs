//! The settings of user-service.

mod audit;
mod browser;
mod captcha;
mod check;
mod schema;
mod signing;
mod step_up;

use common::database::DatabaseSettings;
use common::http::{CorsSettings, HstsSettings};
use common::redis::RedisSettings;
use common::service::{AdminSettings, HttpSettings, ServiceSettings};
use common::settings::{DeploymentEnvironment, Period, Secret, web_url};
use common::telemetry::LogSettings;
use common::tls::TlsSettings;
use sealed_columns::KeyringSettings;
use serde::Deserialize;
use vault_crypto::Keyring;

pub use audit::AuditSettings;
pub use browser::{BrowserSettings, LONGEST_STEP_BACK_WINDOW};
pub use captcha::{CaptchaProvider, CaptchaSettings, WhenAway};
pub use schema::SCHEMA;
pub use signing::{KeyStore, SigningMode, SigningSettings, TokenPlace, TransitSettings};
pub use step_up::{ApiKeySettings, PasskeySettings};

/// The settings as read.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where the service runs.
    pub environment: DeploymentEnvironment,
    /// Where clients reach it.
    #[serde(deserialize_with = "web_url")]
    pub public_url: String,
    /// Logs.
    pub log: LogSettings,
    /// Public listener.
    pub http: HttpSettings,
    /// Admin listener.
    pub admin: AdminSettings,
    /// TLS on both.
    #[serde(default)]
    pub tls: TlsSettings,
    /// Browsers.
    pub cors: CorsSettings,
    /// Which of them keep to TLS.
    pub hsts: HstsSettings,
    /// The cookie API.
    pub browser: BrowserSettings,
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
    /// Proof that a person is there.
    pub captcha: CaptchaSettings,
    /// Redis.
    pub redis: RedisSettings,
    /// API keys.
    pub api_keys: ApiKeySettings,
    /// Passkeys.
    #[serde(default)]
    pub passkeys: PasskeySettings,
    /// Security events.
    pub audit: AuditSettings,
}

/// Section `vault`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VaultSettings {
    /// See [`vault_crypto::Keyring::parse_with`].
    pub keys: Secret,
    /// Module of the PKCS#11 token that wraps keys.
    pub pkcs11_module: Option<String>,
    /// Label of the token.
    pub pkcs11_token: Option<String>,
    /// Its user's PIN.
    pub pkcs11_pin: Option<Secret>,
    /// Label of the wrapping key in it.
    pub pkcs11_key: Option<String>,
}

impl VaultSettings {
    /// The keyring; an error names the setting. Signs in to the token where one is configured.
    pub fn keyring(&self) -> Result<Keyring, String> {
        KeyringSettings {
            keys: &self.keys,
            pkcs11_module: self.pkcs11_module.as_deref(),
            pkcs11_token: self.pkcs11_token.as_deref(),
            pkcs11_pin: self.pkcs11_pin.as_ref(),
            pkcs11_key: self.pkcs11_key.as_deref(),
        }
        .keyring()
    }
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
    /// How far clocks may lie apart.
    pub leeway: Period,
}

/// Section `refresh`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefreshSettings {
    /// Absolute life of a session.
    pub life: Period,
    /// The same on a device that its owner trusts.
    pub trusted_life: Period,
    /// Grace window of the last token.
    pub grace: Period,
    /// How long a session may rest; zero is no limit.
    pub idle: Period,
    /// Rotations an hour per device; 0 is no limit.
    pub rotations_per_hour: usize,
    /// Whether a refresh must prove its device.
    pub device_proof: DeviceProof,
    /// `version:<64 hex>`, comma separated; the first writes, all read.
    pub mac_keys: Secret,
}

/// Whether a refresh must prove its device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceProof {
    /// Only in a session that has once done so.
    Optional,
    /// Always.
    Required,
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

/// Where limits are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LimitStore {
    /// In the process.
    Memory,
    /// In the database, for all replicas together.
    Postgres,
    /// In Redis, for all replicas together; in the database while that is away.
    Redis,
}

/// Section `limits`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitSettings {
    /// Where limits are counted, where that is said; see [`Settings::limit_store`].
    pub store: Option<LimitStore>,
    /// Whether anybody may register.
    pub registration_open: bool,
    /// From one address.
    pub registrations_per_hour: u32,
    /// From one address.
    pub device_registrations_per_hour: u32,
    /// From one address.
    pub logins_per_minute: u32,
    /// By one username, on devices that are not yet that user's.
    pub logins_per_username_per_hour: u32,
    /// On one device.
    pub logins_per_device_per_hour: u32,
    /// Of one account, beside logins.
    pub password_checks_per_hour: u32,
    /// Of one account; each has a key.
    pub sessions_per_user: u32,
    /// At most, in all.
    pub unbound_devices: i64,
    /// How fresh a sign-in must be for sensitive changes.
    pub recent_sign_in: Period,
}

impl Settings {
    /// Where limits are counted: as it is said, else in Redis where there is one.
    #[must_use]
    pub fn limit_store(&self) -> LimitStore {
        let unsaid =
            if self.redis.url.is_some() { LimitStore::Redis } else { LimitStore::Postgres };
        self.limits.store.unwrap_or(unsaid)
    }

    /// `iss` of access tokens and discovery's `issuer`.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.token.issuer.as_deref().unwrap_or(self.base_url())
    }

    /// The public URL, to which paths are appended.
    #[must_use]
    pub fn base_url(&self) -> &str {
        self.public_url.trim_end_matches('/')
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

    fn tls(&self) -> &TlsSettings {
        &self.tls
    }

    fn faults(&self) -> Vec<String> {
        self.find_faults()
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
