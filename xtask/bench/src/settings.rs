//! The command line, and what it means.

use std::{
    path::{self, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use clap::{ValueEnum, builder::ArgPredicate};
use xtask_support::workspace;

use crate::{
    plan::{BareKind, Ours, Peer, Store, Workload},
    procfs::Machine,
    report::Setting,
};

#[derive(clap::Args, Debug, Default)]
pub struct Args {
    /// What is measured [default: everything]
    #[arg(value_enum, value_name = "WORKLOAD")]
    workloads: Vec<Workload>,
    /// How long one measurement takes
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Numbers of clients at the same time
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_values_t = [1, 16, 64, 256])]
    #[arg(default_value_ifs([("peers", ArgPredicate::IsPresent, "1,16,64")]))]
    clients: Vec<usize>,
    /// Where the journal is; may be given more than once [default: file; with --peers postgres as well]
    #[arg(long, value_enum)]
    store: Vec<Store>,
    /// How many coordinators share the PostgreSQL
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=5))]
    replicas: u64,
    /// Trace every run to a collector
    #[arg(long)]
    traces: bool,
    /// How often everything is measured, in turns
    #[arg(long, value_name = "N", default_value_t = 1)]
    rounds: usize,
    /// Measure other systems in the same rounds: the Python coordinator, Restate, DBOS (installed below target/)
    #[arg(long)]
    peers: bool,
    /// Only these of them
    #[arg(long, value_enum, value_name = "NAME", requires = "peers")]
    peer: Vec<Peer>,
    /// This program, which is built already; two are compared with each other [default: a release build]
    #[arg(long, value_name = "PATH")]
    binary: Vec<PathBuf>,
    /// Where results.json, table.md and the drawings go
    #[arg(long, value_name = "FOLDER", default_value = "target/bench")]
    out: PathBuf,
}

/// What was decided before anything runs.
pub(crate) struct Settings {
    pub(crate) workloads: Vec<Workload>,
    pub(crate) each: Duration,
    pub(crate) clients: Vec<usize>,
    pub(crate) rounds: usize,
    pub(crate) ours: Vec<Ours>,
    pub(crate) peers: Vec<Peer>,
    pub(crate) out: PathBuf,
}

impl Settings {
    pub(crate) fn of(args: &Args) -> Result<Self> {
        ensure!(args.clients.iter().all(|count| *count > 0), "no client does nothing");
        let binaries = if args.binary.is_empty() {
            vec![release()?]
        } else {
            args.binary.iter().map(path::absolute).collect::<Result<_, _>>()?
        };
        for binary in &binaries {
            ensure!(binary.is_file(), "{}: no such program", binary.display());
        }
        let mut stores = args.store.clone();
        if stores.is_empty() {
            stores.push(Store::File);
            stores.extend(args.peers.then_some(Store::Postgres));
        }
        let replicas = usize::try_from(args.replicas)?;
        ensure!(replicas == 1 || stores.contains(&Store::Postgres), "replicas share a PostgreSQL");
        let mut ours = Vec::new();
        for store in stores {
            for (index, binary) in binaries.iter().enumerate() {
                let number = (binaries.len() > 1).then_some(index + 1);
                let replicas = if store == Store::Postgres { replicas } else { 1 };
                ours.push(Ours { binary: binary.clone(), number, store, replicas, traces: args.traces });
            }
        }
        let peers = match (args.peers, &args.peer[..]) {
            (false, _) => Vec::new(),
            (true, []) => Peer::value_variants().to_vec(),
            (true, some) => some.to_vec(),
        };
        let workloads = match (&args.workloads[..], args.peers) {
            ([], false) => Workload::value_variants().to_vec(),
            ([], true) => vec![Workload::OneNode, Workload::TenInARow],
            (some, _) => some.to_vec(),
        };
        Ok(Self {
            workloads,
            each: Duration::from_secs(args.seconds),
            clients: args.clients.clone(),
            rounds: args.rounds.max(1),
            ours,
            peers,
            out: workspace::root().join(&args.out),
        })
    }

