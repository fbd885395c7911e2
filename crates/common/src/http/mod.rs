//! HTTP as all services speak it: one error body, request ids, strict JSON, CORS, documentation.

mod body;
mod client_address;
mod context;
mod correlation;
mod cors;
mod documentation;
mod head;
mod hsts;
mod operations;
mod probes;
mod problem;
mod protection;
mod received;
mod unread;

pub use body::{Body, Form, Query, SegmentPath};
pub use client_address::{ClientAddress, TrustedProxies};
pub use context::RequestId;
pub(crate) use context::{Context, with_context};
pub use correlation::{Correlation, correlated};
pub(crate) use cors::with_cors;
pub use cors::{Cors, CorsSettings, Origin};
pub use documentation::document;
pub(crate) use documentation::{pages, with_common_errors};
pub(crate) use head::with_head;
pub use hsts::{Hsts, HstsSettings};
pub use operations::Operations;
pub use probes::{Health, Ready};
pub(crate) use probes::{health, ready};
pub use problem::{ErrorBody, Problem};
pub(crate) use protection::with_protection;
pub(crate) use received::BodyTimeout;
pub use received::{BodyKind, read_body};
