use diesel_async::AsyncConnection as _;
use uuid::Uuid;

use super::RoomName;
use crate::error::Error;
use crate::models::room::{self, Room, Visibility};
use crate::models::room_member::{self, RoomMember};
use crate::state::State;

/// Makes a room with its creator in it.
pub(crate) async fn create(
    state: &State,
    creator: Uuid,
    name: RoomName,
    visibility: Visibility,
) -> Result<Room, Error> {
    let now = state.clock.now();
    let room = Room {
        id: Uuid::new_v4(),
        name: name.0,
        visibility,
        creator_id: creator,
        created_at: now,
        last_seq: 0,
    };
    let member = RoomMember { room_id: room.id, user_id: creator, joined_at: now };
    let mut connection = state.pool.get().await?;
    connection
        .transaction(async |connection| {
            room::insert(connection, &room).await?;
            room_member::insert(connection, &member).await
        })
        .await?;
    Ok(room)
}
