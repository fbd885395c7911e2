//! Our cookies among those that a request brings.

use actix_web::http::header::{self, HeaderMap, HeaderValue};

use super::cookies::{CookiePolicy, Kind};

impl CookiePolicy {
    /// The cookies that a request brings.
    #[must_use]
    pub fn read(&self, headers: &HeaderMap) -> ReceivedCookies {
        let mut found = Kind::ALL.map(|kind| (kind, self.name(kind), Vec::new()));
        // Whatever else is in the header is another's affair, readable or not.
        let lines = headers.get_all(header::COOKIE).map(HeaderValue::as_bytes);
        for pair in lines.flat_map(|line| line.split(|byte| *byte == b';')) {
            let Some(equals) = pair.iter().position(|byte| *byte == b'=') else { continue };
            let (name, value) = (pair[..equals].trim_ascii(), pair[equals + 1..].trim_ascii());
            if let Some((.., values)) =
                found.iter_mut().find(|(_, ours, _)| ours.as_bytes() == name)
            {
                // One that is no text can be nothing of ours, but it is there.
                values.push(str::from_utf8(value).unwrap_or_default().to_owned());
            }
        }
        ReceivedCookies(found.map(|(kind, _, values)| (kind, values)))
    }
}

/// Two cookies of one name: one of them was planted, and nobody can tell which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Duplicate;

/// Our cookies as a request brought them.
pub struct ReceivedCookies([(Kind, Vec<String>); 5]);

common::hide!(ReceivedCookies);

impl ReceivedCookies {
    /// The value of the cookie of `kind`.
    pub fn get(&self, kind: Kind) -> Result<Option<&str>, Duplicate> {
        let values = self.0.iter().find(|(of, _)| *of == kind).map_or(&[][..], |(_, all)| all);
        match values {
            [] => Ok(None),
            [one] => Ok(Some(one)),
            _ => Err(Duplicate),
        }
    }

    /// The same where a planted one locks nobody out: of two, neither.
    #[must_use]
    pub fn single(&self, kind: Kind) -> Option<&str> {
        self.get(kind).unwrap_or_default()
    }

    /// Whether any of our names comes twice.
    #[must_use]
    pub fn has_duplicates(&self) -> bool {
        self.0.iter().any(|(_, values)| values.len() > 1)
    }
}
