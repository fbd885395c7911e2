//! What becomes of a token that nobody here may keep.

use common::settings::Secret;
use diesel_async::AsyncConnection as _;
use tokio::time::timeout;

use super::lock::lock_identity;
use crate::error::Error;
use crate::models::grant::GrantKey;
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

async fn revoke_unless_shared(
    state: &State,
    provider: &Provider,
    key: &GrantKey<'_>,
    token: &Secret,
) -> Result<bool, Error> {
    let mut connection = state.pool.get().await?;
    connection
        .transaction(async |connection| {
            lock_identity(connection, key).await?;
            if sharing::has_grant(connection, key).await? {
                return Ok(false);
            }
            let call = provider.revoke(key.client_id, token.expose());
            let late = || Error::ProviderUnavailable(std::time::Duration::from_secs(1));
            timeout(state.settings.providers.timeout.0, call).await.map_err(|_| late())??;
            Ok(true)
        })
        .await
}
