//! Every key of the configuration, its default and what it is for.

use common::redis::REDIS;
use common::settings::{ADMIN, CORS, DATABASE, GENERAL, HSTS, HTTP, Schema, Setting};
use common::tls::TLS;
use sealed_columns::PKCS11;

use super::audit::AUDIT;
use super::browser::BROWSER;
use super::captcha::CAPTCHA;
use super::signing::SIGNING;

const DEVELOPMENT_KEY: &str =
    "dev:6c61746368206b657920646576656c6f706d656e74206b6579206f6e6c792121";

const OWN: &[Setting] = &[
    Setting::new("http.port", "Port of the API").default("8080"),
    Setting::new("admin.port", "Port of the admin listener").default("9080"),
    Setting::new("database.url", "PostgreSQL, `postgres://user:password@host:port/database`; `?sslmode=verify-full` after it insists on TLS")
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
    Setting::new(
        "token.leeway",
        "How far clocks may lie apart: a replica accepts tokens that another signed so far in its future, and a retired service key verifies so long beyond its last token; as verifiers have it, 5 minutes at most",
    )
    .default("60s"),
];

const REFRESH: &[Setting] = &[
    Setting::new("refresh.life", "Absolute life of a session").default("30d").alias("REFRESH_TOKEN_EXPIRY"),
    Setting::new("refresh.trusted_life", "The same on a device that its owner trusts (“remember this device”)").default("90d"),
    Setting::new("refresh.grace", "How long the last refresh token may be presented again; 0 is strict").default("10s"),
    Setting::new("refresh.idle", "How long a session may rest between refreshes; 0 is no limit").default("0s"),
    Setting::new("refresh.rotations_per_hour", "Rotations an hour per device; 0 is no limit").default("10"),
    Setting::new("refresh.device_proof", "`optional`: a session that has once shown a device proof must show it ever after; `required`: every refresh must").default("optional"),
    Setting::new("refresh.mac_keys", "Keys under refresh tokens: `version:<64 hex>`, version 1 to 255; the first writes, all read")
        .secret()
        .development("1:72656672657368206d616320646576656c6f706d656e74206b6579206f6e6c79"),
];

const FEED: &[Setting] = &[
    Setting::new(
        "feed.clients",
        "Clients that may read the change feed, introspect and revoke tokens: `client_id:secret`, comma separated",
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
    Setting::new("limits.store", "Where limits are counted: `postgres` or `redis`, for all replicas together, or `memory`, by each for itself; where nothing is said, in Redis if there is one (`redis.url`), else in PostgreSQL"),
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
    Setting::new("limits.logins_per_username_per_hour", "Login attempts an hour by one username, on devices that it has not yet been used on; five times as many in browsers behind a CAPTCHA").default("30"),
    Setting::new("limits.logins_per_device_per_hour", "Logins an hour on one device").default("60"),
    Setting::new(
        "limits.password_checks_per_hour",
        "Checks of one account's password an hour, beside logins",
    )
    .default("20"),
    Setting::new(
        "limits.sessions_per_user",
        "Live sessions of one account, each with its key; past it the longest idle one ends",
    )
    .default("256"),
    Setting::new(
        "limits.unbound_devices",
        "Registered devices that nobody has signed in on, at most",
    )
    .default("100000"),
    Setting::new(
        "limits.recent_sign_in",
        "How fresh a proof of the person, by login, password or passkey, must be for sensitive actions",
    )
    .default("5m"),
];

const STEP_UP: &[Setting] = &[
    Setting::new("api_keys.scopes", "Scopes that users may give to API keys, comma separated")
        .default("chat"),
    Setting::new("api_keys.life", "How long an API key may work at most").default("365d"),
    Setting::new("passkeys.rp_id", "Domain that passkeys are bound to; that of the public URL where not given. Without a domain there are no passkeys")
        .development("localhost")
        .optional(),
    Setting::new("passkeys.origins", "Origins that may use passkeys beside the pages of `cors.allowed_origins` beneath that domain, comma separated; that of the public URL where none is given")
        .development("http://localhost:8080")
        .optional(),
];

/// Every setting of the service.
pub const SCHEMA: Schema = Schema {
    service: "user-service",
    sections: &[
        GENERAL, OWN, HTTP, ADMIN, TLS, CORS, HSTS, BROWSER, DATABASE, VAULT, PKCS11, TOKEN,
        REFRESH, SIGNING, FEED, PASSWORDS, LIMITS, CAPTCHA, REDIS, STEP_UP, AUDIT,
    ],
};
