//! Scopes as they are compared and stored: sorted, each once, space separated.

use std::collections::BTreeSet;

/// Longer ones are refused: token endpoints do not take them.
const MAX_BYTES: usize = 2000;

/// A scope asked for (RFC 6749, section 3.3); empty: the grant's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope(String);

impl Scope {
    /// Sorts `text` and drops what is there twice; none where it is no scope.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let tokens = text.split(' ').filter(|token| !token.is_empty());
        let good = text.len() <= MAX_BYTES && tokens.clone().all(is_token);
        good.then(|| Self::of(tokens))
    }

    /// As it is stored and sent.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As it is sent; none where the grant's own is meant.
    #[must_use]
    pub fn asked(&self) -> Option<&str> {
        Some(self.as_str()).filter(|scope| !scope.is_empty())
    }

    /// Of several tokens.
    #[must_use]
    pub(super) fn of<'a>(tokens: impl IntoIterator<Item = &'a str>) -> Self {
        let tokens: BTreeSet<&str> = tokens.into_iter().collect();
        Self(tokens.into_iter().collect::<Vec<_>>().join(" "))
    }

    /// What of it `granted` has too.
    #[must_use]
    pub(super) fn within(&self, granted: &str) -> Self {
        let granted: BTreeSet<&str> = granted.split_whitespace().collect();
        Self::of(self.0.split_terminator(' ').filter(|token| granted.contains(token)))
    }

    /// Whether `granted`, space separated, has all of it.
    #[must_use]
    pub fn is_within<'a>(&self, granted: impl IntoIterator<Item = &'a str>) -> bool {
        let granted: BTreeSet<&str> = granted.into_iter().collect();
        self.0.split_terminator(' ').all(|token| granted.contains(token))
    }
}

/// `scope-token` of RFC 6749, appendix A.4.
fn is_token(token: &str) -> bool {
    token.bytes().all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_scope_has_one_form() {
        let scope = Scope::parse(" profile openid  profile ").unwrap();
        assert_eq!(scope.as_str(), "openid profile");
        assert_eq!(Scope::parse("openid profile"), Some(scope));
    }

    #[test]
    fn none_asked_for_is_the_grants_own() {
        for text in ["", "   "] {
            assert_eq!(Scope::parse(text).unwrap().asked(), None);
        }
        assert_eq!(Scope::parse("a").unwrap().asked(), Some("a"));
    }

    #[test]
    fn what_two_scopes_share_is_a_scope() {
        let scope = Scope::parse("profile email openid").unwrap();
        assert_eq!(scope.within("offline_access openid  email").as_str(), "email openid");
        assert_eq!(scope.within("address").asked(), None);
    }

    #[test]
    fn what_is_no_scope_is_refused() {
        for text in ["a\"b", "a\\b", "ü", "a\tb", "a\nb"] {
            assert_eq!(Scope::parse(text), None, "{text}");
        }
        assert_eq!(Scope::parse(&"a".repeat(MAX_BYTES + 1)), None);
    }

    #[test]
    fn narrower_is_within_and_wider_is_not() {
        let granted = || "openid offline_access email".split(' ');
        for within in ["", "email", "email openid"] {
            assert!(Scope::parse(within).unwrap().is_within(granted()), "{within}");
        }
        for beyond in ["profile", "email profile", "e"] {
            assert!(!Scope::parse(beyond).unwrap().is_within(granted()), "{beyond}");
        }
        assert!(!Scope::parse("email").unwrap().is_within([]));
    }
}
