use actix_ws::{CloseCode, CloseReason, Closed};
use token_verifier::{Ended, Refusal};

use crate::error::Error;

/// Why a WebSocket ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The client said goodbye.
    Left,
    /// The socket is gone, or nobody answers on it.
    Lost,
    /// The client broke RFC 6455.
    Protocol,
    /// A frame was larger than any of ours could be.
    TooLarge,
    /// We are shutting down.
    Draining,
    /// The token was revoked.
    Revoked,
    /// The token expired.
    Expired,
    /// Frames were not taken in time.
    TooSlow,
    /// We can't go on: no database, or nobody to judge tokens.
    Unavailable,
}

impl End {
    /// Close code (RFC 6455, section 7.4; 44xx are this API's own) and reason.
    pub(super) fn code_and_reason(self) -> (u16, &'static str) {
        match self {
            Self::Left => (1000, "goodbye"),
            Self::Lost => (1006, ""),
            Self::Protocol => (1002, "protocol error"),
            Self::TooLarge => (1009, "frame too large"),
            Self::Draining => (1001, "shutting down; connect again"),
            Self::Revoked => (4401, "token revoked"),
            Self::Expired => (4401, "token expired"),
            Self::TooSlow => (4408, "too slow; catch up with after"),
            Self::Unavailable => (1013, "try again shortly"),
        }
    }

    /// For the close frame, which has none where the peer is gone: 1006 is for logs and metrics
    /// and must never be sent (RFC 6455, section 7.4.1).
    pub(super) fn reason(self) -> Option<CloseReason> {
        let (code, text) = self.code_and_reason();
        let reason =
            CloseReason { code: CloseCode::from(code), description: Some(text.to_owned()) };
        (self != Self::Lost).then_some(reason)
    }
}

impl From<Closed> for End {
    fn from(_: Closed) -> Self {
        Self::Lost
    }
}

impl From<Ended> for End {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Revoked => Self::Revoked,
            Ended::Expired => Self::Expired,
            Ended::CannotJudge => Self::Unavailable,
        }
    }
}

impl From<Refusal> for End {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Invalid(_) => Self::Revoked,
            Refusal::CannotJudge => Self::Unavailable,
        }
    }
}

impl From<Error> for End {
    fn from(error: Error) -> Self {
        tracing::warn!(%error, "websocket_failed");
        Self::Unavailable
    }
}
