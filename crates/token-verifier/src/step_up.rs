use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::{Error, FromRequest, HttpRequest, web};
use chrono::{DateTime, TimeDelta, Utc};
use common::claims::{ACR_PASSKEY, ACR_PASSWORD};
use common::http::Problem;

use crate::extractor::AuthenticatedUser;
use crate::verifier::Verifier;

/// How old a sign-in may be for a sensitive action, in seconds, where nothing else is said.
pub const MAX_AGE: i64 = 300;

/// An [`AuthenticatedUser`] who proved who they are within the last `SECONDS`; a refresh does not
/// count, since it leaves `auth_time` alone. Else 401 as RFC 9470, section 3 has it.
///
/// ```
/// # use actix_web::post;
/// # use token_verifier::RecentlyAuthenticated;
/// #[post("/invoices/pay")]
/// async fn pay(user: RecentlyAuthenticated) -> String {
///     format!("paid by {}", user.user_id())
/// }
/// ```
#[derive(Clone, Debug)]
pub struct RecentlyAuthenticated<const SECONDS: i64 = MAX_AGE>(pub AuthenticatedUser);

impl<const SECONDS: i64> Deref for RecentlyAuthenticated<SECONDS> {
    type Target = AuthenticatedUser;

    fn deref(&self) -> &AuthenticatedUser {
        &self.0
    }
}

impl<const SECONDS: i64> FromRequest for RecentlyAuthenticated<SECONDS> {
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Error>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let user = AuthenticatedUser::from_request(request, payload);
        let verifier = request.app_data::<web::Data<Verifier>>().cloned();
        Box::pin(async move {
            let user = user.await?;
            let verifier =
                verifier.ok_or_else(|| Problem::internal(&"no Verifier in the app's data"))?;
            let auth_time = DateTime::from_timestamp(user.0.claims.auth_time, 0);
            let max_age = TimeDelta::seconds(SECONDS);
            // A date that is none was long ago.
            if is_recent(auth_time.unwrap_or_default(), max_age, verifier.now()) {
                Ok(Self(user))
            } else {
                Err(insufficient_user_authentication(max_age).into())
            }
        })
    }
}

/// Clocks of issuers and services may differ by so much; what lies further ahead proves nothing.
const AHEAD: TimeDelta = TimeDelta::minutes(1);

/// Whether who proved who they are at `auth_time` need not do so again.
#[must_use]
pub fn is_recent(auth_time: DateTime<Utc>, max_age: TimeDelta, now: DateTime<Utc>) -> bool {
    (-AHEAD..=max_age).contains(&(now - auth_time))
}

/// 401 `insufficient_user_authentication` with the challenge of RFC 9470, section 3: what would do,
/// and how old it may be.
#[must_use]
pub fn insufficient_user_authentication(max_age: TimeDelta) -> Problem {
    let challenge = format!(
        r#"Bearer error="insufficient_user_authentication", error_description="a more recent sign-in is required", acr_values="{ACR_PASSKEY} {ACR_PASSWORD}", max_age="{}""#,
        max_age.num_seconds()
    );
    Problem::new(
        StatusCode::UNAUTHORIZED,
        "insufficient_user_authentication",
        "prove again who you are: with a passkey, your password, or a new login",
    )
    .with_challenge(challenge)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_is_recent_until_its_age_and_none_is_from_the_future() {
        let (max_age, second) = (TimeDelta::minutes(5), TimeDelta::seconds(1));
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(20_000);
        for (auth_time, recent) in [
            (now, true),
            (now - max_age, true),
            (now - max_age - second, false),
            (now + AHEAD, true),
            (now + AHEAD + second, false),
            (DateTime::UNIX_EPOCH, false),
        ] {
            assert_eq!(is_recent(auth_time, max_age, now), recent, "{auth_time}");
        }
    }
}
