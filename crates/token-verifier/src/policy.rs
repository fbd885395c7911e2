use chrono::{DateTime, TimeDelta, Utc};

/// What a verifier expects of a token.
#[derive(Clone, Debug)]
pub struct Policy {
    /// `iss`, byte by byte.
    pub issuer: String,
    /// One of `aud`.
    pub audience: String,
    /// Clock leeway for `exp`, `nbf` and `iat`.
    pub leeway: TimeDelta,
    /// What older tokens may be like, while they are accepted at all.
    pub legacy: Option<Legacy>,
}

/// What is accepted beside tokens of the present kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Legacy {
    /// From then on nothing of it, also of what was accepted before.
    pub until: DateTime<Utc>,
    /// An older `iss`, taken beside the present one.
    pub issuer: Option<String>,
}

impl Legacy {
    /// The header's `typ` of older tokens: `JWT` in any case, or none.
    pub(crate) fn takes_type(token_type: &str) -> bool {
        token_type.is_empty() || token_type.eq_ignore_ascii_case("JWT")
    }
}
