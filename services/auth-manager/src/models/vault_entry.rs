//! The vault as an operator sees it: grants with the ids on them, and never a token.

use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::grant::GrantHead;
use super::persistent_token::PersistentToken;
use crate::schema::{auth_vault, drawn_tokens, persistent_tokens, provider_calls};

/// A grant and one of its ids; a grant without any stands alone.
#[derive(Clone, Debug, Queryable)]
pub struct VaultEntry {
    /// The grant.
    pub grant: GrantHead,
    /// Which key of the ring sealed its token.
    pub sealing_key_id: String,
    /// Why it is dead.
    pub dead_reason: Option<String>,
    /// An id on it.
    pub token: Option<PersistentToken>,
}

/// What hangs on a grant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VaultDetails {
    /// Ids on it.
    pub ids: i64,
    /// Scopes that an access token is kept for.
    pub drawn_scopes: Vec<String>,
    /// Its entry of the outbox: state, calls so far, and why the last one failed.
    pub call: Option<(String, i32, Option<String>)>,
}

/// Where a page of entries begins: after this grant and this id of it.
pub type Place = (Uuid, Uuid);

impl VaultEntry {
    /// Where the next page begins.
    #[must_use]
    pub fn place(&self) -> Place {
        let token = self.token.as_ref().map(|token| token.id);
        (self.grant.id, token.unwrap_or_default())
    }
}

/// Entries in the order of their grants, those of `user` only where one is given.
pub async fn list(
    connection: &mut AsyncPgConnection,
    user: Option<Uuid>,
    after: Option<Place>,
    limit: i64,
) -> QueryResult<Vec<VaultEntry>> {
    use auth_vault::dsl;
    let mut entries = entries().order((dsl::id, persistent_tokens::id)).limit(limit).into_boxed();
    if let Some(user) = user {
        entries = entries.filter(dsl::user_id.eq(user));
    }
    if let Some((grant, token)) = after {
        let same_grant = dsl::id.eq(grant).and(persistent_tokens::id.assume_not_null().gt(token));
        entries = entries.filter(dsl::id.gt(grant).or(same_grant));
    }
    entries.load(connection).await
}

/// The entry of an id, or the first one of a grant.
pub async fn find(connection: &mut AsyncPgConnection, id: Uuid) -> QueryResult<Option<VaultEntry>> {
    let of_id = entries().filter(persistent_tokens::id.assume_not_null().eq(id));
    if let Some(entry) = of_id.first(connection).await.optional()? {
        return Ok(Some(entry));
    }
    let of_grant = entries().filter(auth_vault::id.eq(id)).order(persistent_tokens::id);
    of_grant.first(connection).await.optional()
}

/// What hangs on a grant.
pub async fn find_details(
    connection: &mut AsyncPgConnection,
    grant: Uuid,
) -> QueryResult<VaultDetails> {
    let ids = persistent_tokens::table.filter(persistent_tokens::grant_id.eq(grant));
    let drawn = drawn_tokens::table.filter(drawn_tokens::grant_id.eq(grant));
    let calls = provider_calls::table.filter(provider_calls::grant_id.eq(grant));
    let call = (provider_calls::state, provider_calls::attempts, provider_calls::last_error);
    Ok(VaultDetails {
        ids: ids.count().get_result(connection).await?,
        drawn_scopes: drawn
            .select(drawn_tokens::scope)
            .order(drawn_tokens::scope)
            .load(connection)
            .await?,
        call: calls.select(call).first(connection).await.optional()?,
    })
}

#[diesel::dsl::auto_type(no_type_alias)]
fn entries() -> _ {
    let grant: diesel::dsl::AsSelect<GrantHead, diesel::pg::Pg> = GrantHead::as_select();
    let token: diesel::dsl::AsSelect<Option<PersistentToken>, diesel::pg::Pg> =
        Option::<PersistentToken>::as_select();
    auth_vault::table.left_join(persistent_tokens::table).select((
        grant,
        auth_vault::sealing_key_id,
        auth_vault::dead_reason,
        token,
    ))
}
