/// A token that can't be used: one line, without the PIN and without any key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("PKCS#11: {0}")]
pub struct Pkcs11Error(pub(crate) String);
