use diesel_async::AsyncConnection as _;
use uuid::Uuid;

use crate::error::Error;
use crate::models::room::{self, Visibility};
use crate::models::room_invitation;
use crate::models::room_member::{self, RoomMember};
use crate::state::State;

/// Lets `user` into a room, using up their invitation; one who is in already is let be.
pub(crate) async fn join(state: &State, user_id: Uuid, room_id: Uuid) -> Result<(), Error> {
    let now = state.clock.now();
    let mut connection = state.pool.get().await?;
    connection
        .transaction(async |connection| {
            let room = room::find(connection, room_id).await?.ok_or(Error::RoomNotFound)?;
            // The invitation first: of two joins at once the other waits here, then is a member.
            let good_until = room_invitation::take(connection, room_id, user_id).await?;
            if room_member::exists(connection, room_id, user_id).await? {
                return Ok(());
            }
            let invited = good_until.is_some_and(|until| now < until);
            if room.visibility == Visibility::Private && !invited {
                return Err(Error::RoomNotFound);
            }
            let member = RoomMember { room_id, user_id, joined_at: now };
            room_member::insert(connection, &member).await?;
            Ok(())
        })
        .await
}
