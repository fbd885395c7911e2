/// What a provider is asked; decides how an answer is judged, whether a call may be repeated, and
/// the `endpoint` label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Discovery,
    Keys,
    CodeExchange,
    Refresh,
    ServiceToken,
    Introspection,
    Revocation,
    Userinfo,
    EndSession,
}

impl Call {
    /// Code of the refusal where the access token that a call carried was not taken (RFC 6750,
    /// section 3.1).
    pub(crate) const UNAUTHORIZED: &'static str = "invalid_token";

    /// The `endpoint` label.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Discovery => "discovery",
            Self::Keys => "keys",
            Self::CodeExchange => "code_exchange",
            Self::Refresh => "refresh",
            Self::ServiceToken => "service_token",
            Self::Introspection => "introspection",
            Self::Revocation => "revocation",
            Self::Userinfo => "userinfo",
            Self::EndSession => "end_session",
        }
    }

    /// A code is used once, and a refresh token that rotates as often as the realm allows: who
    /// presents them again has to have counted first.
    pub(super) fn may_be_repeated(self) -> bool {
        !matches!(self, Self::CodeExchange | Self::Refresh)
    }

    /// The largest answer that is read, in bytes.
    pub(super) fn max_bytes(self) -> usize {
        match self {
            Self::Keys => 1024 * 1024,
            _ => 256 * 1024,
        }
    }

    /// Whether it goes to the token endpoint.
    pub(super) fn asks_for_tokens(self) -> bool {
        matches!(self, Self::CodeExchange | Self::Refresh | Self::ServiceToken)
    }
}
