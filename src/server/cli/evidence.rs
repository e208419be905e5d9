//! The commands `runs verify` and `runs diff`, on files that `journal export` made.
//! They need neither a server nor a journal.

use std::{
    fs::File,
    io::{self, BufReader, Write},
    path::{Path, PathBuf},
};

use super::exit::Exit;
use crate::evidence::{self, Bundle, Fault, Footer, Summary};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum EvidenceError {
    #[error("{}: {source}", file.display())]
    File { file: PathBuf, source: Fault },
    #[error("{}: its hash is {found}, not {expected}: it is another bundle", file.display())]
    OtherHash { file: PathBuf, found: String, expected: String },
    #[error("cannot write the report: {0}")]
    Report(#[from] io::Error),
}

fn read(file: &Path) -> Result<Bundle, EvidenceError> {
    let failed = |source: Fault| EvidenceError::File { file: file.to_owned(), source };
    let opened = File::open(file).map_err(|error| failed(error.into()))?;
    evidence::read(BufReader::new(opened)).map_err(failed)
}

/// Checks that a bundle is whole and unchanged.
pub(super) fn verify(
    file: &Path,
    expected: Option<&str>,
    out: &mut dyn Write,
) -> Result<Exit, EvidenceError> {
    let bundle = read(file)?;
    let Summary { run_id, state, counts, hash } = bundle.summary();
    if let Some(expected) = expected.filter(|expected| !expected.eq_ignore_ascii_case(&hash)) {
        let (file, expected) = (file.to_owned(), expected.to_owned());
        return Err(EvidenceError::OtherHash { file, found: hash, expected });
    }
    let Footer { node_runs, events, attempts, audit } = counts;
    writeln!(
        out,
        "run {run_id}: {state}, exported at {}: {node_runs} node runs, {events} events, {attempts} failed \
         attempts, {audit} audit records",
        bundle.header.exported_at
    )?;
    writeln!(out, "whole and unchanged, hash {hash}")?;
    if expected.is_none() {
        writeln!(out, "compare the hash with the one that the export printed, or give it with --hash")?;
    }
    Ok(Exit::Ok)
}

/// Shows where two runs parted.
pub(super) fn diff(first: &Path, second: &Path, out: &mut dyn Write) -> Result<Exit, EvidenceError> {
    let (a, b) = (read(first)?, read(second)?);
    let differences = evidence::diff(&a, &b);
    let Some(parted) = differences.first() else {
        writeln!(out, "the runs {} and {} do not differ", a.header.run_id, b.header.run_id)?;
        return Ok(Exit::Ok);
    };
    writeln!(out, "the runs {} and {} part at {}", a.header.run_id, b.header.run_id, parted.path)?;
    for difference in &differences {
        writeln!(out, "{difference}")?;
    }
    Ok(Exit::Differs)
}
