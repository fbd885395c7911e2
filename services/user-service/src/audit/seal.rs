//! What each row's link, the head and the checkpoints are made of: plain functions.

use serde_json::Value;
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

use super::keys::{ChainKeys, mac};
use crate::models::security_event::SecurityEvent;
use crate::models::security_event_chain::{Checkpoint, Head};

/// The link before the first row.
pub(super) const BEGINNING: [u8; 32] = [0; 32];

/// What is wrong with a row, for people.
pub(super) type Fault = &'static str;

/// Digest of what is personal in a row, under its salt.
pub(super) fn personal_digest(row: &SecurityEvent, salt: Uuid) -> [u8; 32] {
    let text = |text: &Option<String>| text.as_ref().map(|text| text.as_bytes().to_vec());
    let id = |id: Option<Uuid>| id.map(|id| id.as_bytes().to_vec());
    let fields = [
        id(row.user_id),
        id(row.session_id),
        id(row.device_id),
        text(&row.address),
        text(&row.user_agent),
        Some(canonical(&row.personal).into_bytes()),
    ];
    // A missing field is no empty one.
    let fields = fields.map(|field| match field {
        Some(bytes) => [&[1], &bytes[..]].concat(),
        None => vec![0],
    });
    let parts: Vec<&[u8]> = fields.iter().map(Vec::as_slice).collect();
    mac(salt.as_bytes(), &parts)
}

/// The link of `row` at `position` after `former`; none where the key is not in the ring.
pub(super) fn link(
    keys: &ChainKeys,
    version: i16,
    row: &SecurityEvent,
    position: i64,
    personal_digest: &[u8],
    former: &[u8],
) -> Option<[u8; 32]> {
    let details = canonical(&row.details);
    let parts: [&[u8]; 8] = [
        b"security event",
        &position.to_be_bytes(),
        former,
        &row.id.to_be_bytes(),
        row.kind.as_bytes(),
        &row.occurred_at.timestamp_micros().to_be_bytes(),
        details.as_bytes(),
        personal_digest,
    ];
    keys.mac(version, &parts)
}

/// Says of a row that it was we who forgot it.
pub(super) fn forgotten(
    keys: &ChainKeys,
    version: i16,
    position: i64,
    link: &[u8],
) -> Option<[u8; 32]> {
    keys.mac(version, &[b"forgotten", &position.to_be_bytes(), link])
}

/// Seals a head.
pub(super) fn head(keys: &ChainKeys, position: i64, link: &[u8]) -> Option<Head> {
    let key_version = keys.writing_version();
    let seal = head_seal(keys, key_version, position, link)?.to_vec();
    Some(Head { position, link: link.to_vec(), key_version, seal })
}

fn head_seal(keys: &ChainKeys, version: i16, position: i64, link: &[u8]) -> Option<[u8; 32]> {
    keys.mac(version, &[b"head", &position.to_be_bytes(), link])
}

/// Whether a head is one of ours.
pub(super) fn check_head(keys: &ChainKeys, head: &Head) -> Result<(), Fault> {
    let seal = head_seal(keys, head.key_version, head.position, &head.link);
    compare(seal, &head.seal, "the head of the chain was changed")
}

/// The seal of a checkpoint.
pub(super) fn checkpoint_seal(keys: &ChainKeys, checkpoint: &Checkpoint) -> Option<[u8; 32]> {
    let parts: [&[u8]; 6] = [
        b"checkpoint",
        &checkpoint.first_position.to_be_bytes(),
        &checkpoint.last_position.to_be_bytes(),
        &checkpoint.former_link,
        &checkpoint.link,
        &checkpoint.purged_at.timestamp_micros().to_be_bytes(),
    ];
    keys.mac(checkpoint.key_version, &parts)
}

/// Whether a checkpoint is one of ours and follows upon `former`.
pub(super) fn check_checkpoint(
    keys: &ChainKeys,
    checkpoint: &Checkpoint,
    former: &[u8],
) -> Result<(), Fault> {
    let seal = checkpoint_seal(keys, checkpoint);
    compare(seal, &checkpoint.seal, "a checkpoint was changed")?;
    let follows = checkpoint.former_link == former;
    follows.then_some(()).ok_or("a checkpoint does not follow upon what is before it")
}

/// Whether a linked row is what was linked after `former`.
pub(super) fn check_row(keys: &ChainKeys, row: &SecurityEvent, former: &[u8]) -> Result<(), Fault> {
    const CHANGED: Fault = "the row, or one before it, was changed, moved or put in";
    let (Some(position), Some(digest), Some(stored), Some(version)) =
        (row.position, &row.personal_digest, &row.link, row.key_version)
    else {
        return Err("the row is not linked");
    };
    let computed = link(keys, version, row, position, digest, former);
    compare(computed, stored, CHANGED)?;
    match (row.salt, &row.forgotten_seal) {
        (Some(salt), None) => {
            let personal = personal_digest(row, salt);
            compare(Some(personal), digest, "what is personal in the row was changed")
        }
        (None, Some(seal)) if is_blank(row) => {
            let computed = forgotten(keys, version, position, stored);
            compare(computed, seal, "the row was blanked, and not by us")
        }
        _ => Err("the row was blanked in part, or not by us"),
    }
}

fn is_blank(row: &SecurityEvent) -> bool {
    row.user_id.is_none()
        && row.session_id.is_none()
        && row.device_id.is_none()
        && row.address.is_none()
        && row.user_agent.is_none()
        && row.personal.as_object().is_some_and(serde_json::Map::is_empty)
}

fn compare(computed: Option<[u8; 32]>, stored: &[u8], fault: Fault) -> Result<(), Fault> {
    let computed = computed.ok_or("the key that it was made with is not in `audit.chain_keys`")?;
    bool::from(computed.ct_eq(stored)).then_some(()).ok_or(fault)
}

/// JSON with its members in one order, however the database keeps them.
fn canonical(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(name, _)| name.as_str());
            let members = members.into_iter().map(|(name, value)| {
                format!("{}:{}", Value::from(name.as_str()), canonical(value))
            });
            format!("{{{}}}", members.collect::<Vec<_>>().join(","))
        }
        Value::Array(items) => {
            format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(","))
        }
        other => other.to_string(),
    }
}
