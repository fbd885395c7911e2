//! What becomes of a token that nobody here may keep.

use std::time::Duration;

use chrono::{DateTime, Utc};
use common::settings::Secret;
use diesel::QueryResult;
use diesel_async::{AsyncConnection as _, AsyncPgConnection};
use tokio::time::timeout;

use super::call::REMEMBERED;
use super::lock::lock_identity;
use crate::error::Error;
use crate::models::grant::GrantKey;
use crate::models::provider_call::{self, ProviderCall};
use crate::models::sharing;
use crate::providers::Provider;
use crate::state::State;

/// Revokes a token that is not stored, but only where no grant of ours has its client and session:
/// the provider would end that too. The identity stays locked meanwhile, so that none can come.
/// Best effort: what is not revoked is still known to nobody.
pub(crate) async fn discard(
    state: &State,
    provider: &Provider,
    key: &GrantKey<'_>,
    token: &Secret,
) {
    match revoke_unless_shared(state, provider, key, token).await {
        Ok(revoked) => {
            tracing::info!(
                provider = key.provider,
                client_id = key.client_id,
                revoked,
                "token_thrown_away"
            );
        }
        Err(error) => {
            tracing::warn!(provider = key.provider, client_id = key.client_id, %error, "token_thrown_away_unrevoked");
        }
    }
}

/// Two transactions, since what the first one leaves behind must be there though we die in the
/// second: a token of the same session may be on its way into the vault at this moment, and whoever
/// finds the entry tries it.
async fn revoke_unless_shared(
    state: &State,
    provider: &Provider,
    key: &GrantKey<'_>,
    token: &Secret,
) -> Result<bool, Error> {
    let mut connection = state.pool.get().await?;
    let window = state.settings.providers.timeout.0;
    let free = connection
        .transaction(async |connection| {
            let now = state.clock.now();
            let free = is_free(connection, key, now).await?;
            if free {
                let entry = ProviderCall::ended(key, now + window + REMEMBERED, now);
                provider_call::insert(connection, &entry).await?;
            }
            QueryResult::Ok(free)
        })
        .await?;
    if !free {
        return Ok(false);
    }
    connection
        .transaction(async |connection| {
            if !is_free(connection, key, state.clock.now()).await? {
                return Ok(false);
            }
            let call = provider.revoke(key.client_id, token.expose());
            let late = || Error::ProviderUnavailable(Duration::from_secs(1));
            timeout(window, call).await.map_err(|_| late())??;
            Ok(true)
        })
        .await
}

/// Whether no grant of ours stands at `key`; none comes until the transaction ends.
async fn is_free(
    connection: &mut AsyncPgConnection,
    key: &GrantKey<'_>,
    now: DateTime<Utc>,
) -> QueryResult<bool> {
    lock_identity(connection, key).await?;
    Ok(!sharing::has_grant(connection, key, now).await?)
}
