use actix_web::{get, web};
use common::http::{ErrorBody, Problem};
use serde::Deserialize;
use utoipa::IntoParams;

use super::issue_persistent_id::IssuedId;
use super::{Query, Success};
use crate::error::Error;
use crate::state::State;
use crate::vault::{Returned, accept_consent};

/// What the provider sends with the browser.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Callback {
    /// The code, good once.
    #[param(example = "5f0c….AkFqGdVbJDUKQTpS2dBCs3Ea.…")]
    code: Option<String>,
    /// The state token of the request.
    #[param(example = "zy8g8wv3vvTJ7fYzYR01bFnwQS28dMtsgt9QCyfTprX7rjbv98XLC6bUI8_-8lmi")]
    state: Option<String>,
    /// The issuer (RFC 9207).
    #[param(example = "https://id.example.com/realms/latchkey")]
    iss: Option<String>,
    /// What went wrong, instead of a code.
    #[param(example = "access_denied")]
    error: Option<String>,
    /// More about it.
    #[param(example = "User denied consent")]
    error_description: Option<String>,
}

impl Callback {
    pub(super) fn parse(&self) -> Result<Returned<'_>, Error> {
        let code = match (&self.error, &self.code) {
            (Some(error), _) => Err((error.as_str(), self.error_description.as_deref())),
            (None, Some(code)) if !code.is_empty() => Ok(code.as_str()),
            (None, _) => return Err(Problem::invalid_field("code", "`code` is missing").into()),
        };
        let state = self.state.as_deref().ok_or(Error::InvalidStateToken)?;
        Ok(Returned { state, issuer: self.iss.as_deref(), code })
    }
}

/// Take the browser back from the provider and store the offline token
#[utoipa::path(tag = "offline use", params(Callback), responses(
    (status = 200, description = "Stored", body = Success<IssuedId>),
    (status = 400, description = "`validation_error`: no code; `invalid_state_token`: bad, used or old, another person came back, the session that asked has ended, or the account was unlinked; `provider_error`: the provider's own error in `details`", body = ErrorBody),
    (status = 409, description = "`consent_required`: a revocation ended the grant meanwhile; `details.consent_url`", body = ErrorBody),
    (status = 502, description = "`provider_misconfigured`: an operator must look", body = ErrorBody),
    (status = 503, description = "`provider_unavailable` or `database_unavailable`; Retry-After", body = ErrorBody),
))]
#[get("/api/auth/manager/offline-token/callback")]
pub(crate) async fn finish_offline_token(
    state: web::Data<State>,
    Query(callback): Query<Callback>,
) -> Result<web::Json<Success<IssuedId>>, Error> {
    let consented = accept_consent(&state, &callback.parse()?).await;
    let outcome = if consented.is_ok() { "ok" } else { "failed" };
    state.metrics.callbacks.with_label_values(&["consent", outcome]).inc();
    let consented = consented?;
    Ok(Success::json(IssuedId {
        persistent_token_id: consented.stored.persistent_token_id,
        session_state_id: consented.session_state_id,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn callback(code: Option<&str>, state: Option<&str>, error: Option<&str>) -> Callback {
        Callback {
            code: code.map(str::to_owned),
            state: state.map(str::to_owned),
            iss: None,
            error: error.map(str::to_owned),
            error_description: None,
        }
    }

    #[test]
    fn the_code_is_missed_before_the_state_is_used() {
        for code in [None, Some("")] {
            let callback = callback(code, Some("state"), None);
            assert!(matches!(callback.parse(), Err(Error::Request(_))));
        }
    }

    #[test]
    fn without_a_state_nothing_is_believed_an_error_included() {
        for callback in
            [callback(Some("code"), None, None), callback(None, None, Some("access_denied"))]
        {
            assert!(matches!(callback.parse(), Err(Error::InvalidStateToken)));
        }
    }

    #[test]
    fn an_error_goes_before_a_code() {
        let both = callback(Some("code"), Some("state"), Some("access_denied"));
        assert_eq!(both.parse().unwrap().code, Err(("access_denied", None)));
    }
}
