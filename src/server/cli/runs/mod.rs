//! `runs`: what the operator API and the API say about runs, and what is done to them.
//!
//! ```text
//!   list, count, tree, export ─────▶ operator API      explain ─▶ cli::explain
//!   cancel, hold, release ─────────▶ operator API      verify, diff ─▶ cli::evidence
//!   get, tree -f ──────────────────▶ both
//!   events ────────────────────────▶ API               followed to the end: outcome
//! ```

mod change;
mod events;
mod export;
mod follow;
mod get;
mod list;
mod outcome;
mod tree;

use std::{io, time::Duration};

pub(super) use self::{
    events::{Narrow, print as print_events},
    get::{node, node_run},
};
use super::{
    args::RunsCommand,
    connect::{with_both, with_operator},
    evidence::{self, EvidenceError},
    exit::{Exit, Failure},
    explain,
};
use crate::{
    config::Flags,
    time::{Clock, SystemClock},
};

/// Runs the subcommand.
pub(super) fn runs(command: &RunsCommand, flags: &Flags) -> Result<Exit, Failure> {
    let now = || SystemClock.now();
    match command {
        RunsCommand::List { select, page, watch: false, target } => {
            with_operator(target, async |remote, printer| {
                list::list(remote, printer, select, *page, now()).await
            })
        }
        RunsCommand::List { select, page, watch: true, target } => {
            with_operator(target, async |remote, printer| list::watch(remote, printer, select, *page).await)
        }
        RunsCommand::Count { select, shown, target } => with_operator(target, async |remote, printer| {
            list::count(remote, printer, select, *shown, now()).await
        }),
        RunsCommand::Get { run, shown, servers } => {
            with_both(servers, flags, async |both, printer| get::run(both, printer, run, *shown).await)
        }
        RunsCommand::Tree { run, under, follow: false, page, servers } => {
            with_operator(&servers.operator, async |remote, printer| {
                tree::tree(remote, printer, run, under.as_ref(), *page).await
            })
        }
        RunsCommand::Tree { run, follow: true, servers, .. } => {
            with_both(servers, flags, async |both, printer| follow::follow(both, printer, run).await)
        }
        RunsCommand::Events { run, read, servers } => with_both(servers, flags, async |both, printer| {
            print_events(both, printer, run, *read, Narrow::No).await
        }),
        RunsCommand::Explain { run, shown, target } => {
            with_operator(target, async |remote, printer| explain::run(remote, printer, run, *shown).await)
        }
        RunsCommand::Cancel { runs, change, wait, target } => {
            let wait = Duration::from_secs((*wait).into());
            with_operator(target, async |remote, printer| {
                change::cancel(remote, printer, runs, change, wait).await
            })
        }
        RunsCommand::Hold { runs, change, until, target } => {
            with_operator(target, async |remote, printer| {
                let until = until.map(|until| until.from(now()));
                change::hold(remote, printer, runs, change, until).await
            })
        }
        RunsCommand::Release { runs, change, target } => with_operator(target, async |remote, printer| {
            change::release(remote, printer, runs, change).await
        }),
        RunsCommand::Rerun { runs, from, change, target } => {
            with_operator(target, async |remote, printer| {
                change::rerun(remote, printer, runs, change, *from).await
            })
        }
        RunsCommand::Export { run, output_file, shown, target } => {
            with_operator(target, async |remote, printer| {
                export::export(remote, printer, run, output_file.as_deref(), *shown).await
            })
        }
        RunsCommand::Verify { file, hash } => {
            evidence::verify(file, hash.as_deref(), &mut io::stdout()).map_err(failed)
        }
        RunsCommand::Diff { first, second } => {
            evidence::diff(first, second, &mut io::stdout()).map_err(failed)
        }
    }
}

fn failed(error: EvidenceError) -> Failure {
    match error {
        EvidenceError::Report(error) => error.into(),
        EvidenceError::File { .. } | EvidenceError::OtherHash { .. } => Failure::new(Exit::Journal, error),
    }
}
