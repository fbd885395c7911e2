//! A sealed column, and the statements that read it by pages and write it anew.

use std::fmt::Write as _;

use diesel::QueryResult;
use diesel::sql_types::{Array, BigInt, Bytea, Nullable, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl as _};
use vault_crypto::{Identity, Sealed};

/// A column of a table's key.
#[derive(Clone, Copy, Debug)]
pub struct KeyColumn {
    /// Its name.
    pub name: &'static str,
    /// Its type in PostgreSQL.
    pub kind: &'static str,
}

/// A column that holds sealed values, beside a column `sealing_key_id` of its table. All its texts
/// are SQL, literals of the service and never input; `t` is the table.
#[derive(Clone, Copy, Debug)]
pub struct SealedColumn {
    /// As reports name it, `table.column`.
    pub name: &'static str,
    /// The table with the key id.
    pub table: &'static str,
    /// The column, where it is this table's.
    pub column: &'static str,
    /// Which rows hold a value, such as `t.state = 'active'`; an index serves it together with
    /// `sealing_key_id`.
    pub held: &'static str,
    /// The table's key, one column or two.
    pub key: &'static [KeyColumn],
    /// What else is joined, for `sealed` and `fields`.
    pub join: &'static str,
    /// The sealed value; an empty one is damage.
    pub sealed: &'static str,
    /// What the identity is made of, as texts.
    pub fields: &'static [&'static str],
    /// The identity that these fields make.
    pub identity: fn(&[String]) -> Identity,
    /// The tables whose rows are locked while a value is moved.
    pub lock: &'static str,
    /// Rows moved in one transaction; others find them locked meanwhile.
    pub batch: i64,
    /// Where the value is not simply this table's column: the statements that write those of
    /// `new (key1, key2, old, sealed)` with the key id `$5` where they are unchanged, and return
    /// `key` and `sealed` as stored.
    pub replace: Option<&'static str>,
}

/// A row's value.
#[derive(Debug, diesel::QueryableByName)]
pub(crate) struct SealedRow {
    #[diesel(sql_type = Array<Text>)]
    pub(crate) key: Vec<String>,
    #[diesel(sql_type = Bytea)]
    pub(crate) sealed: Vec<u8>,
    #[diesel(sql_type = Text)]
    pub(crate) key_id: String,
    #[diesel(sql_type = Array<Text>)]
    pub(crate) fields: Vec<String>,
}

/// A value as it stands after it was written.
#[derive(Debug, diesel::QueryableByName)]
pub(crate) struct Stored {
    #[diesel(sql_type = Array<Text>)]
    pub(crate) key: Vec<String>,
    #[diesel(sql_type = Bytea)]
    pub(crate) sealed: Vec<u8>,
}

/// Which rows to read.
#[derive(Clone, Copy)]
pub(crate) struct Page<'a> {
    /// Those whose keys come after this one.
    pub(crate) after: Option<&'a [String]>,
    /// Those that this key did not seal.
    pub(crate) not_under: Option<&'a str>,
    pub(crate) limit: i64,
    /// Whether to lock them, leaving out those that somebody else has locked.
    pub(crate) lock: bool,
}

impl SealedRow {
    /// As reports name it.
    pub(crate) fn name(&self) -> String {
        self.key.join("/")
    }
}

impl SealedColumn {
    /// Rows in the order of their keys.
    pub(crate) async fn read(
        &self,
        connection: &mut AsyncPgConnection,
        page: Page<'_>,
    ) -> QueryResult<Vec<SealedRow>> {
        diesel::sql_query(self.select(page.lock))
            .bind::<Nullable<Array<Text>>, _>(page.after)
            .bind::<Nullable<Text>, _>(page.not_under)
            .bind::<BigInt, _>(page.limit)
            .load(connection)
            .await
    }

    fn select(&self, lock: bool) -> String {
        let Self { table, held, join, sealed, .. } = self;
        let (order, key) = (self.keys(""), self.keys("::text"));
        let after: Vec<String> = (1..)
            .zip(self.key)
            .map(|(place, key)| format!("($1::text[])[{place}]::{}", key.kind))
            .collect();
        let fields = self.fields.iter().map(|field| format!("{field}::text"));
        let mut query = format!(
            "SELECT ARRAY[{key}] AS key, {sealed} AS sealed, t.sealing_key_id AS key_id,
                    ARRAY[{fields}]::text[] AS fields
             FROM {table} AS t {join}
             WHERE {held} AND ($1::text[] IS NULL OR ({order}) > ({after}))
               AND ($2::text IS NULL OR t.sealing_key_id <> $2)
             ORDER BY {order} LIMIT $3",
            fields = fields.collect::<Vec<_>>().join(", "),
            after = after.join(", "),
        );
        if lock {
            // Never waiting for a lock, rewrap is in nobody's way for longer than its own batch,
            // and in no deadlock.
            let _ = write!(query, " FOR NO KEY UPDATE OF {} SKIP LOCKED", self.lock);
        }
        query
    }

    fn keys(&self, suffix: &str) -> String {
        let names = self.key.iter().map(|key| format!("t.{}{suffix}", key.name));
        names.collect::<Vec<_>>().join(", ")
    }

    /// Writes `sealed` where what was read still stands, and answers what then stands there.
    pub(crate) async fn replace(
        &self,
        connection: &mut AsyncPgConnection,
        moves: &[(SealedRow, Sealed)],
        key_id: &str,
    ) -> QueryResult<Vec<Stored>> {
        let part = |place: usize| {
            let parts = moves.iter().map(move |(row, _)| row.key.get(place).map(String::as_str));
            parts.collect::<Vec<Option<&str>>>()
        };
        let old: Vec<&[u8]> = moves.iter().map(|(row, _)| row.sealed.as_slice()).collect();
        let new: Vec<&[u8]> = moves.iter().map(|(_, sealed)| sealed.as_bytes()).collect();
        diesel::sql_query(self.update())
            .bind::<Array<Nullable<Text>>, _>(part(0))
            .bind::<Array<Nullable<Text>>, _>(part(1))
            .bind::<Array<Bytea>, _>(old)
            .bind::<Array<Bytea>, _>(new)
            .bind::<Text, _>(key_id)
            .load(connection)
            .await
    }

    fn update(&self) -> String {
        let new = "WITH new AS (
             SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[], $4::bytea[])
                 AS n (key1, key2, old, sealed)
         )";
        if let Some(replace) = self.replace {
            return format!("{new}{replace}");
        }
        let Self { table, column, .. } = self;
        let same: Vec<String> = (1..)
            .zip(self.key)
            .map(|(place, key)| format!("t.{} = new.key{place}::{}", key.name, key.kind))
            .collect();
        format!(
            "{new} UPDATE {table} AS t SET {column} = new.sealed, sealing_key_id = $5
             FROM new WHERE {same} AND t.{column} = new.old
             RETURNING ARRAY[{key}] AS key, t.{column} AS sealed",
            same = same.join(" AND "),
            key = self.keys("::text"),
        )
    }
}
