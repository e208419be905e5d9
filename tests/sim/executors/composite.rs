//! The composite executor: takes nodes on, and works through their plans by
//! calling the coordinator, as often as that takes.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::FutureExt;
use jarvis_run_coordinator::{
    clients::{
        CallError, Permit, Service,
        composite_executor::types::{CompositeBeginRequest, CompositeBeginResponse},
    },
    dispatch::CompositeExecutor,
    time::Clock,
    types::{NodeRunId, NodeRunState, NodeRunsCreateRequest, RunId, WorkerId},
};
use scripted_executor::{Answer, Behaviour, Work};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{before_it_is_sent, call_error, check_call, count, plan, reachable, told_to_stop};
use crate::{
    callers,
    process::Life,
    scenario::Plan,
    watch::Promise,
    world::{CallFailure, World},
};

/// How often children are looked at.
const LOOK: Duration = Duration::from_millis(700);

/// The composite executor, as one process reaches it.
pub struct CompositeRole {
    world: Arc<World>,
    life: Arc<Life>,
    owner: WorkerId,
}

impl CompositeRole {
    pub fn new(world: &Arc<World>, life: &Arc<Life>, owner: &WorkerId) -> Self {
        Self { world: Arc::clone(world), life: Arc::clone(life), owner: owner.clone() }
    }

    /// Takes a node on, unless it has it.
    fn take_on(&self, request: &CompositeBeginRequest, plan: &Plan) {
        let (world, node) = (Arc::clone(&self.world), request.node_run_id.clone());
        if world.ledger().is_open(&node) {
            world.count("begun again while at it");
            return;
        }
        let (number, stop, _) = world.ledger().begin(&node);
        let conductor =
            Conductor { world: Arc::clone(&world), run: request.run_id.clone(), node, plan: plan.clone() };
        world.clone().tasks.spawn("composite", async move {
            conductor.conduct(stop).await;
            world.ledger().close(&conductor.node, number);
        });
    }
}

#[async_trait]
impl CompositeExecutor for CompositeRole {
    async fn begin(
        &self,
        request: &CompositeBeginRequest,
        _: &Permit,
    ) -> Result<CompositeBeginResponse, CallError> {
        self.life.gate().await;
        let (world, service) = (&self.world, Service::CompositeExecutor);
        check_call(world, &request.node_run_id, &self.owner);
        before_it_is_sent(world, &request.run_id, &request.node_run_id).await;
        self.life.gate().await;
        reachable(world, service)?;
        let nth = world.ledger().called(&request.node_run_id);
        world.count(if nth == 0 { "begun" } else { "begun again" });
        let plan = plan(world, &request.inputs);
        let planned = plan.begins.get(nth).copied();
        world.tell(format_args!("begin {}: {planned:?}", request.node_run_id));
        let answer = |accepted| CompositeBeginResponse { accepted, message: None, extensions: None };
        world.lag().await;
        self.life.gate().await;
        let course = planned.unwrap_or(Behaviour::Accept).course(true);
        match course.work {
            Work::NotStarted => count(world, course),
            Work::Done | Work::DoneAfterAWhile | Work::DoneOnceArrived | Work::Fails => {
                count(world, course);
                self.take_on(request, plan);
            }
            // The call itself hangs.
            Work::UntilCanceledOrReleased | Work::UntilReleased => std::future::pending().await,
        }
        let is_accepted = !matches!(course.answer, Answer::Rejected { .. });
        let answer = match call_error(service, course.answer) {
            Some(error) => Err(error),
            None => Ok(answer(is_accepted)),
        };
        world.lag().await;
        self.life.gate().await;
        answer
    }

    async fn cancel(&self, node: &NodeRunId) -> Result<(), CallError> {
        self.life.gate().await;
        told_to_stop(&self.world, Service::CompositeExecutor, node).await
    }
}

/// Works through the plan of one node.
struct Conductor {
    world: Arc<World>,
    run: RunId,
    node: NodeRunId,
    plan: Plan,
}

impl Conductor {
    async fn conduct(&self, stop: CancellationToken) {
        let how = tokio::select! {
            biased;
            () = stop.cancelled() => Ok(()),
            how = self.play() => how,
        };
        if let Err(failure) = how {
            self.world.tell(format_args!("the executor of {} gives up: {failure:?}", self.node));
        }
    }

    async fn play(&self) -> Result<(), CallFailure> {
        let began = self.world.clock.elapsed();
        for (number, round) in self.plan.rounds.iter().enumerate().filter(|(_, round)| !round.is_empty()) {
            let mut children = Vec::new();
            for _ in 0..=u32::from(self.plan.manners.repeats) {
                match self.create(number, round).await {
                    Ok(created) => children.extend(created),
                    // Limits are limits: it makes do with what it has.
                    Err(CallFailure::Refused(error)) if error.facts().code == "constraint_violation" => {
                        self.world.count("limit met");
                    }
                    Err(failure) => return Err(failure),
                }
            }
            while self.some_live(&children).await? {
                if self.world.clock.elapsed() > began + self.plan.manners.patience {
                    self.world.count("out of patience");
                    break;
                }
                self.world.clock.sleep(LOOK).await;
            }
        }
        if self.plan.manners.evaluates {
            let reason = format!("judged-{}", self.node);
            callers::evaluate(&self.world, &self.run, &self.node, &reason).await?;
        }
        match self.plan.manners.completes {
            Some(state) => callers::complete(&self.world, &self.node, state).await,
            None => {
                self.world.count("composite gave up");
                Ok(())
            }
        }
    }

    async fn create(&self, number: usize, round: &[usize]) -> Result<Vec<NodeRunId>, CallFailure> {
        let spec = |(place, &plan): (usize, &usize)| {
            let mut spec = callers::node_spec(&self.world, plan);
            if self.plan.manners.keyed {
                spec["idempotency_key"] = json!(format!("{number}-{place}"));
            }
            spec
        };
        let specs: Vec<Value> = round.iter().enumerate().map(spec).collect();
        callers::create(&self.world, &self.run, &self.node, specs).await
    }

    async fn some_live(&self, children: &[NodeRunId]) -> Result<bool, CallFailure> {
        for child in children {
            let found = self.world.call_until(|process| {
                let child = child.clone();
                async move { process.coordinator.node_run_get(&process.caller, &child).await }.boxed()
            });
            let state = found.await?.state;
            if !state.is_terminal() {
                return Ok(true);
            }
            if state == NodeRunState::Canceled {
                self.world.count("child canceled");
            }
            self.world.promised(Promise::NodeOver { node: child.clone(), state });
        }
        Ok(false)
    }
}

/// The request for these children.
pub fn create_request(run: &RunId, parent: &NodeRunId, specs: &[Value]) -> NodeRunsCreateRequest {
    let request = json!({"run_id": run, "parent_node_run_id": parent, "node_runs": specs});
    serde_json::from_value(request).expect("a request")
}
