//! Opens every sealed value and says which do not open.

use diesel::QueryResult;
use diesel_async::AsyncPgConnection;
use vault_crypto::{Keyring, key_id_of};
use zeroize::Zeroizing;

use crate::SealedColumn;
use crate::column::{Page, SealedRow};

/// Rows read at once.
const PAGE: i64 = 500;

/// A value that does not open, or that its row says another key of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Damage {
    /// `table.column`.
    pub column: String,
    /// The row's key.
    pub row: String,
    /// What is wrong with it, in words that show nothing of it.
    pub reason: String,
}

/// What a look at all values came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Values looked at.
    pub seen: u64,
    /// Those that are damaged.
    pub damaged: Vec<Damage>,
}

/// Opens every value of `columns`, while the service runs; tells `progress` after each page.
pub async fn verify(
    connection: &mut AsyncPgConnection,
    columns: &[SealedColumn],
    keyring: &Keyring,
    progress: &mut dyn FnMut(&Verified),
) -> QueryResult<Verified> {
    let mut verified = Verified::default();
    for column in columns {
        let mut after: Option<Vec<String>> = None;
        loop {
            let page = Page { after: after.as_deref(), not_under: None, limit: PAGE, lock: false };
            let rows = column.read(connection, page).await?;
            for row in &rows {
                verified.seen += 1;
                verified.damaged.extend(open(column, keyring, row).err());
            }
            progress(&verified);
            match rows.into_iter().next_back() {
                Some(last) => after = Some(last.key),
                None => break,
            }
        }
    }
    Ok(verified)
}

/// The plaintext of a row's value.
pub(crate) fn open(
    column: &SealedColumn,
    keyring: &Keyring,
    row: &SealedRow,
) -> Result<Zeroizing<Vec<u8>>, Damage> {
    let damage = |reason: &str| Damage {
        column: column.name.to_owned(),
        row: row.name(),
        reason: reason.to_owned(),
    };
    let Some(key_id) = key_id_of(&row.sealed) else { return Err(damage("it is no sealed value")) };
    if key_id != row.key_id {
        return Err(damage("another key sealed it than its row says"));
    }
    if !keyring.contains(key_id) {
        return Err(damage(&format!("the ring lacks its key `{key_id}`")));
    }
    keyring
        .open(&(column.identity)(&row.fields), &row.sealed)
        .map_err(|_| damage("it does not open: damaged, or another row's"))
}
