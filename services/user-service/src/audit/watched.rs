//! What ports refuse, as events: one a minute for each whom it concerns.

use std::sync::Arc;
use std::time::Duration;

use common::http::ClientAddress;
use futures_util::future::BoxFuture;
use serde_json::json;

use super::{Event, Kind, Recorder};
use crate::captcha::{Action, Captcha, Verdict};
use crate::error::Error;
use crate::limits::{Limit, LimitKey, RateLimiter};

/// A limiter whose refusals are events.
pub struct WatchedLimiter {
    /// Which.
    pub inner: Arc<dyn RateLimiter>,
    /// Takes them.
    pub recorder: Recorder,
}

impl WatchedLimiter {
    fn record(&self, limit: Limit, key: LimitKey) {
        let mut event = Event::new(Kind::RateLimited);
        event.details = json!({ "limit": limit.as_str() });
        match key {
            LimitKey::Address(address) => event.address = Some(ClientAddress(address)),
            LimitKey::Id(id) if limit == Limit::DeviceLogin => event.device = Some(id),
            LimitKey::Id(id) => event.user = Some(id),
            LimitKey::Name(_) => {}
        }
        self.recorder.record_once(&event, &key.digest(limit));
    }
}

impl RateLimiter for WatchedLimiter {
    fn check(&self, limit: Limit, key: LimitKey) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            let checked = self.inner.check(limit, key).await;
            // A failure that is counted is itself no request refused.
            let refuses = limit != Limit::LoginFailure;
            if refuses && matches!(checked, Err(Error::RateLimited(_))) {
                self.record(limit, key);
            }
            checked
        })
    }

    fn wait(&self, limit: Limit, key: LimitKey) -> BoxFuture<'_, Result<Option<Duration>, Error>> {
        Box::pin(async move {
            let wait = self.inner.wait(limit, key).await?;
            if wait.is_some() {
                self.record(limit, key);
            }
            Ok(wait)
        })
    }
}

/// A CAPTCHA whose refusals are events.
pub struct WatchedCaptcha {
    /// Which.
    pub inner: Arc<dyn Captcha>,
    /// Takes them.
    pub recorder: Recorder,
}

impl Captcha for WatchedCaptcha {
    fn is_on(&self) -> bool {
        self.inner.is_on()
    }

    fn check<'a>(
        &'a self,
        token: Option<&'a str>,
        action: Action,
        address: ClientAddress,
    ) -> BoxFuture<'a, Result<Verdict, Error>> {
        Box::pin(async move {
            let checked = self.inner.check(token, action, address).await;
            if matches!(checked, Err(Error::CaptchaInvalid)) {
                let mut event = Event::new(Kind::CaptchaFailed);
                (event.address, event.details) =
                    (Some(address), json!({ "action": action.as_str() }));
                self.recorder.record_once(&event, address.limit_key().to_string().as_bytes());
            }
            checked
        })
    }
}
