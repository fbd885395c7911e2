//! What a presented refresh token is worth, decided without server or database.

use chrono::{DateTime, TimeDelta, Utc};

use super::prove::Shown;
use crate::models::auth_session::AuthSession;

/// The rules of rotation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// How long the last token may be presented again; zero is strict.
    pub(super) grace: TimeDelta,
    /// How long the session may rest; zero is no limit.
    pub(super) idle: TimeDelta,
    /// Rotations an hour per device; zero is no limit.
    pub(super) rotations_per_hour: usize,
    /// Whether every refresh must show a device proof.
    pub(super) proof_required: bool,
}

/// What came with a refresh.
#[derive(Clone, Copy, Debug)]
pub(super) struct Presented {
    /// Of an authentic token.
    pub(super) counter: i64,
    /// Whether it comes from where the last token was handed out, as far as can be told without a
    /// proof.
    pub(super) same_device: bool,
    /// What its device proof is worth.
    pub(super) proof: Shown,
}

/// What to do with a refresh.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// The newest token: move the counter on; the rotations of the last hour so far.
    Rotate(Vec<DateTime<Utc>>),
    /// The one before, again, with a proof, or from the same device and in time: the same successor.
    Grace,
    /// Too many rotations; when the next is free.
    Limited(TimeDelta),
    /// An old token in the wrong hands or too late: end the family.
    Replay,
    /// The session has ended.
    Revoked,
    /// Its absolute life is over, or it has rested too long.
    Expired,
    /// A counter that we have not reached: refuse, and end nothing.
    Ahead,
    /// A proof is wrong, or missing where one is due: refuse, and end nothing.
    Unproven,
}

/// Decides on an authentic token, presented at `now`.
pub(super) fn decide(
    session: &AuthSession,
    presented: Presented,
    now: DateTime<Utc>,
    rules: Rules,
) -> Decision {
    if session.ended_at.is_some() {
        return Decision::Revoked;
    }
    let rested = now - session.last_seen_at;
    if now >= session.expires_at || (rules.idle > TimeDelta::zero() && rested >= rules.idle) {
        return Decision::Expired;
    }
    let Presented { counter, same_device, proof } = presented;
    if counter > session.counter {
        return Decision::Ahead;
    }
    let due = session.device_proof || rules.proof_required;
    if proof == Shown::Wrong || (due && proof == Shown::Nothing) {
        return Decision::Unproven;
    }
    if counter == session.counter {
        return rotate_or_limit(session, now, rules.rotations_per_hour);
    }
    let last = counter == session.counter - 1;
    // A clock stepped back must not stretch the window for ever.
    let age = (now - session.rotated_at).abs();
    let in_grace = proof == Shown::Right || (same_device && age < rules.grace);
    if last && in_grace { Decision::Grace } else { Decision::Replay }
}

