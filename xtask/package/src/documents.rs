//! What people get with the program: its documents, its licences and bill of
//! materials, and what the program says about itself (manual pages, completions).

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use xtask_support::workspace::{self, PROGRAM};

use crate::files::{DATA, Files};

pub(crate) const LICENCE: &str = "LICENSE";
pub(crate) const THIRD_PARTY: &str = "THIRD-PARTY-LICENCES.txt";
pub(crate) const BILL: &str = "sbom.cdx.json";

/// Documents of the project: where they are, and their names in a package.
const OF_PROJECT: [(&str, &str); 4] = [
    ("LICENSE", LICENCE),
    ("README.md", "README.md"),
    ("CHANGELOG.md", "CHANGELOG.md"),
    (".env.example", "env.example"),
];

/// Completions, by the shell and the name that it looks for.
const SHELLS: [(&str, &str); 3] = [
    ("bash", "jarvis-run-coordinator"),
    ("zsh", "_jarvis-run-coordinator"),
    ("fish", "jarvis-run-coordinator.fish"),
];

#[derive(Clone, Debug, Default)]
pub struct Documents {
    /// By their names in a package.
    pub texts: BTreeMap<&'static str, String>,
    /// The manual pages, by file name.
    pub manual: Files,
    /// The completions: `bash/…`, `zsh/…`, `fish/…`.
    pub completions: Files,
}

impl Documents {
    pub fn of(program: &Path, third_party: String, bill: String) -> Result<Self> {
        let mut texts = BTreeMap::from([(THIRD_PARTY, third_party), (BILL, bill)]);
        for (path, name) in OF_PROJECT {
            texts.insert(name, file_of_project(path)?);
        }
        Ok(Self { texts, manual: manual(program)?, completions: completions(program)? })
    }

    /// A text, empty if there is none.
    pub fn text(&self, name: &str) -> &str {
        self.texts.get(name).map_or("", String::as_str)
    }
}

pub(crate) fn file_of_project(path: &str) -> Result<String> {
    fs::read_to_string(workspace::root().join(path)).with_context(|| format!("read {path}"))
}

fn manual(program: &Path) -> Result<Files> {
    let folder = tempfile::tempdir().context("make a folder")?;
    said(Command::new(program).arg("man").arg(folder.path()))?;
    let mut pages = Files::default();
    for entry in fs::read_dir(folder.path()).context("list the manual pages")? {
        let path = entry.context("list the manual pages")?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let page = fs::read(&path).with_context(|| format!("read {name}"))?;
        pages.add(name, DATA, page);
    }
    Ok(pages)
}

fn completions(program: &Path) -> Result<Files> {
    let mut all = Files::default();
    for (shell, name) in SHELLS {
        let script = said(Command::new(program).args(["completions", shell]))?;
        all.add(format!("{shell}/{name}"), DATA, script);
    }
    Ok(all)
}

fn said(command: &mut Command) -> Result<Vec<u8>> {
    let output = command.output().with_context(|| format!("run {PROGRAM}"))?;
    ensure!(output.status.success(), "{PROGRAM}: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(output.stdout)
}
