//! Consent to offline use: asked through a client of its own, so that a later revocation leaves
//! the sign-in alone, and accepted only from the person and for the request that asked.

use std::sync::Arc;

use serde_json::json;
use uuid::Uuid;

use super::discard::discard;
use super::given::{Given, cut, exchange, not_offline, offline_client};
use super::new_grant::NewGrant;
use super::store::{StoredGrant, store_grant};
use super::surely::{surely, to_its_end};
use crate::callers::Person;
use crate::error::Error;
use crate::models::grant::{GrantKey, TokenType};
use crate::models::session_event::{self, EventKind};
use crate::models::{account, user_session};
use crate::providers::{AuthorizationRequest, Provider};
use crate::sessions::states::{self, NewState, RedeemedState, StateKind};
use crate::state::State;

const SCOPE: &str = "openid offline_access";
/// Where the provider sends the browser back to, below the public URL.
const CALLBACK: &str = "/api/auth/manager/offline-token/callback";

/// Who asks for consent, in which session.
#[derive(Clone, Copy, Debug)]
pub struct Asker<'a> {
    /// The provider's name in the configuration.
    pub provider: &'a str,
    /// Who.
    pub user_id: Uuid,
    /// The person's subject there, which must come back.
    pub subject: &'a str,
    /// The session that they ask from.
    pub session_state_id: &'a str,
}

impl<'a> From<&'a Person> for Asker<'a> {
    fn from(person: &'a Person) -> Self {
        Self {
            provider: &person.provider,
            user_id: person.user_id,
            subject: &person.subject,
            session_state_id: &person.session_state_id,
        }
    }
}

/// A request for consent, to be followed in a browser.
#[derive(Clone)]
pub struct ConsentRequest {
    /// Where.
    pub consent_url: String,
    /// `state` in it.
    pub state_token: String,
}

/// What a browser brought back (RFC 6749, section 4.1.2, RFC 9207).
#[derive(Clone)]
pub struct Returned<'a> {
    /// `state`.
    pub state: &'a str,
    /// `iss`.
    pub issuer: Option<&'a str>,
    /// The code, or the provider's `error` and `error_description`.
    pub code: Result<&'a str, (&'a str, Option<&'a str>)>,
}

common::hide!(ConsentRequest, Returned<'_>);

/// A stored offline grant, and its sid.
#[derive(Clone, Debug)]
pub struct Consented {
    /// Where it was stored.
    pub stored: StoredGrant,
    /// The grant's own sid.
    pub session_state_id: String,
}

/// Begins a request for consent.
pub async fn request_consent(state: &State, asker: &Asker<'_>) -> Result<ConsentRequest, Error> {
    let provider = state.providers.get(asker.provider).ok_or(Error::Unauthorized)?;
    let client_id = offline_client(provider)?;
    let issued = states::issue(
        state,
        &NewState {
            kind: StateKind::Consent,
            provider: asker.provider,
            browser: None,
            user_id: Some(asker.user_id),
            subject: Some(asker.subject),
            session_state_id: Some(asker.session_state_id),
            return_to: None,
        },
    )
    .await?;
    let consent_url = provider
        .authorization_url(&AuthorizationRequest {
            client_id,
            redirect_uri: &redirect_uri(state),
            scope: SCOPE,
            state: &issued.token,
            nonce: &issued.nonce,
            code_challenge: &issued.verifier_challenge,
        })
        .await?;
    Ok(ConsentRequest { consent_url, state_token: issued.token })
}

/// Ends a request for consent: redeems the state, exchanges the code, looks at what came, and
/// stores the offline token.
pub async fn accept_consent(state: &State, returned: &Returned<'_>) -> Result<Consented, Error> {
    let redeemed = states::redeem(state, returned.state, &[StateKind::Consent], None).await?;
    let provider = state.providers.get(&redeemed.provider).ok_or(Error::InvalidStateToken)?;
    check_issuer(provider, returned.issuer).await?;
    let code = returned.code.map_err(|(code, description)| Error::ProviderRefused {
        code: cut(code),
        description: description.map(cut),
    })?;
    let (state, provider, code) = (state.clone(), Arc::clone(provider), code.to_owned());
    to_its_end(async move { take_in(&state, &provider, &redeemed, &code).await }).await
}

/// Trades the code, and then sees to it that what came is stored or thrown away.
async fn take_in(
    state: &State,
    provider: &Provider,
    redeemed: &RedeemedState,
    code: &str,
) -> Result<Consented, Error> {
    let asker = asker(redeemed)?;
    let given = exchange(provider, code, redeemed, &redirect_uri(state)).await?;
    let account_id = surely(&state.clock, || owner(state, provider, &asker, &given)).await;
    let account_id = match account_id {
        Ok(account_id) => account_id,
        Err(error) => {
            throw_away(state, provider, &asker, &given).await;
            return Err(error);
        }
    };
    let consented = store(state, provider, &asker, &given, account_id).await;
    match consented {
        // A revocation ended it before it was stored; whoever still wants it asks again.
        Err(Error::ConsentRequired { .. }) => {
            let again = request_consent(state, &asker).await?;
            Err(Error::ConsentRequired { consent_url: Some(again.consent_url) })
        }
        other => other,
    }
}

fn asker(redeemed: &RedeemedState) -> Result<Asker<'_>, Error> {
    let (user_id, subject, session_state_id) =
        (redeemed.user_id, redeemed.subject.as_deref(), redeemed.session_state_id.as_deref());
    Ok(Asker {
        provider: &redeemed.provider,
        user_id: user_id.ok_or(Error::InvalidStateToken)?,
        subject: subject.ok_or(Error::InvalidStateToken)?,
        session_state_id: session_state_id.ok_or(Error::InvalidStateToken)?,
    })
}

