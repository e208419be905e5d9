//! The executors, which outlive every process: they do what the plan of a node says, and
//! keep a ledger of the work that was really done.
//!
//! ```text
//!   process ──▶ AtomicRole ─────▶ work, for its time or until a cancel ──▶ Ledger
//!           ──▶ CompositeRole ──▶ PlanRunner ──▶ calls of the coordinator ──▶ Ledger
//! ```

mod composite;
mod ledger;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
pub use composite::{CompositeRole, create_request};
use jarvis_run_coordinator::{
    clients::{
        CallError, Failure, NotSent, Permit, Service,
        atomic_executor::types::{AtomicExecuteRequest, AtomicExecuteResult},
    },
    record::Job,
    services::executors::AtomicExecutor,
    time::Clock,
    types::{Extensions, JsonObject, NodeRunId, NodeRunState, RunId, WorkerId},
};
pub use ledger::Ledger;
use scripted_executor::{Answer, Course, Work};
use serde_json::json;

use crate::{
    life::Life,
    scenario::{CALM_AT, DEMANDED, Execution, GATED, Plan, Sabotage},
    world::World,
};

/// The plan that a node's inputs name.
fn plan<'w>(world: &'w World, inputs: &JsonObject) -> &'w Plan {
    let at = inputs.get("plan").and_then(|plan| plan.as_u64()).expect("a node with a plan");
    &world.scenario.plans[at as usize]
}

/// Now and then one of several processes is frozen just before it sends a call.
async fn freeze_before_sending(world: &Arc<World>, life: &Arc<Life>) {
    let may_freeze = world.scenario.replicas > 1 && !world.scenario.patient && !world.is_calm();
    if may_freeze && world.one_in(25) {
        world.count("process frozen");
        world.trouble();
        life.freeze();
        let (shared, frozen) = (Arc::clone(world), Arc::clone(life));
        world.tasks.spawn("thaws a process", async move {
            shared.clock.sleep(Duration::from_secs(14)).await;
            shared.trouble();
            frozen.thaw();
        });
    }
    life.gate().await;
}

/// Checks that a call is for a committed, current attempt that the caller has claimed.
/// (What a frozen process sends when it is thawed, others may have taken over.)
fn check_call(world: &World, life: &Life, node: &NodeRunId, owner: &WorkerId) {
    let Some(record) = world.node(node) else {
        return world.violated("an executor is called for what is committed", format!("no node {node}"));
    };
    world.calls(&record);
    let wake = record.wake.as_ref();
    let ours = wake.is_some_and(|wake| wake.job == Job::Deadline && wake.claimed_by.as_ref() == Some(owner));
    if record.node.state != NodeRunState::Running || !ours {
        if life.was_frozen() {
            return world.is_sent_late(node);
        }
        if world.scenario.replicas > 1 && wake.is_some_and(|wake| wake.job == Job::CancelExecutor) {
            // Another process has ended the node, and tells its executor again.
            return world.count("call sent after an end elsewhere");
        }
        if world.scenario.replicas > 1 && record.children > 0 && record.node.state == NodeRunState::Running {
            // Through another process, a caller has created children meanwhile: from then
            // on its wake-up is claimed by whichever is first.
            return world.count("call sent after children were created elsewhere");
        }
        let what = format!("{node} is {}, {wake:?}", record.node.state);
        world.violated("an executor is called for what is committed", what);
    }
}

/// Delays a call, as a token request or a connection does. When the call is sent, no
/// caller may have been answered that its node is over.
async fn delay_before_sending(world: &World, life: &Life, run: &RunId, node: &NodeRunId) {
    if !world.is_calm() && world.one_in(6) {
        world.count("call waits for its token");
        world.clock.sleep(Duration::from_millis(1_500)).await;
    }
    if world.is_promised_over(run, node) {
        if life.was_frozen() {
            return world.is_sent_late(node);
        }
        world.violated("no call is sent after the end of its node was answered", node);
    }
}

