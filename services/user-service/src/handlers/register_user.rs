use actix_web::http::StatusCode;
use actix_web::{HttpResponse, post, web};
use common::http::{Body, ErrorBody, Problem};
use common::masked;
use diesel_async::AsyncConnection as _;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use uuid::Uuid;

use super::check_text;
use crate::audit::{self, Event, Kind};
use crate::captcha::Action;
use crate::error::Error;
use crate::limits::Limit;
use crate::models::password_parameters;
use crate::models::user::{self, User, UserView};
use crate::passwords::{Password, Username};
use crate::sessions::Caller;
use crate::state::State;

/// A new account.
#[derive(Deserialize, ToSchema)]
pub(crate) struct RegisterUser {
    /// 3 to 64 characters; unique whatever its case.
    #[schema(example = "alice")]
    username: String,
    /// 8 to 256 characters, not one that many people use.
    #[schema(example = "correct horse battery")]
    password: String,
    /// Name shown to others.
    #[schema(example = "Alice")]
    display_name: Option<String>,
    /// Kept as given.
    #[schema(example = "+44 20 7946 0000")]
    phone_number: Option<String>,
    /// Kept as given.
    #[schema(example = "alice@example.com")]
    email: Option<String>,
    /// Picture shown to others, http or https.
    #[schema(example = "https://pictures.example/alice.png")]
    avatar_url: Option<String>,
    /// Where the operator asks for one: from the provider that `captcha_required` names.
    #[schema(example = "0.Zc8Ud1mQ…")]
    captcha_token: Option<String>,
}

/// The account.
#[derive(Serialize, ToSchema)]
pub(crate) struct RegisteredUser {
    user: UserView,
}

/// Register an account
#[utoipa::path(tag = "accounts", request_body = RegisterUser, responses(
    (status = 201, description = "Registered", body = RegisteredUser),
    (status = 400, description = "`invalid_request`: a field is wrong; `details.field` names it", body = ErrorBody),
    (status = 403, description = "`registration_closed`; `captcha_required`, whose `details` name `provider`, `site_key` and `action`; `captcha_invalid`", body = ErrorBody),
    (status = 409, description = "`username_taken`", body = ErrorBody),
    (status = 429, description = "`rate_limited`, by address", body = ErrorBody),
    (status = 503, description = "`busy`, `captcha_unavailable` or `database_unavailable`", body = ErrorBody),
))]
#[post("/api/auth/register")]
pub(crate) async fn register_user(
    state: web::Data<State>,
    caller: Caller,
    Body(request): Body<RegisterUser>,
) -> Result<HttpResponse, Error> {
    let registered = register(&state, &caller, request).await?;
    Ok(HttpResponse::build(StatusCode::CREATED).json(registered))
}

/// Registers through either API.
pub(crate) async fn register(
    state: &State,
    caller: &Caller,
    request: RegisterUser,
) -> Result<RegisteredUser, Error> {
    if !state.settings.limits.registration_open {
        return Err(Error::RegistrationClosed);
    }
    let username = Username::choose(&request.username)?;
    let password = Password::parse(&request.password, "password")?;
    check_fields(&request)?;
    state.limiter.check(Limit::Register, caller.address.limit_key().into()).await?;
    let token = request.captcha_token.as_deref();
    state.captcha.check(token, Action::Register, caller.address).await?;
    let admission = state.hasher.admit(false)?;
    let password_hash = state.hasher.hash(&admission, password).await?;
    drop(admission);
    let user = new_user(state, &username, password_hash, request);
    let mut connection = state.pool.get().await?;
    let parameters = state.hasher.parameters();
    password_parameters::remember(&mut connection, &parameters, user.created_at).await?;
    let event = Event::by(Kind::Registered, caller);
    let details = json!({ "username": user.username });
    let event = Event { user: Some(user.id), details, ..event };
    connection
        .transaction(async |connection| {
            if !user::insert(connection, &user).await? {
                return Err(Error::UsernameTaken);
            }
            Ok(audit::record(connection, &event).await?)
        })
        .await?;
    tracing::info!(
        user_id = %user.id,
        email = user.email.as_deref().map(masked::email),
        phone_number = user.phone_number.as_deref().map(masked::phone),
        address_range = caller.address.range(),
        "registered"
    );
    Ok(RegisteredUser { user: user.view() })
}

fn new_user(
    state: &State,
    username: &Username,
    password_hash: String,
    request: RegisterUser,
) -> User {
    let now = state.clock.now();
    User {
        id: Uuid::new_v4(),
        username: username.as_str().to_owned(),
        username_key: username.key().to_owned(),
        password_hash,
        password_version: 1,
        display_name: request.display_name,
        phone_number: request.phone_number,
        email: request.email,
        avatar_url: request.avatar_url,
        created_at: now,
        updated_at: now,
        last_login_at: None,
    }
}

fn check_fields(request: &RegisterUser) -> Result<(), Problem> {
    check_text("display_name", request.display_name.as_deref(), 100)?;
    check_text("phone_number", request.phone_number.as_deref(), 32)?;
    check_text("email", request.email.as_deref(), 254)?;
    check_text("avatar_url", request.avatar_url.as_deref(), 2048)?;
    let is_email = |text: &String| {
        text.split_once('@').is_some_and(|(name, host)| {
            !name.is_empty() && host.contains('.') && !host.contains('@') && !text.contains(' ')
        })
    };
    if request.email.as_ref().is_some_and(|email| !is_email(email)) {
        return Err(Problem::invalid_field("email", "`email` must be an e-mail address"));
    }
    let is_web = |url: &String| url.starts_with("https://") || url.starts_with("http://");
    if request.avatar_url.as_ref().is_some_and(|url| !is_web(url)) {
        return Err(Problem::invalid_field(
            "avatar_url",
            "`avatar_url` must be an http or https URL",
        ));
    }
    Ok(())
}
