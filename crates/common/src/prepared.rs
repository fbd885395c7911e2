//! Statements that each connection prepares once.

use diesel::QueryResult;
use diesel::pg::Pg;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};

/// A statement that is prepared once on each connection, by its text.
///
/// Diesel prepares updates, some inserts and plain SQL anew each time, since it can't know how many
/// texts there are; that is a second round trip. Only for statements of few texts: none with a
/// list of varying length in it.
pub fn prepared<Q>(statement: Q) -> Prepared<Q> {
    Prepared(statement)
}

/// See [`prepared()`].
#[derive(Clone, Copy, Debug)]
pub struct Prepared<Q>(Q);

impl<Q: QueryFragment<Pg>> QueryFragment<Pg> for Prepared<Q> {
    fn walk_ast<'b>(&'b self, pass: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        self.0.walk_ast(pass)
    }

    fn is_safe_to_cache_prepared(&self, _: &Pg) -> QueryResult<bool> {
        Ok(true)
    }
}

impl<Q> QueryId for Prepared<Q> {
    type QueryId = ();

    // The type alone does not tell which of the texts it is: a value may be left out.
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<Q: Query> Query for Prepared<Q> {
    type SqlType = Q::SqlType;
}
