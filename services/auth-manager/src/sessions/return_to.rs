use common::http::Origin;
use url::Url;

/// Whether a browser may be sent to `target` after sign-in: an absolute URL, without credentials,
/// on one of the `allowed` origins. Anything else would be an open redirect.
pub(super) fn is_allowed(target: &str, allowed: &[Origin]) -> bool {
    // The parser forgives these, and browsers need not forgive them in the same way.
    if target.bytes().any(|byte| byte == b'\\' || byte <= b' ' || byte == 0x7f) {
        return false;
    }
    let Ok(url) = Url::parse(target) else { return false };
    let plain = url.username().is_empty() && url.password().is_none();
    let origin = url.origin().ascii_serialization().parse::<Origin>();
    plain && origin.is_ok_and(|origin| allowed.contains(&origin))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_urls_on_a_listed_origin_are_allowed() {
        let allowed: Vec<Origin> = vec!["https://app.example.com".parse().unwrap()];
        for good in ["https://app.example.com", "https://app.example.com/a?b=c#d"] {
            assert!(is_allowed(good, &allowed), "{good}");
        }
        for bad in [
            "",
            "/here",
            "//app.example.com/",
            "http://app.example.com/",
            "https://app.example.com:8443/",
            "https://app.example.com.evil.test/",
            "https://app.example.com@evil.test/",
            "https://me@app.example.com/",
            "https://evil.test/https://app.example.com",
            "https:\\\\app.example.com/",
            "https://app.example.com\n/",
            "javascript:alert(1)",
        ] {
            assert!(!is_allowed(bad, &allowed), "{bad}");
        }
    }
}
