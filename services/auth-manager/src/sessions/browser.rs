use actix_web::http::header::{self, HeaderMap};

use super::states::random_text;
use crate::config::Settings;

/// Over https the prefix has browsers refuse one that another host or an http page has set
/// (RFC 6265bis, section 4.1.3.2).
const SECURE_NAME: &str = "__Host-latchkey_browser";
const PLAIN_NAME: &str = "latchkey_browser";
/// Length of [`random_text`].
const LENGTH: usize = 43;

/// The cookie that binds sign-ins to one browser.
#[derive(Debug)]
pub struct Browser {
    secure: bool,
    value: Option<String>,
}

impl Browser {
    /// As a request brings it.
    #[must_use]
    pub fn of(headers: &HeaderMap, settings: &Settings) -> Self {
        let secure = settings.public_url.starts_with("https://");
        let name = if secure { SECURE_NAME } else { PLAIN_NAME };
        let lines = headers.get_all(header::COOKIE).filter_map(|line| line.to_str().ok());
        let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|it| it.split_once('='));
        let ours = pairs.find(|(key, value)| key.trim() == name && is_ours(value.trim()));
        Self { secure, value: ours.map(|(_, value)| value.trim().to_owned()) }
    }

    /// What it brought.
    #[must_use]
    pub fn value(&self) -> Option<&str> {
        self.value.as_deref()
    }

    /// What it brought or a fresh value, since several tabs may sign in at once; and the
    /// `Set-Cookie` for it. The provider sends the browser back by a top-level GET, with which
    /// `Lax` cookies go.
    #[must_use]
    pub fn value_or_new(self) -> (String, String) {
        let value = self.value.unwrap_or_else(random_text);
        let (name, secure) = if self.secure { (SECURE_NAME, "; Secure") } else { (PLAIN_NAME, "") };
        let cookie =
            format!("{name}={value}; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax{secure}");
        (value, cookie)
    }
}

fn is_ours(value: &str) -> bool {
    let of_alphabet = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    value.len() == LENGTH && value.bytes().all(of_alphabet)
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;
    use common::settings::Environment;

    use super::*;
    use crate::config::SCHEMA;

    fn settings(public_url: &str) -> Settings {
        let given = [
            ("AUTH_MANAGER__ENVIRONMENT", "development"),
            ("AUTH_MANAGER__PUBLIC_URL", public_url),
        ];
        SCHEMA.load(&given.into_iter().collect::<Environment>()).unwrap()
    }

    fn headers(cookies: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, HeaderValue::from_str(cookies).unwrap());
        headers
    }

    #[test]
    fn the_cookie_is_secure_where_the_service_is() {
        let (value, cookie) =
            Browser::of(&HeaderMap::new(), &settings("https://id.example.com")).value_or_new();
        assert!(is_ours(&value));
        assert!(cookie.starts_with(&format!("__Host-latchkey_browser={value}; Path=/;")));
        assert!(cookie.ends_with("; HttpOnly; SameSite=Lax; Secure"), "{cookie}");
        let (_, cookie) =
            Browser::of(&HeaderMap::new(), &settings("http://localhost:8000")).value_or_new();
        assert!(cookie.starts_with("latchkey_browser=") && !cookie.contains("Secure"));
    }

    #[test]
    fn one_that_came_is_kept_and_anything_else_is_not_taken_for_one() {
        let (value, settings) = ("a".repeat(LENGTH), settings("http://localhost:8000"));
        let browser = Browser::of(&headers(&format!("x=y; latchkey_browser={value}")), &settings);
        assert_eq!(browser.value(), Some(value.as_str()));
        assert_eq!(browser.value_or_new().0, value);
        for other in ["latchkey_browser=short", "latchkey_browser=", "xlatchkey_browser=a", ""] {
            assert_eq!(Browser::of(&headers(other), &settings).value(), None, "{other}");
        }
    }
}
