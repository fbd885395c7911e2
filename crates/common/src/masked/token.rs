//! What a line consists of, as far as masks look at it.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// Whatever else names and addresses are made of.
    Letter,
    Colon,
    /// Percent-encoded or not, as those above and the next.
    At,
    Plus,
    /// Is part of no address: what is between words.
    Other,
}

/// What `text` begins with, and how many bytes that is; nothing is no part of an address.
pub(super) fn read(text: &str) -> (Token, usize) {
    let Some(first) = text.chars().next() else { return (Token::Other, 0) };
    match first {
        '\\' => (Token::Other, escape_length(text.as_bytes())),
        '%' => read_encoded(text.as_bytes()),
        ':' => (Token::Colon, 1),
        '@' => (Token::At, 1),
        '+' => (Token::Plus, 1),
        '.' | '_' | '-' => (Token::Letter, 1),
        _ if first.is_alphanumeric() => (Token::Letter, first.len_utf8()),
        _ => (Token::Other, first.len_utf8()),
    }
}

/// A `%`, which begins the zone of an address as well.
fn read_encoded(bytes: &[u8]) -> (Token, usize) {
    let digit = |at: usize| char::from(*bytes.get(at)?).to_digit(16);
    let Some((high, low)) = digit(1).zip(digit(2)) else { return (Token::Letter, 1) };
    let token = match u8::try_from(high * 16 + low).unwrap_or_default() {
        b'@' => Token::At,
        b'+' => Token::Plus,
        b'.' | b'_' | b'-' | b'%' => Token::Letter,
        byte if byte.is_ascii_alphanumeric() || !byte.is_ascii() => Token::Letter,
        _ => Token::Other,
    };
    (token, 3)
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
