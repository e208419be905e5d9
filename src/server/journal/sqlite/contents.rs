//! A read-only view of a journal, also while a server uses it: the first step of
//! `backup` and `check`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, OpenFlags};

use super::{
    migrations::AUDIT_TRAIL_SINCE,
    schema::{self, At},
};
use crate::journal::{Contents, OpenError};

/// A journal that is only read. Everything is seen as of one moment, whatever is
/// committed meanwhile. Until this is dropped, the server's write-ahead log can
/// only grow.
pub(super) struct View {
    pub(super) connection: Connection,
    pub(super) path: PathBuf,
    pub(super) schema: i64,
}

impl View {
    /// Opens a file, which must be a journal and not of a newer program.
    pub(super) fn open(path: &Path) -> Result<Self, OpenError> {
        let at = At(path);
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(|failure| {
            // SQLite does not say why it cannot open a file. (If it can, it must be
            // the only one that does: see `schema::Lock`.)
            match fs::File::open(path) {
                Err(e) => at.io(e),
                Ok(_) => at.sqlite(&failure),
            }
        })?;
        if schema::is_new(&connection, at)? {
            return Err(at.corrupt("it is empty".into()));
        }
        let schema =
            connection.query_one("PRAGMA user_version", [], |row| row.get(0)).map_err(|e| at.sqlite(&e))?;
        Ok(Self { connection, path: path.to_owned(), schema })
    }

    pub(super) fn at(&self) -> At<'_> {
        At(&self.path)
    }

    pub(super) fn contents(&self) -> Result<Contents, OpenError> {
        let count =
            |sql| self.connection.query_one(sql, [], |row| row.get(0)).map_err(|e| self.at().sqlite(&e));
        Ok(Contents {
            runs_live: count("SELECT count(*) FROM runs WHERE terminal = 0")?,
            runs_over: count("SELECT count(*) FROM runs WHERE terminal = 1")?,
            node_runs: count("SELECT count(*) FROM node_runs")?,
            events: count("SELECT count(*) FROM events")?,
            audit_records: match self.schema {
                ..AUDIT_TRAIL_SINCE => 0,
                AUDIT_TRAIL_SINCE.. => count("SELECT count(*) FROM audit_trail")?,
            },
        })
    }
}
