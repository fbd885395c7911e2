use crate::models::sharing::Sharers;

/// What came of an entry of the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The provider heard it; where its session ended with it, that too.
    Made {
        /// Whether the provider's session was ended.
        session_ended: bool,
        /// Whether that is still to be heard.
        session_pending: bool,
    },
    /// It is not made, since these share by now what it would revoke.
    Shared(Sharers),
    /// There is nothing to be made any more: somebody consented anew, the grant is over by another
    /// way, or the session is in use.
    Withdrawn,
    /// The grant's token is being refreshed, or somebody else makes the call.
    InUse,
    /// The provider is away; it is tried again.
    Away,
    /// The provider refuses us; it is tried again, but an operator must look.
    Refused,
}
