//! A file that takes over the rows of another store: all of them, or it does not come to
//! be.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, params, params_from_iter, types::Value};

use super::{
    backup::Partial,
    migrations,
    schema::{self, At},
};
use crate::journal::{
    JournalError, OpenError,
    tables::{Cell, Table},
};

/// The columns that a run, and its place in the list of runs, have in a file.
const RUN: [&str; 6] = ["run_id", "version", "terminal", "deadline", "changed_at", "body"];
const LISTED: [&str; 11] = [
    "started_at",
    "run_id",
    "state",
    "ended_at",
    "node_type",
    "node_version",
    "owner",
    "error_code",
    "labels",
    "held",
    "rerun_of",
];

/// The content of a NodeRun that is apart from it in a file.
const PAYLOADS: [&str; 2] = ["inputs", "outputs"];

/// A journal that is being made.
pub struct NewFile {
    // Closed before the file gets its name, or is deleted.
    connection: Connection,
    partial: Partial,
    target: PathBuf,
}

impl NewFile {
    /// Begins a journal at `target`, which must not exist.
    pub fn begin(target: &Path) -> Result<Self, OpenError> {
        let at = At(target);
        schema::folder_exists(target)?;
        if target.symlink_metadata().is_ok() {
            return Err(at.io(std::io::Error::other("the file exists, and a copy never replaces a file")));
        }
        let partial = Partial::make(target)?;
        let connection = Connection::open(partial.path()).map_err(|e| at.sqlite(&e))?;
        let set_up = || {
            schema::set_up(&connection)?;
            // It is synced as a whole, before it gets its name.
            connection.pragma_update(None, "synchronous", "OFF")?;
            connection.pragma_update(None, "journal_mode", "OFF")
        };
        set_up().map_err(|e| at.sqlite(&e))?;
        migrations::migrate(&connection).map_err(|failed| at.not_migrated(&failed))?;
        connection.execute_batch("BEGIN").map_err(|e| at.sqlite(&e))?;
        Ok(Self { connection, partial, target: target.to_owned() })
    }

    /// Adds rows of a table, with the columns that it has there.
    pub(in crate::server::journal) fn insert(
        &self,
        table: &Table,
        rows: &[Vec<Cell>],
    ) -> Result<(), JournalError> {
        let all: Vec<&str> = table.columns.iter().map(|(name, _)| *name).collect();
        match table.name {
            // What is derived from the list is kept by its triggers.
            "runs" => {
                self.insert_into("runs", &all, &RUN, rows)?;
                self.insert_into("run_list", &all, &LISTED, rows)
            }
            "node_runs" => {
                let without: Vec<&str> =
                    all.iter().copied().filter(|name| !PAYLOADS.contains(name)).collect();
                self.insert_into("node_runs", &all, &without, rows)?;
                self.insert_payloads(&all, rows)
            }
            name => self.insert_into(name, &all, &all, rows),
        }
    }

    /// Inserts these of all columns of the rows.
    fn insert_into(
        &self,
        table: &str,
        all: &[&str],
        columns: &[&str],
        rows: &[Vec<Cell>],
    ) -> Result<(), JournalError> {
        let marks = vec!["?"; columns.len()].join(", ");
        let sql = format!("INSERT INTO {table} ({}) VALUES ({marks})", columns.join(", "));
        let mut insert = self.connection.prepare(&sql)?;
        for row in rows {
            insert.execute(params_from_iter(columns.iter().map(|name| value(all, row, name))))?;
        }
        Ok(())
    }

    fn insert_payloads(&self, all: &[&str], rows: &[Vec<Cell>]) -> Result<(), JournalError> {
        let mut insert = self
            .connection
            .prepare("INSERT INTO node_payloads (node_run_id, member, content) VALUES (?, ?, ?)")?;
        for row in rows {
            for member in PAYLOADS {
                let content = value(all, row, member);
                if content != Value::Null {
                    insert.execute(params![value(all, row, "node_run_id"), member, content])?;
                }
            }
        }
        Ok(())
    }

    /// Ends it, and gives it its name. Returns once that is durable.
    pub fn keep(self) -> Result<(), OpenError> {
        let Self { connection, partial, target } = self;
        let at = At(&target);
        connection.execute_batch("COMMIT").map_err(|e| at.sqlite(&e))?;
        schema::quick_check(&connection, at)?;
        connection.close().map_err(|(_, e)| at.sqlite(&e))?;
        partial.keep_as(&target).map_err(|e| at.io(e))?;
        Ok(())
    }
}

/// The value of a column, of a row that has all of them.
fn value(all: &[&str], row: &[Cell], name: &str) -> Value {
    let cell = all.iter().position(|column| *column == name).and_then(|place| row.get(place));
    let known = match cell {
        Some(Cell::Text(text)) => text.clone().map(Value::Text),
        Some(Cell::Integer(number)) => number.map(Value::Integer),
        Some(Cell::Flag(flag)) => flag.map(|flag| Value::Integer(flag.into())),
        Some(Cell::Bytes(bytes)) => bytes.clone().map(Value::Blob),
        None => None,
    };
    known.unwrap_or(Value::Null)
}
