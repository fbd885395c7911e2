//! Who people sign in at: Keycloak realms, OpenID Connect issuers, plain OAuth 2.0 servers.
//! One [`Provider`] each, with its clients, its HTTP calls and its breaker.

mod fault;
mod provider;
mod settings;

pub use fault::Fault;
pub use provider::{
    AuthorizationRequest, IdClaims, Introspection, LogoutClaims, Provider, Providers, TokenAnswer,
};
pub use settings::{ClientCredentials, ProviderKind, ProviderSettings, ServiceClient};
