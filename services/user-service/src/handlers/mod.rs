//! The endpoints, one a file: request and response types, and a handler that reads as prose.

pub(crate) mod browser;
pub(crate) mod change_password;
pub(crate) mod change_role;
pub(crate) mod finish_passkey_authentication;
pub(crate) mod finish_passkey_registration;
pub(crate) mod introspect_token;
pub(crate) mod issue_api_key;
pub(crate) mod list_api_keys;
pub(crate) mod list_devices;
pub(crate) mod list_passkeys;
pub(crate) mod list_sessions;
pub(crate) mod log_in;
pub(crate) mod log_out;
pub(crate) mod log_out_everywhere;
pub(crate) mod oauth;
pub(crate) mod reauthenticate;
pub(crate) mod refresh_session;
pub(crate) mod register_device;
pub(crate) mod register_user;
pub(crate) mod remove_device;
pub(crate) mod remove_passkey;
pub(crate) mod remove_session;
pub(crate) mod revoke_api_key;
pub(crate) mod revoke_token;
pub(crate) mod show_jwks;
pub(crate) mod show_metadata;
pub(crate) mod show_public_key;
pub(crate) mod start_passkey_authentication;
pub(crate) mod start_passkey_registration;
pub(crate) mod stream_changes;
pub(crate) mod update_device;

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header::{HeaderMap, USER_AGENT};
use actix_web::{Error, FromRequest, HttpRequest};
use common::http::{ClientAddress, Problem};
use common::text::{check_line, shown};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::sessions::{Caller, TokenPair};

/// Longer user agents are cut.
const MAX_USER_AGENT: usize = 256;

/// A sentence that something was done.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Done {
    /// For people.
    #[schema(example = "logged out")]
    message: &'static str,
}

/// Tokens as clients get them.
#[derive(Serialize, ToSchema)]
pub(crate) struct Tokens {
    /// Compact JWS, RS256 or ES256, `typ` `at+jwt`.
    #[schema(example = "eyJhbGciOiJSUzI1NiIsInR5cCI6…")]
    access_token: String,
    /// Opaque; good once.
    #[schema(example = "lkr_AQ…")]
    refresh_token: String,
    /// Seconds that the access token lives.
    #[schema(example = 7200)]
    expires_in: i64,
    /// Always `Bearer`.
    #[schema(example = "Bearer")]
    token_type: &'static str,
}

common::hide!(Tokens);

impl From<TokenPair> for Tokens {
    fn from(pair: TokenPair) -> Self {
        Self {
            access_token: pair.access_token,
            refresh_token: pair.refresh_token,
            expires_in: pair.expires_in,
            token_type: "Bearer",
        }
    }
}

impl FromRequest for Caller {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let user_agent = user_agent(request.headers());
        let address = ClientAddress::from_request(request, payload).into_inner();
        ready(address.map(|address| Self { user_agent, address, browser: None }))
    }
}

/// What a browser or app says it is, cut to what is remembered.
pub(crate) fn user_agent(headers: &HeaderMap) -> Option<String> {
    headers.get(USER_AGENT).map(|value| shown(value.as_bytes(), MAX_USER_AGENT))
}

/// Whether the `segment` of the request's path names `id`.
fn path_names(request: &HttpRequest, segment: &str, id: Uuid) -> bool {
    request.match_info().get(segment).map(Uuid::parse_str) == Some(Ok(id))
}

/// An optional text: within `max` characters, none of them control or invisible ones.
fn check_text(field: &str, text: Option<&str>, max: usize) -> Result<(), Problem> {
    text.map_or(Ok(()), |text| check_line(field, text, max))
}
