//! A browser's way to a provider and back: to sign in, or to link another account.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use common::http::Problem;
use common::settings::Secret;
use diesel::result::Error as QueryError;
use diesel_async::AsyncConnection as _;
use serde_json::json;
use uuid::Uuid;

use super::arrival::{Arrival, Visitor};
use super::find_or_create_account;
use super::return_to::is_allowed;
use super::states::{self, NewState, RedeemedState, StateKind};
use crate::error::Error;
use crate::models::account::{self, Account, AccountTokens};
use crate::models::grant::TokenType;
use crate::models::session_event::{self, EventKind};
use crate::models::user_session::{self, UserSession};
use crate::providers::{AuthorizationRequest, Provider};
use crate::state::State;
use crate::vault::{
    NewGrant, Returned, check_issuer, cut, discard, id_token_identity, store_grant, surely,
    to_its_end, trade, void_if_unlinked,
};

/// Where the provider sends the browser back to, below the public URL.
const CALLBACK: &str = "/api/auth/manager/callback";

/// Who wants what.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    /// At which provider; the default one where none is named.
    pub provider: Option<&'a str>,
    /// The browser's cookie.
    pub browser: Option<&'a str>,
    /// To link to this user, instead of signing in.
    pub link_to: Option<Uuid>,
    /// Where the browser goes afterwards.
    pub return_to: Option<&'a str>,
}

/// Somebody who has signed in.
#[derive(Clone, Debug)]
pub struct SignedIn {
    /// Who.
    pub user_id: Uuid,
    /// Our session.
    pub session_id: Uuid,
    /// The provider's.
    pub session_state_id: String,
    /// An id on the grant, where the provider gave one.
    pub persistent_token_id: Option<Uuid>,
    /// The access token.
    pub access_token: Secret,
    /// When it expires.
    pub expires_at: DateTime<Utc>,
    /// Where the browser goes.
    pub return_to: Option<String>,
}

/// Begins: the URL that the browser must follow.
pub async fn start(state: &State, wish: &Wish<'_>) -> Result<String, Error> {
    let provider = chosen(state, wish.provider)?;
    if wish.return_to.is_some_and(|to| !is_allowed(to, &state.settings.states.return_to.0)) {
        let problem = "`return_to` must be a URL on an origin that `states.return_to` lists";
        return Err(Problem::invalid_field("return_to", problem).into());
    }
    let issued = states::issue(
        state,
        &NewState {
            kind: if wish.link_to.is_some() { StateKind::Link } else { StateKind::SignIn },
            provider: provider.name(),
            browser: wish.browser,
            user_id: wish.link_to,
            subject: None,
            session_state_id: None,
            return_to: wish.return_to,
        },
    )
    .await?;
    let redirect_uri = redirect_uri(state);
    let request = AuthorizationRequest {
        client_id: &provider.login_client().id,
        redirect_uri: &redirect_uri,
        scope: provider.sign_in_scope(),
        state: &issued.token,
        nonce: &issued.nonce,
        code_challenge: &issued.verifier_challenge,
    };
    Ok(provider.authorization_url(&request).await?)
}

fn chosen<'a>(state: &'a State, name: Option<&str>) -> Result<&'a Arc<Provider>, Error> {
    let Some(name) = name else { return Ok(state.providers.default()) };
    let unknown =
        || Problem::invalid_field("provider", "`provider` is none of the configured ones");
    Ok(state.providers.get(name).ok_or_else(unknown)?)
}

fn redirect_uri(state: &State) -> String {
    format!("{}{CALLBACK}", state.settings.public_url.trim_end_matches('/'))
}

/// Takes the request that a browser brought back: its state goes whatever comes of it.
pub async fn redeem(
    state: &State,
    token: &str,
    browser: Option<&str>,
) -> Result<RedeemedState, Error> {
    states::redeem(state, token, &[StateKind::SignIn, StateKind::Link], browser).await
}

/// Ends: trades the code, finds whose account it is, and stores account, grant and session.
pub async fn finish(
    state: &State,
    redeemed: RedeemedState,
    returned: &Returned<'_>,
    visitor: Visitor,
) -> Result<SignedIn, Error> {
    let provider = state.providers.get(&redeemed.provider).ok_or(Error::InvalidStateToken)?;
    check_issuer(provider, returned.issuer).await?;
    let code = returned.code.map_err(|(code, description)| Error::ProviderRefused {
        code: cut(code),
        description: description.map(cut),
    })?;
    let (state, provider, code) = (state.clone(), Arc::clone(provider), code.to_owned());
    to_its_end(async move { take_in(&state, &provider, redeemed, &code, &visitor).await }).await
}

