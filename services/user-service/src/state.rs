//! What handlers and rooms share.

use std::sync::Arc;

use actix_web::http::header::HeaderMap;
use common::clock::Clock;
use common::database::Pool;
use common::redis::Redis;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use vault_crypto::Keyring;

use crate::audit::Recorder;
use crate::browser::Browser;
use crate::browser::generation::Generation;
use crate::browser::received::ReceivedCookies;
use crate::captcha::Captcha;
use crate::config::Settings;
use crate::error::Error;
use crate::feed::{FeedClients, Hub};
use crate::limits::RateLimiter;
use crate::metrics::ServiceMetrics;
use crate::models::auth_session::AuthSession;
use crate::models::key_change::ChangeKind;
use crate::passkeys::Passkeys;
use crate::passwords::PasswordHasher;
use crate::rollout::Rollout;
use crate::sessions::{self, EndReason, MacKeys};
use crate::signing::{LARGEST_LEEWAY, Signing};

/// One a process; clones share everything.
#[derive(Clone)]
pub struct State {
    /// PostgreSQL.
    pub pool: Pool,
    /// Where there is one.
    pub redis: Option<Redis>,
    /// The time.
    pub clock: Clock,
    /// The settings as read.
    pub settings: Settings,
    /// Cookies, CSRF tokens and origins.
    pub browser: Browser,
    /// Seals private keys and secrets.
    pub keyring: Keyring,
    /// Which share of sessions gets the newer cookies.
    pub rollout: Rollout,
    /// Keys under refresh tokens.
    pub mac_keys: MacKeys,
    /// The room in which passwords are hashed.
    pub hasher: PasswordHasher,
    /// Limits by address, username, account and device.
    pub limiter: Arc<dyn RateLimiter>,
    /// Asks whether a person is there.
    pub captcha: Arc<dyn Captcha>,
    /// `WebAuthn`.
    pub passkeys: Passkeys,
    /// Signs and publishes.
    pub signing: Signing,
    /// Announces revocations.
    pub hub: Hub,
    /// Who may hear them.
    pub feed_clients: FeedClients,
    /// Takes security events that belong to no transaction.
    pub audit: Recorder,
    /// What is counted.
    pub metrics: ServiceMetrics,
    /// Cancelled when the service drains.
    pub draining: CancellationToken,
}

impl State {
    /// Our cookies among those of a request.
    #[must_use]
    pub fn read_cookies(&self, headers: &HeaderMap) -> ReceivedCookies {
        self.browser.cookies.read(headers, |token| sessions::position_of(&self.mac_keys, token))
    }

    /// Which cookies `id`, a session's or a pre-session's, is to have; `came` where that can't be
    /// known.
    pub async fn generation_of(&self, id: Uuid, came: Generation) -> Generation {
        let share = self.rollout.share().await;
        self.browser.cookies.usable(share.map_or(came, |share| Generation::at_share(share, id)))
    }

    /// Gives `work` up once the database has had all the time that it may take: a connection that
    /// is held up somewhere on the way says nothing by itself.
    pub async fn in_time<T, E: From<Error>>(
        &self,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let database = &self.settings.database;
        let longest = database.connect_timeout.0 + database.statement_timeout.0;
        tokio::time::timeout(longest, work)
            .await
            .unwrap_or_else(|_| Err(Error::DatabaseSilent.into()))
    }

    /// To be called after the transaction that ended `sessions` is committed.
    pub fn forget_sessions(&self, sessions: &[AuthSession], reason: EndReason) {
        if sessions.is_empty() {
            return;
        }
        for session in sessions {
            let until = session.last_access_expires_at + LARGEST_LEEWAY;
            self.hub.revoked().add(ChangeKind::Sid.as_str(), &session.id.to_string(), until);
        }
        self.hub.wake();
        self.signing.forget(sessions.iter().filter_map(|session| session.kid.as_deref()));
        let ended = u64::try_from(sessions.len()).unwrap_or(u64::MAX);
        self.metrics.sessions_ended.with_label_values(&[reason.as_str()]).inc_by(ended);
        tracing::info!(reason = reason.as_str(), ended, "sessions_ended");
    }
}
