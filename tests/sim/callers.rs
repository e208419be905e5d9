//! The callers of the coordinator: they start, change and follow runs, and record what
//! they were answered, which must stay true.

use std::{sync::Arc, time::Duration};

use futures::{FutureExt, TryStreamExt};
use jarvis_run_coordinator::{
    coordinator::StreamOptions,
    engine::ApprovalVerdict,
    record::ApprovalId,
    time::Clock,
    types::{CompletionState, NodeKind, NodeRunId, NodeRunState, RunId, RunStartRequest},
};
use serde_json::{Value, json};

use crate::{
    executors::create_request,
    scenario::ActionKind,
    steering,
    watch::Promise,
    world::{CallFailure, World},
};

/// Performs an action, or spawns a caller that performs it.
pub fn act(world: &Arc<World>, what: &ActionKind) {
    world.trace(format_args!("{what:?}"));
    match what.clone() {
        ActionKind::Start { run, plan, narrow, twice } => {
            for _ in 0..=u32::from(twice) {
                spawn(world, start(Arc::clone(world), run, plan, narrow));
            }
        }
        ActionKind::StartOther { run, plan } => spawn(world, start(Arc::clone(world), run, plan, false)),
        ActionKind::Cancel { run } => spawn(world, cancel(Arc::clone(world), run_id(world, run))),
        ActionKind::Evaluate { run, node } => {
            let (shared, run) = (Arc::clone(world), run_id(world, run));
            let Some(node) = world.pick(&run, node) else { return };
            let reason = format!("said-{}", world.clock.now());
            spawn(world, async move { evaluate(&shared, &run, node.id(), &reason).await });
        }
        ActionKind::Complete { run, node, state } => {
            let (shared, run) = (Arc::clone(world), run_id(world, run));
            let Some(node) = world.pick(&run, node) else { return };
            spawn(world, async move { complete(&shared, node.id(), state).await });
        }
        ActionKind::Create { run, node, plan } => {
            let (shared, run) = (Arc::clone(world), run_id(world, run));
            let Some(node) = world.pick(&run, node) else { return };
            let spec = node_spec(world, plan);
            spawn(world, async move { create(&shared, &run, node.id(), vec![spec]).await });
        }
        ActionKind::Follow { run } => spawn(world, follow(Arc::clone(world), run_id(world, run))),
        ActionKind::Crash => {
            if let Some(process) = world.process() {
                world.count("crash at rest");
                if !world.waiting_for_approval().is_empty() {
                    world.count("crash while a node waits for an approval");
                }
                process.life.end();
            }
        }
        ActionKind::Drain => {
            if let Some(process) = world.process() {
                let shared = Arc::clone(world);
                spawn(world, async move {
                    process.drain(&shared).await;
                    Ok(())
                });
            }
        }
        ActionKind::Freeze(time) => {
            let Some(process) = world.process() else { return };
            world.count("process frozen");
            world.trouble();
            process.life.freeze();
            let shared = Arc::clone(world);
            spawn(world, async move {
                shared.clock.sleep(time).await;
                shared.trace("a frozen process is thawed");
                shared.trouble();
                process.life.thaw();
                Ok(())
            });
        }
        ActionKind::CutOff(time) => {
            let Some(process) = world.process() else { return };
            world.count("process cut off from the journal");
            world.trouble();
            process.life.cut_off();
            let shared = Arc::clone(world);
            spawn(world, async move {
                shared.clock.sleep(time).await;
                shared.trace("a process reaches the journal again");
                shared.trouble();
                process.life.heal();
                Ok(())
            });
        }
        ActionKind::JournalOut(time) => world.journal_out(time),
        ActionKind::ClockSet(by_millis) => {
            world.count(if by_millis < 0 { "clock set back" } else { "clock set forward" });
            world.clock.set(by_millis);
        }
        ActionKind::ExecutorsDown(time) => {
            world.count("executors down");
            world.executors_down(time);
        }
        ActionKind::PdpDown(time) => {
            world.count("PDP down");
            world.pdp_down(time);
        }
        ActionKind::Damage { run, node } => {
            if let Some(node) = world.pick_waiting(&run_id(world, run), node) {
                world.count("record damaged");
                world.damage(node.id());
            }
        }
        ActionKind::Decide { nth, approve } => {
            if let Some(approval) = world.pick_approval(nth) {
                let verdict = if approve { ApprovalVerdict::Approve } else { ApprovalVerdict::Deny };
                spawn(world, decide(Arc::clone(world), approval.approval_id, verdict));
            }
        }
        ActionKind::Hold { run, time, by_itself } => {
            let run = run_id(world, run);
            spawn(world, steering::hold(Arc::clone(world), run, time, by_itself));
        }
        ActionKind::Pause { paused, time } => {
            spawn(world, steering::pause(Arc::clone(world), paused, time));
        }
        ActionKind::Wake { run, node } => {
            let Some(node) = world.pick_waiting(&run_id(world, run), node) else { return };
            spawn(world, steering::wake(Arc::clone(world), node.id().clone()));
        }
        ActionKind::ExecutorRestart => {
            world.count("executor restarted");
            world.ledger().forget(|node| {
                let kind = world.node(node).and_then(|node| node.node.kind);
                kind == Some(NodeKind::Composite)
            });
        }
    }
}

