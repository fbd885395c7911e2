//! The two generations of cookies, and which of them a session is to have.

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// A generation of cookies, which their names carry. What they stand for is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generation {
    /// `SameSite=Lax`, a path of their own, a CSRF token that is matched with its cookie alone.
    V4,
    /// Of this host and site alone, with a CSRF token that is bound to the session.
    V5,
}

impl Generation {
    /// Both, the one that is preferred in doubt first.
    pub const ALL: [Self; 2] = [Self::V5, Self::V4];

    /// As names and metrics have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V4 => "v4",
            Self::V5 => "v5",
        }
    }

    /// The other one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::V4 => Self::V5,
            Self::V5 => Self::V4,
        }
    }

    /// What `id`, a session's or before login the pre-session's, is to have where `share` percent
    /// get v5. Whoever has it at one share has it at every greater one.
    #[must_use]
    pub fn at_share(share: u8, id: Uuid) -> Self {
        let hash = Sha256::new().chain_update(b"latchkey cookies\0").chain_update(id).finalize();
        let place = u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]) % 100;
        if place < u32::from(share) { Self::V5 } else { Self::V4 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn newer(share: u8, ids: &[Uuid]) -> Vec<bool> {
        ids.iter().map(|id| Generation::at_share(share, *id) == Generation::V5).collect()
    }

    #[test]
    fn a_share_of_sessions_gets_the_newer_cookies_and_keeps_them_when_it_is_raised() {
        let ids: Vec<Uuid> = (0..10_000).map(Uuid::from_u128).collect();
        let mut before = newer(0, &ids);
        assert!(before.iter().all(|newer| !newer));
        for share in [1, 5, 25, 50, 99, 100] {
            let now = newer(share, &ids);
            assert!(before.iter().zip(&now).all(|(before, now)| *now || !before), "{share}");
            let count = now.iter().filter(|newer| **newer).count();
            assert!(count.abs_diff(100 * usize::from(share)) < 200, "{share}: {count}");
            before = now;
        }
        assert!(before.iter().all(|newer| *newer));
    }
}
