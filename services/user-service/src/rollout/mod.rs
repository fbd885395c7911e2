//! The rollout of the newer cookies: which share of sessions gets them, the same on all replicas.
//!
//! The share stands in one row. Each replica keeps what it read last: a change wakes it as a
//! revocation does, and polling stands behind that; no login and no refresh asks the database.

mod keep;
mod notes;
mod operate;
mod step_back;

use std::sync::Arc;
use std::time::Duration;

use actix_web::ResponseError;
use actix_web::http::StatusCode;
use common::clock::Clock;
use common::database::Pool;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;
use uuid::Uuid;

use notes::Notes;
pub use notes::Sign;
pub use operate::{Operated, Operator};
use step_back::Thresholds;

use crate::browser::generation::Generation;
use crate::config::Settings;
use crate::error::Error;
use crate::metrics::ServiceMetrics;
use crate::models::cookie_rollout::CookieRollout;

/// How long the first login waits for the first reading.
const FIRST_READING: Duration = Duration::from_secs(2);

/// What this replica knows of the rollout; clones share everything.
#[derive(Clone)]
pub struct Rollout {
    inner: Arc<Inner>,
}

struct Inner {
    pool: Pool,
    clock: Clock,
    metrics: ServiceMetrics,
    /// Percent, where nobody has decided yet.
    first_share: u8,
    wake: Arc<Notify>,
    /// Whether there are older cookies to go back to.
    accepts_v4: bool,
    thresholds: Thresholds,
    /// How sessions fare, until it is written down.
    notes: Notes,
    /// None before the first reading.
    known: watch::Sender<Option<CookieRollout>>,
}

impl Rollout {
    /// Begins to follow the table; ends with the last handle on it.
    #[must_use]
    pub fn start(settings: &Settings, pool: Pool, clock: Clock, metrics: &ServiceMetrics) -> Self {
        let wake = Arc::new(Notify::new());
        let inner = Arc::new(Inner {
            pool,
            clock,
            metrics: metrics.clone(),
            first_share: settings.browser.rollout_share,
            wake: Arc::clone(&wake),
            accepts_v4: settings.browser.accept_v4,
            thresholds: Thresholds::of(&settings.browser),
            notes: Notes::default(),
            known: watch::channel(None).0,
        });
        let kept = Arc::downgrade(&inner);
        let keep = move || keep::run(kept.clone(), Arc::clone(&wake));
        metrics.tasks.run("cookie_rollout", keep);
        Self { inner }
    }

    /// Percent of sessions that get the newer cookies; none while the database has never been
    /// read.
    pub async fn share(&self) -> Option<u8> {
        let mut known = self.inner.known.subscribe();
        let read = timeout(FIRST_READING, known.wait_for(Option::is_some)).await;
        share_of(read.ok()?.ok()?.as_ref())
    }

    /// Notes what a request of `session`, which has shown an authentic token in cookies of
    /// `generation`, came to. Only the newer ones are on trial, in sessions that are to have them:
    /// not those which have yet to move back.
    pub fn note(&self, generation: Generation, session: Uuid, sign: Sign) {
        let share = share_of(self.inner.known.borrow().as_ref());
        let wanted = share.map(|share| Generation::at_share(share, session));
        if (generation, wanted) == (Generation::V5, Some(Generation::V5)) {
            self.inner.notes.add(session, sign);
        }
    }

    /// The same of a refresh. Limits, races and a database that is away say nothing of cookies.
    pub fn note_refresh<T>(
        &self,
        generation: Generation,
        session: Uuid,
        refreshed: &Result<T, Error>,
    ) {
        let status = refreshed.as_ref().err().map(ResponseError::status_code);
        match status {
            None => self.note(generation, session, Sign::Well),
            Some(StatusCode::UNAUTHORIZED | StatusCode::INTERNAL_SERVER_ERROR) => {
                self.note(generation, session, Sign::RefreshFailed);
            }
            Some(_) => {}
        }
    }

    /// Notified, this looks at the table at once.
    #[must_use]
    pub fn waker(&self) -> Arc<Notify> {
        Arc::clone(&self.inner.wake)
    }
}

fn share_of(known: Option<&CookieRollout>) -> Option<u8> {
    u8::try_from(known?.share).ok()
}
