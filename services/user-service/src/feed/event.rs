use bytes::Bytes;
use serde_json::json;

use super::position::Position;
use crate::models::key_change::KeyChange;

/// A change as an event.
pub(super) fn render(change: &KeyChange, position: &Position) -> Bytes {
    let name = match change.kind.as_str() {
        "kid" => "key_revoked",
        "sid" => "session_revoked",
        _ => "jti_revoked",
    };
    // `at` lets readers measure how long a revocation took to them.
    let at = change.created_at.timestamp_millis();
    let mut data = json!({ "until": change.until.timestamp(), "at": at });
    data[change.kind.as_str()] = change.value.as_str().into();
    format!("id: {position}\nevent: {name}\ndata: {data}\n\n").into()
}
