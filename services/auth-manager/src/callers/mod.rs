//! Who calls us: a person through a provider's login client, or a service client that
//! configuration names. A token drawn from the vault opens nothing here: it comes from the client
//! that consent was given to.

mod caller;
mod check;
mod extractors;

pub use caller::Caller;
pub use check::Callers;
pub use extractors::{Drawer, Person};
