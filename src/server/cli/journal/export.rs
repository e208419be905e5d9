//! `journal export`: the evidence of a run, as a file of its own.
//!
//! ```text
//!   journal ──one moment──▶ FILE: run · node runs · events · attempts · audit, chained by hashes
//! ```

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
};

use super::MaintenanceError;
use crate::{
    journal::sqlite::{self, ExportError},
    time::Timestamp,
    types::RunId,
};

/// Writes the bundle, and prints the hash by which `runs verify` knows it again.
/// After a failure there is no file.
pub(super) fn export(
    journal: &Path,
    run: &RunId,
    file: &Path,
    now: Timestamp,
    out: &mut dyn Write,
) -> Result<bool, MaintenanceError> {
    let write = |file: File| {
        let mut buffered = BufWriter::new(file);
        let hash = sqlite::export(journal, run, now, &mut buffered)?;
        let file = buffered.into_inner().map_err(std::io::IntoInnerError::into_error)?;
        file.sync_all()?;
        Ok::<_, ExportError>(hash)
    };
    // Readable by its user only: inputs and outputs may be secret.
    let made =
        sqlite::private(file).map_err(|source| MaintenanceError::File { file: file.into(), source })?;
    let hash = write(made).inspect_err(|_| {
        let _ = std::fs::remove_file(file);
    })?;
    writeln!(out, "{}: run {run}, hash {hash}", file.display())?;
    Ok(true)
}
