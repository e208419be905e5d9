//! One way to read a row of either database: by the place of a column.

use rusqlite::types::FromSql as FromSqlite;
use tokio_postgres::types::FromSql as FromPostgres;

/// What a column may hold: both databases store it.
pub(in crate::server::journal) trait Value:
    FromSqlite + for<'a> FromPostgres<'a>
{
}

impl<T: FromSqlite + for<'a> FromPostgres<'a>> Value for T {}

/// A row that a statement returns.
pub(in crate::server::journal) trait Columns {
    type Error;

    fn value<T: Value>(&self, place: usize) -> Result<T, Self::Error>;
}

impl Columns for rusqlite::Row<'_> {
    type Error = rusqlite::Error;

    fn value<T: Value>(&self, place: usize) -> Result<T, Self::Error> {
        self.get(place)
    }
}

impl Columns for tokio_postgres::Row {
    type Error = tokio_postgres::Error;

    fn value<T: Value>(&self, place: usize) -> Result<T, Self::Error> {
        self.try_get(place)
    }
}
