//! The sealed columns of this service, for rewrap, verify and the check of the ring at its start.

use sealed_columns::{KeyColumn, SealedColumn};

use super::seal::{access_token_identity, id_token_identity, token_identity, verifier_identity};
use crate::models::grant::{GrantKey, TokenType};

const ID: &[KeyColumn] = &[KeyColumn { name: "id", kind: "uuid" }];
/// Rows moved in one transaction.
const BATCH: i64 = 100;

/// All of them. The outbox has none: the token that it revokes stays in `auth_vault` until then.
pub const SEALED_COLUMNS: &[SealedColumn] = &[
    SealedColumn {
        name: "auth_vault.encrypted_token",
        table: "auth_vault",
        column: "encrypted_token",
        held: "true",
        key: ID,
        join: "",
        sealed: "t.encrypted_token",
        fields: &["t.provider", "t.subject", "t.client_id", "t.session_state_id", "t.token_type"],
        identity: |fields| token_identity(&grant_key(fields), TokenType::of(&fields[4])),
        lock: "t",
        batch: BATCH,
        replace: None,
    },
    SealedColumn {
        name: "drawn_tokens.sealed_access_token",
        table: "drawn_tokens",
        column: "sealed_access_token",
        held: "true",
        key: &[
            KeyColumn { name: "grant_id", kind: "uuid" },
            KeyColumn { name: "scope", kind: "text" },
        ],
        join: "JOIN auth_vault AS g ON g.id = t.grant_id",
        sealed: "t.sealed_access_token",
        fields: &[
            "g.provider",
            "g.subject",
            "g.client_id",
            "g.session_state_id",
            "g.token_type",
            "t.scope",
        ],
        identity: |fields| {
            access_token_identity(&grant_key(fields), TokenType::of(&fields[4]), &fields[5])
        },
        lock: "t",
        batch: BATCH,
        replace: None,
    },
    SealedColumn {
        name: "accounts.sealed_id_token",
        table: "accounts",
        column: "sealed_id_token",
        held: "t.sealing_key_id IS NOT NULL",
        key: ID,
        join: "",
        sealed: "t.sealed_id_token",
        fields: &["t.issuer", "t.subject"],
        identity: |fields| id_token_identity(&fields[0], &fields[1]),
        lock: "t",
        batch: BATCH,
        replace: None,
    },
    SealedColumn {
        name: "authorization_states.sealed_verifier",
        table: "authorization_states",
        column: "sealed_verifier",
        held: "true",
        key: &[KeyColumn { name: "id", kind: "bytea" }],
        join: "",
        sealed: "t.sealed_verifier",
        fields: &["encode(t.id, 'hex')"],
        identity: |fields| verifier_identity(&hex::decode(&fields[0]).unwrap_or_default()),
        lock: "t",
        batch: BATCH,
        replace: None,
    },
];

fn grant_key(fields: &[String]) -> GrantKey<'_> {
    GrantKey {
        provider: &fields[0],
        subject: &fields[1],
        client_id: &fields[2],
        session_state_id: &fields[3],
    }
}
