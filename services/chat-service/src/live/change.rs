use std::fmt;
use std::str::FromStr;

use diesel::QueryResult;
use diesel::sql_types::Text;
use diesel_async::{AsyncPgConnection, RunQueryDsl as _};
use uuid::Uuid;

/// The channel that all replicas listen on.
pub(super) const CHANNEL: &str = "chat_changes";

/// What replicas tell each other: that something happened, never what was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// A room has a new message.
    Message { room_id: Uuid, seq: i64 },
    /// Somebody is no longer in a room.
    Left { room_id: Uuid, user_id: Uuid },
    /// Somebody came to a room, or went.
    Presence { room_id: Uuid },
}

impl Change {
    /// Tells all replicas once the transaction is committed.
    pub(crate) async fn notify(self, connection: &mut AsyncPgConnection) -> QueryResult<()> {
        diesel::sql_query("SELECT pg_notify($1, $2)")
            .bind::<Text, _>(CHANNEL)
            .bind::<Text, _>(self.to_string())
            .execute(connection)
            .await?;
        Ok(())
    }
}

impl fmt::Display for Change {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message { room_id, seq } => write!(formatter, "message/{room_id}/{seq}"),
            Self::Left { room_id, user_id } => write!(formatter, "left/{room_id}/{user_id}"),
            Self::Presence { room_id } => write!(formatter, "presence/{room_id}/-"),
        }
    }
}

impl FromStr for Change {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (kind, rest) = text.split_once('/').ok_or(())?;
        let (room, what) = rest.split_once('/').ok_or(())?;
        let room_id = room.parse().map_err(|_| ())?;
        match kind {
            "message" => Ok(Self::Message { room_id, seq: what.parse().map_err(|_| ())? }),
            "presence" => Ok(Self::Presence { room_id }),
            "left" => Ok(Self::Left { room_id, user_id: what.parse().map_err(|_| ())? }),
            _ => Err(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_survives_the_channel() {
        let room_id = Uuid::new_v4();
        for change in [
            Change::Message { room_id, seq: 7 },
            Change::Left { room_id, user_id: Uuid::new_v4() },
            Change::Presence { room_id },
        ] {
            assert_eq!(change.to_string().parse(), Ok(change));
        }
        assert_eq!("presence/x/y".parse::<Change>(), Err(()));
    }
}
