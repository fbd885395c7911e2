use common::settings::{List, Period, Secret, Setting, positive};
use serde::Deserialize;

/// Section `audit`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditSettings {
    /// `version:<64 hex>`, comma separated; the first writes, all read.
    pub chain_keys: Secret,
    /// How long an event is kept.
    #[serde(deserialize_with = "positive")]
    pub retention: Period,
    /// `kind=time`, where a kind is kept for another time.
    pub retention_by_kind: List<String>,
}

pub(super) const AUDIT: &[Setting] = &[
    Setting::new("audit.chain_keys", "Keys under the chain of security events: `version:<64 hex>`, version 1 to 255, comma separated; the first writes, all read. Keep them where the database's administrators can't read them")
        .secret()
        .development("1:617564697420636861696e20646576656c6f706d656e74206b6579206f6e6c79"),
    Setting::new("audit.retention", "How long security events are kept").default("90d"),
    Setting::new("audit.retention_by_kind", "Kinds that are kept for another time, `kind=time`, comma separated, such as `login_failed=30d,key_rotated=2y`")
        .default(""),
];
