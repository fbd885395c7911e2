//! `auth_vault`: one row per provider grant.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::Value;
use uuid::Uuid;

use super::drawn_token::DrawnToken;
use crate::schema::{auth_vault, drawn_tokens};

/// A grant.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = auth_vault)]
pub struct Grant {
    /// Our own id, never given to callers.
    pub id: Uuid,
    /// Whose.
    pub user_id: Uuid,
    /// The account at the provider, while it is linked.
    pub account_id: Option<Uuid>,
    /// The provider's name in the configuration.
    pub provider: String,
    /// The person's subject there.
    pub subject: String,
    /// The client that the grant was given to.
    pub client_id: String,
    /// The grant's own sid.
    pub session_state_id: String,
    /// The sid that consent was asked from, where it is another one.
    pub consent_session_id: Option<String>,
    /// `offline` or `refresh`, see [`TokenType`].
    pub token_type: String,
    /// The sealed token.
    pub encrypted_token: Vec<u8>,
    /// Which key of the ring sealed it.
    pub sealing_key_id: String,
    /// See [`vault_crypto::TokenHasher`].
    pub token_hash: Vec<u8>,
    /// Granted scope.
    pub scope: String,
    /// What imports and operators add.
    pub metadata: Value,
    /// When it ends if it is not used; none: no maximum.
    pub grant_expires_at: Option<DateTime<Utc>>,
    /// See [`GrantState`].
    pub state: String,
    /// Why it is dead.
    pub dead_reason: Option<String>,
    /// Moves with the token and nothing else.
    pub version: i64,
    /// How often this version's token was sent.
    pub presentations: i32,
    /// Who refreshes it now.
    pub lease_holder: Option<Uuid>,
    /// Until when.
    pub lease_until: Option<DateTime<Utc>>,
    /// When the call under the lease will have ended; none: none was begun.
    pub call_deadline: Option<DateTime<Utc>>,
    /// First stored.
    pub created_at: DateTime<Utc>,
    /// Last change of token or state.
    pub updated_at: DateTime<Utc>,
    /// Last draw, to a minute.
    pub last_access_at: DateTime<Utc>,
}

/// A grant without its token: what a draw looks at, and what its user may see.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = auth_vault)]
pub struct GrantHead {
    /// Our own id, never given to callers.
    pub id: Uuid,
    /// Whose.
    pub user_id: Uuid,
    /// The provider's name in the configuration.
    pub provider: String,
    /// The person's subject there.
    pub subject: String,
    /// The client that the grant was given to.
    pub client_id: String,
    /// The grant's own sid.
    pub session_state_id: String,
    /// See [`TokenType`].
    pub token_type: String,
    /// Granted scope.
    pub scope: String,
    /// When it ends if it is not used; none: no maximum.
    pub grant_expires_at: Option<DateTime<Utc>>,
    /// See [`GrantState`].
    pub state: String,
    /// Moves with the token and nothing else.
    pub version: i64,
    /// Until when somebody refreshes it.
    pub lease_until: Option<DateTime<Utc>>,
    /// When the call under the lease will have ended.
    pub call_deadline: Option<DateTime<Utc>>,
    /// Last change of token or state.
    pub updated_at: DateTime<Utc>,
}

/// What a grant is at its provider, but for its type; revocation there concerns both types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrantKey<'a> {
    /// The provider's name in the configuration.
    pub provider: &'a str,
    /// The person's subject there.
    pub subject: &'a str,
    /// The client.
    pub client_id: &'a str,
    /// The sid.
    pub session_state_id: &'a str,
}

/// Kind of a grant's token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenType {
    /// Good while the user is away.
    Offline,
    /// Good while the user's session lasts.
    Refresh,
}

/// Where a grant stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrantState {
    /// To be drawn on.
    Live,
    /// A call's answer never came.
    OutcomeUnknown,
    /// Refused for good.
    Dead,
    /// The outbox will revoke it.
    Revoking,
}

