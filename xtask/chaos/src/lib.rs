//! `cargo xtask chaos`: the real binary among random callers and executors is
//! killed, stopped, starved and restarted. Afterwards the tool checks that nothing
//! was lost, executed twice, stuck or resurrected.
//!
//! ```text
//!   clients ──▶ coordinator ──▶ executors ──▶ ledger ────┐
//!     │  ▲           ▲              │                    │
//!     │  └─ events   │ kill, stop,  └─ plans ──▶ children│
//!     │              │ full disk                         ▼
//!     └──▶ history   nemesis                          verdict ──▶ report
//!             └──────────────────────────────────────────▲
//!   faults (--minutes) ──▶ quiet: all comes to rest ──▶ over: everything is read and compared
//! ```
//!
//! Executors live in this process and outlive the coordinator's. A seed repeats
//! the same faults, plans and callers, but not the order of events, which depends
//! on the machine.
//!
//! | module | |
//! |---|---|
//! | `testbed` | wires it: `coordinator` on its `disk`, `executors` with the behaviours of `node_types` |
//! | `clients`, `plans` | the callers of the coordinator (`api`), and composites at work |
//! | `approver` | an operator that decides about approvals |
//! | `nemesis` | injects faults |
//! | `history`, `ledger` | what the coordinator answered; what the executors did |
//! | `rest`, `verdict`, `silence`, `report` | reads the final state, checks and reports it |
//! | `check` | `journal check` |
//! | `replicas`, `excuses` | the same among several processes on a PostgreSQL |
//! | `signal`, `ports` | waiting, addresses |
//! | `cancel_bench` | a measurement on the same testbed |

mod api;
mod approver;
mod cancel_bench;
mod check;
mod clients;
mod coordinator;
mod disk;
mod excuses;
mod executors;
mod history;
mod ledger;
mod nemesis;
mod node_types;
mod plans;
mod ports;
mod replicas;
mod report;
mod rest;
mod signal;
mod silence;
mod testbed;
mod times;
mod verdict;

use std::{
    fs,
    hash::{BuildHasher, RandomState},
    path::{self, PathBuf},
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};

use self::{
    approver::Approver,
    clients::Clients,
    ledger::Execution,
    nemesis::Nemesis,
    replicas::{Database, Failover, Wire},
    report::Report,
    rest::Rest,
    signal::Signals,
    testbed::{Settings, Testbed},
    verdict::Evidence,
};
use xtask_support::workspace;

/// The seed of `cargo xtask ci`.
const SEED: u64 = 1;
const SHORT: Duration = Duration::from_secs(25);
const SHORT_AMONG_REPLICAS: Duration = Duration::from_secs(60);
/// How long everything may take to come to rest.
const REST: Duration = Duration::from_secs(90);
/// How long an idle process is watched: more than two sweeps.
const IDLE: Duration = Duration::from_millis(4_500);
const CLIENTS: u64 = 4;
const DISK_BYTES: u64 = 48 << 20;
const DISK_BYTES_A_MINUTE: u64 = 8 << 20;

#[derive(clap::Args, Debug, Default)]
pub struct Args {
    /// Inject faults for this time [default: 25 seconds]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=60))]
    minutes: Option<u64>,
    /// The same in seconds
    #[arg(long, value_name = "N", conflicts_with = "minutes")]
    seconds: Option<u64>,
    /// The seed of faults and calls [default: a fixed one; random with --minutes]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Write the report to this file as well
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Use the release build
    #[arg(long)]
    release: bool,
    /// Use this program, which is built already
    #[arg(long, value_name = "FILE", conflicts_with = "release")]
    program: Option<PathBuf>,
    /// Several processes on one journal, which is a PostgreSQL [default of --seconds: 60]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(2..=5), requires = "postgres")]
    replicas: Option<u64>,
    /// The journal is a private PostgreSQL
    #[arg(long, requires = "replicas")]
    postgres: bool,
    /// The database has a standby, which is promoted
    #[arg(long, requires = "replicas")]
    failover: Option<Failover>,
    /// Clocks of replicas are a minute off, by this library: libfaketime.so.1
    #[arg(long, value_name = "FILE", requires = "replicas")]
    wrong_clocks: Option<PathBuf>,
    /// Measure instead how long it takes to cancel a run with 1,000 nodes at work
    #[arg(long, conflicts_with_all = ["minutes", "seed", "json"])]
    cancel_bench: bool,
}

