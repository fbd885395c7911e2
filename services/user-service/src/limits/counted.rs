use std::sync::Arc;
use std::time::Duration;

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
            // A failure that is counted is itself no request refused.
            let refuses = limit != Limit::LoginFailure;
            if refuses && matches!(checked, Err(Error::RateLimited(_))) {
                self.refused.with_label_values(&[limit.as_str()]).inc();
            }
            checked
        })
    }

    fn wait(&self, limit: Limit, key: LimitKey) -> BoxFuture<'_, Result<Option<Duration>, Error>> {
        Box::pin(async move {
            let wait = self.store.wait(limit, key).await?;
            if wait.is_some() {
                self.refused.with_label_values(&[limit.as_str()]).inc();
            }
            Ok(wait)
        })
    }
}
