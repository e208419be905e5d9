//! `journal check` of the final journal.

use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use super::{coordinator::Place, history::Violation, testbed::Testbed};

/// Its findings. `None`: the program has no such command.
pub(super) fn journal(place: &Place, testbed: &Testbed) -> Result<Option<Option<Violation>>> {
    let program = &place.program;
    let knows = Command::new(program).args(["journal", "check", "--help"]).stdin(Stdio::null()).output();
    if !knows.is_ok_and(|output| output.status.success()) {
        return Ok(None);
    }
    let vars = vec![("JARVIS_RUN_COORDINATOR_JOURNAL", place.journal())];
    let mut command = testbed.disk.command(program, testbed.folder(), vars);
    let output = command.args(["journal", "check"]).output().context("check the journal")?;
    let said = [output.stdout, output.stderr].concat();
    Ok(Some((!output.status.success()).then(|| Violation {
        rule: "journal",
        subject: "journal check".into(),
        what: format!("{}: {}", output.status, String::from_utf8_lossy(&said).trim()),
    })))
}
