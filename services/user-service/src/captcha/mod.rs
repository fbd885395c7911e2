//! Whether a person is there, behind one small port: Turnstile, reCAPTCHA, or nobody is asked.

mod challenge;
mod judge;
mod logins;
mod site_verify;

use std::sync::Arc;

use common::clock::Clock;
use common::http::ClientAddress;
use futures_util::future::{BoxFuture, ready};
use prometheus::IntCounterVec;

use crate::config::{CaptchaProvider, CaptchaSettings};
use crate::error::Error;
pub use challenge::{Action, Challenge};
pub use logins::{check_browser_login, check_login, count_failure};
use site_verify::{RECAPTCHA, SiteVerify, TURNSTILE};

/// What came of asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A person is there.
    Person,
    /// Nobody was asked or could say, and the settings let pass.
    LetThrough,
}

/// Asks whether a person is there.
pub trait Captcha: Send + Sync {
    /// Whether anything is asked for at all.
    fn is_on(&self) -> bool;

    /// Whether `token`, good once, was given to a person for `action` just now.
    ///
    /// [`Error::CaptchaRequired`] where there is none, [`Error::CaptchaInvalid`] where it buys
    /// nothing, [`Error::CaptchaUnavailable`] where the provider gives no verdict.
    fn check<'a>(
        &'a self,
        token: Option<&'a str>,
        action: Action,
        address: ClientAddress,
    ) -> BoxFuture<'a, Result<Verdict, Error>>;
}

/// The provider that the settings name; `checks` counts by action and outcome.
pub fn captcha(
    settings: &CaptchaSettings,
    clock: Clock,
    checks: IntCounterVec,
) -> Result<Arc<dyn Captcha>, String> {
    let provider = match settings.provider {
        CaptchaProvider::Off => return Ok(Arc::new(Off)),
        CaptchaProvider::Turnstile => TURNSTILE,
        CaptchaProvider::Recaptcha => RECAPTCHA,
    };
    Ok(Arc::new(SiteVerify::new(provider, settings, clock, checks)?))
}

/// Asks nobody.
struct Off;

impl Captcha for Off {
    fn is_on(&self) -> bool {
        false
    }

    fn check<'a>(
        &'a self,
        _: Option<&'a str>,
        _: Action,
        _: ClientAddress,
    ) -> BoxFuture<'a, Result<Verdict, Error>> {
        Box::pin(ready(Ok(Verdict::LetThrough)))
    }
}
