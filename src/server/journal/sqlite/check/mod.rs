//! The command `journal check`: the file, the references between tables, and the
//! invariants of each run. It only reads, also while a server uses the journal.
//!
//! ```text
//!   integrity_check ─▶ orphans ─▶ each run: rows decode ─▶ columns agree ─▶ invariants
//!                                └─▶ audit records decode
//! ```
//!
//! - `run`: the rows of one run at a time, so that memory does not grow with their number.
//!   What they must satisfy is in [`journal::check`](crate::journal).

mod run;

use std::path::Path;

use rusqlite::Connection;

use super::{audit, contents::View, migrations::KNOWN, parking, rows::RunRow};
use crate::journal::{AuditFilter, AuditId, JournalError, OpenError, Problems, Report};

/// Records of the audit trail that are read at once.
const AUDIT_PAGE: u32 = 1024;

/// Checks everything. An error means that the check could not be carried out.
pub fn check(path: &Path) -> Result<Report, OpenError> {
    let view = View::open(path)?;
    let at = view.at();
    if view.schema < KNOWN {
        return Err(at.io(std::io::Error::other(format!(
            "the journal has schema {}, and only schema {KNOWN} can be checked: start the server on it, or on a copy",
            view.schema
        ))));
    }
    // Everything is checked as of one moment.
    view.connection.execute_batch("BEGIN").map_err(|e| at.sqlite(&e))?;
    let mut problems = Problems::default();
    file(&view.connection, &mut problems).map_err(|e| at.sqlite(&e))?;
    let whole = problems.count == 0;
    let outbox = view.connection.query_one("SELECT count(*) FROM outbox", [], |row| row.get(0));
    let report = Report {
        schema: view.schema,
        contents: view.contents()?,
        outbox: outbox.map_err(|e| at.sqlite(&e))?,
        parked: parking::list(&view.connection, u32::MAX).unwrap_or_default(),
        problems,
    };
    let mut problems = report.problems;
    // In a damaged file, missing rows would only repeat that.
    if whole && let Err(failure) = records(&view.connection, &mut problems) {
        problems.add(format!("the check is incomplete: {failure}"));
    }
    Ok(Report { problems, ..report })
}

/// SQLite's own checks of the file, constraints included.
fn file(connection: &Connection, problems: &mut Problems) -> rusqlite::Result<()> {
    let mut statement = connection.prepare("PRAGMA integrity_check")?;
    let mut verdicts = statement.query([])?;
    while let Some(verdict) = verdicts.next()? {
        let verdict: String = verdict.get(0)?;
        if verdict != "ok" {
            problems.add(format!("file: {verdict}"));
        }
    }
    Ok(())
}

/// The checks for a journal without a file.
#[cfg(any(test, feature = "test-util"))]
pub(super) fn check_records(connection: &Connection) -> Problems {
    let mut problems = Problems::default();
    if let Err(failure) = file(connection, &mut problems) {
        problems.add(format!("file: {failure}"));
    }
    if let Err(failure) = records(connection, &mut problems) {
        problems.add(format!("the check is incomplete: {failure}"));
    }
    problems
}

fn records(connection: &Connection, problems: &mut Problems) -> Result<(), JournalError> {
    orphans(connection, problems)?;
    let mut statement =
        connection.prepare(&format!("SELECT {} FROM runs ORDER BY run_id", RunRow::COLUMNS))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        run::check(connection, RunRow::read(row)?, problems)?;
    }
    audit_trail(connection, problems)
}

/// Records of the audit trail that cannot be read. Their runs may be gone.
fn audit_trail(connection: &Connection, problems: &mut Problems) -> Result<(), JournalError> {
    let mut after = AuditId::default();
    loop {
        let page = audit::page(connection, after, &AuditFilter::default(), AUDIT_PAGE)?;
        for id in page.damaged {
            problems.add(format!("audit record {}: it cannot be read", id.0));
        }
        if page.at_end {
            return Ok(());
        }
        after = page.scanned_to;
    }
}

/// Rows that refer to a run or a node run that does not exist.
fn orphans(connection: &Connection, problems: &mut Problems) -> Result<(), JournalError> {
    for (what, sql) in [
        (
            "node run without its run",
            "SELECT node_run_id FROM node_runs WHERE run_id NOT IN (SELECT run_id FROM runs)",
        ),
        (
            "events without their run",
            "SELECT DISTINCT run_id FROM events WHERE run_id NOT IN (SELECT run_id FROM runs)",
        ),
        (
            "attempts without their node run",
            "SELECT DISTINCT node_run_id FROM attempts WHERE node_run_id NOT IN (SELECT node_run_id FROM node_runs)",
        ),
        (
            "inputs or outputs that no node run refers to",
            "SELECT DISTINCT node_run_id FROM node_payloads
             WHERE NOT EXISTS (SELECT 1 FROM node_runs
                               WHERE node_runs.node_run_id = node_payloads.node_run_id
                                 AND apart & CASE member WHEN 'inputs' THEN 1 ELSE 2 END)",
        ),
        (
            "outbox entry without its run",
            "SELECT DISTINCT run_id FROM outbox WHERE run_id NOT IN (SELECT run_id FROM runs)",
        ),
        (
            "outbox entry without its node run",
            "SELECT DISTINCT node_run_id FROM outbox
             WHERE node_run_id IS NOT NULL AND node_run_id NOT IN (SELECT node_run_id FROM node_runs)",
        ),
        (
            "node run that waits for an approval and is not listed",
            "SELECT node_run_id FROM node_runs WHERE wake_job = 'approval' AND waits_since IS NULL",
        ),
        (
            "run that is not listed",
            "SELECT run_id FROM runs WHERE run_id NOT IN (SELECT run_id FROM run_list)",
        ),
        (
            "listed without its run, or twice",
            "SELECT run_id FROM run_list GROUP BY run_id
             HAVING count(*) > 1 OR run_id NOT IN (SELECT run_id FROM runs)",
        ),
        (
            "labels without their run in the list",
            "SELECT DISTINCT run_id FROM run_labels
             WHERE (started_at, run_id) NOT IN (SELECT started_at, run_id FROM run_list)",
        ),
        (
            "runs counted wrongly",
            "SELECT state FROM (
                 SELECT coalesce(owner, '') AS owner, state, count(*) AS runs FROM run_list GROUP BY 1, 2
                 UNION ALL SELECT owner, state, runs FROM run_counts)
             GROUP BY owner, state, runs HAVING count(*) <> 2",
        ),
        (
            "parked without its run",
            "SELECT DISTINCT run_id FROM parked WHERE run_id NOT IN (SELECT run_id FROM runs)",
        ),
    ] {
        let mut statement = connection.prepare(sql)?;
        let mut ids = statement.query([])?;
        while let Some(row) = ids.next()? {
            problems.add(format!("{what}: {}", row.get::<_, String>(0)?));
        }
    }
    Ok(())
}
