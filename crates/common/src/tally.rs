//! What an import of older rows came to.

use std::collections::BTreeMap;

/// How many rows came to what; each row counts once. Rows are named by their id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Rows to be looked at.
    pub total: usize,
    /// Taken over.
    pub migrated: usize,
    /// There already, or with nothing in them.
    pub skipped: usize,
    /// How many of those for which reason, as far as there is more than one.
    pub skipped_because: BTreeMap<&'static str, usize>,
    /// Rows that brought another token of a grant which was there already: the newer one stays.
    /// Whose token gave way, and why.
    pub replaced: Vec<(String, String)>,
    /// Left whole: which, and why.
    pub errors: Vec<(String, String)>,
}

impl Tally {
    /// Rows looked at so far.
    #[must_use]
    pub fn seen(&self) -> usize {
        self.migrated + self.skipped + self.replaced.len() + self.errors.len()
    }

    /// Counts rows that are passed over for a reason.
    pub fn skip(&mut self, rows: usize, reason: &'static str) {
        if rows > 0 {
            self.skipped += rows;
            *self.skipped_because.entry(reason).or_default() += rows;
        }
    }
}
