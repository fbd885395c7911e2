use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::{Error, FromRequest, HttpRequest, web};
use common::http::Problem;
use uuid::Uuid;

use crate::bearer::{NoToken, bearer_token};
use crate::verified::Verified;
use crate::verifier::Verifier;

/// The user whose access token a request carries; needs a [`Verifier`] in the app's data. 401
/// without a good token, 503 while none can be judged.
#[derive(Clone, Debug)]
pub struct AuthenticatedUser(pub Arc<Verified>);

impl AuthenticatedUser {
    /// Who.
    #[must_use]
    pub fn user_id(&self) -> Uuid {
        self.0.claims.user_id
    }

    /// On which device.
    #[must_use]
    pub fn device_id(&self) -> Uuid {
        self.0.claims.device_id
    }

    /// In which session.
    #[must_use]
    pub fn session_id(&self) -> Uuid {
        self.0.claims.sid
    }
}

impl FromRequest for AuthenticatedUser {
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Error>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let token = bearer_token(request.headers())
                .map_err(|none| Problem::unauthorized(none == NoToken::Malformed))?;
            let verifier = request
                .app_data::<web::Data<Verifier>>()
                .ok_or_else(|| Problem::internal(&"no Verifier in the app's data"))?;
            Ok(Self(verifier.verify(token).await.map_err(Problem::from)?))
        })
    }
}
