//! Security events, as operators' commands need them.

use chrono::{DateTime, Utc};
use common::clock::{self, Clock};
use common::settings::Period;
use diesel_async::AsyncPgConnection;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::chain::link_all;
use super::forget::forget;
use super::purge::{Purged, purge_all};
use super::rules::Rules;
use super::verify::{Verified, verify};
use super::{ChainKeys, Kind, checkpoints, seal};
use crate::config::Settings;
use crate::error::Error;
use crate::models::security_event::{self, SecurityEvent};
use crate::models::security_event_chain::{self, Checkpoint, Head};
use crate::models::user;
use crate::passwords::Username;

const PAGE: i64 = 1000;

/// The events, as an operator's command opens them.
pub struct Audit {
    connection: AsyncPgConnection,
    keys: ChainKeys,
    rules: Rules,
}

/// An event, for whom it concerns.
#[derive(Clone, Debug, Serialize)]
pub struct ExportedEvent {
    /// Order of writing.
    pub id: i64,
    /// Place in the chain; none until linked.
    pub position: Option<i64>,
    /// What happened.
    pub kind: String,
    /// When.
    #[serde(serialize_with = "clock::serialize")]
    pub at: DateTime<Utc>,
    /// Whose account.
    pub user_id: Option<Uuid>,
    /// In which session.
    pub session_id: Option<Uuid>,
    /// On which device.
    pub device_id: Option<Uuid>,
    /// From where.
    pub address: Option<String>,
    /// With what.
    pub user_agent: Option<String>,
    /// What else is known.
    pub details: Value,
}

impl From<SecurityEvent> for ExportedEvent {
    fn from(mut row: SecurityEvent) -> Self {
        if let (Some(all), Some(personal)) = (row.details.as_object_mut(), row.personal.as_object())
        {
            all.extend(personal.clone());
        }
        Self {
            id: row.id,
            position: row.position,
            kind: row.kind,
            at: row.occurred_at,
            user_id: row.user_id,
            session_id: row.session_id,
            device_id: row.device_id,
            address: row.address,
            user_agent: row.user_agent,
            details: row.details,
        }
    }
}

/// What there is of a kind.
#[derive(Clone, Debug, Serialize)]
pub struct Retention {
    /// Which.
    pub kind: String,
    /// How many rows.
    pub rows: i64,
    /// Since when.
    #[serde(serialize_with = "clock::serialize")]
    pub oldest: DateTime<Utc>,
    /// How many of them are past, and go with the next purge.
    pub due: i64,
    /// Seconds that it is kept; none for a kind that this release does not know, which stays.
    pub kept_for: Option<i64>,
}

/// The signed end of the chain, to be kept where the database's masters can't reach it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedHead {
    position: i64,
    link: String,
    key_version: i16,
    seal: String,
}

/// What a purge leaves, signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedCheckpoint {
    first_position: i64,
    last_position: i64,
    count: i64,
    former_link: String,
    link: String,
    #[serde(serialize_with = "clock::serialize")]
    purged_at: DateTime<Utc>,
    key_version: i16,
    seal: String,
}

/// What was exported before, by a command or into the log: the chain must still contain it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Exported {
    /// What a purge has left.
    Checkpoint(SignedCheckpoint),
    /// The end of the chain.
    Head(SignedHead),
}

impl From<Checkpoint> for SignedCheckpoint {
    fn from(checkpoint: Checkpoint) -> Self {
        Self {
            first_position: checkpoint.first_position,
            last_position: checkpoint.last_position,
            count: checkpoint.last_position - checkpoint.first_position + 1,
            former_link: hex::encode(checkpoint.former_link),
            link: hex::encode(checkpoint.link),
            purged_at: checkpoint.purged_at,
            key_version: checkpoint.key_version,
            seal: hex::encode(checkpoint.seal),
        }
    }
}

impl Audit {
    /// With the service's own settings; an error says what stands against it.
    pub async fn open(settings: &Settings) -> Result<Self, String> {
        let keys = ChainKeys::parse(settings.audit.chain_keys.expose())?;
        let rules = Rules::new(&settings.audit)?;
        let connection = settings.database.connect().await?;
        Ok(Self { connection, keys, rules })
    }

