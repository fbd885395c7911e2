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
    /// There was nothing to be made any more: somebody consented anew or shares the grant.
    Dropped,
    /// The grant's token is being refreshed, or somebody else makes the call.
    InUse,
    /// The provider is away; it is tried again.
    Away,
    /// The provider refuses us; it is tried again, but an operator must look.
    Refused,
}
