use actix_web::{get, web};
use chrono::{DateTime, Utc};
use common::http::{ErrorBody, Query};
use common::paging::{Page, PageQuery, TimeAndId};
use serde::Serialize;
use token_verifier::AuthenticatedUser;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::error::Error;
use crate::models::room::{self, Room, Visibility};
use crate::state::State;

/// A room that the caller is in.
#[derive(Serialize, ToSchema)]
pub(crate) struct RoomView {
    room_id: Uuid,
    #[schema(example = "Garden")]
    name: String,
    visibility: Visibility,
    #[serde(serialize_with = "common::clock::serialize")]
    created_at: DateTime<Utc>,
    /// Since when the caller is in it.
    #[serde(serialize_with = "common::clock::serialize")]
    joined_at: DateTime<Utc>,
    /// Number of its newest message; 0 where there is none.
    #[schema(example = 42)]
    last_seq: i64,
}

/// List own rooms, last joined first
#[utoipa::path(tag = "rooms", params(PageQuery), security(("bearer" = [])), responses(
    (status = 200, description = "A page of rooms", body = Page<RoomView>),
    (status = 400, description = "`invalid_request`", body = ErrorBody),
    (status = 401, description = "`unauthorized` or `invalid_token`", body = ErrorBody),
    (status = 503, description = "`verifier_not_ready` or `database_unavailable`", body = ErrorBody),
))]
#[get("/api/rooms")]
pub(crate) async fn list_rooms(
    state: web::Data<State>,
    user: AuthenticatedUser,
    Query(page): Query<PageQuery>,
) -> Result<web::Json<Page<RoomView>>, Error> {
    let limit = page.limit()?;
    let before = page.before::<TimeAndId>()?.map(|TimeAndId(time, id)| (time, id));
    let mut connection = state.pool.get().await?;
    let rows = room::list_by_user(&mut connection, user.user_id(), before, limit + 1).await?;
    let key = |(room, joined_at): &(Room, _)| TimeAndId(*joined_at, room.id);
    Ok(web::Json(Page::from_rows(rows, limit, key, |(room, joined_at)| RoomView {
        room_id: room.id,
        name: room.name,
        visibility: room.visibility,
        created_at: room.created_at,
        joined_at,
        last_seq: room.last_seq,
    })))
}
