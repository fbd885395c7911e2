//! The settings of auth-manager. Who the providers are is a file of its own, see
//! [`crate::providers::ProviderSettings`].

use common::database::DatabaseSettings;
use common::http::{CorsSettings, HstsSettings};
use common::service::{AdminSettings, HttpSettings, ServiceSettings};
use common::settings::{
    ADMIN, CORS, DATABASE, DeploymentEnvironment, GENERAL, HSTS, HTTP, List, Period, Schema,
    Secret, Setting, web_url,
};
use common::telemetry::LogSettings;
use common::tls::{TLS, TlsSettings};
use sealed_columns::{KeyringSettings, PKCS11};
use serde::Deserialize;
use vault_crypto::{Keyring, TokenHasher};

use crate::providers::Providers;
use crate::sessions::StateKey;

const OWN: &[Setting] = &[
    Setting::new("http.port", "Port of the API").default("8000"),
    Setting::new("admin.port", "Port of the admin listener").default("9082"),
    Setting::new("database.url", "PostgreSQL, `postgres://user:password@host:port/database`; `?sslmode=verify-full` after it insists on TLS")
        .secret()
        .alias("DATABASE_URL")
        .development("postgres://postgres@127.0.0.1:54320/auth_manager"),
    Setting::new(
        "public_url",
        "Where browsers reach this service; redirect URIs are built from it",
    )
    .default("http://localhost:8000"),
];

const VAULT: &[Setting] = &[
    Setting::new(
        "vault.keys",
        "Keyring that seals tokens: `id:<64 hex>`, comma separated; the first writes, all read",
    )
    .secret()
    .alias("SESSION_TOKEN_ENCRYPTION_KEY")
    .development("dev:6c61746368206b657920646576656c6f706d656e74206b6579206f6e6c792121"),
    Setting::new("vault.hash_key", "Key under token hashes, 64 hex; rewrap leaves it alone")
        .secret()
        .development("746f6b656e206861736820646576656c6f706d656e74206b6579206f6e6c7921"),
    Setting::new(
        "vault.one_online_grant",
        "Keep one online grant per user and provider instead of one per session; what it replaces is revoked",
    )
    .default("false"),
    Setting::new(
        "vault.end_session",
        "Whether revoking the last grant of a session that nobody uses ends it at the provider too",
    )
    .default("true"),
    Setting::new("vault.ledger_life", "How long the ledger of uses is kept").default("90d"),
];

const DRAW: &[Setting] = &[
    Setting::new(
        "draw.margin",
        "A stored access token is served until this long before its end, half its life at most",
    )
    .default("30s"),
    Setting::new("draw.lease", "Lease on a grant while its provider is asked; renewed meanwhile")
        .default("5s"),
    Setting::new("draw.wait", "How long a caller waits for another's call before 503")
        .default("15s"),
];

const PROVIDERS: &[Setting] = &[
    Setting::new("providers.file", "TOML file that names the providers, see docs/VAULT.md")
        .default("deploy/providers.toml"),
    Setting::new("providers.default", "The provider where a request names none")
        .default("keycloak"),
    Setting::new("providers.timeout", "How long one call to a provider may take").default("10s"),
    Setting::new("providers.connections", "Calls to a provider at a time; others wait")
        .default("32"),
    Setting::new(
        "providers.breaker_failures",
        "Failures in a row after which a provider counts as away",
    )
    .default("5"),
    Setting::new("providers.breaker_pause", "How long it is then left alone").default("5s"),
];

const STATES: &[Setting] = &[
    Setting::new("states.key", "Key that signs state tokens, 64 hex")
        .secret()
        .development("737461746520746f6b656e20646576656c6f706d656e74206b6579206f6e6c79"),
    Setting::new("states.life", "How long an authorization request may take").default("10m"),
    Setting::new(
        "states.return_to",
        "Where a browser may be sent after sign-in: exact origins, comma separated",
    )
    .default(""),
];

const CALLERS: &[Setting] = &[
    Setting::new("callers.cache", "How long an introspection answer is believed; 0 asks each time")
        .default("10s"),
    Setting::new("callers.max_cached", "Callers kept in memory").default("100000"),
];

const LOGOUT: &[Setting] = &[Setting::new(
    "logout.revoke_offline",
    "Whether a back-channel logout that says `revoke_offline_access` ends offline grants too",
)
.default("false")];

/// Every setting of the service.
pub const SCHEMA: Schema = Schema {
    service: "auth-manager",
    sections: &[
        GENERAL, OWN, HTTP, ADMIN, TLS, CORS, HSTS, DATABASE, VAULT, PKCS11, DRAW, PROVIDERS,
        STATES, CALLERS, LOGOUT,
    ],
};

/// The settings as read.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where the service runs.
    pub environment: DeploymentEnvironment,
    /// Where browsers reach it.
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
    /// PostgreSQL.
    pub database: DatabaseSettings,
    /// Sealing, sharing, the ledger.
    pub vault: VaultSettings,
    /// Access tokens on demand.
    pub draw: DrawSettings,
    /// Who the providers are and how they are called.
    pub providers: ProvidersSettings,
    /// Authorization requests.
    pub states: StateSettings,
    /// Who calls us.
    pub callers: CallerSettings,
    /// Back-channel logout.
    pub logout: LogoutSettings,
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
    /// See [`TokenHasher::parse`].
    pub hash_key: Secret,
    /// One online grant per user and provider.
    pub one_online_grant: bool,
    /// End a session with its last grant.
    pub end_session: bool,
    /// How long ledger entries are kept.
    #[serde(deserialize_with = "common::settings::positive")]
    pub ledger_life: Period,
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

    /// What hashes tokens; an error names the setting.
    pub fn token_hasher(&self) -> Result<TokenHasher, String> {
        TokenHasher::parse(self.hash_key.expose())
            .map_err(|error| format!("`vault.hash_key`: {error}"))
    }
}

/// Section `draw`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DrawSettings {
    /// A stored access token is served until this long before its end.
    pub margin: Period,
    /// Lease on a grant.
    pub lease: Period,
    /// How long a caller waits for another's call.
    pub wait: Period,
}

/// Section `providers`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProvidersSettings {
    /// TOML file that names them.
    pub file: String,
    /// The one where a request names none.
    pub default: String,
    /// How long one call may take.
    pub timeout: Period,
    /// Calls to each at a time.
    #[serde(deserialize_with = "common::settings::positive")]
    pub connections: usize,
    /// Failures in a row that open the breaker.
    pub breaker_failures: u32,
    /// How long it stays open.
    pub breaker_pause: Period,
}

/// Section `states`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StateSettings {
    /// 64 hex.
    pub key: Secret,
    /// How long a request may take.
    pub life: Period,
    /// Origins a browser may be sent to.
    pub return_to: List<common::http::Origin>,
}

impl StateSettings {
    /// What signs state tokens; an error names the setting.
    pub(crate) fn state_key(&self) -> Result<StateKey, String> {
        StateKey::parse(self.key.expose()).map_err(|error| format!("`states.key`: {error}"))
    }
}

/// Section `callers`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallerSettings {
    /// How long an introspection answer is believed.
    pub cache: Period,
    /// Callers kept in memory.
    pub max_cached: u64,
}

/// Section `logout`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogoutSettings {
    /// Whether `revoke_offline_access` is heeded.
    pub revoke_offline: bool,
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
        let parsed = [
            self.vault.keyring().err(),
            self.vault.token_hasher().err(),
            self.states.state_key().err(),
            self.database.check().err(),
        ];
        let providers = Providers::faults(&self.providers, self.environment);
        parsed.into_iter().flatten().chain(providers).collect()
    }
}
