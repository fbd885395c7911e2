use std::sync::Arc;

use futures_util::future::BoxFuture;
use prometheus::IntCounterVec;

use super::{Limit, LimitKey, RateLimiter};
use crate::error::Error;

/// Tells operators what a store refuses.
pub(super) struct Counted {
    pub(super) store: Arc<dyn RateLimiter>,
    pub(super) refused: IntCounterVec,
}

impl RateLimiter for Counted {
    fn check(&self, limit: Limit, key: LimitKey) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            let checked = self.store.check(limit, key).await;
            if matches!(checked, Err(Error::RateLimited(_))) {
                self.refused.with_label_values(&[limit.as_str()]).inc();
            }
            checked
        })
    }
}
