use chrono::{DateTime, Utc};
use common::settings::Period;

use super::Kind;
use crate::config::AuditSettings;

/// How long each kind is kept.
#[derive(Clone, Debug)]
pub struct Rules {
    usual: Period,
    by_kind: Vec<(Kind, Period)>,
}

impl Rules {
    /// Those of the settings; an error names the setting.
    pub fn new(settings: &AuditSettings) -> Result<Self, String> {
        let mut by_kind = Vec::new();
        for part in &settings.retention_by_kind.0 {
            let wrong = |error: String| format!("`audit.retention_by_kind`: {error}");
            let (kind, period) = part
                .split_once('=')
                .ok_or_else(|| wrong(format!("`{part}` is not `kind=time`")))?;
            let kind = kind.trim().parse().map_err(wrong)?;
            let period: Period = period.parse().map_err(wrong)?;
            if period.0.is_zero() {
                return Err(wrong(format!("{kind} must be kept for some time")));
            }
            by_kind.push((kind, period));
        }
        Ok(Self { usual: settings.retention, by_kind })
    }

    /// Every kind, and what of it is past at `now`: all that is older than this.
    pub(super) fn due(&self, now: DateTime<Utc>) -> (Vec<&'static str>, Vec<DateTime<Utc>>) {
        Kind::ALL.iter().map(|kind| (kind.as_str(), now - self.of(*kind).as_delta())).unzip()
    }

    /// How long `kind` is kept.
    #[must_use]
    pub fn of(&self, kind: Kind) -> Period {
        let own = self.by_kind.iter().find(|(other, _)| *other == kind);
        own.map_or(self.usual, |(_, period)| *period)
    }
}
