//! The evidence of one run, row by row: memory does not grow with the run.

use std::{
    io::{self, Write},
    path::Path,
};

use rusqlite::{Connection, OptionalExtension, Row};

use super::{
    contents::View,
    encoding::from_json,
    migrations::AUDIT_TRAIL_SINCE,
    rows::{HeadRow, NodeRow, RunRow},
};
use crate::{
    evidence::BundleWriter,
    journal::{JournalError, OpenError},
    record::{AttemptRecord, AuditRecord},
    time::Timestamp,
    types::{RunEvent, RunId},
};

/// Why a run was not exported. What was written by then is not a bundle: it has no
/// footer.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error("{0}")]
    Open(#[from] OpenError),
    #[error("the journal has no run {0}")]
    NoRun(RunId),
    #[error("the journal has schema {0}: start the server on it first")]
    OldSchema(i64),
    #[error("cannot read the run: {0}")]
    Read(#[from] JournalError),
    #[error("cannot write the bundle: {0}")]
    Write(#[from] io::Error),
}

/// Writes everything that the journal has about a run, as of one moment, also while
/// a server uses it. Returns the hash of the bundle.
pub fn export(journal: &Path, run: &RunId, now: Timestamp, out: impl Write) -> Result<String, ExportError> {
    let view = View::open(journal)?;
    if view.schema < AUDIT_TRAIL_SINCE {
        return Err(ExportError::OldSchema(view.schema));
    }
    write(&view.connection, run, now, out)
}

/// The same on a connection that sees one moment.
fn write(
    connection: &Connection,
    run: &RunId,
    now: Timestamp,
    out: impl Write,
) -> Result<String, ExportError> {
    let id = run.as_str();
    let columns = RunRow::COLUMNS;
    let row = connection
        .query_row(&format!("SELECT {columns} FROM runs WHERE run_id = ?"), [id], RunRow::read)
        .optional()
        .map_err(JournalError::from)?;
    let record = row.ok_or_else(|| ExportError::NoRun(run.clone()))?.decode()?;
    let mut bundle = BundleWriter::begin(out, record, now)?;
    let (head, content) = (HeadRow::COLUMNS, NodeRow::CONTENT);
    // A parent's path is the start of its children's: it comes before them.
    let nodes = format!("SELECT {head}, {content} FROM node_runs WHERE run_id = ? ORDER BY path");
    each(connection, &nodes, id, |row| {
        Ok(bundle.node_run(NodeRow::read(row).map_err(JournalError::from)?.decode()?)?)
    })?;
    let events = "SELECT body FROM events WHERE run_id = ? ORDER BY seq";
    each(connection, events, id, |row| Ok(bundle.event(&body::<RunEvent>(id, row)?)?))?;
    let attempts = "SELECT a.body FROM node_runs n JOIN attempts a USING (node_run_id)
                    WHERE n.run_id = ? ORDER BY n.path, a.attempt";
    each(connection, attempts, id, |row| Ok(bundle.attempt(&body::<AttemptRecord>(id, row)?)?))?;
    let audit = "SELECT body FROM audit_trail WHERE run_id = ? ORDER BY id";
    each(connection, audit, id, |row| Ok(bundle.audit(&body::<AuditRecord>(id, row)?)?))?;
    Ok(bundle.end()?)
}

fn each(
    connection: &Connection,
    sql: &str,
    run: &str,
    mut take: impl FnMut(&Row<'_>) -> Result<(), ExportError>,
) -> Result<(), ExportError> {
    let mut statement = connection.prepare_cached(sql).map_err(JournalError::from)?;
    let mut rows = statement.query([run]).map_err(JournalError::from)?;
    while let Some(row) = rows.next().map_err(JournalError::from)? {
        take(row)?;
    }
    Ok(())
}

fn body<T: serde::de::DeserializeOwned>(run: &str, row: &Row<'_>) -> Result<T, ExportError> {
    let text = row.get_ref(0).and_then(|value| Ok(value.as_str()?)).map_err(JournalError::from)?;
    Ok(from_json(run, text)?)
}