/// What the executor reports about a node: nothing, less than the usual allowance of
/// one call, as much, or more.
fn usage(node: &NodeRunId) -> Option<Extensions> {
    let calls = node.as_str().bytes().map(u64::from).sum::<u64>() % 4;
    (calls != 3).then(|| [("jarvis.usage", json!({"external_calls": calls, "cost": 0.125}))].into())
}

/// Whether the network delivers a call.
fn reachable(world: &World, service: Service, member: usize) -> Result<(), CallError> {
    if world.are_executors_down() || world.is_member_down(member) {
        return Err(no_connection(service));
    }
    Ok(())
}

/// The executor refuses in its own envelope.
fn busy(service: Service, status: u16) -> CallError {
    let failure = Failure::Envelope {
        status,
        code: "busy".into(),
        message: "injected".into(),
        details: JsonObject::new(),
        retryable: true,
        retry_after: (status == 429).then_some(Duration::from_secs(2)),
    };
    CallError::new(service, failure)
}

/// A status without an envelope, as a proxy answers.
fn without_envelope(service: Service, status: u16) -> CallError {
    CallError::new(service, Failure::HttpStatus { status, reason: "injected".into(), retry_after: None })
}

fn no_connection(service: Service) -> CallError {
    CallError::new(service, Failure::NotSent(NotSent::NoConnection))
}

fn no_answer(service: Service) -> CallError {
    CallError::no_response(service, "injected")
}

/// The call error that an answer comes to; none if the executor has answered
/// for the node.
fn call_error(service: Service, answer: Answer) -> Option<CallError> {
    match answer {
        Answer::ConnectionRefused => Some(no_connection(service)),
        Answer::ConnectionBroken | Answer::AnswerBroken | Answer::NotJson => Some(no_answer(service)),
        Answer::Envelope { status, .. } => Some(busy(service, status)),
        Answer::Intermediary { status, .. } => Some(without_envelope(service, status)),
        Answer::Result
        | Answer::ResultOfAnotherNode
        | Answer::ResultNotTerminal
        | Answer::ResultWithEveryMember
        | Answer::Accepted
        | Answer::Rejected { .. } => None,
    }
}

/// Counts what a call meets, so that the simulation can show that it did.
fn count(world: &World, course: Course) {
    let met = match (course.work, course.answer) {
        (Work::DoneOnceArrived, _) => "request arrives late",
        (Work::UntilCanceledOrReleased | Work::UntilReleased, _) => "execution hangs",
        (Work::NotStarted, Answer::ConnectionBroken) => "request lost",
        (_, Answer::ConnectionBroken | Answer::AnswerBroken) => "answer lost",
        (_, Answer::ConnectionRefused) => "connection refused",
        (_, Answer::Envelope { .. }) => "executor busy",
        (_, Answer::Intermediary { .. }) => "proxy answered for it",
        (_, Answer::ResultOfAnotherNode | Answer::ResultNotTerminal | Answer::NotJson) => {
            "answer makes no sense"
        }
        (_, Answer::Rejected { .. }) => "composite rejected",
        (_, Answer::Result | Answer::ResultWithEveryMember | Answer::Accepted) => return,
    };
    world.count(met);
}

/// A member of the atomic executor, as one process reaches it.
#[derive(Clone)]
pub struct AtomicRole {
    world: Arc<World>,
    life: Arc<Life>,
    owner: WorkerId,
    member: usize,
}

impl AtomicRole {
    pub fn new(world: &Arc<World>, life: &Arc<Life>, owner: &WorkerId, member: usize) -> Self {
        Self { world: Arc::clone(world), life: Arc::clone(life), owner: owner.clone(), member }
    }

