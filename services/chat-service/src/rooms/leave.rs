use diesel_async::AsyncConnection as _;
use uuid::Uuid;

use crate::error::Error;
use crate::live::Change;
use crate::models::{room_invitation, room_member};
use crate::state::State;

/// Ends the caller's own membership, on every replica at once.
pub(crate) async fn leave(state: &State, user_id: Uuid, room_id: Uuid) -> Result<(), Error> {
    let mut connection = state.pool.get().await?;
    connection
        .transaction(async |connection| {
            if !room_member::delete(connection, room_id, user_id).await? {
                return Err(Error::RoomNotFound);
            }
            room_invitation::take(connection, room_id, user_id).await?;
            Change::Left { room_id, user_id }.notify(connection).await?;
            Ok(())
        })
        .await
}
