//! Whether a journal is sound: the file, what belongs together in it, and run
//! by run what is always true of one. It only reads, also while a server works.
//!
//! - `run`: one run at a time, so that memory does not grow with their number.
//!   What is deeper than columns is asked of [`audit`](crate::audit).

mod run;

use std::path::Path;

use rusqlite::Connection;

use super::{
    contents::{Contents, View},
    migrations::KNOWN,
    parking,
    rows::RunRow,
};
use crate::journal::{JournalError, OpenError, Parked};

/// So many are kept in words; the others are only counted.
const PROBLEMS_MAX: usize = 100;

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub schema: i64,
    pub contents: Contents,
    pub outbox: i64,
    /// What fails again and again, and how often it was put aside for that. Not
    /// a fault of the journal.
    pub parked: Vec<(Parked, u32)>,
    pub problems: Problems,
}

/// What should not be so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems {
    /// The first of them.
    pub words: Vec<String>,
    pub count: usize,
}

impl Problems {
    fn add(&mut self, what: String) {
        self.count += 1;
        if self.words.len() < PROBLEMS_MAX {
            self.words.push(what);
        }
    }
}

/// Looks at everything. An error says that this could not be done at all.
pub fn check(path: &Path) -> Result<Report, OpenError> {
    let view = View::open(path)?;
    let at = view.at();
    if view.schema < KNOWN {
        return Err(at.io(std::io::Error::other(format!(
            "the journal has schema {}, and what is checked is {KNOWN}: start the server on it, or on a copy",
            view.schema
        ))));
    }
    // All is looked at as it is now.
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
    // In a file that is not whole, what is missing says nothing new.
    if whole && let Err(failure) = records(&view.connection, &mut problems) {
        problems.add(format!("not everything could be looked at: {failure}"));
    }
    Ok(Report { problems, ..report })
}

/// What SQLite says of its file, constraints included.
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

/// For a journal that has no file.
#[cfg(any(test, feature = "test-util"))]
pub(super) fn check_records(connection: &Connection) -> Problems {
    let mut problems = Problems::default();
    if let Err(failure) = file(connection, &mut problems) {
        problems.add(format!("file: {failure}"));
    }
    if let Err(failure) = records(connection, &mut problems) {
        problems.add(format!("not everything could be looked at: {failure}"));
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
    Ok(())
}

/// What is of a run or of a node run that is not there.
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
            "inputs or outputs that no node run names",
            "SELECT DISTINCT node_run_id FROM node_payloads
             WHERE NOT EXISTS (SELECT 1 FROM node_runs
                               WHERE node_runs.node_run_id = node_payloads.node_run_id
                                 AND apart & CASE member WHEN 'inputs' THEN 1 ELSE 2 END)",
        ),
        (
            "owed without its run",
            "SELECT DISTINCT run_id FROM outbox WHERE run_id NOT IN (SELECT run_id FROM runs)",
        ),
        (
            "owed without its node run",
            "SELECT DISTINCT node_run_id FROM outbox
             WHERE node_run_id IS NOT NULL AND node_run_id NOT IN (SELECT node_run_id FROM node_runs)",
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
