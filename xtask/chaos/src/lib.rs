//! `cargo xtask chaos`: the real binary among random callers and executors,
//! killed, stopped, starved and started again; and then the question whether
//! anything was lost, done twice, stuck, or back from the dead.
//!
//! ```text
//!   clients ──▶ coordinator ──▶ executors ──▶ ledger ────┐
//!     │  ▲           ▲              │                    │
//!     │  └─ events   │ kill, stop,  └─ plans ──▶ children│
//!     │              │ full disk                         ▼
//!     └──▶ history   nemesis                          verdict ──▶ report
//!             └──────────────────────────────────────────▲
//!   faults (--minutes) ──▶ quiet: all comes to rest ──▶ over: everything is asked for, and compared
//! ```
//!
//! Executors live in this process and outlive the coordinator's. A seed gives
//! the same faults, plans and callers again, though not the same order of
//! events: that is up to the machine.
//!
//! | module | |
//! |---|---|
//! | `ground` | puts it together: `coordinator` on its `disk`, `executors` with the node types and manners of `acts` |
//! | `clients`, `plans` | who calls the coordinator (`api`): callers, and composites at work |
//! | `nemesis` | what goes wrong |
//! | `history`, `ledger` | what was answered; what was executed |
//! | `rest`, `verdict`, `silence`, `report` | the end of it |
//! | `chance`, `bell`, `ports` | chance, waiting, places to listen |
//! | `cancel_bench` | a measurement on the same ground |

mod api;
mod bell;
mod cancel_bench;
mod clients;
mod coordinator;
mod disk;
mod executors;
mod ground;
mod history;
mod ledger;
mod nemesis;
mod node_types;
mod plans;
mod ports;
mod report;
mod rest;
mod silence;
mod verdict;

