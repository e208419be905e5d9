//! Operators who steer: they hold runs, pause dispatch and try nodes now, in between
//! everything else, and take it back after a while.

use std::{sync::Arc, time::Duration};

use futures::FutureExt;
use jarvis_run_coordinator::{
    record::PauseScope,
    time::Clock,
    types::{NodeRunId, RunId},
};

use crate::{
    scenario::{ATOMIC, COMPOSITE, Paused},
    world::{CallFailure, World},
};

/// Holds a run for a time: until then by itself, or until it is released.
pub async fn hold(world: Arc<World>, run: RunId, time: Duration, by_itself: bool) -> Result<(), CallFailure> {
    let until = by_itself.then(|| world.clock.now() + time);
    world
        .call_until(|process| {
            let run = run.clone();
            async move { process.coordinator.run_hold(&process.caller, &run, "look at it", until).await }
                .boxed()
        })
        .await?;
    world.count("run held");
    if by_itself {
        return Ok(());
    }
    world.clock.sleep(time).await;
    world
        .call_until(|process| {
            let run = run.clone();
            async move { process.coordinator.run_release(&process.caller, &run, "go on").await }.boxed()
        })
        .await?;
    world.count("run released");
    Ok(())
}

/// Pauses dispatch for a time.
pub async fn pause(world: Arc<World>, paused: Paused, time: Duration) -> Result<(), CallFailure> {
    let scope = match paused {
        Paused::All => PauseScope::All,
        Paused::Executor => PauseScope::Executor { executor: "atomic_executor".into() },
        Paused::Atomic => PauseScope::NodeType { node_type_id: ATOMIC[0].into() },
        Paused::Composite => PauseScope::NodeType { node_type_id: COMPOSITE.into() },
    };
    let what = paused;
    let paused = world
        .call_until(|process| {
            let scope = scope.clone();
            async move { process.coordinator.dispatch_pause(&process.caller, scope, "an incident").await }
                .boxed()
        })
        .await?;
    world.count("dispatch paused");
    world.is_paused(what);
    world.clock.sleep(time).await;
    world.is_resumed(what);
    world
        .call_until(|process| {
            let scope = paused.scope.clone();
            async move { process.coordinator.dispatch_resume(&process.caller, &scope, "it is over").await }
                .boxed()
        })
        .await?;
    world.count("dispatch resumed");
    Ok(())
}

/// Tries a node now.
pub async fn wake(world: Arc<World>, node: NodeRunId) -> Result<(), CallFailure> {
    world
        .call_until(|process| {
            let node = node.clone();
            async move { process.coordinator.node_run_wake(&process.caller, &node, "try it").await }.boxed()
        })
        .await?;
    world.count("node tried now");
    Ok(())
}
