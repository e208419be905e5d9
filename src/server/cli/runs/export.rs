//! `runs export`: everything that is recorded about a run, as one file.
//!
//! ```text
//!   operator API ──▶ FILE ──▶ verified ──▶ its hash      or stdout, unverified
//! ```
//!
//! **Invariant:** after a failure there is no file.

use std::{
    fs::{self, File},
    io::{self, BufReader, BufWriter, Write},
    path::Path,
};

use futures::StreamExt;
use serde::Serialize;

use super::super::{
    args::{Form, Shown},
    exit::{Exit, Failure},
    output::Printer,
    remote::{OperatorClient, Remote},
};
use crate::{evidence, journal::sqlite::private, types::RunId};

/// What was exported.
#[derive(Serialize)]
struct Exported<'e> {
    run_id: &'e RunId,
    file: &'e Path,
    hash: &'e str,
}

/// Exports a run to a file, or to stdout.
pub(super) async fn export(
    remote: &Remote<OperatorClient>,
    printer: Printer,
    run: &RunId,
    file: Option<&Path>,
    shown: Shown,
) -> Result<Exit, Failure> {
    let Some(file) = file else {
        if printer.is_terminal() {
            return Err(Failure::new(Exit::Usage, "stdout is a terminal: name a file with -O"));
        }
        receive(remote, run, &mut io::stdout().lock()).await?;
        return Ok(Exit::Ok);
    };
    let cannot = |error: io::Error| Failure::config(format!("cannot write {}: {error}", file.display()));
    // Readable by its user only: inputs and outputs may be secret.
    let made = private(file).map_err(cannot)?;
    let hash = write(remote, run, made, file).await.inspect_err(|_| {
        let _ = fs::remove_file(file);
    })?;
    match printer.form(shown.output) {
        Form::Table => printer.line(&format!("{}: run {run}, hash {hash}", file.display()))?,
        Form::Json => printer.json(&Exported { run_id: run, file, hash: &hash })?,
    }
    Ok(Exit::Ok)
}

/// Writes the file and reads it again. Returns the hash of the bundle.
async fn write(
    remote: &Remote<OperatorClient>,
    run: &RunId,
    made: File,
    file: &Path,
) -> Result<String, Failure> {
    let cannot = |error: io::Error| Failure::config(format!("cannot write {}: {error}", file.display()));
    let mut out = BufWriter::new(made);
    receive(remote, run, &mut out).await?;
    let written = out.into_inner().map_err(|error| cannot(error.into_error()))?;
    written.sync_all().map_err(cannot)?;
    let bundle = File::open(file).map_err(cannot)?;
    let bundle = evidence::read(BufReader::new(bundle))
        .map_err(|fault| Failure::new(Exit::NoAnswer, format!("what was received is not whole: {fault}")))?;
    Ok(bundle.summary().hash)
}

async fn receive(remote: &Remote<OperatorClient>, run: &RunId, out: &mut dyn Write) -> Result<(), Failure> {
    let client = remote.client();
    let asked = format!("GET /x/runs/{run}/export");
    let answer = remote.answer(&asked, client.call(client.export_run(run.as_str()))).await?;
    let mut pieces = answer.into_inner();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|error| Failure::new(Exit::NoAnswer, format!("{asked}: {error}")))?;
        out.write_all(&piece)?;
    }
    Ok(out.flush()?)
}
