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

/// The caller is out.
#[derive(Serialize, ToSchema)]
pub(crate) struct LeftRoom {
    #[schema(example = "left")]
    status: &'static str,
    room_id: Uuid,
}

/// Leave a room; live delivery ends at once
#[utoipa::path(tag = "rooms", request_body = RoomRequest, security(("bearer" = [])), responses(
    (status = 200, description = "Out", body = LeftRoom),
    (status = 400, description = "`invalid_request`", body = ErrorBody),
    (status = 401, description = "`unauthorized` or `invalid_token`", body = ErrorBody),
    (status = 404, description = "`room_not_found`", body = ErrorBody),
    (status = 503, description = "`verifier_not_ready` or `database_unavailable`", body = ErrorBody),
))]
#[post("/api/rooms/leave")]
pub(crate) async fn leave_room(
    state: web::Data<State>,
    user: AuthenticatedUser,
    Body(RoomRequest { room_id }): Body<RoomRequest>,
) -> Result<web::Json<LeftRoom>, Error> {
    rooms::leave(&state, user.user_id(), room_id).await?;
    Ok(web::Json(LeftRoom { status: "left", room_id }))
}
