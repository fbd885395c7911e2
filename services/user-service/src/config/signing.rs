//! Section `signing`: which keys sign, and where service keys are.

use common::settings::{List, Period, Secret, Setting};
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
        "Where new private service keys are: `database` (the default), sealed by `vault.keys`; `pkcs11`, in a token; `transit`, behind HashiCorp Vault or OpenBao",
    ),
    Setting::new(
        "signing.pkcs11_module",
        "PKCS#11 module (a shared library) of the token with the service keys",
    ),
    Setting::new("signing.pkcs11_token", "Label of the token"),
    Setting::new("signing.pkcs11_pin", "The token's user PIN").secret(),
    Setting::new("signing.transit_url", "Where the transit service is, `https://vault.example.com:8200`"),
    Setting::new("signing.transit_mount", "Where its transit engine is mounted").default("transit"),
    Setting::new(
        "signing.transit_token_path",
        "File with its token, read at each call, so that an agent may renew it",
    ),
    Setting::new("signing.transit_ca_path", "PEM of the CAs that its certificate may be from, instead of the public ones"),
    Setting::new("signing.transit_timeout", "How long one call of it may take").default("2s"),
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
    Setting::new("signing.pool_threads", "Threads that make key pairs ahead of their use, at low priority, and as many for logins that find none").default("1"),
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
    /// In a PKCS#11 token.
    Pkcs11,
    /// Behind a transit service.
    Transit,
}

impl KeyStore {
    /// As in the settings and in the table.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Database => "database",
            Self::Pkcs11 => "pkcs11",
            Self::Transit => "transit",
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
    /// Module of the PKCS#11 token.
    pub pkcs11_module: Option<String>,
    /// Its label.
    pub pkcs11_token: Option<String>,
    /// Its user's PIN.
    pub pkcs11_pin: Option<Secret>,
    /// The transit service.
    pub transit_url: Option<String>,
    /// Its engine.
    pub transit_mount: String,
    /// The file with its token.
    pub transit_token_path: Option<String>,
    /// Its CAs.
    pub transit_ca_path: Option<String>,
    /// The longest call.
    pub transit_timeout: Period,
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

/// A PKCS#11 token.
#[derive(Clone, Copy, Debug)]
pub struct TokenPlace<'a> {
    /// Path of the module.
    pub module: &'a str,
    /// Label of the token.
    pub token: &'a str,
    /// Its user's PIN.
    pub pin: &'a Secret,
}

/// A transit service.
#[derive(Clone, Debug)]
pub struct TransitSettings {
    /// Where it is.
    pub url: String,
    /// Where its transit engine is mounted.
    pub mount: String,
    /// The file with the token.
    pub token_path: String,
    /// PEM of its CAs; none: the public ones.
    pub ca_path: Option<String>,
    /// How long a call may take.
    pub timeout: Period,
}

impl SigningSettings {
    /// The token with service keys; none where none is configured.
    pub fn pkcs11(&self) -> Result<Option<TokenPlace<'_>>, String> {
        let parts = (&self.pkcs11_module, &self.pkcs11_token, &self.pkcs11_pin);
        match parts {
            (Some(module), Some(token), Some(pin)) => Ok(Some(TokenPlace { module, token, pin })),
            (None, None, None) if self.store() != KeyStore::Pkcs11 => Ok(None),
            _ => Err("`signing.pkcs11_module`, `signing.pkcs11_token` and `signing.pkcs11_pin` \
                      belong together, and `pkcs11` service keys need them"
                .to_owned()),
        }
    }

    /// The transit service; none where none is configured.
    pub fn transit(&self) -> Result<Option<TransitSettings>, String> {
        if !self
            .transit_mount
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_/".contains(&byte))
        {
            return Err("`signing.transit_mount` is no path".to_owned());
        }
        if self.transit_ca_path.is_some() && self.transit_url.is_none() {
            return Err(
                "`signing.transit_ca_path` says nothing without `signing.transit_url`".to_owned()
            );
        }
        match (&self.transit_url, &self.transit_token_path) {
            (Some(url), Some(token_path)) if is_web_url(url) => Ok(Some(TransitSettings {
                url: url.clone(),
                mount: self.transit_mount.trim_matches('/').to_owned(),
                token_path: token_path.clone(),
                ca_path: self.transit_ca_path.clone(),
                timeout: self.transit_timeout,
            })),
            (Some(_), Some(_)) => {
                Err("`signing.transit_url` is no `https://` or `http://` URL".to_owned())
            }
            (None, None) if self.store() != KeyStore::Transit => Ok(None),
            _ => {
                Err("`signing.transit_url` and `signing.transit_token_path` belong together, and \
                      `transit` service keys need them"
                    .to_owned())
            }
        }
    }

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

fn is_web_url(url: &str) -> bool {
    url.starts_with("https://") || url.starts_with("http://")
}

impl Settings {
    /// The places of keys are given whole or not at all.
    pub(super) fn check_key_stores(&self) -> Result<(), String> {
        self.signing.pkcs11()?;
        self.signing.transit().map(drop)
    }

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
