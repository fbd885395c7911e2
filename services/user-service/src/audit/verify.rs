//! The walk along the chain.

use std::collections::VecDeque;

use diesel_async::AsyncPgConnection;
use serde::Serialize;

use super::ChainKeys;
use super::seal::{self, BEGINNING, Fault};
use crate::error::Error;
use crate::models::security_event::{self, SecurityEvent};
use crate::models::security_event_chain::{self, Checkpoint, Head};

const PAGE: i64 = 1000;

/// What the walk came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// Rows that are what was linked.
    pub rows: u64,
    /// Among them, those without what was personal.
    pub forgotten: u64,
    /// Rows that purges removed.
    pub purged: i64,
    /// Rows that are not linked yet.
    pub pending: i64,
    /// The first thing that is wrong.
    pub bad: Option<Bad>,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Bad {
    /// At which place.
    pub position: i64,
    /// In which row, where there is one.
    pub id: Option<i64>,
    /// What.
    pub what: &'static str,
}

/// A piece of the chain.
enum Piece {
    Row(Box<SecurityEvent>),
    Gap(Checkpoint),
}

impl Piece {
    fn position(&self) -> i64 {
        match self {
            Self::Row(row) => row.position.unwrap_or_default(),
            Self::Gap(gap) => gap.first_position,
        }
    }
}

/// Rows and checkpoints in one order, page by page.
#[derive(Default)]
struct Pieces {
    rows: VecDeque<SecurityEvent>,
    gaps: VecDeque<Checkpoint>,
    /// Where the next pages begin; none at the end.
    after: Option<(Option<i64>, Option<i64>)>,
}

impl Pieces {
    async fn next(&mut self, connection: &mut AsyncPgConnection) -> Result<Option<Piece>, Error> {
        let (rows_after, gaps_after) = self.after.get_or_insert((Some(i64::MIN), Some(i64::MIN)));
        if let (true, Some(after)) = (self.rows.is_empty(), *rows_after) {
            self.rows = security_event::list_linked(connection, after, PAGE).await?.into();
            *rows_after = self.rows.back().and_then(|row| row.position);
        }
        if let (true, Some(after)) = (self.gaps.is_empty(), *gaps_after) {
            self.gaps =
                security_event_chain::list_checkpoints(connection, after, PAGE).await?.into();
            *gaps_after = self.gaps.back().map(|gap| gap.first_position);
        }
        let row = self.rows.front().and_then(|row| row.position);
        let gap = self.gaps.front().map(|gap| gap.first_position);
        Ok(match (row, gap) {
            (Some(row), Some(gap)) if gap < row => self.gaps.pop_front().map(Piece::Gap),
            (None, _) => self.gaps.pop_front().map(Piece::Gap),
            _ => self.rows.pop_front().map(|row| Piece::Row(Box::new(row))),
        })
    }
}

/// Where the walk stands.
struct Walk<'a> {
    keys: &'a ChainKeys,
    /// A head seen before, which the chain must still contain.
    known: Option<&'a Head>,
    position: i64,
    link: Vec<u8>,
    verified: Verified,
}

/// Walks along the whole chain, to the head, through `known` where one is given. To be called in a
/// transaction that sees one state of the database throughout.
pub(super) async fn verify(
    connection: &mut AsyncPgConnection,
    keys: &ChainKeys,
    known: Option<&Head>,
) -> Result<Verified, Error> {
    let (position, link) = (0, BEGINNING.to_vec());
    let mut walk = Walk { keys, known, position, link, verified: Verified::default() };
    let mut pieces = Pieces::default();
    walk.verified.pending = security_event::count_pending(connection).await?;
    while let Some(piece) = pieces.next(connection).await? {
        if let Err(bad) = walk.step(&piece) {
            walk.verified.bad = Some(bad);
            return Ok(walk.verified);
        }
    }
    let head = security_event_chain::find_head(connection).await?;
    walk.verified.bad = walk.arrive(head.as_ref()).err();
    Ok(walk.verified)
}

impl Walk<'_> {
    fn step(&mut self, piece: &Piece) -> Result<(), Bad> {
        let (expected, found) = (self.position + 1, piece.position());
        let id = if let Piece::Row(row) = piece { Some(row.id) } else { None };
        let bad = |what: Fault| Bad { position: found, id, what };
        if found > expected {
            return Err(missing(expected));
        }
        if found < expected {
            return Err(bad("it was put in"));
        }
        match piece {
            Piece::Row(row) => {
                seal::check_row(self.keys, row, &self.link).map_err(bad)?;
                self.verified.rows += 1;
                self.verified.forgotten += u64::from(row.salt.is_none());
                self.position = found;
                self.link = row.link.clone().unwrap_or_default();
            }
            Piece::Gap(gap) => {
                seal::check_checkpoint(self.keys, gap, &self.link).map_err(bad)?;
                self.verified.purged += gap.last_position - gap.first_position + 1;
                self.position = gap.last_position;
                self.link.clone_from(&gap.link);
            }
        }
        match self.known {
            Some(known) if known.position == self.position && known.link != self.link => {
                Err(bad("the chain is another than the one whose head was exported"))
            }
            _ => Ok(()),
        }
    }

    fn arrive(&self, head: Option<&Head>) -> Result<(), Bad> {
        let bad = |what: Fault| Bad { position: self.position, id: None, what };
        match head {
            None if self.position == 0 => {}
            None => return Err(bad("the head of the chain is missing")),
            Some(head) => {
                seal::check_head(self.keys, head).map_err(bad)?;
                if head.position > self.position {
                    return Err(missing(self.position + 1));
                }
                if head.position < self.position || head.link != self.link {
                    return Err(bad("the head of the chain is another's"));
                }
            }
        }
        match self.known {
            Some(known) if known.position > self.position => Err(missing(self.position + 1)),
            _ => Ok(()),
        }
    }
}

fn missing(position: i64) -> Bad {
    Bad { position, id: None, what: "a row is missing" }
}
