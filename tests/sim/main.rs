//! The simulator: the real coordinator, dispatch and journal in a deterministic world
//! that injects every kind of fault. The same seed gives the same sequence of events.
//!
//! The journal is the SQLite journal with its schema, statements, transactions, commit
//! groups and cache, on a database in memory. Not simulated are the file, the
//! write-ahead log and its fsync, the writer's thread, and the readers' connections: the
//! tests of the journal and the chaos runs cover them.
//!
//! ```text
//!   seed ─▶ scenario ─▶ run ──────────────▶ no rule violated ─▶ counts of the faults that occurred
//!             ▲          │
//!             └─ shrink ◀┘ violated ─▶ the smallest failing scenario, its story, how to replay it
//!
//!   callers ──▶ process ──▶ executors         process:   the coordinator and its dispatch
//!                 │  ▲                        journal:   outlives each process; the cache does not
//!                 ▼  │ (killed, restarted)    clock:     jumps when all tasks are idle
//!               journal ──▶ watch             watch:     invariants, earlier states, promises
//! ```
//!
//! A simulation has one thread and no other input: time comes from the virtual clock,
//! ids come from the seed. So a failing seed fails again.
//!
//! | environment | |
//! |---|---|
//! | `SIM_SEEDS` | the number of seeds |
//! | `SIM_FROM` | the first seed (1) |
//! | `SIM_SEED` | this seed alone, with its story |
//! | `SIM_SHRINK` | 0: a failing scenario is reported as it is |

#![allow(unreachable_pub, reason = "a test binary exports nothing")]

mod called;
mod callers;
mod clock;
mod executors;
mod journal;
mod life;
mod process;
mod run;
mod scenario;
mod services;
mod shrink;
mod silent;
mod steering;
mod stores;
mod watch;
mod world;

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use run::{Outcome, run};
use scenario::{Kind, Sabotage, Scenario};

/// What must occur in 300 seeds, so that the simulation proves something about it.
const MUST_OCCUR: [&str; 68] = [
    "PDP down",
    "answer lost",
    "answer makes no sense",
    "answer to a caller lost",
    "approval denied",
    "approval expired",
    "approval granted",
    "begun again",
    "begun in the commit of its creation",
    "begun again while at it",
    "call waits for its token",
    "caller refused",
    "cancel failed",
    "child canceled",
    "children created",
    "clock set back",
    "clock set forward",
    "composite gave up",
    "composite rejected",
    "conflict",
    "connection refused",
    "crash after a write",
    "crash at rest",
    "crash before a write",
    "crash inside a transaction",
    "crash while a node waits for an approval",
    "denied without the PDP",
    "did not fit",
    "dispatch paused",
    "dispatch resumed",
    "drained",
    "drained and cut off",
    "executed again",
    "execution hangs",
    "executor busy",
    "executor restarted",
    "executor stopped",
    "executors down",
    "held for the PDP",
    "journal down",
    "journal full",
    "limit met",
    "node completed",
    "node ended while it waited for an approval",
    "node evaluated",
    "node tried now",
    "out of patience",
    "parked",
    "proxy answered for it",
    "read failed",
    "record damaged",
    "registry or PDP failed",
    "request arrives late",
    "request lost",
    "run canceled",
    "run followed to its end",
    "run held",
    "run released",
    "several writes in one transaction",
    "silent composite begun again",
    "silent composite given up",
    "slow write",
    "start failed",
    "start refused without the PDP",
    "transaction undone",
    "write failed after",
    "write failed before",
    "write repeated",
];

fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is a number, not {text:?}")))
}

/// What must occur besides when several processes share the journal.
const MUST_OCCUR_AMONG_REPLICAS: [&str; 17] = [
    "begun in the commit of its creation",
    "call to a store lost",
    "call to a store takes effect late",
    "sender took over",
    "call sent by a worker that was declared dead",
    "commit in doubt after a partition",
    "journal out for all",
    "process cut off from the journal",
    "conflict",
    "dispatch paused",
    "news arrived",
    "news doubled",
    "news lost",
    "process ended because it was declared dead",
    "process frozen",
    "silent composite begun again",
    "silent composite given up",
];

