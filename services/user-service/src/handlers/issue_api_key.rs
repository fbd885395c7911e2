use actix_web::{HttpResponse, post, web};
use chrono::TimeDelta;
use common::http::{ErrorBody, Problem};
use common::text::check_line;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::list_api_keys::ApiKeyView;
use crate::api_keys::{self, NewApiKey};
use crate::error::Error;
use crate::state::State;
use crate::step_up::{Proven, Sensitive};

/// Where nothing is said.
const LIFE: TimeDelta = TimeDelta::days(90);

/// What the key is for.
#[derive(Deserialize, ToSchema)]
pub(crate) struct IssueApiKey {
    /// Name the owner will know it by.
    #[schema(example = "nightly backup")]
    name: String,
    /// Of those that the operator permits.
    #[schema(example = json!(["chat"]))]
    scopes: Vec<String>,
    /// Seconds that it works; 90 days where not given.
    #[schema(example = 7_776_000)]
    expires_in: Option<u32>,
    /// On the bearer API as good as a recent proof.
    current_password: Option<String>,
}

impl Sensitive for IssueApiKey {
    fn current_password(&self) -> Option<&str> {
        self.current_password.as_deref()
    }
}

/// The key, shown this once.
#[derive(Serialize, ToSchema)]
pub(crate) struct IssuedApiKey {
    /// For `Authorization: Bearer` at services that take API keys.
    #[schema(example = "lka_mB0t…")]
    key: String,
    #[serde(flatten)]
    view: ApiKeyView,
}

/// Issue an API key
///
/// For the caller's scripts, at services that ask by introspection. Needs a sign-in that is minutes
/// old.
#[utoipa::path(tag = "step-up", request_body = IssueApiKey, security(("bearer" = []), ("browser" = [])), responses(
    (status = 201, description = "The key, shown this once", body = IssuedApiKey),
    (status = 400, description = "`invalid_request`: a field is wrong; `details.field` names it", body = ErrorBody),
    (status = 401, description = "`unauthorized`, `invalid_token`, or `insufficient_user_authentication`", body = ErrorBody),
    (status = 409, description = "`too_many_api_keys`", body = ErrorBody),
    (status = 403, description = "`csrf_invalid`: cookies without their CSRF token", body = ErrorBody),
    (status = 429, description = "`rate_limited`: password checks, by account and address", body = ErrorBody),
    (status = 503, description = "`busy` or `database_unavailable`", body = ErrorBody),
))]
#[post("/api/v5/auth/api-keys")]
pub(crate) async fn issue_api_key(
    state: web::Data<State>,
    request: Proven<IssueApiKey>,
) -> Result<HttpResponse, Error> {
    let wanted = check(&state, request.body)?;
    let (key, row) = api_keys::issue(&state, &request.caller, &request.client, wanted).await?;
    let view = ApiKeyView::from(row);
    Ok(HttpResponse::Created().json(IssuedApiKey { key: key.to_string(), view }))
}

fn check(state: &State, request: IssueApiKey) -> Result<NewApiKey, Problem> {
    let IssueApiKey { name, mut scopes, expires_in, .. } = request;
    check_line("name", &name, 100)?;
    if name.trim().is_empty() {
        return Err(Problem::invalid_field("name", "`name` must not be empty"));
    }
    let settings = &state.settings.api_keys;
    scopes.sort_unstable();
    scopes.dedup();
    if scopes.is_empty() || scopes.iter().any(|scope| !settings.scopes.0.contains(scope)) {
        let message = format!("`scopes` must be some of: {}", settings.scopes.0.join(", "));
        return Err(Problem::invalid_field("scopes", message));
    }
    let longest = settings.life.as_delta();
    let life = expires_in.map_or(LIFE.min(longest), |seconds| TimeDelta::seconds(seconds.into()));
    if life <= TimeDelta::zero() || life > longest {
        let message = format!("`expires_in` must be 1 to {}", longest.num_seconds());
        return Err(Problem::invalid_field("expires_in", message));
    }
    Ok(NewApiKey { name, scopes, life })
}