fn rotate_or_limit(session: &AuthSession, now: DateTime<Utc>, limit: usize) -> Decision {
    let hour_ago = now - TimeDelta::hours(1);
    let mut recent: Vec<DateTime<Utc>> =
        session.recent_rotations.iter().copied().filter(|time| *time > hour_ago).collect();
    if limit == 0 {
        return Decision::Rotate(Vec::new());
    }
    if recent.len() >= limit {
        // Free again when the oldest of the last `limit` rotations is an hour old.
        let oldest = recent[recent.len() - limit];
        return Decision::Limited(oldest - hour_ago);
    }
    recent.shrink_to_fit();
    Decision::Rotate(recent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    const RULES: Rules = Rules {
        grace: TimeDelta::seconds(10),
        idle: TimeDelta::zero(),
        rotations_per_hour: 3,
        proof_required: false,
    };

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000, 0).unwrap()
    }

    fn session() -> AuthSession {
        AuthSession {
            id: Uuid::nil(),
            user_id: Uuid::nil(),
            device_id: Uuid::nil(),
            api: "bearer".into(),
            kid: None,
            counter: 5,
            mac_version: 1,
            sealed_secret: Vec::new(),
            sealing_key_id: String::new(),
            auth_time: now(),
            amr: Vec::new(),
            client_id: String::new(),
            scope: String::new(),
            user_agent: Some("app".into()),
            address_range: String::new(),
            created_at: now(),
            last_seen_at: now(),
            rotated_at: now() - TimeDelta::seconds(5),
            recent_rotations: Vec::new(),
            last_access_expires_at: now(),
            expires_at: now() + TimeDelta::days(30),
            ended_at: None,
            end_reason: None,
            device_proof: false,
            reused_jti_of: None,
            device_hash: None,
            last_ip_cidr: None,
        }
    }

    fn decided(session: &AuthSession, counter: i64, user_agent: &str) -> Decision {
        by_rules(session, counter, user_agent, RULES)
    }

    fn by_rules(session: &AuthSession, counter: i64, agent: &str, rules: Rules) -> Decision {
        let same_device = session.user_agent.as_deref() == Some(agent);
        let presented = Presented { counter, same_device, proof: Shown::Nothing };
        decide(session, presented, now(), rules)
    }

    fn proven(session: &AuthSession, counter: i64, proof: Shown) -> Decision {
        decide(session, Presented { counter, same_device: false, proof }, now(), RULES)
    }

    #[test]
    fn the_newest_token_rotates_and_one_ahead_is_refused() {
        assert_eq!(decided(&session(), 5, "any"), Decision::Rotate(Vec::new()));
        assert_eq!(decided(&session(), 6, "app"), Decision::Ahead);
    }

    #[test]
    fn the_last_token_has_grace_in_time_and_from_the_same_device() {
        assert_eq!(decided(&session(), 4, "app"), Decision::Grace);
        assert_eq!(decided(&session(), 4, "another"), Decision::Replay);
        let late = AuthSession { rotated_at: now() - TimeDelta::seconds(10), ..session() };
        assert_eq!(decided(&late, 4, "app"), Decision::Replay);
        let stepped_back = AuthSession { rotated_at: now() + TimeDelta::hours(1), ..session() };
        assert_eq!(decided(&stepped_back, 4, "app"), Decision::Replay);
        let strict = Rules { grace: TimeDelta::zero(), ..RULES };
        assert_eq!(by_rules(&session(), 4, "app", strict), Decision::Replay);
    }

    #[test]
    fn with_a_proof_the_last_token_has_all_the_time_there_is() {
        let late = AuthSession { rotated_at: now() - TimeDelta::days(3), ..session() };
        assert_eq!(proven(&late, 4, Shown::Right), Decision::Grace);
        assert_eq!(proven(&late, 5, Shown::Right), Decision::Rotate(Vec::new()));
        assert_eq!(proven(&late, 3, Shown::Right), Decision::Replay);
    }

    #[test]
    fn a_wrong_proof_or_none_where_one_is_due_ends_nothing() {
        let bound = AuthSession { device_proof: true, ..session() };
        for counter in 0..=5 {
            assert_eq!(proven(&session(), counter, Shown::Wrong), Decision::Unproven);
            assert_eq!(proven(&bound, counter, Shown::Nothing), Decision::Unproven);
            let required = Rules { proof_required: true, ..RULES };
            assert_eq!(by_rules(&session(), counter, "app", required), Decision::Unproven);
        }
        let ended = AuthSession { ended_at: Some(now()), ..bound };
        assert_eq!(proven(&ended, 5, Shown::Wrong), Decision::Revoked);
    }

    #[test]
    fn anything_older_is_a_replay() {
        assert_eq!(decided(&session(), 3, "app"), Decision::Replay);
        assert_eq!(decided(&session(), -1, "app"), Decision::Replay);
    }

    #[test]
    fn ended_and_expired_sessions_refuse_every_token() {
        let ended = AuthSession { ended_at: Some(now()), ..session() };
        assert_eq!(decided(&ended, 5, "app"), Decision::Revoked);
        let expired = AuthSession { expires_at: now(), ..session() };
        assert_eq!(decided(&expired, 5, "app"), Decision::Expired);
    }

    #[test]
    fn a_session_that_rests_too_long_expires_where_there_is_an_idle_limit() {
        let resting = AuthSession { last_seen_at: now() - TimeDelta::days(7), ..session() };
        assert_eq!(decided(&resting, 5, "app"), Decision::Rotate(Vec::new()));
        let limited = |days| Rules { idle: TimeDelta::days(days), ..RULES };
        let decided = |rules| by_rules(&resting, 5, "app", rules);
        assert_eq!(decided(limited(7)), Decision::Expired);
        assert_eq!(decided(limited(8)), Decision::Rotate(Vec::new()));
    }

    #[test]
    fn rotations_are_limited_over_a_sliding_hour() {
        let minutes_ago = |minutes| now() - TimeDelta::minutes(minutes);
        let recent = vec![minutes_ago(61), minutes_ago(50), minutes_ago(20)];
        let busy = AuthSession { recent_rotations: recent, ..session() };
        assert_eq!(
            decided(&busy, 5, "app"),
            Decision::Rotate(vec![minutes_ago(50), minutes_ago(20)])
        );
        let recent = vec![minutes_ago(50), minutes_ago(20), minutes_ago(1)];
        let full = AuthSession { recent_rotations: recent, ..session() };
        assert_eq!(decided(&full, 5, "app"), Decision::Limited(TimeDelta::minutes(10)));
        let unlimited = Rules { rotations_per_hour: 0, ..RULES };
        assert_eq!(by_rules(&full, 5, "app", unlimited), Decision::Rotate(Vec::new()));
    }
}
