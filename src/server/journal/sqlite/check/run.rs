//! The rows of one run.

use rusqlite::Connection;

use crate::journal::{
    JournalError, Problems,
    check::RunRows,
    rows::{HeadRow, NodeRow, RunRow},
};

/// An error means that the rows could not be read at all.
pub(super) fn check(
    connection: &Connection,
    run: RunRow,
    problems: &mut Problems,
) -> Result<(), JournalError> {
    let id = run.run_id.to_string();
    let (head, content) = (HeadRow::COLUMNS, NodeRow::CONTENT);
    let nodes = connection
        .prepare_cached(&format!("SELECT {head}, {content} FROM node_runs WHERE run_id = ?"))?
        .query_map([&id], |row| NodeRow::read(row))?
        .collect::<Result<_, _>>()?;
    let events = connection
        .prepare_cached("SELECT seq, body FROM events WHERE run_id = ? ORDER BY seq")?
        .query_map([&id], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let attempts = connection
        .prepare_cached(
            "SELECT node_run_id, body FROM attempts
             WHERE node_run_id IN (SELECT node_run_id FROM node_runs WHERE run_id = ?)",
        )?
        .query_map([&id], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    RunRows { run, nodes, events, attempts }.check(problems);
    Ok(())
}