fn spawn<T>(world: &Arc<World>, work: impl Future<Output = Result<T, CallFailure>> + Send + 'static) {
    let shared = Arc::clone(world);
    world.tasks.spawn("caller", async move {
        match work.await.map(drop) {
            Ok(()) => {}
            Err(CallFailure::Refused(error)) => {
                shared.count("caller refused");
                shared.trace(format_args!("refused: {error}"));
            }
            Err(failure) => shared.trace(format_args!("a caller gives up: {failure:?}")),
        }
    });
}

/// The id of a run, which differs from seed to seed.
fn run_id(world: &World, run: u32) -> RunId {
    RunId::new(format!("run-{}-{run}", world.scenario.seed))
}

/// The spec of a node with this plan.
pub fn node_spec(world: &World, plan: usize) -> Value {
    let node_type = world.scenario.plans[plan].node_type;
    json!({"node_type_ref": {"node_type_id": node_type, "version": "1"}, "inputs": {"plan": plan}})
}

async fn start(world: Arc<World>, run: u32, plan: usize, narrow: bool) -> Result<(), CallFailure> {
    let id = run_id(&world, run);
    let spec = node_spec(&world, plan);
    let mut request =
        json!({"run_id": id, "root_node_type_ref": spec["node_type_ref"], "input": spec["inputs"]});
    if narrow {
        let structural = json!({"max_depth": 1, "max_total_nodes_per_run": 4});
        request["constraints"] = json!({"structural": structural});
    }
    if run.is_multiple_of(3) {
        request["constraints"]["budgets"] = json!({"max_steps": 7, "max_external_calls": 4, "max_cost": 1.0});
    }
    let request: RunStartRequest = serde_json::from_value(request).expect("a request");
    let started = world
        .call_until(|process| {
            let request = request.clone();
            let shared = Arc::clone(&world);
            async move {
                let started = process.coordinator.run_start(&process.caller, request).await;
                if started.as_ref().is_err_and(|error| error.facts().code == "pdp_unavailable") {
                    shared.count("start refused without the PDP");
                }
                started
            }
            .boxed()
        })
        .await?;
    world.count("run started");
    world.record_promise(Promise::Run { run: id.clone(), root: started.root_node_run_id });
    if started.state.is_terminal() {
        world.record_promise(Promise::RunOver { run: id, state: started.state });
    }
    Ok(())
}

async fn cancel(world: Arc<World>, run: RunId) -> Result<(), CallFailure> {
    let canceled = world
        .call_until(|process| {
            let run = run.clone();
            async move { process.coordinator.run_cancel(&process.caller, &run).await }.boxed()
        })
        .await?;
    world.count("run canceled");
    world.record_promise(Promise::RunOver { run, state: canceled.state });
    Ok(())
}

