//! What of a person a log may show: e-mail address, telephone number and network address in part.
//!
//! Fields that hold one are masked where they are logged; every line passes through the same mask
//! besides, for what comes along in an error's text or with a library's own line. That takes time
//! in proportion to the line's length, whoever wrote it.

mod address;
mod phone;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
mod token;

use std::borrow::Cow;
use std::ops::Range;

use address::mask_addresses;
use phone::{PHONE_DIGITS, next_phone};
use token::{Token, read};

const MASK: &str = "***";

/// `a***@example.org`: the first letter and the host.
#[must_use]
pub fn email(text: &str) -> String {
    let (name, host) = text.rsplit_once('@').unwrap_or((text, ""));
    let name = first_letter(name);
    if host.is_empty() { name } else { format!("{name}@{host}") }
}

fn first_letter(name: &str) -> String {
    let first: String = name.chars().take(1).collect();
    format!("{first}{MASK}")
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
    let mut masked = Masked { line, text: String::new(), copied: 0 };
    let mut at = 0;
    while at < line.len() {
        let end = word_end(line, at);
        at = if end == at { at + read(&line[at..]).1 } else { masked.word(at..end) };
    }
    masked.finish()
}

/// Where the run of what addresses are made of ends that begins at `start`.
fn word_end(line: &str, start: usize) -> usize {
    let mut end = start;
    while let (Token::Letter | Token::Colon | Token::At | Token::Plus, length) = read(&line[end..])
    {
        end += length;
    }
    end
}

/// A line, as far as it has been masked.
struct Masked<'a> {
    line: &'a str,
    text: String,
    /// How much of `line` is in `text`; nothing where nothing had to be masked.
    copied: usize,
}

impl<'a> Masked<'a> {
    /// Puts `instead` in the place of `range`, which lies behind all before.
    fn replace(&mut self, range: Range<usize>, instead: &str) {
        self.text.push_str(&self.line[self.copied..range.start]);
        self.text.push_str(instead);
        self.copied = range.end;
    }

    fn finish(mut self) -> Cow<'a, str> {
        if self.copied == 0 {
            return Cow::Borrowed(self.line);
        }
        self.text.push_str(&self.line[self.copied..]);
        Cow::Owned(self.text)
    }

    /// A word that may hold mailboxes; a label such as `mailto:` may stand before each. Answers
    /// where to go on: a telephone number may go beyond the word.
    fn word(&mut self, word: Range<usize>) -> usize {
        let (mut plain, mut field) = (word.start, word.start);
        while field < word.end {
            let (end, at) = read_field(&self.line[field..word.end]);
            if let Some(at) = at {
                self.plain(plain..field);
                let name = first_letter(&self.line[field..field + at.start]);
                self.replace(field..field + at.end, &format!("{name}@"));
                plain = field + at.end;
            }
            field += end;
        }
        self.plain(plain..word.end)
    }

    /// A part of a word in which no mailbox is.
    fn plain(&mut self, part: Range<usize>) -> usize {
        let mut start = part.start;
        while let Some(number) = next_phone(self.line, start..part.end) {
            self.addresses(start..number.start);
            self.replace(number.clone(), &phone(&self.line[number.clone()]));
            start = number.end;
        }
        self.addresses(start..part.end.max(start));
        part.end.max(start)
    }

    fn addresses(&mut self, part: Range<usize>) {
        if let Some(masked) = mask_addresses(&self.line[part.clone()], &self.line[part.end..]) {
            self.replace(part, &masked);
        }
    }
}

/// How long the part of a word is that ends with its first colon, and where in it the sign of a
/// mailbox is: the last that has something on both sides.
fn read_field(word: &str) -> (usize, Option<Range<usize>>) {
    let (mut end, mut at, mut last) = (0, None, None::<Range<usize>>);
    while end < word.len() {
        let (token, length) = read(&word[end..]);
        match token {
            Token::At => last = (end > 0).then_some(end..end + length),
            Token::Colon => return (end + length, at),
            _ => at = last.take().or(at),
        }
        end += length;
    }
    (end, at)
}
