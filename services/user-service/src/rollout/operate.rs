//! The rollout, as operators' commands need it.

use chrono::{DateTime, Utc};
use common::clock::{self, Clock};
use diesel_async::AsyncPgConnection;
use serde::Serialize;

use crate::config::Settings;
use crate::error::Error;
use crate::models::cookie_rollout::{self, CookieRollout};

/// The rollout, as an operator's command opens it.
pub struct Operator {
    connection: AsyncPgConnection,
    first_share: u8,
}

/// How far the rollout is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Operated {
    /// Percent of sessions that get the newer cookies.
    pub share: i16,
    /// Who decided so: `settings`, `operator` or `step_back`.
    pub decided_by: String,
    /// Why a step back.
    pub reason: Option<String>,
    /// When; none where no service has started on the database yet.
    #[serde(serialize_with = "clock::serialize_optional")]
    pub decided_at: Option<DateTime<Utc>>,
}

impl From<CookieRollout> for Operated {
    fn from(decision: CookieRollout) -> Self {
        let CookieRollout { share, decided_by, reason, decided_at, .. } = decision;
        Self { share, decided_by, reason, decided_at: Some(decided_at) }
    }
}

impl Operator {
    /// With the service's own settings; an error says what stands against it.
    pub async fn open(settings: &Settings) -> Result<Self, String> {
        let connection = settings.database.connect().await?;
        Ok(Self { connection, first_share: settings.browser.rollout_share })
    }

    /// How far it is.
    pub async fn show(&mut self) -> Result<Operated, Error> {
        let decision = cookie_rollout::find(&mut self.connection).await?;
        Ok(decision.map_or_else(
            || Operated {
                share: self.first_share.into(),
                decided_by: "settings".to_owned(),
                reason: None,
                decided_at: None,
            },
            Operated::from,
        ))
    }

    /// Lets `share` percent of sessions get the newer cookies, whatever was decided before; replicas
    /// hear of it by themselves.
    pub async fn set(&mut self, share: u8) -> Result<Operated, Error> {
        loop {
            let former = cookie_rollout::find(&mut self.connection).await?;
            let decision = CookieRollout {
                share: share.into(),
                revision: former.as_ref().map_or(1, |former| former.revision + 1),
                decided_by: "operator".to_owned(),
                reason: None,
                decided_at: Clock::default().now(),
            };
            let done = match former {
                Some(_) => cookie_rollout::replace(&mut self.connection, &decision).await?,
                None => cookie_rollout::begin(&mut self.connection, &decision).await? == 1,
            };
            if done {
                return Ok(decision.into());
            }
        }
    }
}
