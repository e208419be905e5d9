//! `cargo xtask chaos --replicas 3 --postgres`: several processes on one PostgreSQL.
//!
//! ```text
//!   clients, plans, followers ──▶ any replica, another one with each call ──wire──▶ PostgreSQL (─▶ standby)
//!   watches ──▶ each replica: is what was answered still true?               ▲         ▲
//!   nemesis ── kill, terminate, freeze ──▶ replicas                 cut ─────┘         │
//!                                                       crash, freeze, outage ─────────┘
//! ```
//!
//! Calm is when the database serves, all replicas are up, and no others are registered.
//! From then on, everything is over within half a minute.

mod database;
mod failover;
mod fleet;
mod nemesis;
mod outage;
mod report;
mod streams;
mod verdict;
mod watch;
mod wire;

use std::{
    collections::BTreeMap,
    mem,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use scripted_executor::Chance;

pub(super) use self::{
    database::{Database, Failover},
    report::Section,
    wire::Wire,
};
use self::{
    fleet::Fleet,
    nemesis::Nemesis,
    outage::Outage,
    watch::{Seen, Watch},
};
use super::{
    approver::Approver,
    check,
    clients::Clients,
    excuses::Excuses,
    history::Violation,
    join,
    report::Report,
    rest::Rest,
    silence,
    testbed::Testbed,
    times::Times,
    verdict::{self as rules, Evidence},
};

/// Time limits of nodes that can wait for the end of an outage. All others have
/// `USUAL_WALL_TIME_MS`.
pub(super) const VARS: &[(&str, &str)] =
    &[("JARVIS_RUN_COORDINATOR_NODE_TIMEOUT_SECS", "75"), ("JARVIS_RUN_COORDINATOR_RUN_TIMEOUT_SECS", "90")];
pub(super) const USUAL_WALL_TIME_MS: u64 = 8_000;

const RUN_WALL_TIME_MS: u64 = 16_000;

/// How long it takes at most until all is calm.
const CALM: Duration = Duration::from_secs(90);
/// How long everything may take from then on.
const REST: Duration = Duration::from_secs(30);
const CLIENTS: u64 = 5;
/// The maximum number of runs that each replica is asked for at the end.
const COMPARED: usize = 400;

/// Injects faults, waits for calm, and checks.
pub(super) fn chaos(
    testbed: &mut Testbed,
    database: &mut Database,
    wires: Vec<Wire>,
    seed: u64,
    time: Duration,
) -> Result<Report> {
    let signals = Arc::clone(&testbed.signals);
    let mut fleet = Fleet::new(mem::take(&mut testbed.replicas), wires, Arc::clone(&signals));
    calm(&mut fleet, database).context("the start")?;
    let seen = Arc::<Seen>::default();
    let threads = begin(testbed, &seen, seed);

    let mut nemesis = Nemesis {
        chance: Chance::of_party(seed, "nemesis"),
        signals: Arc::clone(&signals),
        executors: Arc::clone(&testbed.executors),
        disturbed: Vec::new(),
    };
    let begin = Instant::now();
    let raged = rage(testbed, &mut nemesis, &mut fleet, database, time);
    let raged = raged.with_context(|| format!("the database says:\n{}", last_lines(&database.log())));
    signals.quiet.raise();
    raged?;
    let seconds = begin.elapsed().as_secs_f64();
    let last_fault = Instant::now();
    calm(&mut fleet, database)?;
    let calm_at = Instant::now();
    join(threads)?;
    let mut runs: Vec<String> = testbed.history.answers().runs.keys().cloned().collect();
    let rest = Rest { api: &testbed.api, signals: &signals, ledger: &testbed.ledger };
    let rested = rest.wait(&runs, REST).map(|_| calm_at.elapsed());
    ensure!(!signals.over.is_raised(), "interrupted");
    ensure!(fleet.until(Duration::ZERO, Fleet::all_up)?, "not all replicas are up after the calm");
    let streams = streams::check(testbed, &mut runs)?;
    let stored = rest.collect(&runs);
    let mut found = at_rest(testbed, database, &stored)?;
    fleet.end()?;
    let left = database.owners()?;
    if !left.is_empty() {
        let what = "are registered after all have ended in order".into();
        found.push(Violation { rule: "owners", subject: format!("{left:?}"), what });
    }
    let counts = fleet.counts;
    testbed.replicas = fleet.coordinators();
    found.extend(check::journal(testbed.replicas[0].place(), testbed)?.flatten());

    let (answers, book) = (testbed.history.answers().clone(), testbed.ledger.book().clone());
    let lives = testbed.lives.all().clone();
    let excuses = Excuses { disturbed: nemesis.disturbed };
    let evidence =
        Evidence { answers: &answers, book: &book, lives: &lives, stored: &stored, excuses: Some(&excuses) };
    let mut violations = rules::violations(&evidence);
    violations.extend(found);
    violations.extend(verdict::deaths(&lives));
    violations.extend(verdict::losses(&stored, &book, &lives));
    if rested.is_none_or(|rested| rested > REST) {
        let what = format!("not everything is over {REST:?} after the calm");
        violations.push(Violation { rule: "stuck", subject: "rest".into(), what });
    }
    let (silent, disorder) = silence::look(&stored);
    violations.extend(disorder);
    let section = Section {
        replicas: testbed.each.len(),
        processes: lives.len(),
        faults: counts,
        declarations: Section::count_declarations(&lives),
        asked_again: seen.asked.load(Ordering::Relaxed),
        late_calls: Times::of(rules::late_calls(&evidence)),
        stream_ends: Times::of(streams),
        until_calm: calm_at.duration_since(last_fault).as_secs_f64(),
        metrics: seen.metrics(),
    };
    Ok(Report {
        seconds,
        rest_seconds: rested.map(|rested| rested.as_secs_f64()),
        journal_checked: true,
        silent,
        replicas: Some(section),
        ..Report::new(seed, &evidence, Default::default(), violations)
    })
}

/// Starts the callers of the replicas.
fn begin(testbed: &Testbed, seen: &Arc<Seen>, seed: u64) -> Vec<std::thread::JoinHandle<()>> {
    let Testbed { api, operators, each, signals, history, executors, .. } = testbed;
    let (signals, history) = (|| Arc::clone(signals), || Arc::clone(history));
    let operator =
        Approver { operators: Arc::clone(operators), history: history(), signals: signals(), seed };
    let arrivals = executors.arrivals();
    let clients = Clients {
        api: Arc::clone(api),
        history: history(),
        signals: signals(),
        arrivals,
        seed,
        run_wall_time_ms: Some(RUN_WALL_TIME_MS),
    };
    let mut threads = clients.begin(CLIENTS);
    threads.push(operator.begin());
    for (number, [api, operators]) in each.iter().enumerate() {
        let watch = Watch {
            number,
            api: Arc::clone(api),
            operators: Arc::clone(operators),
            history: history(),
            signals: signals(),
            seen: Arc::clone(seen),
            seed,
        };
        threads.push(watch.begin());
    }
    threads
}

/// Half of the faults, an outage, and the other half; a failover at the end.
fn rage(
    testbed: &Testbed,
    nemesis: &mut Nemesis,
    fleet: &mut Fleet,
    database: &mut Database,
    time: Duration,
) -> Result<()> {
    let Testbed { api, history, ledger, lives, .. } = testbed;
    nemesis.rage(fleet, database, time / 2)?;
    Outage { api, history, ledger, lives }.happen(nemesis, fleet, database)?;
    nemesis.rage(fleet, database, time / 2)?;
    if database.has_standby() {
        failover::happen(api, nemesis, fleet, database)?;
    }
    Ok(())
}

/// Waits until all is calm.
fn calm(fleet: &mut Fleet, database: &Database) -> Result<()> {
    fleet.free_all()?;
    let most = fleet.len();
    let mut owners = Vec::new();
    let is_calm = fleet.until(CALM, |fleet| {
        fleet.all_up() && {
            owners = database.owners().unwrap_or_default();
            owners.len() == most
        }
    })?;
    ensure!(is_calm, "not calm after {CALM:?}: registered are {owners:?}");
    Ok(())
}

/// The checks when all runs are over and all replicas are up.
fn at_rest(testbed: &Testbed, database: &Database, stored: &[super::rest::Stored]) -> Result<Vec<Violation>> {
    let mut found = Vec::new();
    let runs: Vec<String> = stored.iter().map(|stored| stored.id.clone()).collect();
    let step = runs.len() / COMPARED + 1;
    let some: Vec<String> = runs.iter().step_by(step).cloned().collect();
    for (replica, [api, _]) in testbed.each.iter().enumerate() {
        if replica > 0 {
            let rest = Rest { api, signals: &testbed.signals, ledger: &testbed.ledger };
            found.extend(verdict::differences(stored, &rest.collect(&some), replica));
        }
        let health = api.ask("/v1/health", None, &[200]);
        if health.as_ref().and_then(|health| health.text("status")) != Some("ok") {
            let what = format!("after the faults: {health:?}");
            found.push(Violation { rule: "coordinator", subject: format!("health of {replica}"), what });
        }
    }
    let owners = database.owners()?;
    if owners.len() != testbed.each.len() {
        let what = format!("{} are registered", owners.len());
        found.push(Violation { rule: "owners", subject: format!("{owners:?}"), what });
    }
    for claim in database.orphaned_claims()? {
        let what = "claimed by a worker that is not registered".into();
        found.push(Violation { rule: "owners", subject: claim, what });
    }
    Ok(found)
}

/// Fails unless the checks have found that answered commits were lost.
pub(super) fn must_find(report: &Report) -> Result<()> {
    let mut rules = BTreeMap::<&str, usize>::new();
    for violation in &report.violations {
        *rules.entry(violation.rule).or_default() += 1;
    }
    println!("  violations       as there must be, by their rules: {rules:?}");
    let is_found = rules.contains_key("lost");
    ensure!(is_found, "an asynchronous failover lost commits, and the checks have not found that");
    Ok(())
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}