fn redirect_uri(state: &State) -> String {
    format!("{}{CALLBACK}", state.settings.public_url.trim_end_matches('/'))
}

/// An answer of another issuer is none to this request, nor is one without an issuer where the
/// provider always names itself (RFC 9207, section 2.4).
pub(crate) async fn check_issuer(provider: &Provider, issuer: Option<&str>) -> Result<(), Error> {
    let good = match issuer {
        Some(issuer) => issuer == provider.issuer(),
        None => !provider.names_itself().await?,
    };
    if good { Ok(()) } else { Err(Error::InvalidStateToken) }
}

/// The account that the grant belongs to; an error where it is another person's, or not offline.
async fn owner(
    state: &State,
    provider: &Provider,
    asker: &Asker<'_>,
    given: &Given,
) -> Result<Uuid, Error> {
    if given.claims.subject != asker.subject || given.subject() != asker.subject {
        return Err(Error::InvalidStateToken);
    }
    if !given.is_offline(provider) {
        return Err(not_offline());
    }
    let mut connection = state.pool.get().await?;
    let account =
        account::find_by_subject(&mut connection, provider.issuer(), asker.subject).await?;
    // Unlinked, or even linked to somebody else, since consent was asked for.
    let account = account.filter(|account| account.user_id == asker.user_id);
    account.map(|account| account.id).ok_or(Error::InvalidStateToken)
}

async fn throw_away(state: &State, provider: &Provider, asker: &Asker<'_>, given: &Given) {
    let Ok(client_id) = offline_client(provider) else { return };
    let key = GrantKey {
        provider: provider.name(),
        subject: given.subject(),
        client_id,
        session_state_id: given.session_state_id(asker.session_state_id),
    };
    discard(state, provider, &key, &given.token).await;
}

async fn store(
    state: &State,
    provider: &Provider,
    asker: &Asker<'_>,
    given: &Given,
    account_id: Uuid,
) -> Result<Consented, Error> {
    let session_state_id = given.session_state_id(asker.session_state_id);
    let stored = store_grant(
        state,
        &NewGrant {
            user_id: asker.user_id,
            account_id: Some(account_id),
            provider: provider.name(),
            subject: asker.subject,
            client_id: offline_client(provider)?,
            session_state_id,
            asked_from: Some(asker.session_state_id),
            token_type: TokenType::Offline,
            token: &given.token,
            scope: &given.answer.scope,
            grant_expires_at: given.answer.refresh_expires_at,
            access: Some((&given.answer).into()),
            metadata: json!({}),
        },
    )
    .await?;
    if let Err(error) = note(state, asker).await {
        // Of no weight: the id that was made is the answer.
        tracing::warn!(user_id = %asker.user_id, %error, "consent_not_noted");
    }
    Ok(Consented { stored, session_state_id: session_state_id.to_owned() })
}

/// The session that asked gets to know.
async fn note(state: &State, asker: &Asker<'_>) -> Result<(), Error> {
    let mut connection = state.pool.get().await?;
    let session = user_session::find_by_provider_session(
        &mut connection,
        asker.provider,
        asker.session_state_id,
    )
    .await?;
    if let Some(session) = session {
        let kind = EventKind::Consented;
        let now = state.clock.now();
        session_event::insert(&mut connection, &[session.id], kind, None, now).await?;
    }
    Ok(())
}
