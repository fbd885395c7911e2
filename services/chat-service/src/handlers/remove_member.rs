use actix_web::{post, web};
use common::http::{Body, ErrorBody};
use serde::Serialize;
use token_verifier::AuthenticatedUser;
use utoipa::ToSchema;
use uuid::Uuid;

use super::MemberRequest;
use crate::error::Error;
use crate::rooms;
use crate::state::State;

/// The user is out, and no longer invited.
#[derive(Serialize, ToSchema)]
pub(crate) struct RemovedMember {
    #[schema(example = "removed")]
    status: &'static str,
    room_id: Uuid,
    user_id: Uuid,
}

/// Remove a member, or take back an invitation; the creator may
#[utoipa::path(tag = "rooms", request_body = MemberRequest, security(("bearer" = [])), responses(
    (status = 200, description = "Out, on every replica at once", body = RemovedMember),
    (status = 400, description = "`invalid_request`", body = ErrorBody),
    (status = 401, description = "`unauthorized` or `invalid_token`", body = ErrorBody),
    (status = 403, description = "`not_room_creator`", body = ErrorBody),
    (status = 404, description = "`room_not_found` or `member_not_found`", body = ErrorBody),
    (status = 503, description = "`verifier_not_ready` or `database_unavailable`", body = ErrorBody),
))]
#[post("/api/rooms/remove")]
pub(crate) async fn remove_member(
    state: web::Data<State>,
    user: AuthenticatedUser,
    Body(MemberRequest { room_id, user_id }): Body<MemberRequest>,
) -> Result<web::Json<RemovedMember>, Error> {
    rooms::remove(&state, user.user_id(), room_id, user_id).await?;
    Ok(web::Json(RemovedMember { status: "removed", room_id, user_id }))
}
