//! What dispatch needs of the coordinator: beginning, finishing and giving up
//! attempts to execute nodes (contract §9). Not for callers.

use std::time::Duration;

use serde_json::{Map, json};
use slog::{debug, info, warn};

use super::{
    Coordinator, CoordinatorError, Task,
    runs::{INPUTS_DIGEST, digest},
};
use crate::{
    engine::{
        self, Applied, Attempt, AttemptResult, BeginAttempt, Begun, Checked, Due, Heard, NodeTypeFacts,
        NodeView, PolicyDecided, Told,
    },
    record::{Job, NodeHead, NodePath, NodeRecord, RunRecord},
    services::{
        node_registry::NoFacts,
        policy::{NODE_RUN_EXECUTE, PdpUnavailable, Question},
    },
    time::{Timestamp, backoff},
    types::{ConstraintEnvelope, Error, ExecutorBinding, NodeKind, NodeRun, NodeRunId, RunContext, RunId},
};

/// Waits between tries while something that is needed is not there.
const RETRY_BASE: Duration = Duration::from_millis(250);
const RETRY_CAP: Duration = Duration::from_secs(30);

/// A node that is now at its executor: what to send, and by when to be done.
pub(crate) struct Assignment {
    pub(crate) node: NodeRun,
    /// Where in its run's tree it stands.
    pub(crate) path: NodePath,
    pub(crate) kind: NodeKind,
    pub(crate) run_context: Option<RunContext>,
    pub(crate) constraints: Option<ConstraintEnvelope>,
    pub(crate) attempt: Attempt,
    pub(crate) deadline: Timestamp,
}

/// What came of telling an executor that a node is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Telling {
    Acknowledged,
    Again { after: Duration },
    GivenUp,
}

/// What was found out about a node outside its run's lock.
struct Asked {
    facts: NodeTypeFacts,
    decided: PolicyDecided,
}

impl Coordinator {
    /// Takes a queued node to its executor (contract §9.2), or ends it, or puts
    /// it off. `None`: there is nothing to call.
    pub(crate) async fn attempt_begin(
        &self,
        task: &Task,
        binding: &(dyn Fn(NodeKind) -> Result<ExecutorBinding, Error> + Sync),
    ) -> Result<Option<Assignment>, CoordinatorError> {
        let remote =
            !self.parts.policy.is_local() || (task.kind.is_none() && !self.parts.node_types.is_local());
        let asked = match remote {
            true => match self.ask(task).await? {
                Some(asked) => Some(asked),
                None => return Ok(None),
            },
            false => None,
        };
        let (asked, queue) = (asked.as_ref(), &self.parts.queue);
        let rules = &self.parts.rules;
        self.command(&task.run, |now| async move {
            // Many may have ended while they waited for their turn.
            let waits =
                self.head_find(&task.node).await?.is_some_and(|head| head.job() == Some(Job::Dispatch));
            if !waits {
                return Ok(engine::Decision { changes: None, answer: None });
            }
            let view = self.node_view(&task.node).await?;
            if !is_dispatchable(&view.node) {
                return Ok(engine::Decision { changes: None, answer: None });
            }
            if view.node.deadline.is_some_and(|deadline| deadline <= now) {
                return Ok(nothing(engine::node_expire(view, rules, &queue.always(), now)));
            }
            let Asked { facts, decided } = match asked {
                Some(Asked { facts, decided }) => Asked { facts: facts.clone(), decided: decided.clone() },
                // Local answers take no time: they are given under the lock.
                None => {
                    let facts = match view.node.node.kind {
                        Some(_) => NodeTypeFacts::default(),
                        None => self.facts_of(&view.node.node.node_type_ref).await?.unwrap_or_default(),
                    };
                    if let Some(error) = engine::attempt_refusal(&view.run, &view.node, &facts) {
                        return Ok(nothing(engine::attempt_refuse(
                            view,
                            &facts,
                            error,
                            rules,
                            &queue.always(),
                            now,
                        )));
                    }
                    let decided = self.decide_execute(&view.run, &view.node, &facts).await;
                    let decided = decided
                        .map_err(|PdpUnavailable(internal)| CoordinatorError::PdpUnavailable { internal })?;
                    Asked { facts, decided }
                }
            };
            let Some(kind) = view.node.node.kind.or(facts.kind) else {
                return Ok(engine::Decision { changes: None, answer: None });
            };
            let constraints =
                engine::effective_constraints(&view.run, &view.node, &facts).unwrap_or_default();
            let (node, path) = (view.node.node.clone(), view.node.path.clone());
            let run_context = view.run.run.run_context.clone();
            let command = BeginAttempt { facts, decided, executor: binding(kind) };
            // This process holds the attempt, however full its queue is.
            let lease = Some(queue.owner().clone());
            let engine::Decision { changes, answer } =
                engine::attempt_begin(view, command, rules, &lease, now);
            let answer = match answer {
                Begun::Go { attempt, deadline } => {
                    Some(Assignment { node, path, kind, run_context, constraints, attempt, deadline })
                }
                Begun::Refused | Begun::Stale => None,
            };
            Ok(engine::Decision { changes, answer })
        })
        .await
    }

