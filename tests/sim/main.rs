//! The simulator: coordinator, dispatch and journal as they are, in a world
//! where everything that can go wrong does, and where the same seed gives the
//! same story.
//!
//! The journal is the SQLite store with its schema, statements, transactions,
//! groups and cache, on a database in memory. What it is without: a file, the
//! write-ahead log and its fsync, the writer's thread and the readers' own
//! connections. Those are for the tests of the store, and for chaos.
//!
//! ```text
//!   seed ─▶ scenario ─▶ run ──────────────▶ nothing violated ─▶ counts of what has happened
//!             ▲          │                        │
//!             └─ shrink ◀┘ violated ─▶ the smallest that still is, its story, how to replay it
//!
//!   callers ──▶ process ──▶ executors         process:   the coordinator and its dispatch
//!                 │  ▲                        journal:   outlives each process; the cache does not
//!                 ▼  │ (killed, and again)    clock:     jumps when all are idle
//!               journal ──▶ watch             watch:     audit, and what was before and promised
//! ```
//!
//! One thread and no other input: no time but the clock's, no ids but the
//! seed's. So a seed that fails fails again.
//!
//! | environment | |
//! |---|---|
//! | `SIM_SEEDS` | how many seeds (200) |
//! | `SIM_FROM` | the first of them (1) |
//! | `SIM_SEED` | this one alone, with its story |

#![allow(unreachable_pub, reason = "a test binary exports nothing")]

mod callers;
mod clock;
mod executors;
mod journal;
mod process;
mod run;
mod scenario;
mod services;
mod shrink;
mod silent;
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
use scenario::{Sabotage, Scenario};

/// What a simulation without these would prove nothing about.
const MUST_OCCUR: [&str; 57] = [
    "answer lost",
    "answer makes no sense",
    "answer to a caller lost",
    "begun again",
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
    "did not fit",
    "denied without the PDP",
    "drained",
    "drained and cut off",
    "executed again",
    "execution hangs",
    "executors down",
    "executor busy",
    "executor restarted",
    "executor stopped",
    "held for the PDP",
    "journal down",
    "journal full",
    "limit met",
    "node completed",
    "node evaluated",
    "out of patience",
    "parked",
    "PDP down",
    "proxy answered for it",
    "read failed",
    "record damaged",
    "registry or PDP failed",
    "request arrives late",
    "request lost",
    "run canceled",
    "run followed to its end",
    "several writes in one transaction",
    "silent composite begun again",
    "silent composite given up",
    "start refused without the PDP",
    "slow write",
    "start failed",
    "transaction undone",
    "write failed after",
    "write failed before",
    "write repeated",
];

fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is a number, not {text:?}")))
}

#[test]
fn whatever_goes_wrong_nothing_is_lost_nothing_twice_and_nothing_stuck() {
    if let Some(seed) = setting("SIM_SEED") {
        let outcome = run(Scenario::of(seed));
        outcome.story.iter().for_each(|line| println!("{line}"));
        assert_eq!(outcome.violation, None, "seed {seed}");
        return;
    }
    let (from, seeds) = (setting("SIM_FROM").unwrap_or(1), setting("SIM_SEEDS").unwrap_or(200));
    let counts = all(from..from + seeds, None).unwrap_or_else(|(seed, outcome)| report(seed, outcome));
    println!("{seeds} seeds from {from}:");
    counts.iter().for_each(|(kind, count)| println!("{count:>9}  {kind}"));
    if seeds >= 200 {
        let missing: Vec<_> = MUST_OCCUR.iter().filter(|kind| !counts.contains_key(**kind)).collect();
        assert!(missing.is_empty(), "what never occurred: {missing:?}");
    }
}

#[test]
fn a_seed_gives_the_same_story_again() {
    for seed in 1..=12 {
        let (one, other) = (run(Scenario::of(seed)), run(Scenario::of(seed)));
        for (line, again) in one.story.iter().zip(&other.story) {
            assert_eq!(line, again, "seed {seed}");
        }
        assert_eq!(one.story.len(), other.story.len(), "seed {seed}");
        assert!(one.story.len() > 10, "seed {seed} has something to tell");
    }
}

#[test]
fn each_mistake_that_is_made_on_purpose_is_found() {
    for sabotage in [
        Sabotage::AnswersBeforeItCommits,
        Sabotage::ExecutesTwice,
        Sabotage::LosesEvents,
        Sabotage::LeavesTheDeadTheirWork,
        Sabotage::OversleepsWakes,
        Sabotage::TellsNobody,
        Sabotage::TwoTransactions,
        Sabotage::ForgetsNothing,
        Sabotage::WaitsForTheGone,
    ] {
        let found = all(1..201, Some(sabotage));
        assert!(found.is_err(), "{sabotage:?} is not found");
    }
}

#[test]
fn what_fails_is_made_smaller_and_still_fails() {
    let sabotage = Some(Sabotage::TellsNobody);
    let Err((seed, outcome)) = all(1..201, sabotage) else { panic!("it is found") };
    let (rule, _) = outcome.violation.expect("it is found");
    let whole = Scenario { sabotage, ..Scenario::of(seed) };
    let small = shrink::shrunk(whole.clone(), &rule);
    assert!(small.size() < whole.size() / 2, "{small:#?}");
    assert_eq!(run(small).violation.map(|(rule, _)| rule), Some(rule));
}

/// Runs seeds until one fails, and counts what happened.
fn all(
    seeds: std::ops::Range<u64>,
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
            let outcome = run(Scenario { sabotage, ..Scenario::of(seed) });
            for (kind, count) in &outcome.counts {
                *world::lock(&counts).entry(*kind).or_default() += count;
            }
            if outcome.violation.is_some() {
                // The first, whoever is faster.
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

/// Says what fails, as small as it can be made, and how to have it again.
fn report(seed: u64, outcome: Outcome) -> ! {
    let (rule, what) = outcome.violation.expect("a violation");
    let small = shrink::shrunk(Scenario::of(seed), &rule);
    let again = run(small.clone());
    println!("seed {seed} violates \"{rule}\": {what}\n\nthe smallest scenario that does:\n{small}\n");
    again.story.iter().for_each(|line| println!("{line}"));
    panic!("seed {seed} violates \"{rule}\": {what}\nreplay: cargo xtask sim --seed {seed}");
}
