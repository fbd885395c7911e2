//! Our cookies among those that a request brings.

use actix_web::http::header::{self, HeaderMap, HeaderValue};
use uuid::Uuid;

use super::cookies::{CookiePolicy, Kind};
use super::generation::Generation;
use super::planted::Named;

/// How far a family had come with a refresh token, and which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The family.
    pub family: Uuid,
    /// Number of the token in it.
    pub counter: i64,
}

impl CookiePolicy {
    /// The cookies of generations that are good here which a request brings; `position` is that of an authentic refresh token.
    #[must_use]
    pub fn read(
        &self,
        headers: &HeaderMap,
        position: impl Fn(&str) -> Option<Position>,
    ) -> ReceivedCookies {
        let of =
            |generation| Kind::ALL.map(|kind| ((generation, kind), self.name(generation, kind)));
        let good = Generation::ALL.into_iter().filter(|it| self.usable(*it) == *it);
        let names: Vec<(Named, String)> = good.flat_map(of).collect();
        let mut found = Vec::new();
        // Whatever else is in the header is another's affair, readable or not.
        let lines = headers.get_all(header::COOKIE).map(HeaderValue::as_bytes);
        for pair in lines.flat_map(|line| line.split(|byte| *byte == b';')) {
            let Some(equals) = pair.iter().position(|byte| *byte == b'=') else { continue };
            let (name, value) = (pair[..equals].trim_ascii(), pair[equals + 1..].trim_ascii());
            if let Some((named, _)) = names.iter().find(|(_, ours)| ours.as_bytes() == name) {
                // One that is no text can be nothing of ours, but it is there.
                found.push((*named, str::from_utf8(value).unwrap_or_default().to_owned()));
            }
        }
        let mut cookies = ReceivedCookies { generation: Generation::V5, found };
        cookies.generation = cookies.judge_generation(position);
        cookies
    }
}

/// Two cookies of one name: one of them was planted, and nobody can tell which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Duplicate;

/// Our cookies as a request brought them. One generation of them is what the request goes by; of
/// the other nothing is believed.
#[derive(Clone)]
pub struct ReceivedCookies {
    generation: Generation,
    found: Vec<(Named, String)>,
}

common::hide!(ReceivedCookies);

impl ReceivedCookies {
    /// What the request goes by.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// The value of the cookie of `kind`.
    pub fn get(&self, kind: Kind) -> Result<Option<&str>, Duplicate> {
        self.get_of(self.generation, kind)
    }

    /// The same where a planted one locks nobody out: of two, neither.
    #[must_use]
    pub fn single(&self, kind: Kind) -> Option<&str> {
        self.get(kind).unwrap_or_default()
    }

    /// The same of the generation that the request does not go by, for what is no session's.
    #[must_use]
    pub fn single_of(&self, generation: Generation, kind: Kind) -> Option<&str> {
        self.get_of(generation, kind).unwrap_or_default()
    }

    /// Whether there is one of that name, in doubt or not.
    #[must_use]
    pub fn has(&self, generation: Generation, kind: Kind) -> bool {
        self.get_of(generation, kind) != Ok(None)
    }

    /// Whether one of our names came twice, so that the request counts for nothing: but not where
    /// only the older ones did, which other hosts may set, beside a session in the newer ones.
    #[must_use]
    pub fn in_doubt(&self) -> bool {
        let is_certain = self.generation == Generation::V5
            && !self.is_doubled(Generation::V5)
            && self.single(Kind::Refresh).is_some();
        !is_certain && Generation::ALL.into_iter().any(|generation| self.is_doubled(generation))
    }

    /// None, unless one of our names comes twice: then all that may have been planted, the certain
    /// ones first. Who can plant the older ones can't for that matter set the newer.
    #[must_use]
    pub fn doubtful(&self) -> Vec<Named> {
        let concerned: &[Generation] = if self.is_doubled(Generation::V5) {
            &Generation::ALL
        } else if self.is_doubled(Generation::V4) {
            &[Generation::V4]
        } else {
            &[]
        };
        let of = |generation: &Generation| Kind::ALL.map(|kind| (*generation, kind));
        let came = concerned.iter().flat_map(of);
        let came = came.filter(|(generation, kind)| self.has(*generation, *kind));
        let is_double = |(generation, kind): &Named| self.get_of(*generation, *kind).is_err();
        let (mut doubtful, others): (Vec<_>, Vec<_>) = came.partition(is_double);
        doubtful.extend(others);
        doubtful
    }

    fn is_doubled(&self, generation: Generation) -> bool {
        Kind::ALL.into_iter().any(|kind| self.get_of(generation, kind).is_err())
    }

    fn all_of(&self, generation: Generation, kind: Kind) -> impl Iterator<Item = &str> {
        let of_name = self.found.iter().filter(move |(named, _)| *named == (generation, kind));
        of_name.map(|(_, value)| value.as_str())
    }

    fn get_of(&self, generation: Generation, kind: Kind) -> Result<Option<&str>, Duplicate> {
        let mut values = self.all_of(generation, kind);
        let first = values.next();
        if values.next().is_some() { Err(Duplicate) } else { Ok(first) }
    }

    /// Of two refresh cookies of one session the later counts, and the other one is merely stale.
    /// Of two sessions it is that of the newer cookies, which no other host can have set.
    fn judge_generation(&self, position: impl Fn(&str) -> Option<Position>) -> Generation {
        if let Some(newer) = self.single_of(Generation::V5, Kind::Refresh) {
            let newer = position(newer);
            // One of many counts as well: nobody else has a later token of this session.
            let mut older = self.all_of(Generation::V4, Kind::Refresh).filter_map(position);
            let is_later = |older| newer.is_none_or(|newer| newer.is_behind(older));
            return if older.any(is_later) { Generation::V4 } else { Generation::V5 };
        }
        let kinds = [Kind::Refresh, Kind::Access, Kind::PreSession, Kind::Csrf];
        let shown = kinds.into_iter().find_map(|kind| {
            Generation::ALL.into_iter().find(|of| self.single_of(*of, kind).is_some())
        });
        shown.unwrap_or(Generation::V5)
    }
}

impl Position {
    fn is_behind(self, other: Self) -> bool {
        self.family == other.family && self.counter < other.counter
    }
}

#[cfg(test)]
#[path = "received_tests.rs"]
mod tests;
