//! The settings of chat-service.

use common::database::DatabaseSettings;
use common::http::{CorsSettings, HstsSettings};
use common::service::{AdminSettings, HttpSettings, ServiceSettings};
use common::settings::{
    ADMIN, CORS, DATABASE, DeploymentEnvironment, GENERAL, HSTS, HTTP, Period, Schema, Setting,
    positive,
};
use common::telemetry::LogSettings;
use common::tls::{TLS, TlsSettings};
use serde::Deserialize;
use token_verifier::VerifierSettings;

const OWN: &[Setting] = &[
    Setting::new("http.port", "Port of the API").default("8081"),
    Setting::new("admin.port", "Port of the admin listener").default("9081"),
    Setting::new("database.url", "PostgreSQL, `postgres://user:password@host:port/database`; `?sslmode=verify-full` after it insists on TLS")
        .secret()
        .alias("DATABASE_URL")
        .development("postgres://postgres@127.0.0.1:54320/chat_service"),
];

const ROOMS: &[Setting] =
    &[Setting::new("rooms.invitation_life", "How long an invitation is good").default("7d")];

const LIVE: &[Setting] = &[
    Setting::new("live.ping_interval", "How often a WebSocket is pinged; two unanswered end it")
        .default("5s"),
    Setting::new("live.send_timeout", "How long a WebSocket's reader may hold up one frame")
        .default("10s"),
    Setting::new("live.poll_interval", "How often to look for messages without notification")
        .default("5s"),
    Setting::new("live.max_subscriptions", "Rooms that one WebSocket may subscribe to")
        .default("500"),
    Setting::new("live.max_connections", "WebSockets that one user may have open on one replica")
        .default("32"),
];

/// Every setting of the service.
pub const SCHEMA: Schema = Schema {
    service: "chat-service",
    sections: &[
        GENERAL,
        OWN,
        HTTP,
        ADMIN,
        TLS,
        CORS,
        HSTS,
        DATABASE,
        token_verifier::SETTINGS,
        ROOMS,
        LIVE,
    ],
};

/// The settings as read.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where the service runs.
    pub environment: DeploymentEnvironment,
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
    /// Who issues access tokens.
    pub verifier: VerifierSettings,
    /// Rooms.
    pub rooms: RoomSettings,
    /// Live delivery.
    pub live: LiveSettings,
}

/// Section `rooms`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoomSettings {
    /// How long an invitation is good.
    #[serde(deserialize_with = "positive")]
    pub invitation_life: Period,
}

/// Section `live`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LiveSettings {
    /// How often a WebSocket is pinged.
    #[serde(deserialize_with = "positive")]
    pub ping_interval: Period,
    /// How long a reader may hold up one frame.
    #[serde(deserialize_with = "positive")]
    pub send_timeout: Period,
    /// How often to look for messages without notification.
    #[serde(deserialize_with = "positive")]
    pub poll_interval: Period,
    /// Rooms that one WebSocket may subscribe to.
    #[serde(deserialize_with = "positive")]
    pub max_subscriptions: usize,
    /// Live connections that one user may have open here.
    #[serde(deserialize_with = "positive")]
    pub max_connections: usize,
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
        let verifier = self.verifier.check().err();
        verifier.into_iter().chain(self.database.check().err()).collect()
    }
}
