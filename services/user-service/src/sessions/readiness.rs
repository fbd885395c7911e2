use common::database::Pool;
use uuid::Uuid;

use super::MacKeys;
use super::token::RefreshToken;
use crate::models::auth_session;

/// Whether refresh tokens can be told from forged ones, and sessions be found: the table has all
/// the columns that this release knows.
pub async fn readiness(pool: Pool, keys: MacKeys) -> Result<(), String> {
    let (nobody, version) = (Uuid::nil(), keys.writing_version());
    let token = RefreshToken::render(&keys, version, nobody, 0, b"");
    if token.and_then(|token| RefreshToken::parse(&keys, &token)).is_none() {
        return Err("refresh tokens are not recognised".to_owned());
    }
    let mut connection = pool.get().await.map_err(|error| error.to_string())?;
    let found = auth_session::find(&mut connection, nobody).await;
    found.map(drop).map_err(|error| error.to_string())
}
