//! `cargo xtask tidy`: the rules that no compiler knows. Who may import whom
//! is the table of [`rules`]; the other rules are in `text`.
//!
//! ```text
//!  tracked files ──▶ Source ──▶ text      size, docs, words, paths
//!                       ├─ proofs    tests that documents name
//!                       ├─ references  sections, decisions, links
//!                       │
//!                       └─ tokens ──▶ imports ──▶ layers ◀── rules
//! ```

mod imports;
mod layers;
mod proofs;
mod references;
pub mod rules;
mod text;
mod tokens;

use std::fs;

use anyhow::{Context, Result, ensure};

use crate::workspace;

#[derive(clap::Args, Debug, Default)]
pub struct Args {}

/// A file to look at.
#[derive(Clone, Debug)]
pub struct Source {
    /// Relative to the workspace, with `/`.
    pub path: String,
    pub text: String,
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub level: Level,
    pub path: String,
    /// 0: the file as a whole.
    pub line: usize,
    /// What is wrong, and what to do about it.
    pub message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Warning,
    Error,
}

pub fn run(_: &Args) -> Result<()> {
    let sources = sources()?;
    let findings = check(&sources);
    for Finding { level, path, line, message } in &findings {
        let level = match level {
            Level::Warning => "warning",
            Level::Error => "error",
        };
        let line = if *line == 0 { String::new() } else { format!(":{line}") };
        println!("{level}: {path}{line}: {message}");
    }
    let errors = findings.iter().filter(|finding| finding.level == Level::Error).count();
    ensure!(errors == 0, "tidy: {errors} to be mended");
    println!("tidy: {} files, {} warnings", sources.len(), findings.len());
    Ok(())
}

/// Everything that is wrong with these files, file by file.
pub fn check(sources: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let targets = references::Targets::of(sources);
    for source in sources {
        let mut report = Report { path: &source.path, findings: &mut findings };
        text::check(source, &mut report);
        references::check(source, &targets, &mut report);
        if source.path.ends_with(".md") {
            proofs::check(source, sources, &mut report);
        }
        if is_rust(&source.path) {
            let tokens = tokens::tokens(&source.path, &source.text);
            text::check_rust(source, &tokens, &mut report);
            layers::check(source, &tokens, &mut report);
        }
    }
    findings
}

fn is_rust(path: &str) -> bool {
    path.ends_with(".rs")
}

/// The tracked text files.
fn sources() -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    for path in workspace::tracked_files()? {
        let full = workspace::root().join(&path);
        // Deleted, but not yet in git; or a link to a directory.
        if !full.is_file() {
            continue;
        }
        let bytes = fs::read(&full).with_context(|| format!("read {path}"))?;
        // What is not text has nothing to be read.
        if let Ok(text) = String::from_utf8(bytes) {
            sources.push(Source { path, text });
        }
    }
    Ok(sources)
}

/// Takes down what is found in one file.
struct Report<'r> {
    path: &'r str,
    findings: &'r mut Vec<Finding>,
}

impl Report<'_> {
    fn error(&mut self, line: usize, message: String) {
        self.add(Level::Error, line, message);
    }
    fn warning(&mut self, line: usize, message: String) {
        self.add(Level::Warning, line, message);
    }
    fn add(&mut self, level: Level, line: usize, message: String) {
        self.findings.push(Finding { level, path: self.path.to_owned(), line, message });
    }
}
