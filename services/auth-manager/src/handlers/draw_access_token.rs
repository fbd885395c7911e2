use std::time::Duration;

use actix_web::{post, web};
use common::http::{ErrorBody, Problem};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Query, Success, parse_id};
use crate::callers::Drawer;
use crate::error::Error;
use crate::state::State;
use crate::vault::{AccessToken, Draw, DrawnBy, Scope};

/// By which id, and what kind of token.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct DrawQuery {
    /// The id that consent or sign-in answered.
    #[param(required = true, value_type = uuid::Uuid, example = "0b7e6c1e-4f0e-4b7a-9d1c-2f6f1f6d8a11")]
    persistent_token_id: Option<String>,
    /// Narrower than the grant's, space separated; without it the grant's own, or of it what is
    /// configured for a service client.
    #[param(example = "openid email")]
    scope: Option<String>,
    /// Seconds that the token must live on at least; at most half of its life, which is `max` in the
    /// error's `details`.
    #[param(value_type = Option<u32>, example = 120)]
    min_ttl: Option<String>,
}

/// An access token of the provider.
#[derive(Serialize, ToSchema)]
pub(crate) struct DrawnToken {
    #[schema(example = "eyJhbGciOiJSUzI1NiIsInR5cCI6…")]
    access_token: String,
    /// Seconds until it expires.
    #[schema(example = 287)]
    expires_in: i64,
}

/// Draw an access token by persistent id
///
/// What is stored is answered while it is fresh; else the provider is asked, once for all callers.
/// For the grant's own user, or a service client that configuration permits it.
#[utoipa::path(tag = "access tokens", params(DrawQuery), security(("bearer" = [])), responses(
    (status = 200, description = "A token", body = Success<DrawnToken>),
    (status = 400, description = "`validation_error`, the field in `details`; `provider_error`", body = ErrorBody),
    (status = 401, description = "`unauthorized`; `token_not_active`: the caller's token, or the grant is dead and the user must consent again", body = ErrorBody),
    (status = 404, description = "`token_not_found`", body = ErrorBody),
    (status = 502, description = "`provider_misconfigured`: an operator must look", body = ErrorBody),
    (status = 503, description = "`provider_unavailable` or `database_unavailable`; Retry-After", body = ErrorBody),
))]
#[post("/api/auth/manager/access-token")]
pub(crate) async fn draw_access_token(
    state: web::Data<State>,
    caller: Drawer,
    Query(query): Query<DrawQuery>,
) -> Result<web::Json<Success<DrawnToken>>, Error> {
    let draw = query.parse(caller.into())?;
    let AccessToken { token, expires_at, .. } = state.draws.draw(&draw).await?;
    let left = (expires_at - state.clock.now()).num_seconds();
    Ok(Success::json(DrawnToken {
        access_token: token.expose().to_owned(),
        expires_in: left.max(0),
    }))
}

impl DrawQuery {
    fn parse(&self, by: DrawnBy) -> Result<Draw, Error> {
        let field = Problem::invalid_field;
        let scope = Scope::parse(self.scope.as_deref().unwrap_or_default());
        let min_ttl: Option<u32> = match &self.min_ttl {
            Some(seconds) => seconds.parse().ok(),
            None => Some(0),
        };
        let id = parse_id("persistent_token_id", self.persistent_token_id.as_deref())?;
        let scope = scope
            .ok_or_else(|| field("scope", "`scope` must be scope names separated by spaces"))?;
        let min_ttl = min_ttl
            .ok_or_else(|| field("min_ttl", "`min_ttl` must be a whole number of seconds"))?;
        let min_ttl = Duration::from_secs(min_ttl.into());
        Ok(Draw { persistent_token_id: id, scope, min_ttl, by })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(id: Option<&str>, scope: &str, min_ttl: &str) -> Result<Draw, Error> {
        let query = DrawQuery {
            persistent_token_id: id.map(str::to_owned),
            scope: Some(scope.to_owned()),
            min_ttl: Some(min_ttl.to_owned()),
        };
        query.parse(DrawnBy::User { user_id: uuid::Uuid::nil(), client_id: "login".to_owned() })
    }

    #[test]
    fn a_query_is_parsed_and_its_scope_put_in_order() {
        let draw = parse(Some("0b7e6c1e-4f0e-4b7a-9d1c-2f6f1f6d8a11"), "openid email", "90");
        let draw = draw.unwrap();
        assert_eq!(draw.scope.as_str(), "email openid");
        assert_eq!(draw.min_ttl, Duration::from_secs(90));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let id = Some("0b7e6c1e-4f0e-4b7a-9d1c-2f6f1f6d8a11");
        for (wrong, field) in [
            (parse(None, "", "0"), "persistent_token_id"),
            (parse(Some("17"), "", "0"), "persistent_token_id"),
            (parse(id, "a\"b", "0"), "scope"),
            (parse(id, "", "-1"), "min_ttl"),
            (parse(id, "", "soon"), "min_ttl"),
        ] {
            let problem = wrong.unwrap_err().problem();
            assert_eq!((problem.status.as_u16(), problem.code), (400, "validation_error"));
            assert_eq!(problem.details.unwrap()["field"], field);
        }
    }
}
