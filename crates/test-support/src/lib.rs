//! Real databases, services and clients for Latchkey's tests.
//!
//! `TEST_DATABASE_URL` names a PostgreSQL server whose user may create databases,
//! `TEST_KEYCLOAK_URL` a Keycloak with the administrator `admin` and `TEST_KEYCLOAK_HOME` its
//! distribution; `cargo xtask test` starts both and sets them. `TEST_REDIS_URL` names a Redis that
//! services are then to use; `cargo xtask test --redis` starts one and sets it.

#![expect(
    clippy::return_self_not_must_use,
    clippy::must_use_candidate,
    reason = "what counts is that they panic"
)]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't be set up fails")]

mod answer;
mod bearer;
mod browser;
mod certificates;
mod database;
mod device;
mod documentation;
mod examples;
mod foreign_client;
mod head;
mod hostile;
mod keycloak;
mod passkey;
mod ports;
mod postgres;
mod process;
mod programs;
mod protection;
mod raw;
mod redis;
mod routes;
mod server;
mod soft_hsm;
mod stand_in;
mod tcp_proxy;
mod tls_front;
mod wait;

pub use answer::Answer;
pub use bearer::not_one_bearer;
pub use browser::TestBrowser;
pub use certificates::{TestAuthority, TestCertificate};
pub use database::TestDatabase;
pub use device::{Offer, TestDevice};
pub use documentation::check_documentation;
pub use examples::check_examples;
pub use foreign_client::{ForeignClient, ForeignClients};
pub use head::check_head;
pub use hostile::Target;
pub use keycloak::{
    Browser, FaultProxy, OwnKeycloak, ProvidersFile, ProxyFault, TestRealm, TestUser, keycloak_url,
};
pub use passkey::TestPasskey;
pub use postgres::TestPostgres;
pub use process::ServiceProcess;
pub use programs::program;
pub use protection::{assert_protected, check_protection};
pub use raw::{RawAnswer, RawConnection};
pub use redis::{TestRedis, redis_url};
pub use routes::declared_routes;
pub use server::TestServer;
pub use soft_hsm::SoftHsm;
pub use stand_in::StandInServer;
pub use tcp_proxy::TcpProxy;
pub use tls_front::TlsFront;
pub use wait::eventually;
