//! The CSRF tokens of the older cookies: random, and matched with their cookie alone. What they
//! can't tell, whose page sends them, `Origin` and `Sec-Fetch-Site` must.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::RngExt as _;

/// A new one.
#[must_use]
pub fn issue() -> String {
    let mut bytes = [0; 32];
    rand::rng().fill(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Whether it may be one of ours: an empty cookie matches an empty header too.
#[must_use]
pub fn is_well_formed(token: &str) -> bool {
    URL_SAFE_NO_PAD.decode(token).is_ok_and(|bytes| bytes.len() == 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_new_and_nothing_shorter_passes_for_one() {
        let token = issue();
        assert!(is_well_formed(&token) && token != issue());
        for bad in ["", "a", &token[1..], &format!("{token}A"), &"=".repeat(43)] {
            assert!(!is_well_formed(bad), "{bad}");
        }
    }
}
