use actix_web::{get, web};
use chrono::{DateTime, Utc};
use common::http::{ErrorBody, Query, SegmentPath};
use common::paging::{Page, PageQuery, TimeAndId};
use serde::Serialize;
use token_verifier::AuthenticatedUser;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::error::Error;
use crate::models::room_member::{self, RoomMember};
use crate::state::State;

/// A member.
#[derive(Serialize, ToSchema)]
pub(crate) struct MemberView {
    user_id: Uuid,
    #[serde(serialize_with = "common::clock::serialize")]
    joined_at: DateTime<Utc>,
}

/// List a room's members, last joined first; for members
#[utoipa::path(
    tag = "rooms",
    params(("room_id" = Uuid, Path, description = "The room"), PageQuery),
    security(("bearer" = [])),
    responses(
        (status = 200, description = "A page of members", body = Page<MemberView>),
        (status = 400, description = "`invalid_request`", body = ErrorBody),
        (status = 401, description = "`unauthorized` or `invalid_token`", body = ErrorBody),
        (status = 404, description = "`room_not_found`", body = ErrorBody),
        (status = 503, description = "`verifier_not_ready` or `database_unavailable`",
            body = ErrorBody),
    ),
)]
#[get("/api/rooms/{room_id}/members")]
pub(crate) async fn list_members(
    state: web::Data<State>,
    user: AuthenticatedUser,
    SegmentPath(room_id): SegmentPath<Uuid>,
    Query(page): Query<PageQuery>,
) -> Result<web::Json<Page<MemberView>>, Error> {
    let room_id = room_id.ok_or(Error::RoomNotFound)?;
    let limit = page.limit()?;
    let before = page.before::<TimeAndId>()?.map(|TimeAndId(time, id)| (time, id));
    let mut connection = state.pool.get().await?;
    let rows = room_member::list_by_room(&mut connection, room_id, before, limit + 1).await?;
    if !room_member::exists(&mut connection, room_id, user.user_id()).await? {
        return Err(Error::RoomNotFound);
    }
    let key = |member: &RoomMember| TimeAndId(member.joined_at, member.user_id);
    Ok(web::Json(Page::from_rows(rows, limit, key, |member| MemberView {
        user_id: member.user_id,
        joined_at: member.joined_at,
    })))
}
