//! What stands between browsers and sessions: cookies in place of tokens in bodies, and the
//! checks without which a cookie is accepted nowhere.
//!
//! A handler of the cookie API names one of [`guard`]'s extractors in its signature; there is no
//! other way from a cookie to a session.

pub mod cookies;
pub mod csrf;
mod csrf_check;
pub mod generation;
pub mod guard;
pub mod origin;
pub mod plain_token;
mod planted;
pub mod received;
mod refusal;
mod turns;

use cookies::CookiePolicy;
use csrf::CsrfKeys;
use origin::Origins;
pub use refusal::Refusal;

use crate::config::Settings;

/// How this deployment treats browsers.
#[derive(Clone)]
pub struct Browser {
    /// How cookies are called, set and cleared.
    pub cookies: CookiePolicy,
    /// Keys under CSRF tokens.
    pub csrf: CsrfKeys,
    /// Whose pages may do something.
    pub origins: Origins,
}

impl Browser {
    /// An error names the setting that is wrong.
    pub fn new(settings: &Settings) -> Result<Self, String> {
        let cookies = CookiePolicy::new(settings)?;
        let origins = Origins::new(settings, cookies.cross_site());
        Ok(Self { csrf: CsrfKeys::parse(settings.browser.csrf_keys.expose())?, cookies, origins })
    }
}
