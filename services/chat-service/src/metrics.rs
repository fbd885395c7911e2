//! What chat-service counts.

use common::metrics::Metrics;
use common::tasks::Tasks;
use prometheus::{IntCounterVec, IntGauge, IntGaugeVec};

/// The service's metrics; every label has a bounded set of values.
#[derive(Clone)]
pub struct ServiceMetrics {
    /// Messages by `outcome`: `stored`, `repeated`.
    pub messages_sent: IntCounterVec,
    /// Messages sent to subscribers, by `source`: `live`, `catch_up`.
    pub messages_delivered: IntCounterVec,
    /// Open sockets.
    pub websockets: IntGauge,
    /// Sockets ended, by close `code`.
    pub websockets_closed: IntCounterVec,
    /// Rooms with subscribers on this replica.
    pub rooms_followed: IntGauge,
    /// Rows removed by housekeeping, by `what`: `invitations`.
    pub cleaned: IntCounterVec,
    /// Connections of the database pool by `state`.
    pub database_connections: IntGaugeVec,
    /// What runs as long as the service does.
    pub tasks: Tasks,
}

impl ServiceMetrics {
    /// Registers them all.
    #[must_use]
    pub fn register(metrics: &Metrics) -> Self {
        Self {
            tasks: metrics.tasks(),
            messages_sent: metrics.counter(
                "messages_sent_total",
                "Messages by outcome: stored, repeated (a client_message_id seen before)",
                &["outcome"],
            ),
            messages_delivered: metrics.counter(
                "messages_delivered_total",
                "Messages sent to subscribers, by source: live, catch_up",
                &["source"],
            ),
            websockets: metrics.gauge("websocket_connections", "Open WebSockets"),
            websockets_closed: metrics.counter(
                "websocket_closes_total",
                "WebSockets ended, by close code; 1006 went without one",
                &["code"],
            ),
            rooms_followed: metrics
                .gauge("rooms_followed", "Rooms with subscribers on this replica"),
            cleaned: metrics.counter(
                "cleaned_rows_total",
                "Rows removed by cleaning, by what they were",
                &["what"],
            ),
            database_connections: metrics.gauges(
                "database_connections",
                "Connections of the pool by state",
                &["state"],
            ),
        }
    }
}
