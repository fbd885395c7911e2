//! What handlers and rooms share.

use std::sync::Arc;

use common::clock::Clock;
use common::database::Pool;
use tokio_util::sync::CancellationToken;
use vault_crypto::{Keyring, TokenHasher};

use crate::callers::Callers;
use crate::config::Settings;
use crate::metrics::ServiceMetrics;
use crate::providers::Providers;
use crate::sessions::{SessionCache, StateKey};
use crate::vault::{Draws, Ledger, Outbox};

/// One a process; clones share everything.
#[derive(Clone)]
pub struct State {
    /// PostgreSQL.
    pub pool: Pool,
    /// The time.
    pub clock: Clock,
    /// The settings as read.
    pub settings: Settings,
    /// Seals tokens.
    pub keyring: Keyring,
    /// Hashes tokens for look-ups.
    pub hasher: Arc<TokenHasher>,
    /// Signs state tokens.
    pub signer: StateKey,
    /// Who people sign in at.
    pub providers: Providers,
    /// Who calls.
    pub callers: Callers,
    /// Metadata of sessions, kept in memory.
    pub sessions: SessionCache,
    /// Access tokens on demand.
    pub draws: Draws,
    /// The ledger of uses.
    pub ledger: Ledger,
    /// Calls that providers still have to hear.
    pub outbox: Outbox,
    /// What is counted.
    pub metrics: ServiceMetrics,
    /// Cancelled when the service drains.
    pub draining: CancellationToken,
}
