//! Paging by key: `?before=&limit=`, where `before` is opaque to the caller.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::http::Problem;

/// Rows in a page when the caller names no `limit`.
pub const DEFAULT_LIMIT: i64 = 50;
/// Rows in a page at most.
pub const MAX_LIMIT: i64 = 200;

/// The query of a paged list.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// `next_before` of the last answer; absent for the first page.
    #[param(example = "MTc5NTY4MDAwMDAwMDAwMA")]
    pub before: Option<String>,
    /// Rows wanted, 1 to 200; 50 by default.
    #[param(minimum = 1, maximum = 200, example = 50)]
    pub limit: Option<i64>,
}

impl PageQuery {
    /// Rows wanted; a `limit` outside 1 to [`MAX_LIMIT`] is the caller's error.
    pub fn limit(&self) -> Result<i64, Problem> {
        match self.limit {
            None => Ok(DEFAULT_LIMIT),
            Some(limit) if (1..=MAX_LIMIT).contains(&limit) => Ok(limit),
            Some(_) => Err(Problem::invalid_field("limit", "`limit` must be from 1 to 200")),
        }
    }

    /// The key that the last page ended with, parsed by `T`.
    pub fn before<T: std::str::FromStr>(&self) -> Result<Option<T>, Problem> {
        let Some(text) = self.before.as_deref() else {
            return Ok(None);
        };
        URL_SAFE_NO_PAD
            .decode(text)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .and_then(|key| key.parse().ok())
            .map(Some)
            .ok_or_else(|| {
                Problem::invalid_field(
                    "before",
                    "`before` must be the `next_before` of an earlier answer",
                )
            })
    }
}

/// A page of a list: `items`, newest first, and where the next page starts.
#[derive(Debug, Serialize, ToSchema)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Give this as `before` for the next page; null at the end.
    #[schema(example = "MTc5NTY4MDAwMDAwMDAwMA")]
    pub next_before: Option<String>,
}

/// The opaque form of a page's last key.
#[must_use]
pub fn cursor(key: &impl ToString) -> String {
    URL_SAFE_NO_PAD.encode(key.to_string())
}

/// A page's last key where rows are ordered by time and id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeAndId(pub DateTime<Utc>, pub Uuid);

impl std::fmt::Display for TimeAndId {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}/{}", self.0.timestamp_micros(), self.1)
    }
}

impl std::str::FromStr for TimeAndId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (time, id) = text.split_once('/').ok_or(())?;
        // Nothing of ours is older than 1970, and times before 4713 BC can't be asked for at all.
        let micros = time.parse().ok().filter(|micros| *micros >= 0).ok_or(())?;
        let time = DateTime::from_timestamp_micros(micros).ok_or(())?;
        Ok(Self(time, id.parse().map_err(|_| ())?))
    }
}

impl<T> Page<T> {
    /// A page from `limit + 1` rows read: the surplus one only says that there are more.
    pub fn from_rows<R, K: ToString>(
        mut rows: Vec<R>,
        limit: i64,
        key: impl Fn(&R) -> K,
        item: impl FnMut(R) -> T,
    ) -> Self {
        let limit = usize::try_from(limit).unwrap_or(0);
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next_before = rows.last().filter(|_| more).map(|row| cursor(&key(row)));
        Self { items: rows.into_iter().map(item).collect(), next_before }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_the_key_and_garbage_is_refused() {
        let query = PageQuery { before: Some(cursor(&42_i64)), limit: None };
        assert_eq!(query.before::<i64>().unwrap(), Some(42));
        let id = Uuid::from_u128(7);
        for time in ["-1", "-9223372036854775808", "9223372036854775807", "x"] {
            let query = PageQuery { before: Some(cursor(&format!("{time}/{id}"))), limit: None };
            assert!(query.before::<TimeAndId>().is_err(), "{time}");
        }
        let query = PageQuery { before: Some("!".into()), limit: Some(0) };
        assert!(query.before::<i64>().is_err());
        assert!(query.limit().is_err());
    }

    #[test]
    fn the_last_page_has_no_next() {
        let page = Page::from_rows(vec![3, 2, 1], 2, |row| *row, |row| row);
        assert_eq!((page.items, page.next_before), (vec![3, 2], Some(cursor(&2))));
        let page = Page::from_rows(vec![3, 2], 2, |row| *row, |row| row);
        assert_eq!(page.next_before, None);
    }
}
