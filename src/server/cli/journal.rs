//! The command `journal`: copies, checks and compacts a journal, and says in
//! words what came of it.
//!
//! | | server | it writes |
//! |---|---|---|
//! | `backup` | may run | a new file |
//! | `check` | may run | nothing |
//! | `compact` | must not run | the journal |
//!
//! How it is done is the business of [`crate::journal::sqlite`].

use std::{
    io::{self, Write},
    path::Path,
};

use super::JournalCommand;
use crate::{
    journal::{OpenError, Parked, sqlite},
    time::Timestamp,
};

/// Why it could not be done.
#[derive(Debug, thiserror::Error)]
pub enum UpkeepError {
    #[error("{0}")]
    Journal(#[from] OpenError),
    #[error("cannot write the report: {0}")]
    Report(#[from] io::Error),
}

/// Whether all is well.
pub fn run(
    command: &JournalCommand,
    journal: &Path,
    now: Timestamp,
    out: &mut dyn Write,
) -> Result<bool, UpkeepError> {
    match command {
        JournalCommand::Backup { file } => backup(journal, file, out),
        JournalCommand::Check { file } => check(file.as_deref().unwrap_or(journal), out),
        JournalCommand::Compact { finished_before } => {
            let before = finished_before.map(|age| now - age);
            compact(journal, before, out)
        }
    }
}

fn backup(journal: &Path, file: &Path, out: &mut dyn Write) -> Result<bool, UpkeepError> {
    let (contents, bytes) = sqlite::backup(journal, file)?;
    writeln!(out, "{}: {contents}, {bytes} bytes", file.display())?;
    Ok(true)
}

fn check(file: &Path, out: &mut dyn Write) -> Result<bool, UpkeepError> {
    let sqlite::Report { schema, contents, outbox, parked, problems } = sqlite::check(file)?;
    writeln!(out, "{}: schema {schema}, {contents}, {outbox} owed to the JARVIS stores", file.display())?;
    for (item, times) in &parked {
        let Parked { run_id, node_run_id, job, error, since, until } = item;
        let node = node_run_id.as_ref().map(|node| format!(", node run {node}")).unwrap_or_default();
        writeln!(
            out,
            "parked: run {run_id}{node}: {job} fails since {since} ({times} times), next at {until}: {error}"
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

fn compact(journal: &Path, before: Option<Timestamp>, out: &mut dyn Write) -> Result<bool, UpkeepError> {
    let sqlite::Compacted { runs_pruned, bytes_before, bytes_after } = sqlite::compact(journal, before)?;
    if let Some(before) = before {
        writeln!(out, "{runs_pruned} runs deleted that were finished before {before}")?;
    }
    writeln!(out, "{}: {bytes_before} bytes before, {bytes_after} after", journal.display())?;
    Ok(true)
}
