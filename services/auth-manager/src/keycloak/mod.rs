//! Calls that only Keycloak has.
