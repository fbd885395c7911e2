use actix_web::{HttpResponse, post, web};
use chrono::{DateTime, Utc};
use common::http::{Body, ErrorBody};
use serde::{Deserialize, Serialize};
use token_verifier::AuthenticatedUser;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::error::Error;
use crate::models::room::Visibility;
use crate::rooms::{self, RoomName};
use crate::state::State;

/// A room to be made.
#[derive(Deserialize, ToSchema)]
pub(crate) struct NewRoom {
    /// 1 to 100 characters.
    #[schema(example = "Tea")]
    name: String,
    /// `public` where not given.
    visibility: Option<Visibility>,
}

/// The room.
#[derive(Serialize, ToSchema)]
pub(crate) struct CreatedRoom {
    room_id: Uuid,
    #[schema(example = "Garden")]
    name: String,
    visibility: Visibility,
    #[serde(serialize_with = "common::clock::serialize")]
    created_at: DateTime<Utc>,
}

/// Create a room, with its creator in it
#[utoipa::path(tag = "rooms", request_body = NewRoom, security(("bearer" = [])), responses(
    (status = 201, description = "Created", body = CreatedRoom),
    (status = 400, description = "`invalid_request`", body = ErrorBody),
    (status = 401, description = "`unauthorized` or `invalid_token`", body = ErrorBody),
    (status = 503, description = "`verifier_not_ready` or `database_unavailable`", body = ErrorBody),
))]
#[post("/api/rooms/create")]
pub(crate) async fn create_room(
    state: web::Data<State>,
    user: AuthenticatedUser,
    Body(request): Body<NewRoom>,
) -> Result<HttpResponse, Error> {
    let name = RoomName::parse(&request.name)?;
    let visibility = request.visibility.unwrap_or_default();
    let room = rooms::create(&state, user.user_id(), name, visibility).await?;
    Ok(HttpResponse::Created().json(CreatedRoom {
        room_id: room.id,
        name: room.name,
        visibility: room.visibility,
        created_at: room.created_at,
    }))
}
