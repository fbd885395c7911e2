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
            b'\\' => start += escape_length(&bytes[start..]),
            _ if !line.is_char_boundary(start) => start += 1,
            _ if line[start..].starts_with(is_of_word) => break,
            _ => start += 1,
        }
    }
    let rest = &line[start..];
    let end = rest.find(|character| !is_of_word(character)).unwrap_or(rest.len());
    // A number in front of a host is a name, and masked with it.
    let word = match (split_at_sign(&rest[..end]), find_phone(rest, end)) {
        (None, Some(phone)) if phone.start == 0 => phone.end,
        (None, Some(phone)) => phone.start,
        _ => end,
    };
    Some(start..start + word)
}

/// The letters of an escape are no letters, however often it was escaped itself.
fn escape_length(bytes: &[u8]) -> usize {
    let slashes = bytes.iter().take_while(|byte| **byte == b'\\').count();
    let escape = bytes.get(slashes..).unwrap_or_default();
    let is_hex = |digits: usize| {
        let digits = escape.get(1..=digits);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    slashes
        + match escape {
            [b'u', b'{', ..] | [b'n' | b'r' | b't' | b'b' | b'f' | b'0', ..] => 1,
            [b'u', ..] if is_hex(4) => 5,
            [b'x', ..] if is_hex(2) => 3,
            _ => 0,
        }
}

/// The first telephone number that begins in the word at the beginning of `text`; it may be longer.
fn find_phone(text: &str, word: usize) -> Option<Range<usize>> {
    text[..word].match_indices('+').map(|(at, _)| at..phone_end(text, at)).find(|phone| {
        let digits = text[phone.clone()].bytes().filter(u8::is_ascii_digit).count();
        digits >= PHONE_DIGITS
    })
}

/// Where the number ends whose `+` is at `start`.
fn phone_end(text: &str, start: usize) -> usize {
    let rest = &text[start + 1..];
    let end = rest.find(|character| !is_of_phone(character)).unwrap_or(rest.len());
    start + 1 + rest[..end].trim_end_matches(|character: char| !character.is_ascii_digit()).len()
}

/// What stands before and behind the last `@`, percent-encoded or not, where neither is nothing.
fn split_at_sign(word: &str) -> Option<(&str, &str)> {
    let (before, host) = word.rsplit_once('@').or_else(|| word.rsplit_once("%40"))?;
    (!before.is_empty() && !before.ends_with(':') && !host.is_empty()).then_some((before, host))
}

fn is_of_word(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '.' | '_' | ':' | '%' | '+' | '-' | '@')
}

fn is_of_phone(character: char) -> bool {
    character.is_ascii_digit() || matches!(character, ' ' | '(' | ')' | '-' | '.')
}

fn mask_word(word: &str, behind: &str) -> Option<String> {
    if let Some((before, host)) = split_at_sign(word) {
        // `mailto:` and the like stay.
        let (scheme, name) = before.rsplit_once(':').unwrap_or(("", before));
        let colon = if scheme.is_empty() { "" } else { ":" };
        return Some(format!("{scheme}{colon}{}", email(&format!("{name}@{}", mask(host)))));
    }
    if word.starts_with('+') && find_phone(word, 1).is_some() {
        return Some(phone(word));
    }
    // `from:` and the like stay.
    mask_address(word, behind).or_else(|| {
        [word.find(':')?, word.rfind(':')?].into_iter().find_map(|colon| {
            let (label, address) = word.split_at(colon + 1);
            Some(format!("{label}{}", mask_address(address, behind)?))
        })
    })
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
            ("+442079460012: no such user", "***12: no such user"),
            ("tel:+442079460012 tel:+44 20 7946 0012;", "tel:***12 tel:***12;"),
            ("+442079460012x5 a+442079460012", "***12x5 a***12"),
            ("sip:+442079460012@example.org", "sip:+***@example.org"),
            ("a+442079460012@example.org", "a***@example.org"),
            ("alice%40example.org", "a***@example.org"),
            ("alice@203.0.113.77 b@c.d:+442079460012", "a***@203.0.113.0/24 b***@c.d:***12"),
            ("from:203.0.113.77", "from:203.0.113.0/24"),
            ("ip4:203.0.113.77/32", "ip4:203.0.113.0/32"),
            (
                "by::at:203.0.113.77 from:203.0.113.77:1:",
                "by::at:203.0.113.0/24 from:203.0.113.0:1:",
            ),
            ("from:2001:db8:1:2::3", "from:2001:db8:1::/48"),
            (r"\\n203.0.113.77 \\\\nalice@example.org", r"\\n203.0.113.0/24 \\\\na***@example.org"),
            (r"\\u{85}203.0.113.77 \\203.0.113.77", r"\\u{85}203.0.113.0/24 \\203.0.113.0/24"),
            (r"CORP\\udo@firma.de CORP\xenia@x.org", r"CORP\\u***@firma.de CORP\x***@x.org"),
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