use std::{
    fs,
    hash::{BuildHasher, RandomState},
    path::{self, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};

use self::{
    bell::Bells,
    clients::Clients,
    ground::{Ground, Settings},
    history::Violation,
    ledger::Execution,
    nemesis::Nemesis,
    report::Report,
    rest::Rest,
    verdict::Evidence,
};
use xtask_support::workspace;

/// Of the run that is part of every check.
const SEED: u64 = 1;
const SHORT: Duration = Duration::from_secs(25);
/// How long everything may take to come to rest.
const REST: Duration = Duration::from_secs(90);
/// How long a process that has nothing to do is watched: over two sweeps.
const IDLE: Duration = Duration::from_millis(4_500);
const CLIENTS: u64 = 4;
const DISK_BYTES: u64 = 48 << 20;
const DISK_BYTES_A_MINUTE: u64 = 8 << 20;
const IN_FLIGHT: usize = 64;

#[derive(clap::Args, Debug, Default)]
pub struct Args {
    /// Go on with faults for so long [default: 25 seconds]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=60))]
    minutes: Option<u64>,
    /// What faults and calls are drawn with [default: always the same; another each time with --minutes]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Write the report there as well
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// With the release build
    #[arg(long)]
    release: bool,
    /// With this program, built already
    #[arg(long, value_name = "FILE", conflicts_with = "release")]
    program: Option<PathBuf>,
    /// Measure instead how long it takes to cancel a run with 1,000 nodes at work
    #[arg(long, conflicts_with_all = ["minutes", "seed", "json"])]
    cancel_bench: bool,
}

pub fn run(args: &Args) -> Result<()> {
    let program = match &args.program {
        Some(program) => path::absolute(program).context("where the program is")?,
        None => workspace::build_program(args.release)?,
    };
    let bells = Arc::new(Bells::default());
    let stop = Arc::clone(&bells);
    ctrlc::set_handler(move || {
        stop.quiet.ring();
        stop.over.ring();
    })
    .context("listen for ctrl-C")?;
    if args.cancel_bench {
        let in_flight = cancel_bench::IN_FLIGHT;
        let settings =
            Settings { program, seed: SEED, disk_bytes: DISK_BYTES, in_flight, vars: cancel_bench::VARS };
        println!("{}", cancel_bench::measure(&mut Ground::new(settings, bells)?)?);
        return Ok(());
    }
    let seed = args.seed.unwrap_or_else(|| match args.minutes {
        Some(_) => RandomState::new().hash_one(args.minutes) % 1_000_000_000,
        None => SEED,
    });
    let time = args.minutes.map_or(SHORT, |minutes| Duration::from_secs(60 * minutes));
    let disk_bytes = DISK_BYTES + DISK_BYTES_A_MINUTE * args.minutes.unwrap_or(0);
    let settings = Settings { program, seed, disk_bytes, in_flight: IN_FLIGHT, vars: &[] };
    let mut ground = Ground::new(settings, bells)?;
    println!("chaos: seed {seed}, {} s of faults", time.as_secs());
    let report = match chaos(&mut ground, seed, time) {
        Ok(report) => report,
        Err(_) if ground.bells.over.has_rung() => bail!("interrupted"),
        Err(error) => {
            let kept = ground.keep()?;
            return Err(error.context(format!("seed {seed}; journal and logs are in {}", kept.display())));
        }
    };
    println!("{report}");
    if let Some(file) = &args.json {
        let text = serde_json::to_string_pretty(&report)? + "\n";
        fs::write(file, text).with_context(|| format!("write {}", file.display()))?;
    }
    if !report.violations.is_empty() {
        let kept = ground.keep()?;
        bail!(
            "{} violations; to repeat it: --seed {seed}; journal and logs are in {}",
            report.violations.len(),
            kept.display()
        );
    }
    Ok(())
}

/// Faults, rest, verdict.
fn chaos(ground: &mut Ground, seed: u64, time: Duration) -> Result<Report> {
    ground.coordinator.start()?;
    ground.coordinator.wait_up()?;
    let (api, bells) = (Arc::clone(&ground.api), Arc::clone(&ground.bells));
    let history = Arc::clone(&ground.history);
    let arrivals = ground.coordinator.place().executors.arrivals();
    let clients = Clients { api, history, bells: Arc::clone(&bells), arrivals, seed }.begin(CLIENTS);

    let mut nemesis = Nemesis::new(seed, Arc::clone(&bells));
    let begin = Instant::now();
    nemesis.rage(&mut ground.coordinator, time).context("the coordinator is not well")?;
    let raged = begin.elapsed();
    bells.quiet.ring();
    let quiet = Instant::now();
    let runs: Vec<String> = ground.history.told().runs.keys().cloned().collect();
    let rest = Rest { api: &ground.api, bells: &bells, ledger: &ground.ledger };
    join(clients)?;
    let rested = rest.wait(&runs, REST).map(|_| quiet.elapsed());
    ensure!(!bells.over.has_rung(), "interrupted");
    ground.coordinator.check()?;
    let stored = rest.collect(&runs);
    let health = ground.api.ask("/v1/health", None, &[200]);
    if health.as_ref().and_then(|health| health.text("status")) != Some("ok") {
        ground.history.violation("coordinator", "health", format!("after the faults: {health:?}"));
    }
    ground.coordinator.signal_end()?;
    ground.coordinator.wait_end()?;
    start_at_rest(ground)?;
    let journal = check_journal(ground)?;

    let (told, book) = (ground.history.told().clone(), ground.ledger.book().clone());
    let lives = ground.coordinator.lives().clone();
    let evidence = Evidence { told: &told, book: &book, lives: &lives, stored: &stored };
    let mut violations = verdict::violations(&evidence);
    let (silent, disorder) = silence::look(&stored);
    violations.extend(disorder);
    let journal_checked = journal.is_some();
    violations.extend(journal.flatten());
    Ok(Report {
        seconds: raged.as_secs_f64(),
        rest_seconds: rested.map(|rested| rested.as_secs_f64()),
        own_disk: ground.disk.is_own(),
        journal_checked,
        silent,
        ..Report::new(seed, &evidence, nemesis.counts, violations)
    })
}

/// Where all is over, another process finds nothing to do.
fn start_at_rest(ground: &mut Ground) -> Result<()> {
    let before = ground.ledger.book().executions.len();
    ground.coordinator.start()?;
    ground.coordinator.wait_up()?;
    if ground.ledger.says(IDLE, |book| book.executions.len() > before) {
        let book = ground.ledger.book();
        let Execution { node, run, .. } = &book.executions[before];
        let what = format!("it was handed over by a process that was started when all was over, for {run}");
        ground.history.violation("resurrected", node, what);
    }
    ground.coordinator.signal_end()?;
    ground.coordinator.wait_end()
}

fn join(threads: Vec<JoinHandle<()>>) -> Result<()> {
    let all = threads.into_iter().map(JoinHandle::join).collect::<Result<Vec<()>, _>>();
    all.map(|_| ()).map_err(|_| anyhow::anyhow!("a client has panicked"))
}

/// What the program itself finds wrong with its journal. `None`: it has no such
/// command.
fn check_journal(ground: &Ground) -> Result<Option<Option<Violation>>> {
    let program = &ground.coordinator.place().program;
    let knows = Command::new(program).args(["journal", "check", "--help"]).stdin(Stdio::null()).output();
    if !knows.is_ok_and(|output| output.status.success()) {
        return Ok(None);
    }
    let mut command = ground.disk.command(program, ground.folder(), Vec::new());
    let output = command.args(["journal", "check"]).arg(ground.disk.journal()).output();
    let output = output.context("check the journal")?;
    let said = [output.stdout, output.stderr].concat();
    Ok(Some((!output.status.success()).then(|| Violation {
        rule: "journal",
        subject: "journal check".into(),
        what: format!("{}: {}", output.status, String::from_utf8_lossy(&said).trim()),
    })))
}
