//! The rollout, as operators' commands need it.

use actix_web::http::StatusCode;
use chrono::{DateTime, TimeDelta, Utc};
use common::clock::{self, Clock};
use common::http::Problem;
use diesel_async::AsyncPgConnection;
use serde::Serialize;

use crate::config::Settings;
use crate::error::Error;
use crate::models::auth_session;
use crate::models::cookie_rollout::{self, CookieRollout};

/// By then all replicas go by a decision.
const HEARD_WITHIN: TimeDelta = TimeDelta::minutes(1);

/// The rollout, as an operator's command opens it.
pub struct Operator {
    connection: AsyncPgConnection,
    first_share: u8,
    accepts_v4: bool,
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
    /// At 100: how many live sessions have not refreshed since, and may still have the older cookies.
    pub may_have_v4: Option<i64>,
}

impl Operator {
    /// With the service's own settings; an error says what stands against it.
    pub async fn open(settings: &Settings) -> Result<Self, String> {
        let connection = settings.database.connect().await?;
        let browser = &settings.browser;
        let (first_share, accepts_v4) = (browser.rollout_share, browser.accept_v4);
        Ok(Self { connection, first_share, accepts_v4 })
    }

    /// How far it is.
    pub async fn show(&mut self) -> Result<Operated, Error> {
        match cookie_rollout::find(&mut self.connection).await? {
            Some(decision) => self.look_at(decision).await,
            None => Ok(Operated {
                share: self.first_share.into(),
                decided_by: "settings".to_owned(),
                reason: None,
                decided_at: None,
                may_have_v4: None,
            }),
        }
    }

    async fn look_at(&mut self, decision: CookieRollout) -> Result<Operated, Error> {
        let CookieRollout { share, decided_by, reason, decided_at, .. } = decision;
        let mut may_have_v4 = None;
        if share == 100 {
            let (heard, now) = (decided_at + HEARD_WITHIN, Clock::default().now());
            let counted = auth_session::count_unrefreshed(&mut self.connection, heard, now);
            may_have_v4 = Some(counted.await?);
        }
        Ok(Operated { share, decided_by, reason, decided_at: Some(decided_at), may_have_v4 })
    }

    /// Lets `share` percent of sessions get the newer cookies, whatever was decided before; replicas
    /// hear of it by themselves. Less than all is refused where v4 is not accepted.
    pub async fn set(&mut self, share: u8) -> Result<Operated, Error> {
        if share < 100 && !self.accepts_v4 {
            return Err(Error::Request(Problem::new(
                StatusCode::CONFLICT,
                "v4_not_accepted",
                "`browser.accept_v4` is false, so that all sessions have v5: set it to true on \
                 every replica first",
            )));
        }
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
                return self.look_at(decision).await;
            }
        }
    }
}