    /// Works for the time `after` or until the work is stopped, whether or not the caller
    /// still waits.
    async fn work(
        &self,
        request: &AtomicExecuteRequest,
        after: Option<Duration>,
        well: bool,
    ) -> AtomicExecuteResult {
        let world = Arc::clone(&self.world);
        let node = request.node_run_id.clone();
        let (number, stop, begun) = world.ledger().begin(&node, self.member);
        world.trace(format_args!("execution {number} of {node} begins"));
        let type_id = request.node_type_ref.node_type_id.as_str();
        if type_id == GATED && !world.is_approved(&node) {
            world.violated("no node is executed without the approval that it needs", &node);
        }
        if begun > 1 && !["sim.read", "sim.idempotent", GATED, DEMANDED].contains(&type_id) {
            world.violated("what may not be executed twice is not", format!("{node}, a {type_id}"));
        }
        if world.is_sabotaged(Sabotage::ExecutesTwice) && begun == 1 && world.one_in(4) {
            world.trace("executed twice on purpose");
            return Box::pin(self.work(request, after, well)).await;
        }
        let (done, answer) = tokio::sync::oneshot::channel();
        world.clone().tasks.spawn("execution", async move {
            let worked = async {
                match after {
                    Some(after) => world.clock.sleep(after).await,
                    None => std::future::pending().await,
                }
            };
            let state = tokio::select! {
                biased;
                () = stop.cancelled() => NodeRunState::Canceled,
                () = worked => if well { NodeRunState::Succeeded } else { NodeRunState::Failed },
            };
            let said = format!("{node}/{number}");
            world.trace(format_args!("execution {number} of {node} ends: {state}"));
            {
                let mut ledger = world.ledger();
                ledger.close(&node, number);
                ledger.answered(&node, &said);
            }
            // The caller may have gone.
            let _ = done.send((state, said));
        });
        let (state, said) = match answer.await {
            Ok(answer) => answer,
            // The simulation is over.
            Err(_) => std::future::pending().await,
        };
        AtomicExecuteResult {
            node_run_id: request.node_run_id.clone(),
            state,
            outputs: Some([("execution", json!(said))].into()),
            output_artifacts: None,
            error: None,
            started_at: None,
            ended_at: None,
            extensions: usage(&request.node_run_id),
        }
    }

    /// Checks that a valid answer which a process received is recorded in time, unless the
    /// process dies before that.
    fn must_be_recorded(&self, request: &AtomicExecuteRequest, attempt: u32, answer: &AtomicExecuteResult) {
        let valid = answer.node_run_id == request.node_run_id && answer.state.is_terminal();
        let said = answer.outputs.as_ref().and_then(|outputs| outputs.text("execution"));
        let Some(said) = said.filter(|_| valid) else { return };
        let (world, life, node) =
            (Arc::clone(&self.world), Arc::clone(&self.life), request.node_run_id.clone());
        let by = world.clock.elapsed().max(CALM_AT) + Duration::from_secs(30);
        world.clone().tasks.spawn("checks that an answer is recorded", async move {
            world.clock.sleep(by - world.clock.elapsed()).await;
            // An unreadable record cannot store it.
            if !life.is_over() && !world.was_damaged(&node) && !world.is_recorded(&node, attempt, &said) {
                world.violated("a received answer is recorded", said);
            }
        });
    }

