//! Runs one scenario to its end, on one thread and in virtual time.
//!
//! ```text
//!   tasks run ──until none can──▶ idle ──▶ checks ──▶ the next action, or the time of the next sleeper
//!      ▲                                                          │
//!      └──────────────────────────────────────────────────────────┘
//! ```

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use crate::{
    callers,
    clock::Idle,
    process,
    scenario::{CALM_AT, Scenario},
    silent::Abandoned,
    world::{World, lock},
};

/// The time at which everything must be over: every node has a deadline, and retries
/// are limited.
const PATIENCE: Duration = Duration::from_secs(600);
/// The retry interval of parked work.
const PARKED: Duration = Duration::from_secs(3_600);
/// The bound on steps. A scenario that needs more runs in a loop.
const STEPS: u32 = 60_000;

/// The outcome of a scenario.
pub struct Outcome {
    /// The first rule that was violated, and where.
    pub violation: Option<(String, String)>,
    pub story: Vec<String>,
    pub counts: BTreeMap<&'static str, u64>,
}

pub fn run(scenario: Scenario) -> Outcome {
    let idle = Idle::default();
    let parked = idle.clone();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .on_thread_park(move || parked.reached())
        .build()
        .expect("a runtime");
    let story = runtime.block_on(async {
        let world = World::new(scenario);
        play(&world, &idle).await;
        // Breaks the reference cycle of world and process.
        world.processes().iter().for_each(|process| world.gone(&process.life));
        Arc::clone(&world.story)
    });
    drop(runtime);
    let violation = lock(&story.violations).first().cloned();
    let counts = std::mem::take(&mut *lock(&story.counts));
    let lines = std::mem::take(&mut *lock(&story.lines));
    Outcome { violation, story: lines, counts }
}

async fn play(world: &Arc<World>, idle: &Idle) {
    for replica in 0..world.scenario.replicas {
        world.tasks.spawn("starts processes", process::keep_up(Arc::clone(world), replica));
    }
    let abandoned = Abandoned::default();
    let mut actions = world.scenario.actions.iter().peekable();
    for _ in 0..STEPS {
        idle.wait().await;
        if world.story.is_violated() {
            return;
        }
        world.check_due_work();
        world.check_silent_composites(&abandoned);
        world.check_begun_are_called();
        let elapsed = world.clock.elapsed();
        if let Some(action) = actions.next_if(|action| action.at <= elapsed) {
            callers::act(world, &action.what);
            continue;
        }
        if elapsed > CALM_AT {
            match world.unfinished() {
                None => return world.final_check(),
                Some(what) => {
                    let parked = if world.committed().parked().is_empty() { Duration::ZERO } else { PARKED };
                    if elapsed > PATIENCE + parked {
                        return world.violated("nothing is stuck", what);
                    }
                }
            }
        }
        let due = actions.peek().map(|action| action.at).into_iter().chain(world.clock.next()).min();
        match due {
            Some(due) => {
                world.clock.advance(due);
                world.end_faults();
            }
            None => return world.violated("a waiting task has a wake-up time", "no task sleeps"),
        }
    }
    world.violated("nothing runs in a loop", format!("{} steps", STEPS));
}