pub fn run(args: &Args) -> Result<()> {
    let program = match &args.program {
        Some(program) => path::absolute(program).context("where the program is")?,
        None => workspace::build_program(args.release)?,
    };
    let signals = Arc::new(Signals::default());
    let stop = Arc::clone(&signals);
    ctrlc::set_handler(move || {
        stop.quiet.raise();
        stop.over.raise();
    })
    .context("listen for ctrl-C")?;
    if args.cancel_bench {
        let in_flight = cancel_bench::IN_FLIGHT;
        let vars = cancel_bench::VARS;
        let settings = Settings { in_flight, vars, ..Settings::of_one(program, SEED, DISK_BYTES) };
        println!("{}", cancel_bench::measure(&mut Testbed::new(settings, signals)?)?);
        return Ok(());
    }
    let seed = args.seed.unwrap_or_else(|| match args.minutes {
        Some(_) => RandomState::new().hash_one(args.minutes) % 1_000_000_000,
        None => SEED,
    });
    let usual = if args.replicas.is_some() { SHORT_AMONG_REPLICAS } else { SHORT };
    let seconds = args.seconds.or(args.minutes.map(|minutes| 60 * minutes));
    let time = seconds.map_or(usual, Duration::from_secs);
    let disk_bytes = DISK_BYTES + DISK_BYTES_A_MINUTE * args.minutes.unwrap_or(0);
    let settings = Settings::of_one(program, seed, disk_bytes);
    println!("chaos: seed {seed}, {} s of faults", time.as_secs());
    let Some(replicas) = args.replicas else {
        let mut testbed = Testbed::new(settings, signals)?;
        let report = chaos(&mut testbed, seed, time);
        return conclude(args, testbed, report, seed);
    };
    // Before the testbed, so that it is dropped after its processes.
    let mut database = Database::start(args.failover)?;
    let wires = (0..replicas).map(|_| Wire::to(database.hosts())).collect::<Result<Vec<_>>>()?;
    let settings = Settings {
        replicas: usize::try_from(replicas)?,
        databases: wires.iter().map(Wire::url).collect(),
        wrong_clocks: args.wrong_clocks.clone(),
        vars: replicas::VARS,
        usual_wall_time_ms: Some(replicas::USUAL_WALL_TIME_MS),
        ..settings
    };
    let mut testbed = Testbed::new(settings, signals)?;
    let report = replicas::chaos(&mut testbed, &mut database, wires, seed, time);
    if args.failover == Some(Failover::Asynchronous) {
        return replicas::must_find(&report?);
    }
    if report.as_ref().map_or(true, |report| !report.violations.is_empty()) {
        // The failure itself is more important than what could not be kept.
        match database.dump() {
            Ok(dump) => fs::write(testbed.folder().join("journal.sql"), dump).context("keep the journal")?,
            Err(error) => println!("  the journal is not kept: {error:#}"),
        }
    }
    conclude(args, testbed, report, seed)
}

/// Prints the report, and keeps the evidence of a failure.
fn conclude(args: &Args, testbed: Testbed, report: Result<Report>, seed: u64) -> Result<()> {
    let report = match report {
        Ok(report) => report,
        Err(_) if testbed.signals.over.is_raised() => bail!("interrupted"),
        Err(error) => {
            let kept = testbed.keep()?;
            return Err(error.context(format!("seed {seed}; journal and logs are in {}", kept.display())));
        }
    };
    println!("{report}");
    if let Some(file) = &args.json {
        let text = serde_json::to_string_pretty(&report)? + "\n";
        fs::write(file, text).with_context(|| format!("write {}", file.display()))?;
    }
    if !report.violations.is_empty() {
        let kept = testbed.keep()?;
        bail!(
            "{} violations; to repeat it: --seed {seed}; journal and logs are in {}",
            report.violations.len(),
            kept.display()
        );
    }
    Ok(())
}