#[test]
fn random_faults_lose_repeat_and_block_nothing() {
    let Some(counts) = explore(Kind::Alone, 300) else { return };
    assert_occurred(&counts, &MUST_OCCUR);
}

#[test]
fn random_faults_among_replicas_lose_repeat_and_block_nothing() {
    let Some(counts) = explore(Kind::Replicas, 300) else { return };
    assert_occurred(&counts, &MUST_OCCUR_AMONG_REPLICAS);
}

/// A process that looks for news while it begins a node does not take it for one that
/// has ended.
#[test]
fn slow_commits_among_replicas_lose_no_call() {
    let Some(counts) = explore(Kind::SlowCommits, 100) else { return };
    assert_occurred(&counts, &["begun in the commit of its creation"]);
}

/// A composite without a child at work lives as long as any process hears it.
#[test]
fn composite_that_another_process_hears_is_not_silent() {
    let Some(counts) = explore(Kind::Thoughtful, 12) else { return };
    assert_occurred(&counts, &["composite thought"]);
    assert!(!counts.contains_key("silent composite begun again"), "{counts:?}");
}

/// Thirty seconds without the database: every process lives on, and no node fails.
#[test]
fn outage_of_the_journal_expires_no_process_and_fails_no_node() {
    let Some(counts) = explore(Kind::Outage, 30) else { return };
    assert_occurred(&counts, &["journal out for all"]);
    assert!(!counts.contains_key("process ended because it was declared dead"), "{counts:?}");
    let found = all(1..31, Kind::Outage, Some(Sabotage::ExpiresAfterAnOutage));
    assert!(found.is_err(), "workers that are declared dead after it are not found");
}

/// Runs the seeds that the environment names, or this number of them, and counts what
/// occurred. `None`: it was one seed, or there were too few of them to expect anything.
fn explore(kind: Kind, seeds: u64) -> Option<BTreeMap<&'static str, u64>> {
    if let Some(seed) = setting("SIM_SEED") {
        let outcome = run(kind.scenario(seed));
        outcome.story.iter().for_each(|line| println!("{line}"));
        assert_eq!(outcome.violation, None, "seed {seed}");
        return None;
    }
    let enough = seeds;
    let (from, seeds) = (setting("SIM_FROM").unwrap_or(1), setting("SIM_SEEDS").unwrap_or(seeds));
    let found = all(from..from + seeds, kind, None);
    let counts = found.unwrap_or_else(|(seed, outcome)| report(seed, kind, outcome));
    println!("{seeds} seeds from {from}:");
    counts.iter().for_each(|(kind, count)| println!("{count:>9}  {kind}"));
    (seeds >= enough).then_some(counts)
}

fn assert_occurred(counts: &BTreeMap<&'static str, u64>, what: &[&str]) {
    let missing: Vec<_> = what.iter().filter(|kind| !counts.contains_key(**kind)).collect();
    assert!(missing.is_empty(), "what never occurred: {missing:?}");
}

#[test]
fn seed_reproduces_its_story() {
    for (seed, kind) in (1..=12).flat_map(|seed| [(seed, Kind::Alone), (seed, Kind::Replicas)]) {
        let (one, other) = (run(kind.scenario(seed)), run(kind.scenario(seed)));
        for (line, again) in one.story.iter().zip(&other.story) {
            assert_eq!(line, again, "seed {seed}");
        }
        assert_eq!(one.story.len(), other.story.len(), "seed {seed}");
        assert!(one.story.len() > 10, "the story of seed {seed} has lines");
    }
}

#[test]
fn every_sabotage_is_found() {
    for sabotage in [
        Sabotage::AnswersWithoutCommit,
        Sabotage::ExecutesTwice,
        Sabotage::LosesEvents,
        Sabotage::KeepsClaimsOfDeadWorkers,
        Sabotage::DelaysWakeUps,
        Sabotage::SkipsCancels,
        Sabotage::SplitsCommits,
        Sabotage::StaleCache,
        Sabotage::IgnoresSilence,
    ] {
        let found = all(1..201, Kind::Alone, Some(sabotage));
        assert!(found.is_err(), "{sabotage:?} is not found");
    }
}