    /// Where and when this is.
    pub(crate) fn setting(&self) -> Result<Setting> {
        std::fs::create_dir_all(&self.out).with_context(|| format!("create {}", self.out.display()))?;
        Ok(Setting {
            machine: Machine::look(&self.out)?,
            date: said("date", &["-u", "+%Y-%m-%d %H:%M UTC"])?,
            commit: said("git", &["describe", "--always", "--dirty", "--abbrev=12"])?,
            seconds: self.each.as_secs(),
            rounds: self.rounds,
            command: std::env::args().skip(1).collect(),
        })
    }

    /// Which subjects are divided by which: each of ours by what stands beside it.
    pub(crate) fn comparisons(&self) -> Vec<[String; 2]> {
        let mut pairs = Vec::new();
        for ours in &self.ours {
            let label = ours.label();
            let before = self.ours.iter().take_while(|other| other.label() != label);
            // Another binary on the same store, or the same binary on another store.
            let near = before.filter(|other| (other.store == ours.store) != (other.number == ours.number));
            pairs.extend(near.map(|other| [label.clone(), other.label()]));
            pairs.extend(
                BareKind::value_variants().iter().map(|bare| [label.clone(), bare.label().to_owned()]),
            );
            pairs.extend(self.peers.iter().map(|peer| [label.clone(), peer.label().to_owned()]));
        }
        pairs
    }
}

/// The release build, as it is shipped.
fn release() -> Result<PathBuf> {
    let build = ["build", "--release", "--locked", "--package", workspace::PROGRAM];
    workspace::built(&mut workspace::cargo(build))
}

fn said(program: &str, args: &[&str]) -> Result<String> {
    let output = Command::new(program).args(args).current_dir(workspace::root()).output();
    let output = output.with_context(|| format!("start {program}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    fn settings(words: &[&str]) -> Settings {
        let program = std::env::current_exe().expect("a program");
        let program = program.to_str().expect("its path");
        let all = ["bench", "--binary", program].into_iter().chain(words.iter().copied());
        Settings::of(&Cli::try_parse_from(all).expect("a command line").args).expect("settings")
    }

    #[test]
    fn everything_is_measured_unless_something_is_named() {
        assert_eq!(settings(&[]).workloads, Workload::value_variants());
        let some = settings(&["one-node", "fan-out", "--clients", "2,3", "--seconds", "7"]);
        assert_eq!(some.workloads, [Workload::OneNode, Workload::FanOut]);
        assert_eq!((some.clients, some.each), (vec![2, 3], Duration::from_secs(7)));
        assert_eq!(settings(&[]).clients, [1, 16, 64, 256]);
        assert_eq!(settings(&["--peers"]).clients, [1, 16, 64]);
    }

    #[test]
    fn peers_are_measured_beside_both_stores() {
        let settings = settings(&["--peers"]);
        let labels: Vec<String> = settings.ours.iter().map(Ours::label).collect();
        assert_eq!(labels, ["ours", "ours on PostgreSQL"]);
        assert_eq!(settings.peers.len(), Peer::value_variants().len());
        let pair = |over: &str, under: &str| [over.to_owned(), under.to_owned()];
        let pairs = settings.comparisons();
        assert!(pairs.contains(&pair("ours on PostgreSQL", "ours")), "{pairs:?}");
        assert!(pairs.contains(&pair("ours", "Restate")), "{pairs:?}");
    }

    #[test]
    fn two_binaries_are_divided_by_one_another() {
        let program = std::env::current_exe().expect("a program");
        let settings = settings(&["--binary", program.to_str().expect("its path")]);
        let pairs = settings.comparisons();
        assert_eq!(pairs[2], ["ours 2".to_owned(), "ours 1".to_owned()], "{pairs:?}");
    }
}