impl Grant {
    /// Its natural key.
    #[must_use]
    pub fn key(&self) -> GrantKey<'_> {
        GrantKey {
            provider: &self.provider,
            subject: &self.subject,
            client_id: &self.client_id,
            session_state_id: &self.session_state_id,
        }
    }

    /// Its type.
    #[must_use]
    pub fn token_type(&self) -> TokenType {
        TokenType::of(&self.token_type)
    }

    /// Its state.
    #[must_use]
    pub fn state(&self) -> GrantState {
        GrantState::of(&self.state)
    }
}

impl GrantHead {
    /// Its natural key.
    #[must_use]
    pub fn key(&self) -> GrantKey<'_> {
        GrantKey {
            provider: &self.provider,
            subject: &self.subject,
            client_id: &self.client_id,
            session_state_id: &self.session_state_id,
        }
    }

    /// Its type.
    #[must_use]
    pub fn token_type(&self) -> TokenType {
        TokenType::of(&self.token_type)
    }

    /// Its state.
    #[must_use]
    pub fn state(&self) -> GrantState {
        GrantState::of(&self.state)
    }
}

impl TokenType {
    /// From its stored form; the table's check leaves no third one.
    #[must_use]
    pub fn of(stored: &str) -> Self {
        if stored == Self::Offline.as_str() { Self::Offline } else { Self::Refresh }
    }

    /// As stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Offline => "offline",
            Self::Refresh => "refresh",
        }
    }
}

impl GrantState {
    /// From its stored form; the table's check leaves no fifth one.
    #[must_use]
    pub fn of(stored: &str) -> Self {
        match stored {
            "live" => Self::Live,
            "outcome_unknown" => Self::OutcomeUnknown,
            "revoking" => Self::Revoking,
            _ => Self::Dead,
        }
    }

    /// As stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::OutcomeUnknown => "outcome_unknown",
            Self::Dead => "dead",
            Self::Revoking => "revoking",
        }
    }
}

/// A grant.
pub async fn find(connection: &mut AsyncPgConnection, id: Uuid) -> QueryResult<Option<Grant>> {
    auth_vault::table.find(id).select(Grant::as_select()).first(connection).await.optional()
}

/// The grant that stands at `key`.
pub async fn find_by_key(
    connection: &mut AsyncPgConnection,
    key: &GrantKey<'_>,
    token_type: TokenType,
) -> QueryResult<Option<Grant>> {
    auth_vault::table
        .filter(auth_vault::provider.eq(key.provider))
        .filter(auth_vault::subject.eq(key.subject))
        .filter(auth_vault::client_id.eq(key.client_id))
        .filter(auth_vault::session_state_id.eq(key.session_state_id))
        .filter(auth_vault::token_type.eq(token_type.as_str()))
        .select(Grant::as_select())
        .first(connection)
        .await
        .optional()
}

/// A grant, and the access token last drawn from it for `scope`.
pub async fn find_drawn(
    connection: &mut AsyncPgConnection,
    id: Uuid,
    scope: &str,
) -> QueryResult<Option<(GrantHead, Option<DrawnToken>)>> {
    let of_scope =
        drawn_tokens::grant_id.eq(auth_vault::id).and(drawn_tokens::scope.eq(scope.to_owned()));
    auth_vault::table
        .left_join(drawn_tokens::table.on(of_scope))
        .filter(auth_vault::id.eq(id))
        .select((GrantHead::as_select(), Option::<DrawnToken>::as_select()))
        .first(connection)
        .await
        .optional()
}

/// Records the scope of a grant that came without one.
pub async fn learn_scope(
    connection: &mut AsyncPgConnection,
    id: Uuid,
    scope: &str,
) -> QueryResult<usize> {
    let unknown = auth_vault::table.find(id).filter(auth_vault::scope.eq(""));
    diesel::update(unknown).set(auth_vault::scope.eq(scope)).execute(connection).await
}
