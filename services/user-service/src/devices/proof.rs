use chrono::{DateTime, TimeDelta, Utc};
use common::device_key::{DeviceKey, login_message, refresh_message, session_id_message};

/// How far a device's clock may be off.
pub const TIMESTAMP_WINDOW: TimeDelta = TimeDelta::minutes(5);
const NONCE_LENGTH: std::ops::RangeInclusive<usize> = 16..=64;

/// What a login proves its device with, every value exactly as sent.
#[derive(Debug)]
pub struct LoginProof<'a> {
    /// Part of what is signed.
    pub username: &'a str,
    /// Part of what is signed.
    pub device_id: &'a str,
    /// Unix milliseconds in decimal.
    pub timestamp: &'a str,
    /// Once per device.
    pub nonce: &'a str,
    /// HMAC over device, time and nonce.
    pub session_id: &'a str,
    /// HMAC over name, time and nonce.
    pub device_signature: &'a str,
}

/// What a refresh proves its device with, every value exactly as sent.
#[derive(Debug)]
pub struct RefreshProof<'a> {
    /// Unix milliseconds in decimal.
    pub timestamp: &'a str,
    /// Part of what is signed; not burned.
    pub nonce: &'a str,
    /// HMAC over token, time and nonce.
    pub signature: &'a str,
}

/// What is wrong with a proof: for log and metric, never for the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProofFault {
    /// Not a number.
    Timestamp,
    /// More than five minutes off.
    Clock,
    /// Not 16 to 64 of `[A-Za-z0-9_-]`.
    Nonce,
    /// The session id is not the device's.
    SessionId,
    /// The signature is not the device's.
    Signature,
}

impl ProofFault {
    /// A bounded label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Timestamp => "bad_timestamp",
            Self::Clock => "clock_skew",
            Self::Nonce => "bad_nonce",
            Self::SessionId => "bad_session_id",
            Self::Signature => "bad_signature",
        }
    }
}

/// Checks a proof and answers when it was made.
pub fn check_login_proof(
    key: &DeviceKey,
    proof: &LoginProof<'_>,
    now: DateTime<Utc>,
) -> Result<DateTime<Utc>, ProofFault> {
    // Both are computed whatever the rest is worth.
    let session_id = session_id_message(proof.device_id, proof.timestamp, proof.nonce);
    let session_id_holds = key.verify(&session_id, proof.session_id);
    let login = login_message(proof.username, proof.timestamp, proof.nonce);
    let signature_holds = key.verify(&login, proof.device_signature);
    let signed_at = check_form(proof.timestamp, proof.nonce, now)?;
    if !session_id_holds {
        return Err(ProofFault::SessionId);
    }
    if signature_holds { Ok(signed_at) } else { Err(ProofFault::Signature) }
}

/// Checks the proof that comes with a refresh token.
pub fn check_refresh_proof(
    key: &DeviceKey,
    refresh_token: &str,
    proof: &RefreshProof<'_>,
    now: DateTime<Utc>,
) -> Result<(), ProofFault> {
    let message = refresh_message(refresh_token, proof.timestamp, proof.nonce);
    let signature_holds = key.verify(&message, proof.signature);
    check_form(proof.timestamp, proof.nonce, now)?;
    if signature_holds { Ok(()) } else { Err(ProofFault::Signature) }
}

/// Answers when a proof was made.
fn check_form(
    timestamp: &str,
    nonce: &str,
    now: DateTime<Utc>,
) -> Result<DateTime<Utc>, ProofFault> {
    let signed_at = parse_timestamp(timestamp).ok_or(ProofFault::Timestamp)?;
    if (now - signed_at).abs() > TIMESTAMP_WINDOW {
        return Err(ProofFault::Clock);
    }
    if is_nonce(nonce) { Ok(signed_at) } else { Err(ProofFault::Nonce) }
}

fn parse_timestamp(text: &str) -> Option<DateTime<Utc>> {
    // Digits alone: a sign or a space would be a second form of the same time.
    let digits = (1..=15).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    DateTime::from_timestamp_millis(text.parse().ok().filter(|_| digits)?)
}

fn is_nonce(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    NONCE_LENGTH.contains(&text.len()) && text.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000_000;
    const NONCE: &str = "0123456789abcdef";

    fn check(
        timestamp: &str,
        nonce: &str,
        change: impl Fn(&mut String, &mut String),
    ) -> Option<ProofFault> {
        let key = DeviceKey::from_bytes(&[7; 32]).unwrap();
        let mut session_id = key.sign(&session_id_message("device", timestamp, nonce));
        let mut device_signature = key.sign(&login_message("alice", timestamp, nonce));
        change(&mut session_id, &mut device_signature);
        let proof = LoginProof {
            username: "alice",
            device_id: "device",
            timestamp,
            nonce,
            session_id: &session_id,
            device_signature: &device_signature,
        };
        let now = DateTime::from_timestamp_millis(NOW).unwrap();
        check_login_proof(&key, &proof, now).err()
    }

    #[test]
    fn a_good_proof_holds_within_five_minutes() {
        for offset in [-300_000, 0, 300_000] {
            assert_eq!(check(&(NOW + offset).to_string(), NONCE, |_, _| {}), None);
        }
        for offset in [-300_001, 300_001] {
            let fault = check(&(NOW + offset).to_string(), NONCE, |_, _| {});
            assert_eq!(fault, Some(ProofFault::Clock));
        }
    }

    #[test]
    fn a_refresh_proof_is_of_one_token_one_time_and_one_nonce() {
        let (key, now) = (DeviceKey::from_bytes(&[7; 32]).unwrap(), NOW.to_string());
        let signature = key.sign(&refresh_message("lkr_a", &now, NONCE));
        let check = |token: &str, timestamp: &str, nonce: &str, offset: i64| {
            let proof = RefreshProof { timestamp, nonce, signature: &signature };
            let now = DateTime::from_timestamp_millis(NOW + offset).unwrap();
            check_refresh_proof(&key, token, &proof, now)
        };
        assert_eq!(check("lkr_a", &now, NONCE, 0), Ok(()));
        assert_eq!(check("lkr_a", &now, NONCE, 300_001), Err(ProofFault::Clock));
        assert_eq!(check("lkr_b", &now, NONCE, 0), Err(ProofFault::Signature));
        assert_eq!(check("lkr_a", &now, "another-nonce-of-16", 0), Err(ProofFault::Signature));
        assert_eq!(check("lkr_a", "1700000000001", NONCE, 0), Err(ProofFault::Signature));
    }

    #[test]
    fn every_wrong_part_is_told_apart() {
        let now = NOW.to_string();
        for bad in ["", "+1700000000000", " 1700000000000", "1700000000000.0", "9999999999999999"] {
            assert_eq!(check(bad, NONCE, |_, _| {}), Some(ProofFault::Timestamp), "{bad}");
        }
        for bad in ["short", "0123456789abcde!", &"n".repeat(65)] {
            assert_eq!(check(&now, bad, |_, _| {}), Some(ProofFault::Nonce), "{bad}");
        }
        let fault = check(&now, NONCE, |session_id, _| session_id.replace_range(..1, "x"));
        assert_eq!(fault, Some(ProofFault::SessionId));
        let fault = check(&now, NONCE, |_, signature| signature.make_ascii_uppercase());
        assert_eq!(fault, Some(ProofFault::Signature));
    }
}
