//! Telephone numbers: a `+`, a country's digits and the others, however they are set apart.

use std::ops::Range;

use super::token::{Token, read};

/// Fewer digits are no telephone number.
pub(super) const PHONE_DIGITS: usize = 8;

/// The first telephone number that begins in `part` of `line`; it may be longer.
pub(super) fn next_phone(line: &str, part: Range<usize>) -> Option<Range<usize>> {
    let (mut at, mut field) = (part.start, part.start);
    while at < part.end {
        let (token, length) = read(&line[at..]);
        if token == Token::Plus
            && !leads_to_no_phone(&line[field..at])
            && let Some(end) = phone_end(line.as_bytes(), at + length, length > 1)
        {
            return Some(at..end);
        }
        at += length;
        if matches!(token, Token::Plus | Token::Colon) {
            field = at;
        }
    }
    None
}

/// Behind a digit, a version or the name of a time, `+` begins a build's date or an offset.
fn leads_to_no_phone(before: &str) -> bool {
    let is_escape = before.bytes().rev().nth(2) == Some(b'%');
    let ends_in_digit = before.ends_with(|last: char| last.is_ascii_digit()) && !is_escape;
    ends_in_digit || before.ends_with("UTC") || before.ends_with("GMT") || is_version(before)
}

/// `1.4.0-beta`, with a `v` or without.
fn is_version(text: &str) -> bool {
    let core = text.strip_prefix('v').unwrap_or(text).split('-').next().unwrap_or_default();
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    core.contains('.') && core.split('.').all(is_number)
}

/// Where the number ends whose `+`, `encoded` or not, ends at `start`.
fn phone_end(line: &[u8], start: usize, encoded: bool) -> Option<usize> {
    let (mut at, mut end, mut digits) = (start, start, 0);
    loop {
        at += match &line[at..] {
            [b'0'..=b'9', ..] => {
                digits += 1;
                end = at + 1;
                1
            }
            [b' ' | b'(' | b')' | b'-' | b'.' | b'/', ..] => 1,
            [b'%', b'2', b'0' | b'8' | b'9', ..] => 3,
            // A form's blank.
            [b'+', ..] if encoded => 1,
            _ => break,
        }
    }
    // No country's digits begin with a zero, an offset's hours may.
    let first = line[start..end].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let is_offset = line[start..end].starts_with(b"0") && matches!(first, 1 | 2 | 4);
    (digits >= PHONE_DIGITS && !is_offset).then_some(end)
}
