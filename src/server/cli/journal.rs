//! The command `journal`: backs up, checks and compacts a journal, rotates its key,
//! and prints the result.
//!
//! | subcommand | server | writes |
//! |---|---|---|
//! | `backup` | may run | a new file |
//! | `check` | may run | nothing |
//! | `audit` | may run | nothing |
//! | `export` | may run | a new file |
//! | `compact` | must not run | the journal |
//! | `copy` | must not run | an empty database, or a new file |
//! | `rotate-key` | may run | the keys in the journal |
//!
//! On a database, `backup` and `compact` are what PostgreSQL has tools for.
//!
//! [`crate::journal::sqlite`] and [`crate::journal::postgres`] do the work.

mod audit;
mod database;
mod export;
mod rotate_key;

use std::{
    fmt,
    io::{self, Write},
    path::{Path, PathBuf},
};

pub use self::database::Database;
use super::{
    args::JournalCommand,
    exit::{Exit, Failure},
    output::Printer,
};
use crate::{
    auth::{KeyringError, OldKeys},
    config::SecretError,
    evidence,
    journal::{AuditFilter, JournalError, OpenError, Parked, Report, postgres::CopyError, sqlite},
    time::Timestamp,
    transport::TlsError,
};

/// Why a subcommand failed.
#[derive(Debug, thiserror::Error)]
pub enum MaintenanceError {
    #[error("{0}")]
    Journal(#[from] OpenError),
    #[error("the keys were not rotated: {0}")]
    Keys(#[from] KeyringError),
    #[error(
        "the journal has no key of assignment tokens: the server makes one when it first starts with \
         authentication"
    )]
    NoKey,
    #[error("the run was not exported: {0}")]
    Export(#[from] sqlite::ExportError),
    #[error("journal {command} is not for {url}: use {instead}")]
    NotHere { command: &'static str, url: String, instead: &'static str },
    #[error("{0}")]
    Secret(#[from] SecretError),
    #[error("{0}")]
    Tls(#[from] TlsError),
    #[error("{0}")]
    Database(#[from] JournalError),
    #[error("what was received is not whole: {0}")]
    NotWhole(#[from] evidence::Fault),
    #[error("{0}")]
    Copy(#[from] CopyError),
    #[error("cannot make {}: {source}", file.display())]
    File { file: PathBuf, source: io::Error },
    #[error("cannot write the report: {0}")]
    Report(#[from] io::Error),
}

impl From<MaintenanceError> for Failure {
    fn from(error: MaintenanceError) -> Self {
        match error {
            MaintenanceError::Report(error) => error.into(),
            MaintenanceError::Journal(_)
            | MaintenanceError::Keys(_)
            | MaintenanceError::NoKey
            | MaintenanceError::NotHere { .. }
            | MaintenanceError::Secret(_)
            | MaintenanceError::Database(_)
            | MaintenanceError::Tls(_)
            | MaintenanceError::Copy(_)
            | MaintenanceError::NotWhole(_)
            | MaintenanceError::Export(_)
            | MaintenanceError::File { .. } => Self::new(Exit::Journal, error),
        }
    }
}

/// Runs the subcommand, and returns whether the journal is sound.
pub fn run(
    command: &JournalCommand,
    journal: &Path,
    now: Timestamp,
    out: &mut dyn Write,
) -> Result<bool, MaintenanceError> {
    match command {
        JournalCommand::Backup { file } => backup(journal, file, out),
        JournalCommand::Check { file } => check(file.as_deref().unwrap_or(journal), out),
        JournalCommand::Audit { run, since, actor, outcome, shown } => {
            let (run_id, actor) = (run.clone(), actor.clone());
            let filter = AuditFilter {
                run_id,
                since: since.map(|since| since.from(now)),
                actor,
                outcome: *outcome,
                ..AuditFilter::default()
            };
            let reader = sqlite::AuditReader::open(journal)?;
            let page = |after, limit| Ok(reader.page(after, &filter, limit)?);
            audit::print(page, Printer::stdout().form(shown.output), out)
        }
        JournalCommand::Export { run, file } => export::export(journal, run, file, now, out),
        JournalCommand::RotateKey { revoke_old } => {
            let old_keys = if *revoke_old { OldKeys::Revoke } else { OldKeys::Keep };
            rotate_key::rotate_key(journal, old_keys, now, out)
        }
        JournalCommand::Copy { .. } => Err(MaintenanceError::NotHere {
            command: "copy",
            url: journal.display().to_string(),
            instead: "it with the URL of a database",
        }),
        JournalCommand::Compact { finished_before } => {
            let before = finished_before.map(|age| now - age);
            compact(journal, before, out)
        }
    }
}

fn backup(journal: &Path, file: &Path, out: &mut dyn Write) -> Result<bool, MaintenanceError> {
    let (contents, bytes) = sqlite::backup(journal, file)?;
    writeln!(out, "{}: {contents}, {bytes} bytes", file.display())?;
    Ok(true)
}

fn check(file: &Path, out: &mut dyn Write) -> Result<bool, MaintenanceError> {
    print_report(&file.display(), &sqlite::check(file)?, out)
}

/// Prints what a check has found, and returns whether the journal is sound.
fn print_report(
    journal: &dyn fmt::Display,
    report: &Report,
    out: &mut dyn Write,
) -> Result<bool, MaintenanceError> {
    let Report { schema, contents, outbox, parked, problems } = report;
    writeln!(out, "{journal}: schema {schema}, {contents}, {outbox} outbox entries")?;
    for (item, times) in parked {
        let Parked { run_id, node_run_id, job, error, since, until } = item;
        let node = node_run_id.as_ref().map(|node| format!(", node run {node}")).unwrap_or_default();
        writeln!(
            out,
            "parked: run {run_id}{node}: {job} has failed {times} times since {since}, next attempt at {until}: {error}"
        )?;
    }
    for problem in &problems.words {
        writeln!(out, "problem: {problem}")?;
    }
    match problems.count {
        0 => writeln!(out, "sound")?,
        1 => writeln!(out, "not sound: 1 problem")?,
        count if count == problems.words.len() => writeln!(out, "not sound: {count} problems")?,
        count => writeln!(out, "not sound: {count} problems, the first {} above", problems.words.len())?,
    }
    Ok(problems.count == 0)
}

fn compact(journal: &Path, before: Option<Timestamp>, out: &mut dyn Write) -> Result<bool, MaintenanceError> {
    let sqlite::Compacted { runs_pruned, bytes_before, bytes_after } = sqlite::compact(journal, before)?;
    if let Some(before) = before {
        writeln!(out, "deleted {runs_pruned} runs that finished before {before}")?;
    }
    writeln!(out, "{}: {bytes_before} bytes before, {bytes_after} after", journal.display())?;
    Ok(true)
}
