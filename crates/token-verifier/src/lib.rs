//! Verifies Latchkey access tokens against cached keys and a feed of revocations.
//!
//! [`Verifier::builder`] makes a verifier that keeps the issuer's keys and follows its change feed;
//! [`AuthenticatedUser`] in a handler's signature is the guard. Every acceptance, cached or not,
//! ends by asking the tombstones: what the feed revoked stays refused whatever a key server answers
//! later. A verifier that can't judge (before the first replay, after a reset, past the stale
//! limit) answers 503, never 401.
//!
//! [`Refusal::code`], [`Reason::as_str`] and [`KeyError::code`] are stable. The histogram
//! `revocation_delay_seconds` says how long revocations take to get here, `feed_connected` whether
//! they do; alert on both. `examples/protected_service.rs` is a whole service.
//!
//! The pure part, [`Unverified`] and [`Policy`], needs no server and serves the issuer as well.
//!
//! ```no_run
//! use actix_web::{App, HttpServer, get, web};
//! use common::{metrics::Metrics, settings::Secret};
//! use token_verifier::{AuthenticatedUser, Verifier};
//!
//! #[get("/me")]
//! async fn me(user: AuthenticatedUser) -> String {
//!     user.user_id().to_string()
//! }
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let secret = Secret::from(std::env::var("FEED_SECRET")?);
//! let verifier = Verifier::builder("https://id.example.com", "my-service", secret)
//!     .audience("my-chat")
//!     .start(&Metrics::new("my-service"))?;
//! let verifier = web::Data::new(verifier);
//! HttpServer::new(move || App::new().app_data(verifier.clone()).service(me))
//!     .bind("127.0.0.1:3000")?
//!     .run()
//!     .await?;
//! # Ok(())
//! # }
//! ```

mod backoff;
mod bearer;
mod builder;
mod change;
mod check;
mod claims;
mod client;
mod extractor;
mod feed;
mod fetch_limit;
mod judge;
mod key;
mod key_cache;
mod key_source;
mod legacy;
mod metrics;
mod policy;
mod reason;
mod settings;
mod sse;
mod standing;
mod step_up;
mod strict_json;
mod tombstones;
mod verified;
mod verifier;

pub use bearer::{NoToken, bearer_token};
pub use builder::VerifierBuilder;
pub use check::{Unverified, is_kid};
pub use extractor::AuthenticatedUser;
pub use key::{Algorithm, Key, KeyError, public_jwk};
pub use policy::{Legacy, Policy};
pub use reason::{Reason, Refusal};
pub use settings::{SETTINGS, VerifierSettings};
pub use step_up::{MAX_AGE, RecentlyAuthenticated, insufficient_user_authentication, is_recent};
pub use verified::Verified;
pub use verifier::{Ended, Verifier};
