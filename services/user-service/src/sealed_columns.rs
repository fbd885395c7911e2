//! The sealed columns of this service, for rewrap, verify and the check of the ring at its start.

use sealed_columns::{KeyColumn, SealedColumn};
use uuid::Uuid;

use crate::devices;
use crate::sessions::secret_identity;
use crate::signing::{key_identity, service_key_identity};

const ID: &[KeyColumn] = &[KeyColumn { name: "id", kind: "uuid" }];
const KID: &[KeyColumn] = &[KeyColumn { name: "kid", kind: "text" }];
/// Rows moved in one transaction.
const BATCH: i64 = 100;
/// A login takes no key that is locked, and the pool may be small.
const WAITING_BATCH: i64 = 2;

/// A key in use stands in its user's keyset, beside others; where the row is no keyset, none does.
const JOIN_KEYSET: &str = "JOIN user_keysets AS u ON u.user_id = t.user_id
    LEFT JOIN LATERAL (
        SELECT member->>'sealed' AS sealed
        FROM jsonb_path_query(u.keyset, 'lax $.keys[*]') AS member
        WHERE member->>'kid' = t.kid
    ) AS m ON true";
/// Text that is no hex must not fail the whole statement; it opens as little as an empty value.
const IN_KEYSET: &str = "CASE WHEN m.sealed ~ '^([0-9a-f]{2})*$' THEN decode(m.sealed, 'hex')
    ELSE ''::bytea END";

/// The keyset first, as everywhere.
const REPLACE_IN_KEYSET: &str = ", moved AS (
        UPDATE user_keysets AS u SET keyset = jsonb_set(u.keyset, '{keys}', (
            SELECT jsonb_agg(
                CASE WHEN new.key1 IS NULL THEN m.value
                ELSE jsonb_set(m.value, '{sealed}', to_jsonb(encode(new.sealed, 'hex'))) END
                ORDER BY m.place
            )
            FROM jsonb_array_elements(u.keyset->'keys') WITH ORDINALITY AS m (value, place)
            LEFT JOIN new ON new.key1 = m.value->>'kid'
                AND encode(new.old, 'hex') = m.value->>'sealed'
        ))
        WHERE u.user_id IN (
            SELECT p.user_id FROM new JOIN published_keys AS p ON p.kid = new.key1
        )
        RETURNING u.user_id, u.keyset
    )
    UPDATE published_keys AS t SET sealing_key_id = $5
    FROM new, moved, jsonb_array_elements(moved.keyset->'keys') AS m
    WHERE t.kid = new.key1 AND t.state = 'active' AND t.user_id = moved.user_id
        AND m->>'kid' = t.kid AND m->>'sealed' = encode(new.sealed, 'hex')
    RETURNING ARRAY[t.kid] AS key, decode(m->>'sealed', 'hex') AS sealed";

/// All of them.
pub const SEALED_COLUMNS: &[SealedColumn] = &[
    SealedColumn {
        name: "devices.sealed_key",
        table: "devices",
        column: "sealed_key",
        held: "true",
        key: ID,
        join: "",
        sealed: "t.sealed_key",
        fields: &["t.id"],
        identity: |fields| devices::identity(uuid(&fields[0])),
        lock: "t",
        batch: BATCH,
        replace: None,
    },
    SealedColumn {
        name: "auth_sessions.sealed_secret",
        table: "auth_sessions",
        column: "sealed_secret",
        held: "true",
        key: ID,
        join: "",
        sealed: "t.sealed_secret",
        fields: &["t.id"],
        identity: |fields| secret_identity(uuid(&fields[0])),
        lock: "t",
        batch: BATCH,
        replace: None,
    },
    SealedColumn {
        name: "published_keys.sealed_key",
        table: "published_keys",
        column: "sealed_key",
        held: "t.state = 'waiting'",
        key: KID,
        join: "",
        sealed: "t.sealed_key",
        fields: &["t.kid"],
        identity: |fields| key_identity(&fields[0]),
        lock: "t",
        batch: WAITING_BATCH,
        replace: None,
    },
    SealedColumn {
        name: "user_keysets.keyset",
        table: "published_keys",
        column: "",
        held: "t.state = 'active'",
        key: KID,
        join: JOIN_KEYSET,
        sealed: IN_KEYSET,
        fields: &["t.kid"],
        identity: |fields| key_identity(&fields[0]),
        lock: "u, t",
        batch: BATCH,
        replace: Some(REPLACE_IN_KEYSET),
    },
    SealedColumn {
        name: "service_keys.sealed_key",
        table: "service_keys",
        column: "sealed_key",
        held: "t.sealed_key IS NOT NULL",
        key: KID,
        join: "",
        sealed: "t.sealed_key",
        fields: &["t.kid"],
        identity: |fields| service_key_identity(&fields[0]),
        lock: "t",
        batch: BATCH,
        replace: None,
    },
];

/// What is none opens nothing.
fn uuid(text: &str) -> Uuid {
    text.parse().unwrap_or_default()
}
