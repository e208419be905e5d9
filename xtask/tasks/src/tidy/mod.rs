//! `cargo xtask tidy`: the rules that no compiler knows. The table of who may
//! import whom is in [`rules`].
//!
//! ```text
//!  tracked files ──▶ Source ─┬─▶ text      size, documentation, paths, unfinished work
//!                            ├─▶ commit_path  statements that make commits wait
//!                            ├─▶ words     banned words, names of tests
//!                            ├─▶ proofs    tests that documents name
//!                            ├─▶ references  sections, decisions, links, quotes
//!                            ├─▶ summary   pages that the site would not have
//!                            │
//!                            └─▶ tokens ─▶ imports ─┬─▶ layers  ◀── rules
//!                                                   └─▶ circles
//! ```

mod circles;
mod commit_path;
mod imports;
mod layers;
mod modules;
mod proofs;
pub(crate) mod references;
pub mod rules;
pub(crate) mod summary;
mod text;
mod tokens;
mod words;

use std::fs;

use anyhow::{Context, Result, ensure};

use xtask_support::workspace;

use self::modules::Module;

#[derive(clap::Args, Debug, Default)]
pub struct Args {}

/// A file to check.
#[derive(Clone, Debug)]
pub struct Source {
    /// Relative to the workspace, with `/`.
    pub path: String,
    pub text: String,
}

/// A breach of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub path: String,
    /// 0 for the file as a whole.
    pub line: usize,
    /// The breach, and how to repair it.
    pub message: String,
}

pub fn run(_: &Args) -> Result<()> {
    let sources = sources()?;
    let findings = check(&sources);
    for Finding { path, line, message } in &findings {
        let line = if *line == 0 { String::new() } else { format!(":{line}") };
        println!("{path}{line}: {message}");
    }
    ensure!(findings.is_empty(), "tidy: {} errors", findings.len());
    println!("tidy: {} files, no errors", sources.len());
    Ok(())
}

/// The findings in these files.
pub fn check(sources: &[Source]) -> Vec<Finding> {
    let (mut findings, mut files) = (Vec::new(), Vec::new());
    let targets = references::Targets::of(sources);
    for source in sources {
        let mut report = Report { path: &source.path, findings: &mut findings };
        text::check(source, &mut report);
        references::check(source, &targets, &mut report);
        words::check(source, &mut report);
        commit_path::check(source, &mut report);
        if source.path.ends_with(".md") {
            proofs::check(source, sources, &mut report);
            summary::check(source, sources, &mut report);
        }
        if is_rust(&source.path) {
            files.extend(check_rust(source, &mut report));
        }
    }
    findings.extend(circles::check(&files));
    findings
}

/// Checks a file of Rust, and says what it imports.
fn check_rust<'s>(source: &'s Source, report: &mut Report<'_>) -> Option<circles::File<'s>> {
    let tokens = match tokens::tokens(&source.path, &source.text) {
        Ok(tokens) => tokens,
        Err(error) => {
            report.error(error.span().start().line, format!("this is not Rust: {error}"));
            return None;
        }
    };
    text::check_rust(source, &tokens, report);
    words::check_names(&tokens, report);
    let module = Module::of_file(&source.path)?;
    let imports = imports::imports(&module.path, &tokens);
    if Module::of_server(&source.path).is_some() {
        layers::check(&module, &imports, &tokens, report);
    }
    Some(circles::File { path: &source.path, module, imports })
}

fn is_rust(path: &str) -> bool {
    path.ends_with(".rs")
}

/// The tracked files.
fn sources() -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    for path in workspace::tracked_files()? {
        let full = workspace::root().join(&path);
        // It was deleted and git does not know yet, or is a link to a directory.
        if !full.is_file() {
            continue;
        }
        let bytes = fs::read(&full).with_context(|| format!("read {path}"))?;
        // Documents link to pictures, too, which have no text to check.
        sources.push(Source { path, text: String::from_utf8(bytes).unwrap_or_default() });
    }
    Ok(sources)
}

/// Collects the findings in one file.
struct Report<'r> {
    path: &'r str,
    findings: &'r mut Vec<Finding>,
}

impl Report<'_> {
    fn error(&mut self, line: usize, message: String) {
        self.findings.push(Finding { path: self.path.to_owned(), line, message });
    }
}
