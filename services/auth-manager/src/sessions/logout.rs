//! OpenID Connect Back-Channel Logout 1.0: the provider says that a session is over there.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use diesel::QueryResult;
use diesel_async::{AsyncConnection as _, AsyncPgConnection};
use uuid::Uuid;

use super::end::{after, clear_accounts, end, note_cleared};
use super::ending::{Ending, tell};
use crate::error::Error;
use crate::models::account;
use crate::models::grant::TokenType;
use crate::models::logout_token;
use crate::models::user_session::{UserSession, Which};
use crate::providers::{Fault, LogoutClaims, Provider, unverified_claims};
use crate::state::State;
use crate::vault::{GrantFilter, delete_grants, queue_revocations};

/// Kept so much longer than the token is good, since clocks differ.
const LEEWAY: chrono::TimeDelta = chrono::TimeDelta::minutes(5);

const REASON: &str = "backchannel_logout";

/// Checks the token and ends what it names; heard once only.
pub async fn hear(state: &State, token: &str) -> Result<(), Error> {
    let provider = sender(state, token)?;
    let claims = provider.check_logout_token(token).await.map_err(|fault| match fault {
        Fault::Refused { description, .. } => refused(description),
        fault @ (Fault::GrantDead { .. } | Fault::Misconfigured(_) | Fault::Away { .. }) => {
            fault.into()
        }
    })?;
    let ending = ending(provider, &claims);
    let ended = carry_out(state, provider, &claims, ending.as_slice()).await?;
    if let Some(ending) = ending {
        ending.forget(state);
    }
    after(state, &ended);
    Ok(())
}

/// Who says that they sent it; whether they did, their keys tell.
fn sender<'a>(state: &'a State, token: &str) -> Result<&'a Arc<Provider>, Error> {
    let claims = unverified_claims(token);
    let issuer = claims.as_ref().and_then(|claims| claims.get("iss")?.as_str());
    let provider = issuer.and_then(|issuer| state.providers.by_issuer(issuer));
    provider.ok_or_else(|| refused(Some("logout token: unknown issuer".to_owned())))
}

fn refused(reason: Option<String>) -> Error {
    Error::LogoutRefused(reason.unwrap_or_else(|| "logout token: refused".to_owned()))
}

/// Tokens first, each step for itself, since each takes locks of its own: whatever fails, the token
/// is good for another try. With the sessions' end it is used up.
async fn carry_out(
    state: &State,
    provider: &Provider,
    claims: &LogoutClaims,
    ending: &[Ending],
) -> Result<Vec<UserSession>, Error> {
    let now = state.clock.now();
    let mut connection = state.pool.get().await?;
    let heard = || refused(Some("logout token: heard before".to_owned()));
    if logout_token::is_known(&mut connection, &claims.issuer, &claims.jti).await? {
        return Err(heard());
    }
    let meant = meant(&mut connection, provider, claims).await?;
    let offline = claims.revoke_offline_access && state.settings.logout.revoke_offline;
    let mut cleared = 0;
    for sid in &meant.sids {
        cleared += clear(&mut connection, provider.name(), sid, offline, now).await?;
    }
    let until = claims.expires_at + LEEWAY;
    let ended = connection
        .transaction(async |connection| {
            if !logout_token::remember(connection, &claims.issuer, &claims.jti, until).await? {
                return Err(heard());
            }
            tell(connection, ending).await?;
            Ok(end_all(connection, provider, &meant, cleared > 0, now).await?)
        })
        .await?;
    tracing::info!(provider = provider.name(), sessions = ended.len(), cleared, "logout_heard");
    Ok(ended)
}

/// What a token is about: one session, or all of an account.
struct Meant {
    sids: BTreeSet<String>,
    account: Option<Uuid>,
}

async fn meant(
    connection: &mut AsyncPgConnection,
    provider: &Provider,
    claims: &LogoutClaims,
) -> Result<Meant, Error> {
    if let Some(sid) = &claims.session_state_id {
        return Ok(Meant { sids: BTreeSet::from([sid.clone()]), account: None });
    }
    let subject = claims.subject.as_deref().unwrap_or_default();
    let account = account::find_by_subject(connection, provider.issuer(), subject).await?;
    let Some(account) = account else {
        return Ok(Meant { sids: BTreeSet::new(), account: None });
    };
    let grants = account::list_grants(connection, account.id).await?;
    let sids = grants.into_iter().map(|grant| grant.session_state_id).collect();
    Ok(Meant { sids, account: Some(account.id) })
}

async fn end_all(
    connection: &mut AsyncPgConnection,
    provider: &Provider,
    meant: &Meant,
    cleared: bool,
    now: DateTime<Utc>,
) -> QueryResult<Vec<UserSession>> {
    let mut ended = Vec::new();
    if let Some(account) = meant.account {
        ended = end(connection, Which::Account(account), REASON, now).await?;
    } else {
        for sid in &meant.sids {
            let which = Which::Provider(provider.name(), sid);
            ended.extend(end(connection, which, REASON, now).await?);
        }
    }
    let ids: Vec<Uuid> = ended.iter().filter(|_| cleared).map(|session| session.id).collect();
    note_cleared(connection, &ids, now).await?;
    clear_accounts(connection, &ended, now).await?;
    Ok(ended)
}

/// Refresh grants of the session are over at the provider already; offline ones are not, and are
/// revoked there if they are to end.
async fn clear(
    connection: &mut AsyncPgConnection,
    provider: &str,
    sid: &str,
    offline: bool,
    now: DateTime<Utc>,
) -> QueryResult<usize> {
    let of_type = |token_type| GrantFilter::Session {
        provider,
        session_state_id: sid,
        token_type: Some(token_type),
    };
    let online = of_type(TokenType::Refresh);
    let mut cleared =
        connection.transaction(async |inner| delete_grants(inner, online, now).await).await?;
    if offline {
        let filter = of_type(TokenType::Offline);
        cleared += connection
            .transaction(async |inner| queue_revocations(inner, filter, now).await)
            .await?;
    }
    Ok(cleared)
}

/// Callers are forgotten even where no session of ours is known: their token may have come from
/// elsewhere.
fn ending(provider: &Provider, claims: &LogoutClaims) -> Option<Ending> {
    let provider = provider.name().to_owned();
    match (&claims.session_state_id, &claims.subject) {
        (Some(sid), _) => Some(Ending::Session(provider, sid.clone())),
        (None, Some(subject)) => Some(Ending::Subject(provider, subject.clone())),
        (None, None) => None,
    }
}