/// Trades the code, and then sees to it that what came is stored or thrown away.
async fn take_in(
    state: &State,
    provider: &Provider,
    redeemed: RedeemedState,
    code: &str,
    visitor: &Visitor,
) -> Result<SignedIn, Error> {
    let client_id = &provider.login_client().id;
    let (claims, answer) =
        trade(provider, client_id, code, &redeemed, &redirect_uri(state)).await?;
    let arrival = Arrival::new(claims, answer);
    let account = surely(&state.clock, || owner(state, provider, &redeemed, &arrival)).await;
    let account = match account {
        Ok(account) => account,
        Err(error) => {
            throw_away(state, provider, &arrival).await;
            return Err(error);
        }
    };
    let persistent_token_id = store(state, provider, &account, &arrival).await?;
    let session = surely(&state.clock, || open(state, &account, &arrival, visitor)).await?;
    Ok(SignedIn {
        user_id: account.user_id,
        session_id: session.id,
        session_state_id: arrival.session_state_id,
        persistent_token_id,
        access_token: arrival.answer.access_token,
        expires_at: arrival.answer.expires_at,
        return_to: redeemed.return_to,
    })
}

/// Whose account it is: (issuer, subject) decides, never an e-mail address.
async fn owner(
    state: &State,
    provider: &Provider,
    redeemed: &RedeemedState,
    arrival: &Arrival,
) -> Result<Account, Error> {
    let (issuer, subject) = (provider.issuer(), &arrival.subject);
    let now = state.clock.now();
    let mut connection = state.pool.get().await?;
    match redeemed.kind {
        StateKind::SignIn => {
            Ok(find_or_create_account(state, &mut connection, provider, subject).await?)
        }
        StateKind::Link => {
            let user = redeemed.user_id.ok_or(Error::InvalidStateToken)?;
            let account = Account::new(user, provider.name(), issuer, subject, now);
            account::upsert(&mut connection, &account).await?.ok_or(Error::AccountTaken)
        }
        StateKind::Consent => Err(Error::InvalidStateToken),
    }
}

/// What may not be kept is revoked, where nothing that is kept would go with it.
async fn throw_away(state: &State, provider: &Provider, arrival: &Arrival) {
    if let Some(token) = &arrival.answer.refresh_token {
        discard(state, provider, &arrival.key(provider), token).await;
    }
}

/// The grant into the vault, if there is one.
async fn store(
    state: &State,
    provider: &Provider,
    account: &Account,
    arrival: &Arrival,
) -> Result<Option<Uuid>, Error> {
    let Some(token) = &arrival.answer.refresh_token else { return Ok(None) };
    let key = arrival.key(provider);
    let grant = NewGrant {
        user_id: account.user_id,
        account_id: Some(account.id),
        provider: key.provider,
        subject: key.subject,
        client_id: key.client_id,
        session_state_id: key.session_state_id,
        asked_from: None,
        token_type: if arrival.offline { TokenType::Offline } else { TokenType::Refresh },
        token,
        scope: &arrival.answer.scope,
        grant_expires_at: arrival.answer.refresh_expires_at,
        access: Some((&arrival.answer).into()),
        metadata: json!({}),
    };
    match store_grant(state, &grant).await {
        Ok(stored) => Ok(Some(stored.persistent_token_id)),
        // A revocation of the same session ended it on its way here: sign in again.
        Err(Error::ConsentRequired { .. }) => Err(Error::TokenNotActive),
        Err(error) => Err(error),
    }
}

/// The session and the account's tokens, in one transaction and in that order, as ends have it.
async fn open(
    state: &State,
    account: &Account,
    arrival: &Arrival,
    visitor: &Visitor,
) -> Result<UserSession, Error> {
    let now = state.clock.now();
    let tokens = account_tokens(state, account, arrival, now);
    let session = arrival.session(account, visitor, now);
    let looked = state.sessions.moment();
    let mut connection = state.pool.get().await?;
    let session = connection
        .transaction(async |connection| {
            let session = user_session::store(connection, &session).await?;
            let ids = [session.id];
            session_event::insert(connection, &ids, EventKind::SignedIn, None, now).await?;
            account::update_tokens(connection, account.id, &tokens, now).await?;
            Ok(session)
        })
        .await
        // Unlinked between the two, and the grant revoked with it.
        .map_err(|error: QueryError| void_if_unlinked(error.into()))?;
    state.sessions.put(&account.provider, &arrival.session_state_id, Some(&session), looked);
    Ok(session)
}

fn account_tokens(
    state: &State,
    account: &Account,
    arrival: &Arrival,
    now: DateTime<Utc>,
) -> AccountTokens {
    let sealed = arrival.answer.id_token.as_ref().map(|id_token| {
        let identity = id_token_identity(&account.issuer, &account.subject);
        state.keyring.seal(&identity, id_token.expose().as_bytes())
    });
    AccountTokens {
        token_type: Some(arrival.answer.token_type.clone()),
        scope: Some(arrival.answer.scope.clone()),
        sealing_key_id: sealed.as_ref().map(|sealed| sealed.key_id().to_owned()),
        sealed_id_token: sealed.map(vault_crypto::Sealed::into_bytes),
        access_expires_at: Some(arrival.answer.expires_at),
        last_refresh_at: Some(now),
    }
}
