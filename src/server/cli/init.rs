//! `init`: writes a commented `.env.local` for a profile into the working directory.
//!
//! **Invariants:** a file that exists is replaced only if that is asked for, and then as
//! a whole. The file can be read by its user only: secrets will be in it.

use std::{
    fs,
    io::{self, Write},
    path::Path,
};

use super::{
    exit::{Exit, Failure},
    output::Printer,
};
use crate::{
    config::{LayeredVars, Source, Template, Vars},
    journal::sqlite::private,
};

const FILE: &str = ".env.local";
/// Becomes the file when it is complete.
const DRAFT: &str = ".env.local.new";

/// Writes the file, and says what comes next.
pub(super) fn init(
    folder: &Path,
    template: Template,
    force: bool,
    printer: Printer,
) -> Result<Exit, Failure> {
    let file = folder.join(FILE);
    let written = if force { replace(folder, &file, template) } else { create(&file, template) };
    match written {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(Failure::config(format!("{FILE} exists, and was not changed. --force replaces it.")));
        }
        Err(error) => return Err(Failure::config(format!("cannot write {}: {error}", file.display()))),
        Ok(()) => {}
    }
    let (name, advice) = (template.name(), template.advice());
    printer.line(&format!("wrote {FILE} for the profile {name}. {advice}"))?;
    for name in overridden(folder, template)? {
        printer.line(&format!("warning: the environment sets {name}, which precedes the file"))?;
    }
    printer.line(
        "\njarvis-run-coordinator doctor    checks what it sets\njarvis-run-coordinator           starts the server",
    )?;
    Ok(Exit::Ok)
}

fn create(file: &Path, template: Template) -> io::Result<()> {
    let mut made = private(file)?;
    made.write_all(template.text().as_bytes())?;
    made.sync_all()
}

fn replace(folder: &Path, file: &Path, template: Template) -> io::Result<()> {
    let draft = folder.join(DRAFT);
    // Left by an attempt that was killed.
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    create(&draft, template)?;
    fs::rename(&draft, file)
}

/// What the file sets to no effect.
fn overridden(folder: &Path, template: Template) -> Result<Vec<&'static str>, Failure> {
    let vars = LayeredVars::load(folder).map_err(Failure::config)?;
    let is_overridden = |name: &&str| vars.source(name) == Some(Source::Environment);
    Ok(template.values().iter().map(|(name, _)| *name).filter(is_overridden).collect())
}