/// Injects faults, waits for rest, and checks.
fn chaos(testbed: &mut Testbed, seed: u64, time: Duration) -> Result<Report> {
    testbed.coordinator().start()?;
    testbed.coordinator().wait_up()?;
    let (api, signals) = (Arc::clone(&testbed.api), Arc::clone(&testbed.signals));
    let history = Arc::clone(&testbed.history);
    let arrivals = testbed.executors.arrivals();
    let operators = Arc::clone(&testbed.operators);
    let approver = Approver { operators, history: Arc::clone(&history), signals: Arc::clone(&signals), seed };
    let mut clients =
        Clients { api, history, signals: Arc::clone(&signals), arrivals, seed, run_wall_time_ms: None }
            .begin(CLIENTS);
    clients.push(approver.begin());

    let mut nemesis = Nemesis::new(seed, Arc::clone(&signals));
    let begin = Instant::now();
    nemesis.rage(testbed.coordinator(), time).context("the coordinator is not healthy")?;
    let raged = begin.elapsed();
    signals.quiet.raise();
    let quiet = Instant::now();
    let runs: Vec<String> = testbed.history.answers().runs.keys().cloned().collect();
    let (api, ledger) = (Arc::clone(&testbed.api), Arc::clone(&testbed.ledger));
    let rest = Rest { api: &api, signals: &signals, ledger: &ledger };
    join(clients)?;
    let rested = rest.wait(&runs, REST).map(|_| quiet.elapsed());
    ensure!(!signals.over.is_raised(), "interrupted");
    testbed.coordinator().check()?;
    let stored = rest.collect(&runs);
    let health = testbed.api.ask("/v1/health", None, &[200]);
    if health.as_ref().and_then(|health| health.text("status")) != Some("ok") {
        testbed.history.violation("coordinator", "health", format!("after the faults: {health:?}"));
    }
    testbed.coordinator().signal_end()?;
    testbed.coordinator().wait_end()?;
    start_at_rest(testbed)?;
    let journal = check::journal(testbed.replicas[0].place(), testbed)?;

    let (answers, book) = (testbed.history.answers().clone(), testbed.ledger.book().clone());
    let lives = testbed.lives.all().clone();
    let evidence = Evidence { answers: &answers, book: &book, lives: &lives, stored: &stored, excuses: None };
    let mut violations = verdict::violations(&evidence);
    let (silent, disorder) = silence::look(&stored);
    violations.extend(disorder);
    let journal_checked = journal.is_some();
    violations.extend(journal.flatten());
    Ok(Report {
        seconds: raged.as_secs_f64(),
        rest_seconds: rested.map(|rested| rested.as_secs_f64()),
        own_disk: testbed.disk.is_own(),
        journal_checked,
        silent,
        ..Report::new(seed, &evidence, nemesis.counts, violations)
    })
}

/// Checks that a process that starts when all runs are over dispatches nothing.
fn start_at_rest(testbed: &mut Testbed) -> Result<()> {
    let before = testbed.ledger.book().executions.len();
    testbed.coordinator().start()?;
    testbed.coordinator().wait_up()?;
    if testbed.ledger.until(IDLE, |book| book.executions.len() > before) {
        let book = testbed.ledger.book();
        let Execution { node, run, .. } = &book.executions[before];
        let what = format!("executed for {run} by a process that started when all runs were over");
        testbed.history.violation("resurrected", node, what);
    }
    testbed.coordinator().signal_end()?;
    testbed.coordinator().wait_end()
}

fn join(threads: Vec<JoinHandle<()>>) -> Result<()> {
    let all = threads.into_iter().map(JoinHandle::join).collect::<Result<Vec<()>, _>>();
    all.map(|_| ()).map_err(|_| anyhow::anyhow!("a client has panicked"))
}