    /// Walks along the chain, through `known` where one is given.
    pub async fn verify(&mut self, known: Option<&Exported>) -> Result<Verified, Error> {
        let known = known.map(|known| self.read(known)).transpose()?;
        let keys = &self.keys;
        self.connection
            .build_transaction()
            .read_only()
            .repeatable_read()
            .run(async |connection| verify(connection, keys, known.as_ref()).await)
            .await
    }

    /// The signed end of the chain; none where nothing was ever linked.
    pub async fn head(&mut self) -> Result<Option<SignedHead>, Error> {
        let head = security_event_chain::find_head(&mut self.connection).await?;
        Ok(head.map(|head| SignedHead {
            position: head.position,
            link: hex::encode(head.link),
            key_version: head.key_version,
            seal: hex::encode(head.seal),
        }))
    }

    /// The place in the chain that `exported` names, if it is one of ours.
    fn read(&self, exported: &Exported) -> Result<Head, Error> {
        let wrong = |what: &str| Error::Internal(format!("what was exported {what}"));
        let bytes = |text: &str| hex::decode(text).map_err(|_| wrong("is no head or checkpoint"));
        let (head, checked) = match exported {
            Exported::Head(head) => {
                let (link, seal) = (bytes(&head.link)?, bytes(&head.seal)?);
                let (position, key_version) = (head.position, head.key_version);
                let head = Head { position, link, key_version, seal };
                let checked = seal::check_head(&self.keys, &head);
                (head, checked)
            }
            Exported::Checkpoint(left) => {
                let left = Checkpoint {
                    first_position: left.first_position,
                    last_position: left.last_position,
                    former_link: bytes(&left.former_link)?,
                    link: bytes(&left.link)?,
                    purged_at: left.purged_at,
                    key_version: left.key_version,
                    seal: bytes(&left.seal)?,
                };
                let checked = seal::check_checkpoint(&self.keys, &left, &left.former_link);
                let Checkpoint { last_position: position, link, key_version, seal, .. } = left;
                (Head { position, link, key_version, seal }, checked)
            }
        };
        checked.map_err(|_| wrong("was changed"))?;
        Ok(head)
    }

    /// The id of whoever has this name today.
    pub async fn find_user(&mut self, username: &str) -> Result<Option<Uuid>, Error> {
        let Ok(name) = Username::parse(username) else { return Ok(None) };
        let user = user::find_by_username_key(&mut self.connection, name.key()).await?;
        Ok(user.map(|user| user.id))
    }

    /// Hands each event of `user` to `take`, in the order of writing.
    pub async fn export(
        &mut self,
        user: Uuid,
        take: &mut (dyn FnMut(ExportedEvent) -> std::io::Result<()> + Send),
    ) -> Result<(), Error> {
        let mut after = 0;
        loop {
            let connection = &mut self.connection;
            let page = security_event::list_of_user(connection, user, after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = last.id;
            for row in page {
                take(row.into()).map_err(|error| Error::Internal(error.to_string()))?;
            }
        }
    }

    /// Forgets `user`: how many rows, and the ids of those that somebody had changed, which stay.
    pub async fn forget(&mut self, user: Uuid) -> Result<(usize, Vec<i64>), Error> {
        forget(&mut self.connection, &self.keys, user).await
    }

    /// What there is, by kind.
    pub async fn report(&mut self) -> Result<Vec<Retention>, Error> {
        let (kinds, before) = self.rules.due(Clock::default().now());
        let counted = security_event::count_by_kind(&mut self.connection, &kinds, &before).await?;
        let kept = |kind: &str| {
            kind.parse::<Kind>().ok().map(|kind| self.rules.of(kind)).map(Period::as_secs)
        };
        Ok(counted
            .into_iter()
            .map(|of| Retention {
                kept_for: kept(&of.kind),
                kind: of.kind,
                rows: of.rows,
                oldest: of.oldest,
                due: of.due,
            })
            .collect())
    }

    /// Removes what is past.
    pub async fn purge(&mut self) -> Result<Purged, Error> {
        // What is not linked can't be removed.
        link_all(&mut self.connection, &self.keys).await?;
        let now = Clock::default().now();
        purge_all(&mut self.connection, &self.keys, &self.rules, None, now).await
    }

    /// The last checkpoint that purges have left, as they left it.
    pub async fn last_checkpoint(&mut self) -> Result<Option<SignedCheckpoint>, Error> {
        let (_, last) = checkpoints::check_all(&mut self.connection, &self.keys).await?;
        Ok(last.map(SignedCheckpoint::from))
    }
}