    /// Asks registry and policy about a node, which is `assigned` meanwhile.
    /// `None`: the node has been dealt with.
    async fn ask(&self, task: &Task) -> Result<Option<Asked>, CoordinatorError> {
        let lease = &Some(self.parts.queue.owner().clone());
        let (rules, queue) = (&self.parts.rules, &self.parts.queue);
        let view = self
            .command(&task.run, |now| async move {
                let view = self.node_view(&task.node).await?;
                if !is_dispatchable(&view.node) {
                    return Ok(engine::Decision { changes: None, answer: None });
                }
                // Its time may pass while it waits for somebody to answer.
                if view.node.deadline.is_some_and(|deadline| deadline <= now) {
                    return Ok(nothing(engine::node_expire(view, rules, &queue.always(), now)));
                }
                let engine::Decision { changes, answer: () } =
                    engine::attempt_claim(&view.run, view.node.clone(), lease, now);
                Ok(engine::Decision { changes, answer: Some(view) })
            })
            .await?;
        let Some(NodeView { run, node, .. }) = view else { return Ok(None) };
        let facts = match node.node.kind {
            Some(_) => NodeTypeFacts::default(),
            None => match self.parts.node_types.facts(&node.node.node_type_ref).await {
                Ok(facts) => facts,
                Err(refused @ NoFacts::Refused(_)) => {
                    info!(self.parts.log, "node run fails for want of a kind"; "node_run_id" => %node.id(),
                        "reason" => %refused);
                    // Its kind stays unknown: that is what it fails with.
                    NodeTypeFacts::default()
                }
                Err(out @ (NoFacts::Unavailable(_) | NoFacts::Forbidden(_))) => {
                    let tries = node.wake.as_ref().map_or(0, |wake| wake.tries);
                    let wait = backoff(tries, RETRY_BASE, RETRY_CAP, node.id().as_str());
                    warn!(self.parts.log, "dispatch put off: nothing is known about the node's type";
                        "node_run_id" => %node.id(), "reason" => %out, "tries" => tries);
                    self.attempt_put_off(&task.run, &task.node, wait).await?;
                    return Ok(None);
                }
            },
        };
        if let Some(error) = engine::attempt_refusal(&run, &node, &facts) {
            self.attempt_refuse(&task.run, &task.node, &facts, error).await?;
            return Ok(None);
        }
        match self.decide_execute(&run, &node, &facts).await {
            Ok(decided) => {
                if let Some(since) = node.waits.held_since {
                    info!(self.parts.log, "no longer held: the PDP has decided"; "run_id" => %task.run,
                        "node_run_id" => %node.id(), "held_since" => %since);
                }
                Ok(Some(Asked { facts, decided }))
            }
            Err(PdpUnavailable(reason)) => {
                self.attempt_hold(&node, &reason).await?;
                Ok(None)
            }
        }
    }

    /// Puts off a node about which the policy point cannot be asked.
    async fn attempt_hold(&self, node: &NodeRecord, reason: &str) -> Result<(), CoordinatorError> {
        let (run, id) = (&node.node.run_id, node.id());
        let tries = node.wake.as_ref().map_or(0, |wake| wake.tries);
        let wait = backoff(tries, RETRY_BASE, RETRY_CAP, id.as_str());
        let first = self
            .command(run, |now| async move {
                let run = self.run_fetch(run).await?;
                Ok(engine::attempt_hold(run, self.node_fetch_bare(id).await?, now + wait, now))
            })
            .await?;
        match first {
            true => warn!(self.parts.log, "held: the PDP cannot be asked"; "run_id" => %run,
                "node_run_id" => %id, "reason" => reason),
            false => debug!(self.parts.log, "still held: the PDP cannot be asked"; "run_id" => %run,
                "node_run_id" => %id, "reason" => reason, "tries" => tries),
        }
        Ok(())
    }

