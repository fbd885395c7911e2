//! Grants: stored sealed, drawn on, shared, revoked.

mod call;
mod columns;
mod consent;
mod discard;
mod draw;
mod flights;
mod fresh;
mod give_up;
mod given;
mod issue;
mod lease;
mod ledger;
mod lock;
mod lookups;
mod outbox;
mod permission;
mod refresh;
mod revoke;
mod scope;
mod seal;
mod settle;
mod share;
mod store;
mod tell;
mod trial;

pub use call::Outcome;
pub use columns::SEALED_COLUMNS;
pub(crate) use consent::check_issuer;
pub use consent::{Asker, ConsentRequest, Consented, Returned, accept_consent, request_consent};
pub(crate) use discard::discard;
pub use draw::{DrawTools, Draws};
pub use fresh::AccessToken;
pub use give_up::{GivenUp, give_up_id};
pub(crate) use given::{cut, trade};
pub use issue::{Issued, issue_persistent_id};
pub use ledger::{Ledger, Use};
pub use lock::lock_identity;
pub use outbox::Outbox;
pub use permission::{Draw, DrawnBy};
pub use revoke::{Revocation, RevocationReason, revoke_persistent_id};
pub use scope::Scope;
pub use seal::{access_token_identity, id_token_identity, token_identity, verifier_identity};
pub use share::{delete_grants, queue_revocations};
pub use store::{NewGrant, StoredGrant, store_grant};

pub use crate::models::sharing::GrantFilter;
