//! `cargo xtask conformance`: a black-box suite for coordinators, ours or any
//! other, for the tiers that the official `arp-conformance` leaves empty.
//!
//! ```text
//!   suite ── one check after the other ──▶ Bench ──▶ HTTP ──▶ the coordinator at --url
//!     │                                      │                      │ executes nodes
//!     ▼                                      └─── behaviours ─────▶ the suite's executors
//!   report: a table, JSON, or two coordinators side by side             at --executors
//! ```
//!
//! The suite needs a coordinator and nothing else. A check that needs a node that
//! succeeds uses `--atomic-type`. The many checks that need a node to hang, or an
//! executor to answer nonsense, need the suite to be the executor: it listens at
//! `--executors`, where the coordinator under test must look for both of its
//! executors. A check whose needs are not met is skipped and names what it lacks.
//!
//! `--stack` starts the JARVIS services with a coordinator among them, configured
//! so that hardly any check is skipped.

pub mod bench;
pub mod check;
mod checks;
pub mod executors;
pub mod http;
pub mod report;
mod setup;
pub mod staged;
pub mod suite;
pub mod values;
pub mod verdict;

use std::{fs, net::SocketAddr, time::Duration};

use anyhow::{Context, Result, ensure};

pub use check::{Check, Outcome, Tier};
pub use checks::all;
pub use report::Report;
pub use scripted_executor::Executors;
pub use setup::{Setup, TypeName};
pub use suite::Selection;
pub use verdict::Stop;

use jarvis_stack::Profile;
use xtask_support::workspace;

use self::staged::{Candidate, Staged};

#[derive(clap::Args, Debug)]
pub struct Args {
    /// The coordinator to check
    #[arg(long, required_unless_present_any = ["stack", "list"], conflicts_with = "stack")]
    url: Option<String>,
    /// Start the JARVIS services with this coordinator among them, and check that; may be given twice, to compare
    #[arg(long, value_enum, value_name = "COORDINATOR")]
    stack: Vec<Candidate>,
    /// With --stack: whether services demand tokens
    #[arg(long, value_enum, default_value_t = Profile::Jwt, requires = "stack")]
    profile: Profile,
    /// With --stack: write the comparison into docs/conformance.md
    #[arg(long, requires = "stack")]
    document: bool,
    /// Send this bearer token
    #[arg(long, requires = "url")]
    token: Option<String>,
    /// Serve both executors here; the coordinator under test must look for them here
    #[arg(long, value_name = "ADDRESS", requires = "url")]
    executors: Option<SocketAddr>,
    /// An atomic type whose nodes are executed and succeed with any inputs
    #[arg(long, value_name = "ID@VERSION", requires = "url")]
    atomic_type: Option<TypeName>,
    /// The composite type to use with --executors, if the coordinator does not accept any
    #[arg(long, value_name = "ID@VERSION", requires = "url")]
    composite_type: Option<TypeName>,
    /// A type whose execution the policy denies
    #[arg(long, value_name = "ID@VERSION", requires = "url")]
    denied_type: Option<TypeName>,
    /// A tenant whose runs the policy denies
    #[arg(long, requires = "url")]
    denied_tenant: Option<String>,
    #[command(flatten)]
    selection: Selection,
    /// The time limit for anything that must happen
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    patience: u64,
    /// Print everything as JSON, with the requests
    #[arg(long)]
    json: bool,
    /// List the checks and end
    #[arg(long)]
    list: bool,
}

pub fn run(args: &Args) -> Result<()> {
    if args.list {
        print!("{}", report::list(&args.selection.of(all())?));
        return Ok(());
    }
    let patience = Duration::from_secs(args.patience);
    let reports = match &args.url {
        Some(url) => vec![check_at(args, url, patience)?],
        None => {
            args.stack.iter().map(|candidate| stage(args, *candidate, patience)).collect::<Result<_>>()?
        }
    };
    if args.json {
        let all: Vec<_> = reports.iter().map(Report::to_json).collect();
        println!("{}", serde_json::to_string_pretty(&all).context("write JSON")?);
    }
    if args.document {
        let path = workspace::root().join(report::DOCUMENT);
        let text = fs::read_to_string(&path).with_context(|| format!("read {}", report::DOCUMENT))?;
        fs::write(&path, report::document_with(&text, &report::comparison(&reports))?)
            .with_context(|| format!("write {}", report::DOCUMENT))?;
    }
    let failed: usize = reports.iter().map(Report::failed).sum();
    // A comparison reports failures of both and is no failure itself.
    ensure!(failed == 0 || reports.len() > 1, "conformance: {failed} checks failed");
    Ok(())
}

/// Checks a coordinator that is running already.
fn check_at(args: &Args, url: &str, patience: Duration) -> Result<Report> {
    let setup = Setup {
        url: url.to_owned(),
        token: args.token.clone(),
        atomic_type: args.atomic_type.clone(),
        composite_type: args.composite_type.clone(),
        denied_type: args.denied_type.clone(),
        denied_tenant: args.denied_tenant.clone(),
        patience,
    };
    let executors = args.executors.map(executors::listen).transpose().context("serve the executors")?;
    report_on(args, url, setup, executors)
}

/// Starts a coordinator among the JARVIS services, and checks it.
fn stage(args: &Args, candidate: Candidate, patience: Duration) -> Result<Report> {
    // Removed at the end.
    let folder = tempfile::Builder::new().prefix("jarvis-conformance-").tempdir().context("make a folder")?;
    let executors = executors::listen(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let staged = Staged::start(candidate, args.profile, executors.url(), folder.path())?;
    report_on(args, candidate.name(), staged.setup(patience)?, Some(executors))
}

fn report_on(args: &Args, name: &str, setup: Setup, executors: Option<Executors>) -> Result<Report> {
    let checks = args.selection.of(all())?;
    let outcomes = suite::run(&checks, setup, executors, |outcome| {
        if !args.json {
            print!("{}", report::line(outcome));
        }
    });
    let report = Report { name: name.to_owned(), outcomes };
    if !args.json {
        print!("{}", report.totals());
    }
    Ok(report)
}
