//! `cargo xtask check-spec`: compares our documents with our program, the official
//! specification and the real stores.
//!
//! ```text
//!   the program ◀──▶ openapi/operator.yaml
//!   the program ◀──▶ openapi/run-coordinator.yaml ◀──┐
//!                    openapi/pdp.yaml and its like ◀──┼─▶ the official ones (`specification::sdk`)
//!                    openapi/run-store.yaml …      ◀────▶ what the real stores serve (crate::services)
//! ```
//!
//! Documents are compared by meaning (`specification::openapi`), and all differences
//! are reported at once. Some differences from the official documents and from those
//! of the stores are intended: see [`Accepted`]. None from the program is.

mod accepted;
mod report;

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context, Result, bail, ensure};

pub use self::accepted::Accepted;
use specification::{
    openapi::{Comparison, Difference, Document, compare},
    sdk::{self, Sdk},
};
use xtask_support::{venv, workspace};

use crate::services;

pub(crate) const DOCUMENTS: &str = "openapi";
const OWN: &str = "run-coordinator";
const OPERATOR: &str = "operator";
const PROGRAM: &str = "jarvis-run-coordinator";
const WRITES_OPERATOR: &str = "`EXPECTORATE=overwrite cargo test --lib operator::openapi`";

#[derive(clap::Args, Debug, Default)]
pub struct Args {
    /// Our documents [default: openapi/]
    #[arg(long, value_name = "DIR")]
    pub documents: Option<PathBuf>,
    /// A document to check instead of the one that the program emits
    #[arg(long, value_name = "FILE")]
    pub emitted: Option<PathBuf>,
    /// The same of the operator API
    #[arg(long, value_name = "FILE")]
    pub emitted_operator: Option<PathBuf>,
    /// A copy of the official specification, instead of the pinned one from PyPI
    #[arg(long, value_name = "DIR")]
    pub sdk_dir: Option<PathBuf>,
    /// Documents of the stores (run-store.json, …), instead of asking the installed ones
    #[arg(long, value_name = "DIR")]
    pub services_dir: Option<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

/// The other side of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Against {
    Program,
    Official,
    Service,
}

impl Against {
    fn name(self) -> &'static str {
        match self {
            Self::Program => "program",
            Self::Official => "official",
            Self::Service => "service",
        }
    }
}

/// Two documents that must agree.
#[derive(Clone, Debug)]
pub struct Pair {
    pub against: Against,
    /// The service that both are about.
    pub service: &'static str,
    pub ours: Document,
    pub theirs: Document,
}

/// The differences of a pair of documents.
#[derive(Debug)]
pub struct Checked {
    pub against: Against,
    pub ours: String,
    pub theirs: String,
    /// Without the accepted differences.
    pub comparison: Comparison,
    pub accepted: Vec<(Difference, String)>,
}

#[derive(Debug)]
pub struct Report {
    pub checked: Vec<Checked>,
    /// Entries that accept nothing.
    pub unused: Vec<String>,
}

pub fn run(args: &Args) -> Result<()> {
    let documents = args.documents.clone().unwrap_or_else(|| workspace::root().join(DOCUMENTS));
    let report = check(&pairs(args, &documents)?, &Accepted::load(&documents)?)?;
    if args.json {
        println!("{:#}", report.as_json());
    } else {
        print!("{}", report.as_text());
    }
    ensure!(
        report.agrees(),
        "there are differences: change the code, the document or, with a reason, {DOCUMENTS}/{}; \
         {DOCUMENTS}/{OPERATOR}.yaml is written by {WRITES_OPERATOR}",
        accepted::FILE
    );
    Ok(())
}

/// All pairs to compare.
pub fn pairs(args: &Args, documents: &Path) -> Result<Vec<Pair>> {
    let root = workspace::root();
    let emitted = |file: &Option<PathBuf>, flags: &[&str]| match file {
        Some(path) => Document::load(path),
        None => emit(flags),
    };
    let mut pairs = vec![
        Pair {
            against: Against::Program,
            service: OWN,
            ours: our_document(documents, OWN)?,
            theirs: emitted(&args.emitted, &[])?.of_rust(),
        },
        // It is written by the program, so its spelling is the same.
        Pair {
            against: Against::Program,
            service: OPERATOR,
            ours: our_document(documents, OPERATOR)?,
            theirs: emitted(&args.emitted_operator, &["--operator"])?,
        },
    ];
    let sdk = match &args.sdk_dir {
        Some(folder) => Sdk::local(folder)?,
        None => Sdk::pinned(&root)?,
    };
    pairs.extend(official_pairs(documents, &sdk)?);
    let stores = match &args.services_dir {
        Some(folder) => services::from_files(folder)?,
        None => services::ask(&venv::ensure(&root)?)?,
    };
    for ((service, _), theirs) in services::SERVICES.into_iter().zip(stores) {
        pairs.push(Pair {
            against: Against::Service,
            service,
            ours: our_document(documents, service)?,
            theirs,
        });
    }
    Ok(pairs)
}

/// Our documents of the standard's services beside those of an SDK.
pub(crate) fn official_pairs(documents: &Path, sdk: &Sdk) -> Result<Vec<Pair>> {
    let pair = |service| {
        Ok(Pair {
            against: Against::Official,
            service,
            ours: our_document(documents, service)?.with_patterns()?,
            theirs: sdk.document(service)?,
        })
    };
    sdk::SERVICES.into_iter().map(pair).collect()
}

fn our_document(documents: &Path, service: &str) -> Result<Document> {
    let file = format!("{service}.yaml");
    let path = documents.join(&file);
    let text = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    Document::parse(&format!("{DOCUMENTS}/{file}"), &text)
}

/// Compares all pairs.
pub fn check(pairs: &[Pair], accepted: &Accepted) -> Result<Report> {
    let mut book = accepted.book();
    let mut checked = Vec::new();
    for Pair { against, service, ours, theirs } in pairs {
        let mut comparison = compare(ours, theirs)?;
        let mut accepted = Vec::new();
        comparison.differences.retain(|difference| {
            let reason = book.reason(*against, service, difference);
            accepted.extend(reason.map(|reason| (difference.clone(), reason.to_owned())));
            reason.is_none()
        });
        let (ours, theirs) = (ours.name().to_owned(), theirs.name().to_owned());
        checked.push(Checked { against: *against, ours, theirs, comparison, accepted });
    }
    Ok(Report { checked, unused: book.unused() })
}

/// The document that the program emits with these flags.
pub fn emit(flags: &[&str]) -> Result<Document> {
    let words = [&["openapi"], flags].concat();
    let name = format!("`{PROGRAM} {}`", words.join(" "));
    let output = workspace::cargo(["run", "--quiet", "--locked", "--package", PROGRAM, "--"])
        .args(&words)
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("run {name}"))?;
    ensure!(output.status.success(), "{name} failed: {}", output.status);
    let text = String::from_utf8(output.stdout)
        .with_context(|| format!("{name} printed something else than text"))?;
    if text.trim().is_empty() {
        bail!("{name} printed nothing: it should print the document");
    }
    Document::parse(&name, &text)
}
