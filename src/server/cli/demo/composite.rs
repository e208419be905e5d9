//! The demo's composite executor: it creates the node runs of a stage, follows
//! them, evaluates their results, recovers where it can, and reports how its
//! composite ended. It uses the coordinator's API like any other composite
//! executor.
//!
//! ```text
//!   create (one request, idempotency keys) ──▶ follow ──▶ evaluate ──▶ next stage … ──▶ report, complete
//!      ▲                                                   │ rejected
//!      └──── retry, or the next candidate ◀── report evaluation and recovery
//! ```

use std::{collections::BTreeMap, time::Duration};

use super::{
    super::live::completion_error,
    story::{self, Care, Plan, Subtask},
};
use crate::{
    clients::{
        CallError, Failure, NotSent, Service, composite_executor::types::CompositeBeginRequest,
        run_coordinator::Client,
    },
    time::Clock,
    types::{
        BindingDecision, BudgetConstraints, CompletionState, ConstraintEnvelope, Error, EvaluationResult,
        EvaluationStatus, GateConstraints, JsonObject, NodeRun, NodeRunCompleteRequest, NodeRunCreateSpec,
        NodeRunEvaluationReportRequest, NodeRunId, NodeRunState, NodeRunsCreateRequest, NonEmpty,
        RecoveryAction, RecoveryActionType,
    },
};

/// The polling interval. (The JARVIS executor polls every second.)
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// The number of attempts per candidate.
const ATTEMPTS: u32 = 2;

/// A composite node run, assigned to the executor.
pub(super) struct Composite<'a> {
    pub(super) client: Client,
    pub(super) clock: &'a dyn Clock,
    pub(super) begin: CompositeBeginRequest,
    pub(super) plan: &'static Plan,
}

/// The candidate for a subtask, and its attempt.
#[derive(Clone, Copy)]
struct Choice {
    subtask: &'static Subtask,
    candidate: usize,
    attempt: u32,
}

/// The evaluation of a node run that has ended.
enum Verdict {
    Good,
    Recover {
        choice: Choice,
        evaluation: EvaluationResult,
        action: RecoveryAction,
    },
    /// The plan goes on without it.
    Forgo(EvaluationResult),
    Bad(CompletionState, Option<Error>),
}

/// The result of the composite.
type Outcome = Result<JsonObject, (CompletionState, Option<Error>)>;

