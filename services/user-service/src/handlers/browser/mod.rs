//! The cookie API, one endpoint a file. Every handler names a guard of [`crate::browser::guard`].

pub(crate) mod show_csrf;
pub(crate) mod verify_token;
