//! The rows of a file, for another store that takes them over.

use std::path::Path;

use rusqlite::{Connection, Row};

use super::{
    SqliteOptions,
    schema::{self, At, Opened},
};
use crate::journal::{
    JournalError, OpenError,
    tables::{Cell, Kind, Table},
};

/// Rows that are read at once.
const AT_ONCE: usize = 500;

/// A journal whose rows are read: nothing else may use it meanwhile.
pub struct Tables {
    opened: Opened,
}

impl Tables {
    /// Opens a file, and brings its schema up to date.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        // Opening would create a missing journal, but here that is a mistake.
        std::fs::metadata(path).map_err(|e| At(path).io(e))?;
        let options = SqliteOptions { path: path.to_owned(), max_bytes: None, outbox: false };
        Ok(Self { opened: schema::open(&options)? })
    }

    /// Calls `take` with all rows of a table, some at a time. Returns how many there were.
    pub(in crate::server::journal) fn read(
        &self,
        table: &Table,
        mut take: impl FnMut(Vec<Vec<Cell>>) -> Result<(), JournalError>,
    ) -> Result<u64, JournalError> {
        let connection: &Connection = &self.opened.connection;
        let mut statement = connection.prepare(&select(table))?;
        let mut rows = statement.query([])?;
        let (mut some, mut count) = (Vec::with_capacity(AT_ONCE), 0);
        while let Some(row) = rows.next()? {
            some.push(cells(table, row)?);
            count += 1;
            if some.len() == AT_ONCE {
                take(std::mem::replace(&mut some, Vec::with_capacity(AT_ONCE)))?;
            }
        }
        if !some.is_empty() {
            take(some)?;
        }
        Ok(count)
    }
}

fn cells(table: &Table, row: &Row<'_>) -> rusqlite::Result<Vec<Cell>> {
    let cell = |(place, (_, kind)): (usize, &(&str, Kind))| {
        Ok(match kind {
            Kind::Text => Cell::Text(row.get(place)?),
            Kind::Integer => Cell::Integer(row.get(place)?),
            Kind::Flag => Cell::Flag(row.get(place)?),
            Kind::Bytes => Cell::Bytes(row.get(place)?),
        })
    };
    table.columns.iter().enumerate().map(cell).collect()
}

/// The rows with the columns of the table that takes them over. What is a table of its
/// own in a file is joined; node runs come in the order of their creation.
fn select(table: &Table) -> String {
    let columns: Vec<&str> = table.columns.iter().map(|(name, _)| *name).collect();
    match table.name {
        "runs" => "SELECT runs.run_id, version, terminal, deadline, changed_at,
                          CASE WHEN terminal THEN changed_at END, coalesce(started_at, 0),
                          coalesce(state, body ->> '$.run.state'), ended_at, node_type, node_version, owner, error_code,
                          labels, coalesce(held, 0), rerun_of, body
                   FROM runs LEFT JOIN run_list USING (run_id)"
            .to_owned(),
        "node_runs" => {
            let columns = columns[..columns.len() - 2].join(", ");
            format!(
                "SELECT {columns},
                        (SELECT content FROM node_payloads AS p
                         WHERE p.node_run_id = node_runs.node_run_id AND member = 'inputs'),
                        (SELECT content FROM node_payloads AS p
                         WHERE p.node_run_id = node_runs.node_run_id AND member = 'outputs')
                 FROM node_runs ORDER BY rowid"
            )
        }
        "notices" => "SELECT at, body FROM notices ORDER BY id".to_owned(),
        name => format!("SELECT {} FROM {name}", columns.join(", ")),
    }
}
