use std::future::Future;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, web};
use chrono::{DateTime, Utc};
use common::claims::AccessClaims;
use diesel_async::AsyncPgConnection;
use token_verifier::{NoToken, Unverified, bearer_token};
use uuid::Uuid;

use super::{ApiKind, Caller};
use crate::audit::{self, Event, Kind};
use crate::error::Error;
use crate::models::auth_session::{self, AuthSession};
use crate::models::key_change;
use crate::state::State;
use crate::step_up;

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
    /// By which access token (`jti`).
    pub token_id: String,
    /// When they last proved who they are.
    pub auth_time: DateTime<Utc>,
    /// Through which API.
    pub api: ApiKind,
    /// Whether the password came with the request itself and was the right one.
    pub proven_by_password: bool,
}

impl Authenticated {
    /// What they did, in the request that `client` sent.
    #[must_use]
    pub fn event(&self, kind: Kind, client: &Caller) -> Event {
        Event {
            user: Some(self.user_id),
            session: Some(self.session_id),
            device: Some(self.device_id),
            ..Event::by(kind, client)
        }
    }

    /// Refuses to go on in the caller's transaction where session or token have ended since the
    /// request's head was judged: its body may have been long on the way. Until the transaction is
    /// over the session does not end. In the order of locks it is a family's.
    pub async fn keep_live(
        &self,
        connection: &mut AsyncPgConnection,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        let reason = if !auth_session::keep_live(connection, self.session_id, now).await? {
            "session_ended"
        } else if key_change::names_token(connection, &self.token_id).await? {
            "token_revoked"
        } else {
            return Ok(());
        };
        Err(self.api.refuse(reason))
    }

    /// The same for a transaction that does what needs a proof: where that came with the request
    /// itself, it is written with what it allowed.
    pub async fn keep_proven(
        &self,
        connection: &mut AsyncPgConnection,
        client: &Caller,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        self.keep_live(connection, now).await?;
        if self.proven_by_password {
            audit::record(connection, &step_up::by_password_event(self, client)).await?;
        }
        Ok(())
    }
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
            state.in_time(authenticate(state, token, ApiKind::Bearer)).await
        })
    }
}

/// The caller that `token` names, whose session must have been opened through `api`.
pub async fn authenticate(
    state: &State,
    token: &str,
    api: ApiKind,
) -> Result<Authenticated, Error> {
    let found = find_live(state, token).await?;
    let (claims, session) = found.map_err(|reason| api.refuse(reason))?;
    if session.api != api.as_str() {
        return Err(api.refuse("other_api"));
    }
    Ok(Authenticated {
        user_id: session.user_id,
        device_id: session.device_id,
        session_id: session.id,
        token_id: claims.jti,
        auth_time: session.auth_time,
        api,
        proven_by_password: false,
    })
}

/// The claims and the session of an access token that is good now, or why it is not.
pub(super) async fn find_live(
    state: &State,
    token: &str,
) -> Result<Result<(AccessClaims, AuthSession), &'static str>, Error> {
    let (_, claims) = match check_signed(state, token).await? {
        Ok(signed) => signed,
        Err(reason) => return Ok(Err(reason)),
    };
    let session = find_session(state, &claims).await?;
    Ok(session.map(|session| (claims, session)))
}

/// The session of a token that is signed well, or why it is good no more.
pub(super) async fn find_session(
    state: &State,
    claims: &AccessClaims,
) -> Result<Result<AuthSession, &'static str>, Error> {
    let now = state.clock.now();
    let mut connection = state.pool.get().await?;
    let session = auth_session::find(&mut connection, claims.sid).await?;
    let session = session.filter(|session| session.ended_at.is_none() && now < session.expires_at);
    let Some(session) = session else { return Ok(Err("session_ended")) };
    if key_change::names_token(&mut connection, &claims.jti).await? {
        return Ok(Err("token_revoked"));
    }
    Ok(Ok(session))
}

/// The key id and the claims of an access token that we signed and that has not expired, or why it
/// is none; whether it was revoked is for the caller to ask.
pub(super) async fn check_signed(
    state: &State,
    token: &str,
) -> Result<Result<(String, AccessClaims), &'static str>, Error> {
    let unverified = match Unverified::parse(token) {
        Ok(unverified) => unverified,
        Err(reason) => return Ok(Err(reason.as_str())),
    };
    let kid = unverified.kid().to_owned();
    let key = state.signing.verification_key(&state.pool, &kid).await?;
    let Some(key) = key else { return Ok(Err("unknown_key")) };
    let now = state.clock.now();
    let claims = match unverified.check(&key, &state.signing.policy(), now) {
        Ok(claims) => claims,
        Err(reason) => return Ok(Err(reason.as_str())),
    };
    // The policy's leeway is for replicas whose clocks are behind the signer's, not for expiry.
    if now.timestamp() >= claims.exp { Ok(Err("expired")) } else { Ok(Ok((kid, claims))) }
}
