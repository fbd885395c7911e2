use actix_web::{post, web};
use common::http::{Body, ErrorBody};
use serde::Serialize;
use token_verifier::AuthenticatedUser;
use utoipa::ToSchema;
use uuid::Uuid;

use super::RoomRequest;
use crate::error::Error;
use crate::rooms;
use crate::state::State;

/// The caller is in.
#[derive(Serialize, ToSchema)]
pub(crate) struct JoinedRoom {
    #[schema(example = "joined")]
    status: &'static str,
    room_id: Uuid,
}

/// Join a room; a private one needs an invitation
#[utoipa::path(tag = "rooms", request_body = RoomRequest, security(("bearer" = [])), responses(
    (status = 200, description = "In, now or already", body = JoinedRoom),
    (status = 400, description = "`invalid_request`", body = ErrorBody),
    (status = 401, description = "`unauthorized` or `invalid_token`", body = ErrorBody),
    (status = 404, description = "`room_not_found`: no such room, or a private one and no \
        invitation", body = ErrorBody),
    (status = 503, description = "`verifier_not_ready` or `database_unavailable`", body = ErrorBody),
))]
#[post("/api/rooms/join")]
pub(crate) async fn join_room(
    state: web::Data<State>,
    user: AuthenticatedUser,
    Body(RoomRequest { room_id }): Body<RoomRequest>,
) -> Result<web::Json<JoinedRoom>, Error> {
    rooms::join(&state, user.user_id(), room_id).await?;
    Ok(web::Json(JoinedRoom { status: "joined", room_id }))
}