/// Evaluates a node, once.
pub async fn evaluate(
    world: &Arc<World>,
    run: &RunId,
    node: &NodeRunId,
    reason: &str,
) -> Result<(), CallFailure> {
    let report = json!({"evaluation_result": {"status": "success", "reason_code": reason}});
    world
        .call_until(|process| {
            let (node, report) = (node.clone(), report.clone());
            async move {
                let report = serde_json::from_value(report).expect("a report");
                process.coordinator.node_run_evaluate(&process.caller, &node, report).await
            }
            .boxed()
        })
        .await?;
    world.count("node evaluated");
    world.heard(node);
    world.record_promise(Promise::Evaluated { run: run.clone(), reason: reason.into() });
    Ok(())
}

/// Completes a node.
pub async fn complete(
    world: &Arc<World>,
    node: &NodeRunId,
    state: CompletionState,
) -> Result<(), CallFailure> {
    let completion = json!({"state": state, "outputs": {"completed": true}});
    world
        .call_until(|process| {
            let (node, completion) = (node.clone(), completion.clone());
            async move {
                let completion = serde_json::from_value(completion).expect("a completion");
                process.coordinator.node_run_complete(&process.caller, &node, completion).await
            }
            .boxed()
        })
        .await?;
    world.count("node completed");
    world.record_promise(Promise::NodeOver { node: node.clone(), state: NodeRunState::from(state) });
    Ok(())
}

/// Decides about an approval.
async fn decide(world: Arc<World>, id: ApprovalId, verdict: ApprovalVerdict) -> Result<(), CallFailure> {
    let decided = world
        .call_until(|process| {
            let id = id.clone();
            async move {
                    process.coordinator.approval_decide(&process.caller, &id, verdict, "as agreed").await
                }
                .boxed()
        })
        .await?;
    let outcome = decided.approval.outcome().expect("it is decided");
    world.record_promise(Promise::Approval { id, outcome });
    Ok(())
}

/// Creates children; returns their ids.
pub async fn create(
    world: &Arc<World>,
    run: &RunId,
    parent: &NodeRunId,
    specs: Vec<Value>,
) -> Result<Vec<NodeRunId>, CallFailure> {
    let request = create_request(run, parent, &specs);
    let created = world
        .call_until(|process| {
            let request = request.clone();
            async move { process.coordinator.node_runs_create(&process.caller, request).await }.boxed()
        })
        .await?;
    world.count("children created");
    world.heard(parent);
    let children: Vec<_> = created.node_runs.into_iter().map(|node| node.node_run_id).collect();
    world.record_promise(Promise::Children { parent: parent.clone(), children: children.clone() });
    Ok(children)
}

/// Follows a run to its end, across restarts of the process.
async fn follow(world: Arc<World>, run: RunId) -> Result<(), CallFailure> {
    let mut lines: Vec<String> = Vec::new();
    for _ in 0..200 {
        let options = StreamOptions { after: lines.len() as u64, follow: true, ..StreamOptions::default() };
        let opened = world
            .call(|process| {
                let run = run.clone();
                let died = Arc::clone(&process.life);
                async move {
                    let stream = process.coordinator.run_events(&process.caller, &run, options).await?;
                    Ok((stream, died))
                }
                .boxed()
            })
            .await;
        if let Ok((mut stream, life)) = opened {
            loop {
                let next = tokio::select! {
                    biased;
                    () = life.died() => break,
                    next = stream.try_next() => next,
                };
                let Ok(Some(chunk)) = next else { break };
                let text = String::from_utf8(chunk.to_vec()).expect("text");
                lines.extend(text.lines().map(str::to_owned));
                world.record_promise(Promise::Events { run: run.clone(), lines: lines.clone() });
            }
        }
        let over = world
            .committed()
            .run(&run)
            .is_some_and(|whole| whole.run.is_terminal() && whole.run.last_seq <= lines.len() as u64);
        if over {
            world.count("run followed to its end");
            return Ok(());
        }
        world.clock.sleep(Duration::from_millis(400)).await;
    }
    Ok(())
}
