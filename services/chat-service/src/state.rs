//! What handlers and rooms share.

use common::clock::Clock;
use common::database::Pool;
use tokio_util::sync::CancellationToken;

use crate::config::Settings;
use crate::live::{Hub, Places};
use crate::metrics::ServiceMetrics;

/// One a process; clones share everything.
#[derive(Clone)]
pub struct State {
    /// PostgreSQL.
    pub pool: Pool,
    /// The time.
    pub clock: Clock,
    /// The settings as read.
    pub settings: Settings,
    /// Live delivery.
    pub hub: Hub,
    /// Live connections by user.
    pub places: Places,
    /// What is counted.
    pub metrics: ServiceMetrics,
    /// Cancelled when the service drains.
    pub draining: CancellationToken,
}
