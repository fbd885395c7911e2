//! Calls that only Keycloak has.

mod admin_api;

pub(crate) use admin_api::AdminApi;
