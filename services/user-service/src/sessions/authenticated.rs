use std::future::Future;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, web};
use chrono::{DateTime, Utc};
use token_verifier::{NoToken, Unverified, bearer_token};
use uuid::Uuid;

use crate::error::Error;
use crate::models::auth_session;
use crate::state::State;

/// The caller of an endpoint that needs a bearer token; in a handler's signature it is the guard.
///
/// The issuer asks its own rows: a session that has ended is refused at once.
#[derive(Clone, Debug)]
pub struct Authenticated {
    /// Who.
    pub user_id: Uuid,
    /// On which device.
    pub device_id: Uuid,
    /// In which session.
    pub session_id: Uuid,
    /// When they last proved who they are.
    pub auth_time: DateTime<Utc>,
}

impl FromRequest for Authenticated {
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Error>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let token = bearer_token(request.headers()).map_err(|none| match none {
                NoToken::Missing => Error::Unauthorized { token_sent: false },
                NoToken::Malformed => Error::Unauthorized { token_sent: true },
            })?;
            let state = request
                .app_data::<web::Data<State>>()
                .ok_or_else(|| Error::Internal("no state in the app".to_owned()))?;
            authenticate(state, token).await
        })
    }
}

async fn authenticate(state: &State, token: &str) -> Result<Authenticated, Error> {
    let refused = |reason: &str| {
        tracing::info!(reason, "token_refused");
        Error::Unauthorized { token_sent: true }
    };
    let unverified = Unverified::parse(token).map_err(|reason| refused(reason.as_str()))?;
    let key = state.signing.verification_key(&state.pool, unverified.kid()).await?;
    let key = key.ok_or_else(|| refused("unknown_key"))?;
    let now = state.clock.now();
    let claims = unverified
        .check(&key, &state.signing.policy(), now)
        .map_err(|reason| refused(reason.as_str()))?;
    // The policy's leeway is for replicas whose clocks are behind the signer's, not for expiry.
    if now.timestamp() >= claims.exp {
        return Err(refused("expired"));
    }
    let mut connection = state.pool.get().await?;
    let session = auth_session::find(&mut connection, claims.sid).await?;
    let session = session.filter(|session| session.ended_at.is_none() && now < session.expires_at);
    let session = session.ok_or_else(|| refused("session_ended"))?;
    Ok(Authenticated {
        user_id: session.user_id,
        device_id: session.device_id,
        session_id: session.id,
        auth_time: session.auth_time,
    })
}
