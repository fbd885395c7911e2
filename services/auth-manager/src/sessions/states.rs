//! State tokens: signed, short-lived, good once, bound to a browser or to user and session. The
//! PKCE verifier (RFC 7636) stays here, sealed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use common::settings::Secret;
use rand::RngExt as _;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::state_key::ID_BYTES;
use crate::error::Error;
use crate::models::authorization_state::{self, AuthorizationState};
use crate::state::State;
use crate::vault::verifier_identity;

/// What an authorization request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateKind {
    /// To sign in; bound to the browser.
    SignIn,
    /// To link another account; bound to user and browser.
    Link,
    /// To consent to offline use; bound to user and session, and worth nothing once that has ended.
    Consent,
}

/// A request about to be sent.
#[derive(Clone, Copy, Debug)]
pub struct NewState<'a> {
    /// What for.
    pub kind: StateKind,
    /// The provider asked.
    pub provider: &'a str,
    /// The browser's cookie, for sign-in and link.
    pub browser: Option<&'a str>,
    /// Who asks, for link and consent.
    pub user_id: Option<Uuid>,
    /// The subject that must come back, for consent.
    pub subject: Option<&'a str>,
    /// The session that asks, for consent.
    pub session_state_id: Option<&'a str>,
    /// Where the browser goes afterwards; checked already.
    pub return_to: Option<&'a str>,
}

/// What goes into the authorization URL.
#[derive(Clone)]
pub struct IssuedState {
    /// `state`.
    pub token: String,
    /// `nonce`.
    pub nonce: String,
    /// `code_challenge`, S256.
    pub verifier_challenge: String,
}

common::hide!(IssuedState);

/// A request that came back.
#[derive(Clone, Debug)]
pub struct RedeemedState {
    /// What for.
    pub kind: StateKind,
    /// The provider asked.
    pub provider: String,
    /// `code_verifier`.
    pub verifier: Secret,
    /// That the id token must carry.
    pub nonce: String,
    /// Who asked, for link and consent.
    pub user_id: Option<Uuid>,
    /// The subject that must come back, for consent.
    pub subject: Option<String>,
    /// The session that asked, for consent.
    pub session_state_id: Option<String>,
    /// Where the browser goes.
    pub return_to: Option<String>,
}

impl StateKind {
    /// As stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SignIn => "sign_in",
            Self::Link => "link",
            Self::Consent => "consent",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::SignIn, Self::Link, Self::Consent].into_iter().find(|kind| kind.as_str() == text)
    }
}

/// Stores a request and answers what the provider is sent of it.
pub async fn issue(state: &State, new: &NewState<'_>) -> Result<IssuedState, Error> {
    let id: [u8; ID_BYTES] = rand::rng().random();
    let (verifier, nonce) = (random_text(), random_text());
    let sealed = state.keyring.seal(&verifier_identity(&id), verifier.as_bytes());
    let now = state.clock.now();
    let row = AuthorizationState {
        id: id.to_vec(),
        kind: new.kind.as_str().to_owned(),
        provider: new.provider.to_owned(),
        browser_hash: new.browser.map(hash_browser),
        user_id: new.user_id,
        subject: new.subject.map(str::to_owned),
        session_state_id: new.session_state_id.map(str::to_owned),
        sealing_key_id: sealed.key_id().to_owned(),
        sealed_verifier: sealed.into_bytes(),
        nonce: nonce.clone(),
        return_to: new.return_to.map(str::to_owned),
        created_at: now,
        expires_at: now + state.settings.states.life.as_delta(),
    };
    authorization_state::insert(&mut *state.pool.get().await?, &row).await?;
    Ok(IssuedState {
        token: state.signer.sign(&id),
        nonce,
        verifier_challenge: URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes())),
    })
}

/// Takes a request that came back, once: one of `kinds`, in time, in the browser that it was made
/// in.
pub async fn redeem(
    state: &State,
    token: &str,
    kinds: &[StateKind],
    browser: Option<&str>,
) -> Result<RedeemedState, Error> {
    let id = state.signer.open(token).ok_or(Error::InvalidStateToken)?;
    let kinds: Vec<&str> = kinds.iter().map(|kind| kind.as_str()).collect();
    let (hash, now) = (browser.map(hash_browser), state.clock.now());
    let mut connection = state.pool.get().await?;
    let row = authorization_state::take(&mut connection, &id, &kinds, hash.as_deref(), now)
        .await?
        .ok_or(Error::InvalidStateToken)?;
    let verifier = state.keyring.open(&verifier_identity(&id), &row.sealed_verifier)?;
    let verifier = str::from_utf8(&verifier).map_err(|_| vault_crypto::OpenError)?;
    Ok(RedeemedState {
        kind: StateKind::parse(&row.kind).ok_or(Error::InvalidStateToken)?,
        provider: row.provider,
        verifier: Secret::from(verifier.to_owned()),
        nonce: row.nonce,
        user_id: row.user_id,
        subject: row.subject,
        session_state_id: row.session_state_id,
        return_to: row.return_to,
    })
}

/// 32 random bytes as text, 43 characters (RFC 7636, section 4.1).
pub(super) fn random_text() -> String {
    URL_SAFE_NO_PAD.encode(rand::rng().random::<[u8; 32]>())
}

fn hash_browser(cookie: &str) -> Vec<u8> {
    Sha256::digest(cookie).to_vec()
}
