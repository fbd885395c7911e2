use common::claims::AccessClaims;

/// A token that was accepted.
#[derive(Clone, Debug)]
pub struct Verified {
    /// What it says.
    pub claims: AccessClaims,
    /// The key that signed it.
    pub kid: String,
}
