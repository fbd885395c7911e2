//! Rows and their queries, one table a file.

pub mod grant;
pub mod provider_call;