    /// Applies what an executor answered, or records that it came too late.
    pub(crate) async fn attempt_finish(
        &self,
        run: &RunId,
        node: &NodeRunId,
        attempt: Attempt,
        result: &AttemptResult,
    ) -> Result<Applied, CoordinatorError> {
        let applied = self
            .command(run, |now| async move {
                let view = self.bare_view(node).await?;
                let (rules, lease) = (&self.parts.rules, &self.parts.queue.always());
                Ok(engine::attempt_finish(view, attempt, result.clone(), rules, lease, now))
            })
            .await?;
        match applied {
            Applied::Yes => {}
            Applied::Late => {
                info!(self.parts.log, "late result recorded, not applied"; "run_id" => %run, "node_run_id" => %node,
                    "attempt" => attempt.number);
            }
        }
        Ok(applied)
    }

    /// A node's wake-up at its executor is due: its deadline has passed, its
    /// executor may be silent, or nobody is at the attempt any more. Which, the
    /// record says. Of another attempt it says nothing.
    pub(crate) async fn node_deadline(
        &self,
        run: &RunId,
        node: &NodeRunId,
        attempt: u32,
    ) -> Result<(), CoordinatorError> {
        let log = &self.parts.log;
        let checked = self
            .command(run, |now| async move {
                let record = self.node_fetch_bare(node).await?;
                let waits = record.attempt == attempt
                    && record.wake.as_ref().is_some_and(|wake| wake.job == Job::Deadline);
                if !waits {
                    return Ok(engine::Decision { changes: None, answer: Checked::Stale });
                }
                let (rules, queue) = (&self.parts.rules, &self.parts.queue);
                let decision = match engine::why_due(&record, now) {
                    Due::Silence => return self.silence_check(record, now).await,
                    Due::Deadline => {
                        warn!(log, "node run exceeded its deadline"; "run_id" => %run, "node_run_id" => %node);
                        engine::node_expire(self.view_of(record).await?, rules, &queue.always(), now)
                    }
                    Due::Lost => {
                        warn!(log, "attempt lost: nobody is at it"; "run_id" => %run, "node_run_id" => %node,
                            "attempt" => attempt);
                        let lease = queue.lease(run, [record.node.kind]);
                        engine::attempt_lost(self.view_of(record).await?, rules, &lease, now)
                    }
                };
                Ok(engine::Decision { changes: decision.changes, answer: Checked::Stale })
            })
            .await?;
        match checked {
            Checked::Stale => {}
            Checked::PutOff => {
                debug!(log, "the composite's executor is waited for"; "run_id" => %run, "node_run_id" => %node);
            }
            Checked::BegunAgain => {
                warn!(log, "the composite's executor is silent: it is begun again"; "run_id" => %run,
                    "node_run_id" => %node, "attempt" => attempt);
            }
            Checked::Failed => {
                warn!(log, "the composite's executor is silent: the node fails"; "run_id" => %run,
                    "node_run_id" => %node, "attempt" => attempt);
            }
        }
        Ok(())
    }

    /// Asks whether the executor of a composite is still there.
    async fn silence_check(
        &self,
        node: NodeRecord,
        now: Timestamp,
    ) -> Result<engine::Decision<Checked>, CoordinatorError> {
        let journal = &self.parts.journal;
        let run = self.run_fetch(&node.node.run_id).await?;
        let live_below = node.children > 0 && journal.node_has_live_below(run.id(), &node.path).await?;
        let heard = Heard { at: self.heard.last_of(run.id(), &node.path), live_below };
        let view = NodeView { run, node, live_below: Vec::new() };
        // This process holds the attempt, however full its queue is.
        Ok(engine::silence_check(view, heard, &self.parts.rules, &self.parts.queue.always(), now))
    }

    /// A node that is over and whose executor has yet to be told.
    pub(crate) async fn node_to_cancel(
        &self,
        node: &NodeRunId,
    ) -> Result<Option<NodeHead>, CoordinatorError> {
        let node = self.head_find(node).await?;
        Ok(node.filter(|node| node.job() == Some(Job::CancelExecutor)))
    }

