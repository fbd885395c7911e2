use chrono::{DateTime, Utc};
use diesel_async::AsyncConnection as _;
use uuid::Uuid;

use crate::error::Error;
use crate::models::room_invitation::{self, RoomInvitation};
use crate::models::room_member;
use crate::state::State;

/// Invites `user`, or again for the full time; the time until which the invitation is good.
pub(crate) async fn invite(
    state: &State,
    invited_by: Uuid,
    room_id: Uuid,
    user_id: Uuid,
) -> Result<DateTime<Utc>, Error> {
    let expires_at = state.clock.now() + state.settings.rooms.invitation_life.as_delta();
    let mut connection = state.pool.get().await?;
    connection
        .transaction(async |connection| {
            if !room_member::hold(connection, room_id, invited_by).await? {
                return Err(Error::RoomNotFound);
            }
            if room_member::exists(connection, room_id, user_id).await? {
                return Err(Error::AlreadyMember);
            }
            let invitation = RoomInvitation { room_id, user_id, invited_by, expires_at };
            room_invitation::upsert(connection, &invitation).await?;
            Ok(expires_at)
        })
        .await
}