impl Composite<'_> {
    /// Executes the assignment. Fails if the coordinator does not take the result.
    pub(super) async fn execute(&self) -> Result<(), CallError> {
        let outcome = match self.stages().await {
            Ok(outcome) => outcome,
            // An error of the coordinator ends the composite.
            Err(error) => Err((CompletionState::Failed, Some(error.into_error()))),
        };
        let status = if outcome.is_ok() { EvaluationStatus::Success } else { EvaluationStatus::Fail };
        let (state, outputs, error) = match outcome {
            Ok(outputs) => (CompletionState::Succeeded, Some(outputs), None),
            Err((state, error)) => (state, None, error),
        };
        let node = &self.begin.node_run_id;
        self.report(node, evaluation(status, "composite_evaluation", None), None).await?;
        let completion =
            NodeRunCompleteRequest { state, outputs, error, output_artifacts: None, extensions: None };
        self.client.call(self.client.complete_node_run(node, &completion)).await?;
        Ok(())
    }

    /// Runs the stages. The outputs of the last subtask are the composite's.
    async fn stages(&self) -> Result<Outcome, CallError> {
        let mut known = self.begin.inputs.clone();
        let mut last = JsonObject::new();
        for stage in self.plan.stages {
            let mut choices: Vec<_> =
                stage.iter().map(|subtask| Choice { subtask, candidate: 0, attempt: 1 }).collect();
            while !choices.is_empty() {
                let nodes = self.create(&choices, &known).await?;
                let ended = self.follow(nodes).await?;
                let mut again = Vec::new();
                for choice in choices {
                    let node = &ended[choice.subtask.id];
                    match self.evaluate(choice, node) {
                        Verdict::Good => {
                            last = node.outputs.clone().unwrap_or_default();
                            known = known.with(choice.subtask.name, &last);
                        }
                        Verdict::Recover { choice, evaluation, action } => {
                            self.report(&node.node_run_id, evaluation, Some(action)).await?;
                            again.push(choice);
                        }
                        Verdict::Forgo(evaluation) => {
                            self.report(&node.node_run_id, evaluation, None).await?;
                        }
                        Verdict::Bad(state, error) => return Ok(Err((state, error))),
                    }
                }
                choices = again;
            }
        }
        Ok(Ok(last))
    }

    /// Creates a node run for each choice, in one request. Idempotency keys make
    /// the request safe to repeat.
    async fn create(
        &self,
        choices: &[Choice],
        known: &JsonObject,
    ) -> Result<BTreeMap<&'static str, NodeRunId>, CallError> {
        let specs = choices.iter().map(|choice| {
            let Choice { subtask, candidate, attempt } = choice;
            let chosen = &subtask.candidates[*candidate];
            let set = (subtask.candidates.len() > 1).then(|| format!("{}-candidates", subtask.name));
            let inputs = known.with("try", attempt);
            NodeRunCreateSpec {
                node_type_ref: story::node_type(chosen.node_type),
                inputs,
                constraints: self.constraints(subtask.care),
                candidate_set_id: set.clone(),
                binding_decision: Some(BindingDecision {
                    subtask_id: subtask.id.into(),
                    chosen_node_type_ref: story::node_type(chosen.node_type),
                    candidate_set_id: set,
                    rationale: Some(chosen.rationale.into()),
                    extensions: None,
                }),
                idempotency_key: Some(format!("{}.{}.{attempt}", subtask.id, candidate + 1)),
                requested_executor_instance_id: None,
                metadata: None,
                extensions: None,
            }
        });
        let request = NodeRunsCreateRequest {
            run_id: self.begin.run_id.clone(),
            parent_node_run_id: self.begin.node_run_id.clone(),
            node_runs: NonEmpty::try_from(specs.collect::<Vec<_>>()).map_err(invalid_plan)?,
            extensions: None,
        };
        let created = self.client.call(self.client.create_node_runs(&request)).await?.node_runs;
        // In the order of the request.
        let ids = choices.iter().map(|choice| choice.subtask.id);
        Ok(ids.zip(created.into_iter().map(|node| node.node_run_id)).collect())
    }

    /// The constraints of a subtask: those of its composite, and its own.
    fn constraints(&self, care: Care) -> Option<ConstraintEnvelope> {
        let all = self.begin.constraints.clone();
        match care {
            Care::Usual => all,
            Care::Approval => Some(ConstraintEnvelope {
                gates: Some(GateConstraints { require_approval: Some(true), ..GateConstraints::default() }),
                ..all.unwrap_or_default()
            }),
            Care::Optional { at_most } => {
                let all = all.unwrap_or_default();
                let budgets = all.budgets.clone().unwrap_or_default();
                let budgets = BudgetConstraints { max_cost: story::chf(at_most), ..budgets };
                Some(ConstraintEnvelope { budgets: Some(budgets), ..all })
            }
        }
    }

    /// Polls the node runs until all have ended.
    async fn follow(
        &self,
        mut live: BTreeMap<&'static str, NodeRunId>,
    ) -> Result<BTreeMap<&'static str, NodeRun>, CallError> {
        let mut ended = BTreeMap::new();
        loop {
            for (subtask, id) in std::mem::take(&mut live) {
                let node = self.client.call(self.client.get_node_run(&id)).await?;
                if node.state.is_terminal() {
                    ended.insert(subtask, node);
                } else {
                    live.insert(subtask, id);
                }
            }
            if live.is_empty() {
                return Ok(ended);
            }
            self.clock.sleep(POLL_INTERVAL).await;
        }
    }

    fn evaluate(&self, choice: Choice, node: &NodeRun) -> Verdict {
        let Choice { subtask, candidate, attempt } = choice;
        match node.state {
            NodeRunState::Succeeded => {
                let Some(complaint) = story::complaint(&self.begin.inputs, node.outputs.as_ref()) else {
                    return Verdict::Good;
                };
                let Some(next) = subtask.candidates.get(candidate + 1) else {
                    let error = Error::new(complaint.reason_code, complaint.message);
                    return Verdict::Bad(CompletionState::Failed, Some(error));
                };
                Verdict::Recover {
                    choice: Choice { candidate: candidate + 1, attempt: 1, ..choice },
                    evaluation: evaluation(
                        EvaluationStatus::Fail,
                        complaint.reason_code,
                        Some(complaint.message),
                    ),
                    action: RecoveryAction {
                        type_: RecoveryActionType::Remap,
                        target_node_run_id: None,
                        target_node_type_ref: Some(story::node_type(next.node_type)),
                        message: Some(next.rationale.into()),
                        extensions: None,
                    },
                }
            }
            NodeRunState::Failed if matches!(subtask.care, Care::Optional { .. }) => {
                Verdict::Forgo(failed(node))
            }
            NodeRunState::Canceled => Verdict::Bad(CompletionState::Canceled, None),
            NodeRunState::Failed if attempt < ATTEMPTS => Verdict::Recover {
                choice: Choice { attempt: attempt + 1, ..choice },
                evaluation: failed(node),
                action: RecoveryAction {
                    type_: RecoveryActionType::Retry,
                    target_node_run_id: Some(node.node_run_id.clone()),
                    target_node_type_ref: None,
                    message: Some(format!("attempt {} of {ATTEMPTS}", attempt + 1)),
                    extensions: None,
                },
            },
            NodeRunState::Failed | NodeRunState::Queued | NodeRunState::Assigned | NodeRunState::Running => {
                let error = Error::new("child_failed", "One or more child NodeRuns failed");
                Verdict::Bad(CompletionState::Failed, Some(error))
            }
        }
    }

    async fn report(
        &self,
        node: &NodeRunId,
        evaluation_result: EvaluationResult,
        recovery_action: Option<RecoveryAction>,
    ) -> Result<(), CallError> {
        let report = NodeRunEvaluationReportRequest { evaluation_result, recovery_action, extensions: None };
        self.client.call(self.client.report_node_run_evaluation(node, &report)).await?;
        Ok(())
    }
}

/// The evaluation of a node run that has failed.
fn failed(node: &NodeRun) -> EvaluationResult {
    let error = completion_error(node);
    let code = error.as_ref().map_or("no_result", |error| error.code.as_str());
    evaluation(EvaluationStatus::Fail, code, error.as_ref().map(|error| error.message.clone()))
}

fn evaluation(status: EvaluationStatus, reason_code: &str, message: Option<String>) -> EvaluationResult {
    EvaluationResult {
        status,
        reason_code: Some(reason_code.into()),
        message,
        details: None,
        confidence: None,
        extensions: None,
    }
}

fn invalid_plan(reason: &str) -> CallError {
    let reason = reason.to_owned();
    CallError::new(Service::RunCoordinator, Failure::NotSent(NotSent::Invalid { reason }))
}
