//! Plays one scenario to its end, on one thread, in no time at all.
//!
//! ```text
//!   tasks run ──until none can──▶ idle ──▶ checks ──▶ the next action, or the next sleeper's time
//!      ▲                                                          │
//!      └──────────────────────────────────────────────────────────┘
//! ```

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use crate::{
    callers,
    clock::Idle,
    process,
    scenario::{CALM_AT, Scenario},
    world::{World, lock},
};

/// Everything has a deadline, and retries end: by then all must be over.
const PATIENCE: Duration = Duration::from_secs(600);
/// What is parked is tried again after an hour.
const PARKED: Duration = Duration::from_secs(3_600);
/// Enough for any scenario; one that needs more runs in a circle.
const STEPS: u32 = 60_000;

/// What came of a scenario.
pub struct Outcome {
    /// The first rule that was broken, and where.
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
        // The process knows the world, which knows the process.
        world.set_process(None);
        Arc::clone(&world.story)
    });
    drop(runtime);
    let violation = lock(&story.violations).first().cloned();
    let counts = std::mem::take(&mut *lock(&story.counts));
    let lines = std::mem::take(&mut *lock(&story.lines));
    Outcome { violation, story: lines, counts }
}

async fn play(world: &Arc<World>, idle: &Idle) {
    world.tasks.spawn("starts processes", process::keep_up(Arc::clone(world)));
    let mut actions = world.scenario.actions.iter().peekable();
    for _ in 0..STEPS {
        idle.wait().await;
        if world.story.is_violated() {
            return;
        }
        world.nobody_is_forgotten();
        let elapsed = world.clock.elapsed();
        if let Some(action) = actions.next_if(|action| action.at <= elapsed) {
            callers::act(world, &action.what);
            continue;
        }
        if elapsed > CALM_AT {
            match world.unfinished() {
                None => return world.last_look(),
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
                world.mend();
            }
            None => return world.violated("somebody waits for something", "nobody sleeps"),
        }
    }
    world.violated("nothing runs in a circle", format!("{} steps", STEPS));
}