    /// Carries out what the scenario has for this call.
    async fn carry_out(
        &self,
        request: &AtomicExecuteRequest,
        execution: Execution,
    ) -> Result<AtomicExecuteResult, CallError> {
        let Execution { behaviour, after } = execution;
        let course = behaviour.course(true);
        count(&self.world, course);
        let result = match course.work {
            Work::NotStarted => None,
            Work::Done | Work::DoneAfterAWhile => Some(self.work(request, Some(after), true).await),
            Work::Fails => Some(self.work(request, Some(after), false).await),
            Work::DoneOnceArrived => Some(self.work_once_arrived(request, after).await),
            Work::UntilCanceledOrReleased | Work::UntilReleased => Some(self.work(request, None, true).await),
        };
        if (course.work, course.answer) == (Work::NotStarted, Answer::ConnectionBroken) {
            self.world.clock.sleep(Duration::from_millis(300)).await;
        }
        if let Some(error) = call_error(Service::AtomicExecutor, course.answer) {
            return Err(error);
        }
        let result = result.expect("a result is of work that was done");
        Ok(match course.answer {
            Answer::ResultNotTerminal => AtomicExecuteResult { state: NodeRunState::Running, ..result },
            Answer::ResultOfAnotherNode => AtomicExecuteResult { node_run_id: "another".into(), ..result },
            Answer::Result
            | Answer::ResultWithEveryMember
            | Answer::NotJson
            | Answer::Accepted
            | Answer::Rejected { .. }
            | Answer::Envelope { .. }
            | Answer::Intermediary { .. }
            | Answer::ConnectionRefused
            | Answer::ConnectionBroken
            | Answer::AnswerBroken => result,
        })
    }

    /// A request that was sent arrives and is worked on, whether or not its
    /// caller still waits.
    async fn work_once_arrived(
        &self,
        request: &AtomicExecuteRequest,
        travel: Duration,
    ) -> AtomicExecuteResult {
        let soon = Some(Duration::from_millis(50));
        let (role, request) = (self.clone(), request.clone());
        let (done, answer) = tokio::sync::oneshot::channel();
        self.world.clone().tasks.spawn("request under way", async move {
            role.world.clock.sleep(travel).await;
            let _ = done.send(role.work(&request, soon, true).await);
        });
        match answer.await {
            Ok(answer) => answer,
            Err(_) => std::future::pending().await,
        }
    }
}

#[async_trait]
impl AtomicExecutor for AtomicRole {
    async fn execute(
        &self,
        request: &AtomicExecuteRequest,
        _: &Permit,
    ) -> Result<AtomicExecuteResult, CallError> {
        let world = &self.world;
        freeze_before_sending(world, &self.life).await;
        check_call(world, &self.life, &request.node_run_id, &self.owner);
        delay_before_sending(world, &self.life, &request.run_id, &request.node_run_id).await;
        self.life.gate().await;
        reachable(world, Service::AtomicExecutor, self.member)?;
        let nth = world.ledger().called(&request.node_run_id);
        world.count(if nth == 0 { "executed" } else { "executed again" });
        let planned = plan(world, &request.inputs).executions.get(nth).copied();
        // Nothing waits for what was sent too late, and nothing cancels it.
        let planned = planned.filter(|_| !world.was_sent_late(&request.node_run_id));
        let execution = planned.unwrap_or(Execution::WELL);
        world.trace(format_args!("execute {}: {execution:?}", request.node_run_id));
        let attempt = world.node(&request.node_run_id).map_or(0, |node| node.attempt);
        let answer = self.carry_out(request, execution).await;
        self.life.gate().await;
        if let Ok(answer) = &answer {
            self.must_be_recorded(request, attempt, answer);
        }
        answer
    }

    async fn cancel(&self, node: &NodeRunId) -> Result<(), CallError> {
        self.life.gate().await;
        deliver_cancel(&self.world, Service::AtomicExecutor, node, self.member).await
    }
}

/// Delivers the cancel of a node to an executor.
async fn deliver_cancel(
    world: &World,
    service: Service,
    node: &NodeRunId,
    member: usize,
) -> Result<(), CallError> {
    world.lag().await;
    reachable(world, service, member)?;
    if world.is_sabotaged(Sabotage::SkipsCancels) {
        return Ok(());
    }
    if !world.is_calm() && world.one_in(5) {
        world.count("cancel failed");
        return Err(without_envelope(service, 503));
    }
    let stopped = world.ledger().stop(node, member);
    world.trace(format_args!("cancel {node}: {}", if stopped { "stopped" } else { "nothing to stop" }));
    if stopped {
        world.count("executor stopped");
        return Ok(());
    }
    Err(without_envelope(service, 404))
}
