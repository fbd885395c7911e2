//! Refresh token families: opened by a login, moved on by refreshes, ended for many reasons.
//!
//! Decisions are plain functions ([`decide`]); the transactions around them take their locks in
//! one order everywhere: keyset, device, families by id, pool, account.

mod api_kind;
mod authenticated;
mod decide;
mod end;
mod known_browser;
mod mutex;
mod open;
mod presented;
mod prove;
mod readiness;
mod refresh;
mod retire;
mod sensitive;
mod token;
mod update_device;
mod use_device;
mod verify;

use common::http::ClientAddress;
use rand::RngExt as _;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;
use vault_crypto::{Identity, Keyring};
use zeroize::Zeroizing;

pub use api_kind::ApiKind;
pub use authenticated::{Authenticated, authenticate};
pub use end::{EndReason, end};
pub use known_browser::KnownBrowser;
pub use open::{Login, Opened, open};
pub use presented::{Presented, find_active, find_named, log_out, revoke};
pub use readiness::readiness;
pub use refresh::refresh;
pub use retire::{retire_batch, retire_due};
pub use sensitive::{
    PasswordChanged, change_password, check_current_password, end_now, end_own, remove_device,
    require_recent_login, require_recent_sign_in,
};
pub use token::MacKeys;
use token::RefreshToken;
pub use update_device::{DeviceUpdate, update_device};
pub use verify::{family_of, find_live_family, position_of, verify};

use crate::error::Error;
use crate::models::auth_session::AuthSession;

/// What an access and a refresh token come to.
pub struct TokenPair {
    /// Compact JWS.
    pub access_token: String,
    /// Opaque, `lkr_…`.
    pub refresh_token: String,
    /// Seconds that the access token lives.
    pub expires_in: i64,
    /// Seconds that the refresh token may live, unless it is used before.
    pub refresh_expires_in: i64,
}

common::hide!(TokenPair);

/// Who is asking, as far as a session remembers it.
#[derive(Clone, Debug)]
pub struct Caller {
    /// User agent, cut to 256 characters.
    pub user_agent: Option<String>,
    /// Where from.
    pub address: ClientAddress,
    /// The id in the browser's own long-lived cookie, where it shows one.
    pub browser: Option<Uuid>,
}

impl Caller {
    /// What stands for the device where there is no proof, as a session remembers it.
    fn device_hash(&self) -> Option<Vec<u8>> {
        if self.user_agent.is_none() && self.browser.is_none() {
            return None;
        }
        let mut hash = Sha256::new_with_prefix(self.user_agent.as_deref().unwrap_or_default());
        if let Some(browser) = &self.browser {
            hash.update([0]);
            hash.update(browser.as_bytes());
        }
        Some(hash.finalize().to_vec())
    }

    /// Whether this is the device that `session` was last seen on. The release before writes the
    /// user agent alone, but refreshes no browser.
    fn is_on_device_of(&self, session: &AuthSession) -> bool {
        if session.api == ApiKind::Cookie.as_str() {
            session.device_hash == self.device_hash()
        } else {
            session.user_agent == self.user_agent
        }
    }
}

const SECRET_BYTES: usize = 32;

/// A fresh family secret, sealed for the row of `family`.
fn new_secret(keyring: &Keyring, family: Uuid) -> (Zeroizing<Vec<u8>>, vault_crypto::Sealed) {
    let mut secret = Zeroizing::new(vec![0; SECRET_BYTES]);
    rand::rng().fill(secret.as_mut_slice());
    let sealed = keyring.seal(&secret_identity(family), &secret);
    (secret, sealed)
}

fn open_secret(keyring: &Keyring, session: &AuthSession) -> Result<Zeroizing<Vec<u8>>, Error> {
    Ok(keyring.open(&secret_identity(session.id), &session.sealed_secret)?)
}

/// What a family's sealed secret is bound to.
pub fn secret_identity(family: Uuid) -> Identity {
    Identity::new("auth_sessions.secret").field(family.to_string())
}
