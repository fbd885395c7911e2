//! Who people sign in at: Keycloak realms, OpenID Connect issuers, plain OAuth 2.0 servers.
//! One [`Provider`] each, with its clients, its HTTP calls and its breaker.

mod answer;
mod breaker;
mod call;
mod claims;
mod client_form;
mod connections;
mod discovery;
mod fault;
mod file;
mod http;
mod keys;
mod provider;
mod registry;
mod settings;
mod token_calls;
mod token_checks;
mod token_facts;
mod verdict;

pub use answer::{IdClaims, Introspection, LogoutClaims, TokenAnswer};
pub(crate) use call::Call;
pub(crate) use client_form::post;
pub(crate) use discovery::Endpoints;
pub use fault::Fault;
pub(crate) use http::{Deadline, Http};
pub use provider::{AuthorizationRequest, Provider};
pub use registry::Providers;
pub use settings::{
    ClientCredentials, EndpointSettings, ProviderKind, ProviderSettings, ServiceClient,
};
pub use token_facts::TokenFacts;
pub(crate) use token_facts::unverified_claims;
