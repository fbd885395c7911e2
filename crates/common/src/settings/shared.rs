//! The sections that every service has.

use serde::Deserialize;

use super::Setting;

/// Where a service runs; decides which secrets are acceptable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeploymentEnvironment {
    /// On somebody's machine, with secrets that everybody knows.
    Development,
    /// A build to be looked at, on a host, with an issuer, keys and a database of its own. Secrets
    /// are as in production.
    Preview,
    /// Everywhere else.
    Production,
}

/// `environment` and `log`.
pub const GENERAL: &[Setting] = &[
    Setting::new(
        "environment",
        "`production`, `preview` (cookies for pages on other sites) or `development`, which alone accepts development secrets",
    )
    .default("production"),
    Setting::new("log.level", "Log level, or levels by target: `info,user_service=debug`")
        .default("info")
        .alias("LOG_LEVEL"),
];

/// `http`, but for the port, which differs by service.
pub const HTTP: &[Setting] = &[
    Setting::new("http.host", "Address to listen on").default("127.0.0.1"),
    Setting::new("http.workers", "Worker threads; 0 is one a core").default("0"),
    Setting::new(
        "http.max_connections",
        "Connections at a time, of all workers together; whoever comes after them waits. The limit of open files is raised for them as far as it may be",
    )
    .default("10000"),
    Setting::new("http.drain_timeout", "How long requests in flight may take after SIGTERM")
        .default("20s"),
    Setting::new(
        "http.write_timeout",
        "How long a peer may leave untaken what was sent to it before its connection is dropped",
    )
    .default("30s"),
    Setting::new("http.body_timeout", "How long a peer may take to send a request's body")
        .default("20s"),
    Setting::new("http.trusted_proxies", "Networks (CIDR) whose `X-Forwarded-For` is believed")
        .default(""),
];

/// `admin.host`; the port differs by service.
pub const ADMIN: &[Setting] =
    &[Setting::new("admin.host", "Address of the admin listener (metrics, readiness)")
        .default("127.0.0.1")];

/// `cors`.
pub const CORS: &[Setting] = &[Setting::new(
    "cors.allowed_origins",
    "Exact origins (`https://app.example.com`) that browsers may call from",
)
.default("")
.alias("FRONTEND_ORIGINS")];

/// `hsts`.
pub const HSTS: &[Setting] = &[
    Setting::new(
        "hsts.max_age",
        "How long browsers keep to TLS once they have come by it; 0 has them forget. Not said in development, nor to `localhost` and addresses",
    )
    .default("730d"),
    Setting::new(
        "hsts.include_subdomains",
        "Whether for the hosts beneath this one too, whoever serves them",
    )
    .default("false"),
];

/// `database`, but for the URL, whose development value differs by service.
pub const DATABASE: &[Setting] = &[
    Setting::new(
        "database.ca_path",
        "PEM of the authorities that PostgreSQL's certificate may be from, in place of the machine's own; `sslmode` is `verify-full` then, where the URL says no other",
    ),
    Setting::new("database.max_connections", "Connections in the pool").default("16"),
    Setting::new(
        "database.connect_timeout",
        "How long a request waits for a connection before 503",
    )
    .default("3s"),
    Setting::new("database.statement_timeout", "How long one statement may run").default("10s"),
];
