//! The composite executor: it accepts nodes, and works through their plans by calling the
//! coordinator, with as many retries as that needs.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::FutureExt;
use jarvis_run_coordinator::{
    clients::{
        CallError, Permit, Service,
        composite_executor::types::{CompositeBeginRequest, CompositeBeginResponse},
    },
    services::executors::CompositeExecutor,
    time::Clock,
    types::{NodeRunId, NodeRunState, NodeRunsCreateRequest, RunId, WorkerId},
};
use scripted_executor::{Answer, Behaviour, Work};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{call_error, check_call, count, delay_before_sending, deliver_cancel, plan, reachable};
use crate::{
    callers,
    life::Life,
    scenario::Plan,
    watch::Promise,
    world::{CallFailure, World},
};

/// The interval at which children are polled.
const POLL_INTERVAL: Duration = Duration::from_millis(700);
/// The interval at which a composite that thinks says so, more
/// than twice within the silence limit.
const THOUGHT: Duration = Duration::from_millis(3_100);

/// A member of the composite executor, as one process reaches it.
pub struct CompositeRole {
    world: Arc<World>,
    life: Arc<Life>,
    owner: WorkerId,
    member: usize,
}

impl CompositeRole {
    pub fn new(world: &Arc<World>, life: &Arc<Life>, owner: &WorkerId, member: usize) -> Self {
        Self { world: Arc::clone(world), life: Arc::clone(life), owner: owner.clone(), member }
    }

    /// Accepts a node, unless it is at work on it already.
    fn accept(&self, request: &CompositeBeginRequest, plan: &Plan) {
        let (world, node) = (Arc::clone(&self.world), request.node_run_id.clone());
        if world.ledger().is_open_at(&node, self.member) {
            world.count("begun again while at it");
            return;
        }
        if world.ledger().is_open(&node) {
            world.violated("a composite is begun at one member of its pool", &node);
        }
        let (number, stop, _) = world.ledger().begin(&node, self.member);
        let runner =
            PlanRunner { world: Arc::clone(&world), run: request.run_id.clone(), node, plan: plan.clone() };
        world.clone().tasks.spawn("composite", async move {
            runner.run_until_stopped(stop).await;
            world.ledger().close(&runner.node, number);
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
        check_call(world, &self.life, &request.node_run_id, &self.owner);
        delay_before_sending(world, &self.life, &request.run_id, &request.node_run_id).await;
        self.life.gate().await;
        reachable(world, service, self.member)?;
        let nth = world.ledger().called(&request.node_run_id);
        world.count(if nth == 0 { "begun" } else { "begun again" });
        let plan = plan(world, &request.inputs);
        let planned = plan.begins.get(nth).copied();
        world.trace(format_args!("begin {}: {planned:?}", request.node_run_id));
        let answer = |accepted| CompositeBeginResponse { accepted, message: None, extensions: None };
        world.lag().await;
        self.life.gate().await;
        let course = planned.unwrap_or(Behaviour::Accept).course(true);
        match course.work {
            Work::NotStarted => count(world, course),
            Work::Done | Work::DoneAfterAWhile | Work::DoneOnceArrived | Work::Fails => {
                count(world, course);
                self.accept(request, plan);
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
        deliver_cancel(&self.world, Service::CompositeExecutor, node, self.member).await
    }
}

/// Works through the plan of one node.
struct PlanRunner {
    world: Arc<World>,
    run: RunId,
    node: NodeRunId,
    plan: Plan,
}

impl PlanRunner {
    async fn run_until_stopped(&self, stop: CancellationToken) {
        let how = tokio::select! {
            biased;
            () = stop.cancelled() => Ok(()),
            how = self.run_plan() => how,
        };
        if let Err(failure) = how {
            self.world.trace(format_args!("the executor of {} gives up: {failure:?}", self.node));
        }
    }

    async fn run_plan(&self) -> Result<(), CallFailure> {
        let began = self.world.clock.elapsed();
        for (number, round) in self.plan.rounds.iter().enumerate().filter(|(_, round)| !round.is_empty()) {
            let mut children = Vec::new();
            for _ in 0..=u32::from(self.plan.options.repeats) {
                match self.create(number, round).await {
                    Ok(created) => children.extend(created),
                    // A limit was reached: the plan continues with fewer children.
                    Err(CallFailure::Refused(error)) if error.facts().code == "constraint_violation" => {
                        self.world.count("limit met");
                    }
                    Err(failure) => return Err(failure),
                }
            }
            while self.some_live(&children).await? {
                if self.world.clock.elapsed() > began + self.plan.options.patience {
                    self.world.count("out of patience");
                    break;
                }
                self.world.clock.sleep(POLL_INTERVAL).await;
            }
        }
        if self.plan.options.evaluates {
            let reason = format!("judged-{}", self.node);
            callers::evaluate(&self.world, &self.run, &self.node, &reason).await?;
        }
        self.think().await?;
        match self.plan.options.completes {
            Some(state) => callers::complete(&self.world, &self.node, state).await,
            None => {
                self.world.count("composite gave up");
                Ok(())
            }
        }
    }

    /// Has nothing at work, and is no less alive for that.
    async fn think(&self) -> Result<(), CallFailure> {
        let until = self.world.clock.elapsed() + self.plan.options.thinks;
        while self.world.clock.elapsed() < until {
            let reason = format!("thought-{}-{}", self.node, self.world.clock.now());
            callers::evaluate(&self.world, &self.run, &self.node, &reason).await?;
            self.world.count("composite thought");
            self.world.clock.sleep(THOUGHT).await;
        }
        Ok(())
    }

    async fn create(&self, number: usize, round: &[usize]) -> Result<Vec<NodeRunId>, CallFailure> {
        let spec = |(place, &plan): (usize, &usize)| {
            let mut spec = callers::node_spec(&self.world, plan);
            if self.plan.options.keyed {
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
                self.world.heard(&self.node);
                return Ok(true);
            }
            if state == NodeRunState::Canceled {
                self.world.count("child canceled");
            }
            self.world.record_promise(Promise::NodeOver { node: child.clone(), state });
        }
        Ok(false)
    }
}

/// The request that creates these children.
pub fn create_request(run: &RunId, parent: &NodeRunId, specs: &[Value]) -> NodeRunsCreateRequest {
    let request = json!({"run_id": run, "parent_node_run_id": parent, "node_runs": specs});
    serde_json::from_value(request).expect("a request")
}
