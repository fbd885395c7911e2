use chrono::{DateTime, Utc};
use common::claims::{AccessClaims, Audience, acr};
use uuid::Uuid;

use crate::models::auth_session::AuthSession;

/// The claims of a token for `session`, all dates whole seconds.
pub(super) fn claims(
    session: &AuthSession,
    issuer: &str,
    audience: &str,
    now: DateTime<Utc>,
    expires_at: DateTime<Utc>,
) -> AccessClaims {
    AccessClaims {
        iss: issuer.to_owned(),
        sub: session.user_id.to_string(),
        aud: Audience::One(audience.to_owned()),
        exp: expires_at.timestamp(),
        iat: now.timestamp(),
        nbf: now.timestamp(),
        jti: Uuid::new_v4().to_string(),
        client_id: session.client_id.clone(),
        user_id: session.user_id,
        device_id: session.device_id,
        sid: session.id,
        auth_time: session.auth_time.timestamp(),
        amr: session.amr.clone(),
        acr: Some(acr(&session.amr).to_owned()),
        scope: session.scope.clone(),
    }
}