#[test]
fn every_sabotage_among_replicas_is_found() {
    for sabotage in [
        Sabotage::SkipsLateOutboxIds,
        Sabotage::SendsWithoutTheDuty,
        Sabotage::IgnoresItsFence,
        Sabotage::DeclaresTheLivingDead,
        Sabotage::KeepsWhatItHears,
        Sabotage::IgnoresPausesOfOthers,
        Sabotage::ExpiresByItsClock,
        Sabotage::ExpiresAfterAnOutage,
        Sabotage::ReadsLiveBeforeRun,
        Sabotage::AnswersFromItsCache,
        Sabotage::TellsNoOthers,
        Sabotage::ReusesAWorkerName,
        Sabotage::KeepsClaimsOfDeadWorkers,
        Sabotage::SplitsCommits,
        Sabotage::StaleCache,
    ] {
        // A begin has to be decided before a pause, and committed after it. A composite has
        // to be heard for longer than the limit by a process that does not judge it.
        let kind = if sabotage == Sabotage::IgnoresPausesOfOthers {
            Kind::SlowCommits
        } else if sabotage == Sabotage::KeepsWhatItHears {
            Kind::Thoughtful
        } else {
            Kind::Replicas
        };
        match all(1..201, kind, Some(sabotage)) {
            Ok(_) => panic!("{sabotage:?} is not found"),
            Err((seed, outcome)) => println!("{sabotage:?} is found at seed {seed}: {:?}", outcome.violation),
        }
    }
}

#[test]
fn failing_scenario_is_shrunk_and_still_fails() {
    let sabotage = Some(Sabotage::SkipsCancels);
    let Err((seed, outcome)) = all(1..201, Kind::Alone, sabotage) else {
        panic!("the sabotage is not found")
    };
    let (rule, _) = outcome.violation.expect("a violation");
    let whole = Scenario { sabotage, ..Kind::Alone.scenario(seed) };
    let small = shrink::shrunk(whole.clone(), &rule);
    assert!(small.size() < whole.size() / 2, "{small:#?}");
    assert_eq!(run(small).violation.map(|(rule, _)| rule), Some(rule));
}

/// Runs seeds until one fails, and counts what happened.
fn all(
    seeds: std::ops::Range<u64>,
    kind: Kind,
    sabotage: Option<Sabotage>,
) -> Result<BTreeMap<&'static str, u64>, (u64, Outcome)> {
    let next = AtomicU64::new(seeds.start);
    let counts = Mutex::new(BTreeMap::<&'static str, u64>::new());
    let failed: Mutex<Option<(u64, Outcome)>> = Mutex::default();
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end || world::lock(&failed).is_some() {
                return;
            }
            let outcome = run(Scenario { sabotage, ..kind.scenario(seed) });
            for (kind, count) in &outcome.counts {
                *world::lock(&counts).entry(*kind).or_default() += count;
            }
            if outcome.violation.is_some() {
                // The lowest failing seed counts, whichever thread is faster.
                let mut failed = world::lock(&failed);
                if failed.as_ref().is_none_or(|(other, _)| seed < *other) {
                    *failed = Some((seed, outcome));
                }
            }
        }
    };
    thread::scope(|scope| {
        let jobs = thread::available_parallelism().map_or(1, usize::from);
        (0..jobs).for_each(|_| drop(scope.spawn(work)));
    });
    match world::lock(&failed).take() {
        Some(failure) => Err(failure),
        None => Ok(std::mem::take(&mut *world::lock(&counts))),
    }
}

/// Reports a failing seed: the smallest scenario that fails, and how to replay it.
fn report(seed: u64, kind: Kind, outcome: Outcome) -> ! {
    let (rule, what) = outcome.violation.expect("a violation");
    let whole = kind.scenario(seed);
    let small = if setting("SIM_SHRINK") == Some(0) { whole } else { shrink::shrunk(whole, &rule) };
    let again = run(small.clone());
    println!("seed {seed} violates \"{rule}\": {what}\n\nthe smallest scenario that does:\n{small}\n");
    again.story.iter().for_each(|line| println!("{line}"));
    let kind = kind.name();
    panic!("seed {seed} violates \"{rule}\": {what}\nreplay: cargo xtask sim --kind {kind} --seed {seed}");
}
