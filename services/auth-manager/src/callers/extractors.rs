use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, web};
use chrono::{DateTime, Utc};
use futures_util::future::LocalBoxFuture;
use token_verifier::{NoToken, bearer_token};
use uuid::Uuid;

use super::Caller;
use crate::error::Error;
use crate::providers::{Provider, ServiceClient};
use crate::sessions::{find_or_create_account, watch};
use crate::state::State;
use crate::vault::DrawnBy;

/// A person, through their provider's login client. In a handler's signature it is the guard.
#[derive(Clone, Debug)]
pub struct Person {
    /// The provider's name in the configuration.
    pub provider: String,
    /// Its issuer.
    pub issuer: String,
    /// The person's subject there.
    pub subject: String,
    /// The login client.
    pub client_id: String,
    /// The session that the token belongs to.
    pub session_state_id: String,
    /// Our own id of the person.
    pub user_id: Uuid,
    /// When the token expires.
    pub expires_at: DateTime<Utc>,
    /// Its scope.
    pub scope: String,
}

/// Who may ask for access tokens: a person, or a service client while they are away.
#[derive(Clone, Debug)]
pub enum Drawer {
    /// The grant's own user, if it is theirs.
    Person(Person),
    /// A client that configuration names.
    Service {
        /// The provider that it is a client of.
        provider: String,
        /// What it may draw on.
        client: ServiceClient,
    },
}

impl From<Drawer> for DrawnBy {
    fn from(drawer: Drawer) -> Self {
        match drawer {
            Drawer::Person(Person { user_id, client_id, .. }) => Self::User { user_id, client_id },
            Drawer::Service { provider, client } => Self::Service { provider, client },
        }
    }
}

impl FromRequest for Person {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let (state, caller) = check(&request).await?;
            person(&state, &caller).await
        })
    }
}

impl FromRequest for Drawer {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let (state, caller) = check(&request).await?;
            if let Some(client) = service_client(&state, &caller) {
                return Ok(Self::Service { provider: caller.provider.clone(), client });
            }
            person(&state, &caller).await.map(Self::Person)
        })
    }
}

async fn check(request: &HttpRequest) -> Result<(web::Data<State>, Arc<Caller>), Error> {
    let state = request.app_data::<web::Data<State>>().cloned();
    let state = state.ok_or_else(|| Error::Internal("the app has no state".to_owned()))?;
    let token = bearer_token(request.headers()).map_err(|reason| match reason {
        NoToken::Missing => Error::Unauthorized,
        NoToken::Malformed => Error::TokenNotActive,
    })?;
    let caller = state.callers.check(token).await?;
    Ok((state, caller))
}

fn service_client(state: &State, caller: &Caller) -> Option<ServiceClient> {
    let provider = state.providers.get(&caller.provider)?;
    provider.service_client(&caller.client_id, &caller.subject).cloned()
}

/// Only tokens of the login client, in a session, are a person's.
async fn person(state: &State, caller: &Caller) -> Result<Person, Error> {
    let provider = state.providers.get(&caller.provider).ok_or(Error::TokenNotActive)?;
    if caller.client_id != provider.login_client().id {
        return Err(Error::TokenNotActive);
    }
    let session_state_id = caller.session_state_id.clone().ok_or(Error::TokenNotActive)?;
    watch(state, &caller.provider, &session_state_id).await?;
    let user_id = match caller.user_id() {
        Some(user_id) => user_id,
        None => look_up(state, provider, caller).await?,
    };
    Ok(Person {
        provider: caller.provider.clone(),
        issuer: caller.issuer.clone(),
        subject: caller.subject.clone(),
        client_id: caller.client_id.clone(),
        session_state_id,
        user_id,
        expires_at: caller.expires_at,
        scope: caller.scope.clone(),
    })
}

/// Looked up once for as long as the caller is believed; unlinking the account forgets both.
async fn look_up(state: &State, provider: &Provider, caller: &Caller) -> Result<Uuid, Error> {
    let mut connection = state.pool.get().await?;
    let account = find_or_create_account(state, &mut connection, provider, &caller.subject).await?;
    caller.note_user_id(account.user_id);
    Ok(account.user_id)
}
