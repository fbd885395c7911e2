use diesel_async::AsyncConnection as _;
use uuid::Uuid;

use crate::error::Error;
use crate::live::Change;
use crate::models::{room, room_invitation, room_member};
use crate::state::State;

/// Ends somebody's membership and takes back their invitation; the creator's alone to do.
pub(crate) async fn remove(
    state: &State,
    caller: Uuid,
    room_id: Uuid,
    user_id: Uuid,
) -> Result<(), Error> {
    let mut connection = state.pool.get().await?;
    connection
        .transaction(async |connection| {
            let room = room::find(connection, room_id).await?.ok_or(Error::RoomNotFound)?;
            if !room_member::exists(connection, room_id, caller).await? {
                return Err(Error::RoomNotFound);
            }
            if room.creator_id != caller {
                return Err(Error::NotRoomCreator);
            }
            // In the order of `join`: whoever is joining with it is a member by the next line.
            let invitation = room_invitation::take(connection, room_id, user_id).await?;
            let was_member = room_member::delete(connection, room_id, user_id).await?;
            if invitation.is_none() && !was_member {
                return Err(Error::MemberNotFound);
            }
            Change::Left { room_id, user_id }.notify(connection).await?;
            Ok(())
        })
        .await
}
