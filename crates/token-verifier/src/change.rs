//! What the change feed says.

use serde::Deserialize;
use uuid::Uuid;

use crate::sse::Event;

/// One event of the feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Revoked(Revocation),
    CaughtUp,
    Reset,
    /// Of a name that means nothing to us, or none: only its id counts.
    Other,
}

/// Whose tokens are refused, and until which Unix second that matters.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Revocation {
    #[serde(flatten)]
    pub(crate) whose: Whose,
    pub(crate) until: i64,
    /// When it was entered, Unix milliseconds, where the issuer says so.
    pub(crate) at: Option<i64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Whose {
    Kid(String),
    Sid(Uuid),
    Jti(String),
}

impl Change {
    /// `None` for an event of ours that does not parse.
    pub(crate) fn parse(event: &Event) -> Option<Self> {
        let revocation = || serde_json::from_str::<Revocation>(&event.data).ok();
        let change = match event.name.as_str() {
            "caught_up" => Self::CaughtUp,
            "reset" => Self::Reset,
            "key_revoked" | "session_revoked" | "jti_revoked" => Self::Revoked(revocation()?),
            _ => Self::Other,
        };
        Some(change)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(name: &str, data: &str) -> Option<Change> {
        Change::parse(&Event { name: name.into(), data: data.into(), id: None })
    }

    #[test]
    fn revocations_name_a_key_a_session_or_a_token() {
        for (name, data, whose) in [
            ("key_revoked", r#"{"kid":"a","until":5}"#, Whose::Kid("a".into())),
            ("jti_revoked", r#"{"jti":"j","until":5}"#, Whose::Jti("j".into())),
            (
                "session_revoked",
                r#"{"sid":"00000000-0000-0000-0000-000000000000","until":5,"new":1}"#,
                Whose::Sid(Uuid::nil()),
            ),
        ] {
            assert_eq!(
                parse(name, data),
                Some(Change::Revoked(Revocation { whose, until: 5, at: None }))
            );
        }
        assert_eq!(parse("caught_up", "{}"), Some(Change::CaughtUp));
        assert_eq!(parse("reset", "{}"), Some(Change::Reset));
        assert_eq!(parse("of_next_year", "{}"), Some(Change::Other));
    }

    #[test]
    fn damaged_revocations_do_not_pass_for_others() {
        for data in
            ["", "{}", r#"{"kid":"a"}"#, r#"{"sid":"no uuid","until":5}"#, r#"{"kid":1,"until":5}"#]
        {
            assert_eq!(parse("key_revoked", data), None, "{data}");
        }
    }
}
