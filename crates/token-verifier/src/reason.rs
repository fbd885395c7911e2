use std::time::Duration;

use common::http::Problem;

/// Why a token was refused: for log and metric, never for the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Above the size cap.
    TooLarge,
    /// Not three parts of base64url, or not JSON with unique members.
    Malformed,
    /// A header member that asks for what we do not do (`crit`, `b64`) or offers a key of its own.
    ForbiddenHeader,
    /// `alg` is none that we take, or not the key's.
    Algorithm,
    /// No usable `kid`.
    KeyId,
    /// The issuer has no such key.
    UnknownKey,
    /// The signature does not hold.
    Signature,
    /// `typ` is not that of an access token.
    TokenType,
    /// A required claim is missing or of the wrong form.
    Claims,
    /// Another issuer's.
    Issuer,
    /// For another audience.
    Audience,
    /// Past `exp`.
    Expired,
    /// Before `nbf` or `iat`.
    NotYetValid,
    /// Key, session or token id was revoked.
    Revoked,
}

impl Reason {
    /// A stable name, for logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::Malformed => "malformed",
            Self::ForbiddenHeader => "forbidden_header",
            Self::Algorithm => "algorithm",
            Self::KeyId => "key_id",
            Self::UnknownKey => "unknown_key",
            Self::Signature => "signature",
            Self::TokenType => "token_type",
            Self::Claims => "claims",
            Self::Issuer => "issuer",
            Self::Audience => "audience",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::Revoked => "revoked",
        }
    }
}

/// Why a verifier does not accept a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The token is bad; 401, the same whatever the reason.
    #[error("the access token is not accepted")]
    Invalid(Reason),
    /// The verifier can't tell now; 503, so that no client throws its session away.
    #[error("access tokens can't be checked at the moment")]
    CannotJudge,
}

impl Refusal {
    /// A stable name that callers may see: the `code` of the error body.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Invalid(_) => "invalid_token",
            Self::CannotJudge => "verifier_not_ready",
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Invalid(_) => Self::unauthorized(true),
            Refusal::CannotJudge => Self::unavailable(
                refusal.code(),
                "access tokens can't be checked at the moment; try again shortly",
                Duration::from_secs(1),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_is_that_of_the_error_body() {
        for refusal in [Refusal::Invalid(Reason::Expired), Refusal::CannotJudge] {
            assert_eq!(Problem::from(refusal).code, refusal.code());
        }
    }
}
