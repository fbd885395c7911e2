//! What a provider's answer is worth, decided without a server.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;

/// A provider's clock may be so far ahead of ours.
const LEEWAY: TimeDelta = TimeDelta::seconds(60);
/// Error codes that are no verdict on the token: our settings are wrong, or the provider is.
const OURS: [&str; 4] =
    ["missing-input-secret", "invalid-input-secret", "bad-request", "internal-error"];

/// The providers' answer, as both have it.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Answer {
    success: bool,
    action: Option<String>,
    hostname: Option<String>,
    challenge_ts: Option<DateTime<Utc>>,
    score: Option<f64>,
    #[serde(default, rename = "error-codes")]
    pub(super) error_codes: Vec<String>,
}

/// What it must say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected<'a> {
    pub(super) action: &'a str,
    pub(super) hostnames: &'a [String],
    pub(super) max_age: TimeDelta,
    /// None where the provider gives no score.
    pub(super) min_score: Option<f64>,
    pub(super) now: DateTime<Utc>,
}

/// Why it does not do; the label is for metric and log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is no verdict.
    Broken,
    /// Forged, expired or used before.
    Refused,
    /// Solved for something else.
    Action,
    /// Solved elsewhere.
    Host,
    /// Solved too long ago.
    Age,
    /// More likely a program.
    Score,
}

impl Fault {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Broken => "broken",
            Self::Refused => "refused",
            Self::Action => "wrong_action",
            Self::Host => "wrong_host",
            Self::Age => "too_old",
            Self::Score => "low_score",
        }
    }
}

/// What is missing from an answer is wrong.
pub(super) fn judge(answer: &Answer, expected: &Expected<'_>) -> Result<(), Fault> {
    if answer.error_codes.iter().any(|code| OURS.contains(&code.as_str())) {
        return Err(Fault::Broken);
    }
    let ours = |name: &str| expected.hostnames.iter().any(|host| host.eq_ignore_ascii_case(name));
    let in_time = |solved_at: DateTime<Utc>| {
        let age = expected.now - solved_at;
        age <= expected.max_age && age >= -LEEWAY
    };
    let enough = |least: f64| answer.score.is_some_and(|score| score >= least);
    let wrong = [
        (!answer.success, Fault::Refused),
        (answer.action.as_deref() != Some(expected.action), Fault::Action),
        (!answer.hostname.as_deref().is_some_and(ours), Fault::Host),
        (!answer.challenge_ts.is_some_and(in_time), Fault::Age),
        (!expected.min_score.is_none_or(enough), Fault::Score),
    ];
    wrong.iter().find(|(wrong, _)| *wrong).map_or(Ok(()), |(_, fault)| Err(*fault))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn judged(member: &str, value: Value, min_score: Option<f64>) -> Result<(), Fault> {
        let mut answer = json!({
            "success": true, "action": "register", "hostname": "app.example.com",
            "challenge_ts": "2026-01-01T12:00:00.000Z", "score": 0.7, "error-codes": [],
            "cdata": "", "metadata": { "interactive": false },
        });
        answer[member] = value;
        let expected = Expected {
            action: "register",
            hostnames: &["app.example.com".to_owned()],
            max_age: TimeDelta::minutes(5),
            min_score,
            now: "2026-01-01T12:04:00Z".parse().unwrap(),
        };
        judge(&serde_json::from_value(answer).unwrap(), &expected)
    }

    #[test]
    fn an_answer_is_checked_for_success_action_host_age_and_score() {
        for (member, value, verdict) in [
            ("success", json!(true), Ok(())),
            ("success", json!(false), Err(Fault::Refused)),
            ("action", json!("login"), Err(Fault::Action)),
            ("action", json!(null), Err(Fault::Action)),
            ("hostname", json!("APP.example.com"), Ok(())),
            ("hostname", json!("app.example.com.evil.test"), Err(Fault::Host)),
            ("hostname", json!(null), Err(Fault::Host)),
            ("challenge_ts", json!("2026-01-01T11:58:59Z"), Err(Fault::Age)),
            ("challenge_ts", json!("2026-01-01T12:04:59Z"), Ok(())),
            ("challenge_ts", json!("2026-01-01T12:05:01Z"), Err(Fault::Age)),
            ("challenge_ts", json!(null), Err(Fault::Age)),
            ("score", json!(0.5), Ok(())),
            ("score", json!(0.4), Err(Fault::Score)),
            ("score", json!(null), Err(Fault::Score)),
            ("error-codes", json!(["timeout-or-duplicate"]), Ok(())),
            ("error-codes", json!(["invalid-input-secret"]), Err(Fault::Broken)),
        ] {
            assert_eq!(judged(member, value.clone(), Some(0.5)), verdict, "{member} {value}");
        }
    }

    #[test]
    fn a_provider_without_scores_needs_none() {
        assert_eq!(judged("score", json!(null), None), Ok(()));
    }
}
