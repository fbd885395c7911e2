//! What of a person a log may show: e-mail address, telephone number and network address in part.
//!
//! Fields that hold one are masked where they are logged; every line passes through the same mask
//! besides, for what comes along in an error's text or with a library's own line.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

use crate::http::ClientAddress;

const MASK: &str = "***";
/// Fewer digits are no telephone number.
const PHONE_DIGITS: usize = 8;

/// `a***@example.org`: the first letter and the host.
#[must_use]
pub fn email(text: &str) -> String {
    let (name, host) = text.rsplit_once('@').unwrap_or((text, ""));
    let first: String = name.chars().take(1).collect();
    if host.is_empty() { format!("{first}{MASK}") } else { format!("{first}{MASK}@{host}") }
}

/// `***00`: the last two digits.
#[must_use]
pub fn phone(text: &str) -> String {
    let digits: Vec<char> = text.chars().filter(char::is_ascii_digit).collect();
    let last = if digits.len() < PHONE_DIGITS { &[] } else { &digits[digits.len() - 2..] };
    format!("{MASK}{}", last.iter().collect::<String>())
}

/// `line` with every address and every number that begins with `+` masked.
pub(crate) fn mask(line: &str) -> Cow<'_, str> {
    let (mut masked, mut copied, mut at) = (String::new(), 0, 0);
    while let Some(word) = next_word(line, at) {
        at = word.end;
        if let Some(instead) = mask_word(&line[word.clone()], &line[word.end..]) {
            masked.push_str(&line[copied..word.start]);
            masked.push_str(&instead);
            copied = word.end;
        }
    }
    if copied == 0 {
        return Cow::Borrowed(line);
    }
    masked.push_str(&line[copied..]);
    Cow::Owned(masked)
}

/// The next run of what addresses are made of, or a telephone number with its blanks.
fn next_word(line: &str, from: usize) -> Option<Range<usize>> {
    let bytes = line.as_bytes();
    let mut start = from;
    loop {
        match bytes.get(start)? {
            // The letters of an escape are no letters.
            b'\\' if bytes.get(start + 1) == Some(&b'u') => start += 6,
            b'\\' => start += 2,
            _ if !line.is_char_boundary(start) => start += 1,
            _ if line[start..].starts_with(is_of_word) => break,
            _ => start += 1,
        }
    }
    let rest = &line[start..];
    let phone = rest.strip_prefix('+').map_or(0, |rest| {
        let end = rest.find(|character| !is_of_phone(character)).unwrap_or(rest.len());
        rest[..end].trim_end_matches(|character: char| !character.is_ascii_digit()).len() + 1
    });
    let word = rest.find(|character| !is_of_word(character)).unwrap_or(rest.len());
    Some(start..start + word.max(phone))
}

fn is_of_word(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '.' | '_' | ':' | '%' | '+' | '-' | '@')
}

fn is_of_phone(character: char) -> bool {
    character.is_ascii_digit() || matches!(character, ' ' | '(' | ')' | '-' | '.')
}

fn mask_word(word: &str, behind: &str) -> Option<String> {
    if let Some((before, host)) = word.rsplit_once('@') {
        // `mailto:` and the like stay; so does what is an address of nobody.
        let (scheme, name) = before.rsplit_once(':').unwrap_or(("", before));
        let colon = if scheme.is_empty() { "" } else { ":" };
        return (!name.is_empty() && !host.is_empty())
            .then(|| format!("{scheme}{colon}{}", email(&format!("{name}@{host}"))));
    }
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    if word.starts_with('+') && digits >= PHONE_DIGITS && word[1..].chars().all(is_of_phone) {
        return Some(phone(word));
    }
    mask_address(word, behind)
}

/// An address becomes the range that it is in, with what stands beside it.
fn mask_address(word: &str, behind: &str) -> Option<String> {
    let trimmed = word.trim_end_matches(['.', ':']);
    let (text, end) =
        if word.parse::<IpAddr>().is_ok() { (word, "") } else { (trimmed, &word[trimmed.len()..]) };
    let bare = text.split('%').next().unwrap_or(text);
    let (address, port) = match bare.parse::<SocketAddr>() {
        Ok(socket) => (socket.ip(), format!(":{}", socket.port())),
        Err(_) => (bare.parse().ok()?, String::new()),
    };
    let range = ClientAddress(address).network();
    // The range's length is there already, or a port or a path comes in its place.
    let slash = behind.starts_with('/') || !port.is_empty();
    let masked = if slash { range.addr().to_string() } else { range.to_string() };
    // What is a range already stands as it is.
    (masked != bare).then(|| format!("{masked}{port}{end}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_shows_one_letter_or_two_digits() {
        assert_eq!(email("alice@example.org"), "a***@example.org");
        assert_eq!(email("@example.org"), "***@example.org");
        assert_eq!(email("alice"), "a***");
        assert_eq!(phone("+44 20 7946 0012"), "***12");
        assert_eq!(phone("020-7946-0012"), "***12");
        assert_eq!(phone("0012"), "***");
    }

    #[test]
    fn a_line_shows_no_address_and_no_number_in_full() {
        for (line, masked) in [
            (r#"{"a":"alice@example.org"}"#, r#"{"a":"a***@example.org"}"#),
            (
                r#"{"a":"\nalice@example.org, \u0085b@c.d."}"#,
                r#"{"a":"\na***@example.org, \u0085b***@c.d."}"#,
            ),
            ("to mailto:юзер@example.org", "to mailto:ю***@example.org"),
            ("postgres://user:secret@host/name", "postgres://user:s***@host/name"),
            ("call +44 20 7946 0012, soon", "call ***12, soon"),
            ("(phone)=(+442079460012)", "(phone)=(***12)"),
            ("from 203.0.113.77: refused", "from 203.0.113.0/24: refused"),
            ("203.0.113.77:443", "203.0.113.0:443"),
            (r"\n203.0.113.77", r"\n203.0.113.0/24"),
            ("http://203.0.113.77:80/a", "http://203.0.113.0:80/a"),
            ("::ffff:203.0.113.77", "203.0.113.0/24"),
            ("[2001:db8:1:2::3]:443", "[2001:db8:1::/48]:443"),
            ("fe80::1%eth0.", "fe80::/48."),
            ("key (203.0.113.77/32)", "key (203.0.113.0/32)"),
        ] {
            assert_eq!(mask(line), masked);
        }
    }

    #[test]
    fn everything_else_stands_as_it_is() {
        for line in [
            r#"{"timestamp":"2026-11-26T18:09:01.123456Z","level":"INFO","status":200,"duration_ms":0.25}"#,
            "203.0.113.0/24 2001:db8:1::/48 1.2.3 user_service::audit @ a@ +00:00 +1 234 12:34:56",
            "0b7e6c1e-4f0e-4b7a-9d1c-2f6f1f6d8a11 00-4bf92f3577b34da6a3ce929d0e0e4736-01 é\\",
        ] {
            assert!(matches!(mask(line), Cow::Borrowed(_)), "{}", mask(line));
        }
    }
}
