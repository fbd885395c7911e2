//! Section `signing`: which keys sign, and where service keys are.

use common::settings::{List, Period, Setting};
use serde::Deserialize;
use token_verifier::Algorithm;

use super::Settings;

/// Its settings.
pub(super) const SIGNING: &[Setting] = &[
    Setting::new(
        "signing.mode",
        "`device`: a key for each device; `service`: one key for all, of a ring in the database, or in files where `signing.private_key_path` is given",
    )
    .default("device"),
    Setting::new("signing.algorithm", "`RS256` or `ES256`").default("RS256"),
    Setting::new("signing.rsa_bits", "Modulus of new RSA keys: 2048, 3072 or 4096").default("2048"),
    Setting::new(
        "signing.service_keys",
        "Where private service keys of the ring are: `database` (the default), sealed by `vault.keys`; says nothing where the ring is in files",
    ),
    Setting::new(
        "signing.rotate_every",
        "How often one replica rotates the service keys; 0 leaves it to `latchkey keys rotate`",
    )
    .default("0s"),
    Setting::new(
        "signing.private_key_path",
        "PEM of the current service key, for a ring in files; `latchkey keygen` makes one",
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

/// Which key signs a session's tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SigningMode {
    /// The session's device's own.
    Device,
    /// The current service key.
    Service,
}

/// Where the private keys of the ring are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyStore {
    /// In the table of the ring, sealed by the keyring.
    Database,
}

impl KeyStore {
    /// As in the settings and in the table.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Database => "database",
        }
    }
}

/// Section `signing`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SigningSettings {
    /// Which key signs.
    pub mode: SigningMode,
    /// What new keys are for.
    pub algorithm: Algorithm,
    /// Modulus of new RSA keys.
    pub rsa_bits: u32,
    /// Where new service keys are made.
    pub service_keys: Option<KeyStore>,
    /// How often service keys rotate; zero: by command only.
    pub rotate_every: Period,
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

impl SigningSettings {
    /// Whether the ring is one of PEM files.
    #[must_use]
    pub fn is_in_files(&self) -> bool {
        self.private_key_path.is_some()
            || self.next_key_path.is_some()
            || !self.retired_key_paths.0.is_empty()
    }

    /// Where new service keys are made, unless the ring is in files.
    #[must_use]
    pub fn store(&self) -> KeyStore {
        self.service_keys.unwrap_or(KeyStore::Database)
    }
}

impl Settings {
    pub(super) fn check_service_keys(&self) -> Result<(), String> {
        let signing = &self.signing;
        if !signing.is_in_files() {
            return Ok(());
        }
        if signing.service_keys.is_some() || !signing.rotate_every.0.is_zero() {
            return Err("`signing.private_key_path` and other files of keys exclude \
                        `signing.service_keys` and `signing.rotate_every`: a ring is in files or \
                        kept by the service"
                .to_owned());
        }
        if signing.mode == SigningMode::Service && signing.private_key_path.is_none() {
            return Err("`signing.private_key_path` is required where the ring is in files; \
                        `latchkey keygen` makes a key"
                .to_owned());
        }
        Ok(())
    }

    /// A retired key verifies as long as its tokens live, and two of them are published at most.
    pub(super) fn check_rotation(&self) -> Result<(), String> {
        let (every, grace) = (self.signing.rotate_every.0, self.token.life.0 + self.token.leeway.0);
        if every.is_zero() || every >= grace.max(self.signing.pool_age.0) {
            return Ok(());
        }
        Err("`signing.rotate_every` must be 0, or at least `signing.pool_age` and at least \
             `token.life` and `token.leeway` together"
            .to_owned())
    }
}
