use actix_web::http::StatusCode;
use actix_web::{patch, web};
use common::http::{ErrorBody, Problem, SegmentPath};
use diesel_async::AsyncConnection as _;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::audit::{self, Event, Kind};
use crate::error::Error;
use crate::models::user_role::{self, Role};
use crate::state::State;
use crate::step_up::{Proven, Sensitive};

/// The role to come.
#[derive(Deserialize, ToSchema)]
pub(crate) struct ChangeRole {
    role: Role,
    /// On the bearer API as good as a recent proof.
    #[schema(example = "correct horse battery")]
    current_password: Option<String>,
}

impl Sensitive for ChangeRole {
    fn current_password(&self) -> Option<&str> {
        self.current_password.as_deref()
    }
}

/// An account's role as it is now.
#[derive(Serialize, ToSchema)]
pub(crate) struct ChangedRole {
    user_id: Uuid,
    role: Role,
}

/// Change the role of another account
///
/// For admins. Nobody changes their own role, so that an admin remains.
#[utoipa::path(tag = "step-up", params(("user_id" = Uuid, Path, description = "Whose role")),
    request_body = ChangeRole, security(("bearer" = []), ("browser" = [])), responses(
    (status = 200, description = "As it is now", body = ChangedRole),
    (status = 400, description = "`invalid_request`: a field is wrong; `details.field` names it", body = ErrorBody),
    (status = 401, description = "`unauthorized`, `invalid_token`, or `insufficient_user_authentication`", body = ErrorBody),
    (status = 403, description = "`admin_required`; `own_role`; `csrf_invalid`: cookies without their CSRF token", body = ErrorBody),
    (status = 404, description = "`user_not_found`", body = ErrorBody),
    (status = 429, description = "`rate_limited`: password checks, by account and address", body = ErrorBody),
    (status = 503, description = "`busy` or `database_unavailable`", body = ErrorBody),
))]
#[patch("/api/v5/auth/users/{user_id}/role")]
pub(crate) async fn change_role(
    state: web::Data<State>,
    SegmentPath(user_id): SegmentPath<Uuid>,
    request: Proven<ChangeRole>,
) -> Result<web::Json<ChangedRole>, Error> {
    let Proven { caller, client, body: ChangeRole { role, .. }, .. } = request;
    let (admin, whose) = (caller.user_id, user_id.unwrap_or_default());
    // Each of the two may ask for what is theirs, or to be forgotten: neither's event names the
    // other, and what they share says that they are of one change.
    let details = json!({ "role": role.as_str(), "change_id": Uuid::new_v4() });
    let by = caller.event(Kind::RoleChanged, &client);
    let of = Event { user: Some(whose), ..Event::new(Kind::RoleChanged) };
    let events = [by, of].map(|event| Event { details: details.clone(), ..event });
    let mut connection = state.pool.get().await?;
    connection
        .transaction(async |connection| {
            caller.keep_proven(connection, &client, state.clock.now()).await?;
            let locked = user_role::lock(connection, [admin, whose]).await?;
            check(&locked, admin, whose)?;
            user_role::update(connection, whose, role).await?;
            Ok::<_, Error>(audit::record_all(connection, &events).await?)
        })
        .await?;
    tracing::info!(session_id = %caller.session_id, role = role.as_str(), "role_changed");
    Ok(web::Json(ChangedRole { user_id: whose, role }))
}

/// Who is no admin learns nothing of who is there.
fn check(locked: &[(Uuid, bool)], admin: Uuid, whose: Uuid) -> Result<(), Error> {
    let forbidden = |code, message| Err(Problem::new(StatusCode::FORBIDDEN, code, message).into());
    if !locked.contains(&(admin, true)) {
        return forbidden("admin_required", "only admins change roles");
    }
    if admin == whose {
        return forbidden("own_role", "another admin has to change your role");
    }
    if locked.iter().any(|(id, _)| *id == whose) { Ok(()) } else { Err(Error::UserNotFound) }
}
