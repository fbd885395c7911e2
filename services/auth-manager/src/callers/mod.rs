//! Who calls us: a person through the login client, or a configured service client.

mod checks;

pub use checks::Callers;