    /// Notes what came of telling the executor of a node that is over.
    pub(crate) async fn executor_told(
        &self,
        run: &RunId,
        node: &NodeRunId,
        telling: Telling,
    ) -> Result<(), CoordinatorError> {
        self.command(run, |now| async move {
            let Some(head) = self.head_find(node).await? else {
                return Err(CoordinatorError::NodeRunNotFound(node.clone()));
            };
            let told = match telling {
                Telling::Acknowledged => Told::Yes,
                Telling::Again { after } => Told::Again(now + after),
                Telling::GivenUp => Told::GivenUp,
            };
            Ok(engine::executor_told(head, told, now))
        })
        .await
    }

    /// Puts off a node whose executor is left alone for so long, or ends it if
    /// its time is up.
    pub(crate) async fn attempt_defer(
        &self,
        task: &Task,
        executor: &str,
        left_alone: Duration,
    ) -> Result<(), CoordinatorError> {
        self.command(&task.run, |now| async move {
            let view = self.bare_view(&task.node).await?;
            let (rules, lease) = (&self.parts.rules, &self.parts.queue.always());
            let tries = view.node.wake.as_ref().map_or(0, |wake| wake.tries);
            let wait = backoff(tries, RETRY_BASE, RETRY_CAP, task.node.as_str()).max(left_alone);
            info!(self.parts.log, "dispatch put off: the executor does not answer, and is left alone";
                "node_run_id" => %task.node, "executor" => executor, "tries" => tries);
            Ok(engine::attempt_defer(view, now + wait, rules, lease, now))
        })
        .await
    }

    /// Ends a node whose time is up while it waits to be handed over.
    pub(crate) async fn attempt_overdue(&self, task: &Task) -> Result<(), CoordinatorError> {
        self.command(&task.run, |now| async move {
            let view = self.bare_view(&task.node).await?;
            let (rules, lease) = (&self.parts.rules, &self.parts.queue.always());
            Ok(match is_dispatchable(&view.node) {
                true => engine::node_expire(view, rules, lease, now),
                false => engine::Decision { changes: None, answer: () },
            })
        })
        .await
    }

    async fn attempt_put_off(
        &self,
        run: &RunId,
        node: &NodeRunId,
        wait: Duration,
    ) -> Result<(), CoordinatorError> {
        self.command(run, |now| async move {
            let run = self.run_fetch(run).await?;
            Ok(engine::attempt_retry(&run, self.node_fetch_bare(node).await?, now + wait, now))
        })
        .await
    }

    async fn attempt_refuse(
        &self,
        run: &RunId,
        node: &NodeRunId,
        facts: &NodeTypeFacts,
        error: Error,
    ) -> Result<(), CoordinatorError> {
        let error = &error;
        self.command(run, |now| async move {
            let view = self.bare_view(node).await?;
            let (rules, lease) = (&self.parts.rules, &self.parts.queue.always());
            Ok(engine::attempt_refuse(view, facts, error.clone(), rules, lease, now))
        })
        .await
    }

    async fn decide_execute(
        &self,
        run: &RunRecord,
        node: &NodeRecord,
        facts: &NodeTypeFacts,
    ) -> Result<PolicyDecided, PdpUnavailable> {
        let context = match self.parts.policy.is_local() {
            true => Map::new(),
            false => Map::from_iter([
                ("principal".into(), json!(run.owner)),
                (
                    "tenant_id".into(),
                    json!(run.run.run_context.as_ref().and_then(|rc| rc.tenant_id.as_ref())),
                ),
                ("kind".into(), json!(node.node.kind.or(facts.kind))),
                ("depth".into(), json!(node.path.depth())),
                ("parent_node_run_id".into(), json!(node.node.parent_node_run_id)),
                ("side_effect".into(), json!(node.side_effect.or(facts.side_effect))),
                ("attempt".into(), json!(node.attempt + 1)),
                (INPUTS_DIGEST.into(), digest(&node.node.inputs.clone().unwrap_or_default()).into()),
            ]),
        };
        let question = Question {
            action: NODE_RUN_EXECUTE,
            node: &node.node,
            run_context: run.run.run_context.as_ref(),
            // For a PDP to look at: the local postures do not.
            constraints: match self.parts.policy.is_local() {
                true => None,
                false => engine::effective_constraints(run, node, facts).unwrap_or_default(),
            },
            context,
        };
        self.parts.policy.decide(question).await
    }
}

fn is_dispatchable(node: &NodeRecord) -> bool {
    !node.is_terminal() && node.wake.as_ref().is_some_and(|wake| wake.job == Job::Dispatch)
}

fn nothing<T>(decision: engine::Decision<()>) -> engine::Decision<Option<T>> {
    engine::Decision { changes: decision.changes, answer: None }
}
