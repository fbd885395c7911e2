use std::time::Duration;

/// What became of a call to a provider that did not succeed. A dead grant, our own client
/// misconfigured and a provider that is away are three different things to the caller, to the row
/// and to the operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The grant presented is dead for good.
    #[error("grant is dead: {code}")]
    GrantDead {
        /// A bounded word for row and metric: `invalid_grant`, `reuse_exceeded`, `user_disabled`, …
        code: &'static str,
        /// What the provider said, for the log.
        description: String,
    },
    /// The provider refuses this request, and the grant, if one was presented, lives on.
    #[error("refused: {code}")]
    Refused {
        /// Its `error`.
        code: String,
        /// Its `error_description`.
        description: Option<String>,
    },
    /// It does not accept our client, or its answer is not what the protocol says.
    #[error("misconfigured: {0}")]
    Misconfigured(String),
    /// It is away.
    #[error("away (sent: {sent})")]
    Away {
        /// Whether the request may have reached it: then nobody knows what came of it.
        sent: bool,
        /// How long to leave it alone.
        retry_after: Duration,
    },
}

impl Fault {
    /// A bounded label.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::GrantDead { .. } => "grant_dead",
            Self::Refused { .. } => "refused",
            Self::Misconfigured(_) => "misconfigured",
            Self::Away { .. } => "away",
        }
    }

    /// The same of a call that only prepares another: the other was not made, whatever came of
    /// this one.
    #[must_use]
    pub(super) fn before_sending(self) -> Self {
        match self {
            Self::Away { retry_after, .. } => Self::Away { sent: false, retry_after },
            other => other,
        }
    }
}
