use actix_web::{post, web};
use chrono::{DateTime, Utc};
use common::http::{Body, ErrorBody};
use serde::Serialize;
use token_verifier::AuthenticatedUser;
use utoipa::ToSchema;
use uuid::Uuid;

use super::MemberRequest;
use crate::error::Error;
use crate::rooms;
use crate::state::State;

/// The user may join, once.
#[derive(Serialize, ToSchema)]
pub(crate) struct InvitedMember {
    #[schema(example = "invited")]
    status: &'static str,
    room_id: Uuid,
    user_id: Uuid,
    /// Good until then.
    #[serde(serialize_with = "common::clock::serialize")]
    expires_at: DateTime<Utc>,
}

/// Invite a user into a room; any member may
#[utoipa::path(tag = "rooms", request_body = MemberRequest, security(("bearer" = [])), responses(
    (status = 200, description = "Invited, or again for the full time", body = InvitedMember),
    (status = 400, description = "`invalid_request`", body = ErrorBody),
    (status = 401, description = "`unauthorized` or `invalid_token`", body = ErrorBody),
    (status = 404, description = "`room_not_found`", body = ErrorBody),
    (status = 409, description = "`already_member`", body = ErrorBody),
    (status = 503, description = "`verifier_not_ready` or `database_unavailable`", body = ErrorBody),
))]
#[post("/api/rooms/invite")]
pub(crate) async fn invite_member(
    state: web::Data<State>,
    user: AuthenticatedUser,
    Body(MemberRequest { room_id, user_id }): Body<MemberRequest>,
) -> Result<web::Json<InvitedMember>, Error> {
    let expires_at = rooms::invite(&state, user.user_id(), room_id, user_id).await?;
    Ok(web::Json(InvitedMember { status: "invited", room_id, user_id, expires_at }))
}
