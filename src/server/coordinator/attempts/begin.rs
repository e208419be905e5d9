//! From a node's wake-up to its executor.
//!
//! ```text
//!   kind known? ─no─▶ Node Registry ──▶ the executor of that kind: slot, circuit breaker
//!       └───yes──────────────────────────────┘                │
//!   policy local:   one commit   (facts, refusal, policy, begin)
//!   policy remote:  claim commit ──▶ refusal, policy ──▶ begin commit
//! ```

use std::time::Duration;

use slog::{debug, info, warn};

use super::{Attempts, waits_for};
use crate::{
    clients::Subject,
    coordinator::{committer::Committer, error::CoordinatorError, queue::ClaimedJob},
    engine::{
        self, Attempt, BeginAttempt, BeginOutcome, Cx, Decision, NodeTypeFacts, NodeView, Placement,
        PolicyDecided, WaitsFor,
    },
    record::{Job, NodePath, NodeRecord},
    services::policy::PdpUnavailable,
    time::Timestamp,
    traces::Current,
    types::{ConstraintEnvelope, Error, ExecutorBinding, NodeKind, NodeRun, NodeRunId, RunContext},
};

/// A node that is now at its executor: what to send, and by when the call must
/// end.
pub(crate) struct Assignment {
    pub(crate) node: NodeRun,
    /// The node's place in its run's tree.
    pub(crate) path: NodePath,
    pub(crate) run_context: Option<RunContext>,
    pub(crate) constraints: Option<ConstraintEnvelope>,
    pub(crate) attempt: Attempt,
    pub(crate) deadline: Timestamp,
    /// On whose behalf the executor is called.
    pub(crate) subject: Subject,
    /// The span that the call belongs to.
    pub(crate) current: Option<Current>,
}

/// What is known about a node's kind before its executor is chosen.
pub(crate) struct Resolved {
    /// `None`: the Node Registry rejects the type, or no rule applies to it.
    pub(crate) kind: Option<NodeKind>,
    facts: NodeTypeFacts,
}

impl Resolved {
    /// Of a node whose record has its kind.
    pub(super) fn known(kind: NodeKind) -> Self {
        Self { kind: Some(kind), facts: NodeTypeFacts::default() }
    }
}

/// Why an executor does not take a node for now, and until when.
pub(crate) struct Deferral {
    pub(crate) executor: &'static str,
    pub(crate) until: Timestamp,
    pub(crate) reason: DeferReason,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DeferReason {
    /// The circuit breaker of each member that it may go to is open.
    BreakerOpen,
    /// Too many nodes wait for the only member that it may go to.
    Crowded,
}

/// The executor that was chosen for a node, or why there is none.
pub(crate) struct Choice {
    pub(crate) resolved: Resolved,
    pub(crate) binding: Result<ExecutorBinding, Error>,
    /// The name of that member of a pool, as health reports it.
    pub(crate) member: Option<String>,
}

impl Attempts {
    /// Finds out the kind of a node. `None`: the node no longer waits for its
    /// dispatch, or the registry is unavailable and the dispatch is postponed.
    pub(crate) async fn kind_resolve(&self, job: &ClaimedJob) -> Result<Option<Resolved>, CoordinatorError> {
        if let Some(kind) = job.kind {
            return Ok(Some(Resolved::known(kind)));
        }
        let node = self.committer.node_fetch_bare(&job.node).await?;
        match readiness(&node, self.committer.clock.now()) {
            Readiness::Ready => {}
            Readiness::Expired => {
                self.expire(job, WaitsFor::Turn).await?;
                return Ok(None);
            }
            Readiness::Superseded => return Ok(None),
        }
        let facts = match self.admission.facts_if_unknown(&node).await {
            Ok(facts) => facts,
            Err(
                failure @ (CoordinatorError::NodeRegistryUnavailable { .. }
                | CoordinatorError::NodeRegistryForbidden { .. }),
            ) => {
                let tries = tries(&node);
                // That the registry has gone is a line of its own: this is one a node.
                debug!(self.committer.log, "dispatch postponed: node registry unavailable";
                    "node_run_id" => %job.node, "tries" => tries, "error" => failure.internal());
                self.postpone(job, engine::retry_pause(tries, &job.node)).await?;
                return Ok(None);
            }
            Err(failure) => return Err(failure),
        };
        let kind = node.node.kind.or(facts.kind);
        if let Some(kind) = kind {
            job.kind_resolved(kind);
        }
        Ok(Some(Resolved { kind, facts }))
    }

    /// Hands a node to the chosen executor (contract §9.2), or ends it, or holds it,
    /// or lets it wait for an approval. `None`: there is nothing to call.
    pub(crate) async fn begin(
        &self,
        job: &ClaimedJob,
        choice: &Choice,
    ) -> Result<Option<Assignment>, CoordinatorError> {
        let verdict = if let Some(error) = self.inputs_refused(job).await? {
            Some(Err(error))
        } else if self.admission.policy.is_local() {
            None
        } else {
            let Some(verdict) = self.verdict_of_pdp(job, &choice.resolved.facts).await? else {
                return Ok(None);
            };
            Some(verdict)
        };
        let (committer, verdict) = (&*self.committer, &verdict);
        let member = choice.member.as_deref();
        let _no_pause_meanwhile = committer.pauses.begins().await;
        committer
            .command(&job.run, |cx| async move {
                let pauses = committer.pauses.version();
                // The node may have ended while this waited for the run's lock.
                let head = committer.head_find(&job.node).await?;
                if head.is_none_or(|head| head.job() != Some(Job::Dispatch)) {
                    return Ok(Decision::unchanged(None));
                }
                let view = committer.with_payers(committer.node_view(&job.node).await?).await?;
                let decision = match readiness(&view.node, cx.now) {
                    Readiness::Ready if committer.is_paused(&view, choice.resolved.kind, member) => {
                        engine::attempt_set_aside(&view.run, view.node, cx).answering(None)
                    }
                    Readiness::Ready => self.hand_over(view, choice, verdict.clone(), cx).await?,
                    Readiness::Expired => engine::node_expire(view, WaitsFor::Turn, cx).answering(None),
                    Readiness::Superseded => Decision::unchanged(None),
                };
                Ok(decision.under(pauses))
            })
            .await
    }

    /// Judges the inputs of a node that was created when its type's schema could not
    /// be had. `None`: there is nothing against them.
    async fn inputs_refused(&self, job: &ClaimedJob) -> Result<Option<Error>, CoordinatorError> {
        if self.admission.schemas.is_none() {
            return Ok(None);
        }
        let is_due = |node: &NodeRecord| node.inputs_unjudged && node.attempt == 0 && !node.is_terminal();
        if !self.committer.node_find_bare(&job.node).await?.as_ref().is_some_and(is_due) {
            return Ok(None);
        }
        let Some(NodeRecord { node, .. }) = self.committer.node_find(&job.node).await? else {
            return Ok(None);
        };
        let inputs = node.inputs.unwrap_or_default();
        Ok(self.admission.inputs_judge(&node.node_type_ref, &inputs).await.error())
    }

    pub(super) async fn hand_over(
        &self,
        view: NodeView,
        choice: &Choice,
        verdict: Option<Result<PolicyDecided, Error>>,
        cx: Cx<'_>,
    ) -> Result<Decision<Option<Assignment>>, CoordinatorError> {
        let Choice { resolved: Resolved { facts, .. }, binding, member: _ } = choice;
        let verdict = match verdict {
            Some(verdict) => verdict,
            // A local policy takes no time: it is asked under the run's lock.
            None => self
                .admission
                .verdict(&view.run, &view.node, facts)
                .await
                .map_err(|PdpUnavailable(internal)| CoordinatorError::PdpUnavailable { internal })?,
        };
        let constraints = engine::effective_constraints(&view.run, &view.node, facts).unwrap_or_default();
        let (node, path) = (view.node.node.clone(), view.node.path.clone());
        let run_context = view.run.run.run_context.clone();
        let subject = self.admission.subject(&view.run);
        let current = self.committer.traces.of_attempt(&view.run, view.node.id(), view.node.attempt + 1);
        let command = BeginAttempt { facts: facts.clone(), verdict, executor: binding.clone() };
        let Decision { changes, answer } = engine::attempt_begin(view, command, cx);
        let answer = match answer {
            BeginOutcome::Started { attempt, deadline, allowance } => {
                let constraints = engine::with_allowance(constraints, &allowance);
                Some(Assignment { node, path, run_context, constraints, attempt, deadline, subject, current })
            }
            BeginOutcome::Failed | BeginOutcome::Waits(_) | BeginOutcome::Superseded => None,
        };
        Ok(Decision { changes, answer })
    }

    /// Asks the PDP about a node, which is `assigned` in the meantime. `None`: the
    /// node does not wait for its dispatch, has expired, or is held.
    async fn verdict_of_pdp(
        &self,
        job: &ClaimedJob,
        facts: &NodeTypeFacts,
    ) -> Result<Option<Result<PolicyDecided, Error>>, CoordinatorError> {
        let committer = &*self.committer;
        let view = committer
            .command(&job.run, |cx| async move {
                let view = committer.node_view(&job.node).await?;
                Ok(match readiness(&view.node, cx.now) {
                    Readiness::Ready => {
                        engine::attempt_claim(&view.run, view.node.clone(), cx).answering(Some(view))
                    }
                    Readiness::Expired => engine::node_expire(view, WaitsFor::Turn, cx).answering(None),
                    Readiness::Superseded => Decision::unchanged(None),
                })
            })
            .await?;
        let Some(NodeView { run, node, .. }) = view else { return Ok(None) };
        match self.admission.verdict(&run, &node, facts).await {
            Ok(verdict) => {
                if let Some(since) = node.waits.held_since {
                    info!(committer.log, "PDP is back: node no longer held"; "run_id" => %job.run,
                        "node_run_id" => %node.id(), "held_since" => %since);
                }
                Ok(Some(verdict))
            }
            Err(PdpUnavailable(reason)) => {
                self.hold(job, &node, &reason).await?;
                Ok(None)
            }
        }
    }

    /// Puts back a node about which the PDP cannot be asked.
    async fn hold(&self, job: &ClaimedJob, node: &NodeRecord, reason: &str) -> Result<(), CoordinatorError> {
        let committer = &*self.committer;
        let tries = tries(node);
        let wait = engine::retry_pause(tries, node.id());
        let is_new = committer
            .command(&job.run, |cx| async move {
                let run = committer.run_fetch(&job.run).await?;
                let node = committer.node_fetch_bare(&job.node).await?;
                Ok(engine::attempt_hold(run, node, cx.now + wait, cx))
            })
            .await?;
        if is_new {
            warn!(committer.log, "node held: PDP unavailable"; "run_id" => %job.run,
                "node_run_id" => %job.node, "error" => reason);
        } else {
            debug!(committer.log, "node still held: PDP unavailable"; "run_id" => %job.run,
                "node_run_id" => %job.node, "error" => reason, "tries" => tries);
        }
        Ok(())
    }

    /// Puts back a node whose dispatch needs a service that is unavailable.
    async fn postpone(&self, job: &ClaimedJob, wait: Duration) -> Result<(), CoordinatorError> {
        let committer = &*self.committer;
        committer
            .command(&job.run, |cx| async move {
                let run = committer.run_fetch(&job.run).await?;
                let node = committer.node_fetch_bare(&job.node).await?;
                Ok(engine::attempt_postpone(&run, node, cx.now + wait, cx))
            })
            .await
    }

    /// Sets a node aside whose dispatch is paused, or (`everywhere`) the executors that
    /// it may go to. Returns whether it is.
    pub(crate) async fn set_aside_if_paused(
        &self,
        job: &ClaimedJob,
        kind: Option<NodeKind>,
        everywhere: bool,
    ) -> Result<bool, CoordinatorError> {
        let committer = &*self.committer;
        if committer.pauses.is_empty() {
            return Ok(false);
        }
        let _no_change_meanwhile = committer.pauses.begins().await;
        let set_aside = committer
            .command(&job.run, |cx| async move {
                let pauses = committer.pauses.version();
                let view = committer.bare_view(&job.node).await?;
                let is_paused = committer.is_paused(&view, kind, None)
                    || (everywhere && committer.pauses.of_an_executor().is_some());
                if !is_paused {
                    return Ok(Decision::unchanged(false));
                }
                Ok(engine::attempt_set_aside(&view.run, view.node, cx).answering(true).under(pauses))
            })
            .await?;
        if set_aside {
            debug!(committer.log, "dispatch set aside: it is paused"; "run_id" => %job.run,
                "node_run_id" => %job.node);
        }
        Ok(set_aside)
    }

    /// Which members of a pool of executors a node may go to.
    pub(crate) async fn placement(&self, node: &NodeRunId) -> Result<Placement, CoordinatorError> {
        // Without a record there is nothing to begin, which `begin` notices.
        let node = self.committer.node_find_bare(node).await?;
        Ok(node.as_ref().map(engine::placement).unwrap_or_default())
    }

    /// Puts back a node that its executor does not take before that time, or ends
    /// it if its deadline has passed.
    pub(crate) async fn defer(&self, job: &ClaimedJob, deferral: &Deferral) -> Result<(), CoordinatorError> {
        let (committer, Deferral { executor, until, reason }) = (&*self.committer, deferral);
        committer
            .command(&job.run, |cx| async move {
                let view = committer.bare_view(&job.node).await?;
                let tries = tries(&view.node);
                let wait = engine::retry_pause(tries, &job.node).max(until.since(cx.now));
                let waits_for = match reason {
                    DeferReason::BreakerOpen => {
                        // That it has opened is a line of its own: this is one a node.
                        debug!(committer.log, "dispatch deferred: circuit breaker of the executor is open";
                            "node_run_id" => %job.node, "executor" => executor, "tries" => tries);
                        WaitsFor::Breaker
                    }
                    DeferReason::Crowded => {
                        info!(committer.log, "dispatch deferred: too many nodes wait for this executor";
                            "node_run_id" => %job.node, "executor" => executor, "tries" => tries);
                        WaitsFor::Slot
                    }
                };
                Ok(engine::attempt_defer(view, cx.now + wait, waits_for, cx))
            })
            .await
    }

    /// Ends a node whose deadline has passed while it waited for its dispatch.
    pub(crate) async fn expire(&self, job: &ClaimedJob, wanted: WaitsFor) -> Result<(), CoordinatorError> {
        let committer = &*self.committer;
        committer
            .command(&job.run, |cx| async move {
                let view = committer.bare_view(&job.node).await?;
                if waits_for(&view.node, Job::Dispatch) {
                    Ok(engine::node_expire(view, wanted, cx))
                } else {
                    Ok(Decision::unchanged(()))
                }
            })
            .await
    }
}

impl Committer {
    /// Whether the dispatch of a node is paused. `member`: the executor instance that
    /// it goes to.
    fn is_paused(&self, view: &NodeView, kind: Option<NodeKind>, member: Option<&str>) -> bool {
        self.pauses.covering(&view.run, &view.node, kind, member).is_some()
    }
}

/// Whether a node can be dispatched now.
enum Readiness {
    Ready,
    /// The node's deadline has passed.
    Expired,
    /// The node no longer waits for its dispatch.
    Superseded,
}

fn readiness(node: &NodeRecord, now: Timestamp) -> Readiness {
    if node.is_terminal() || !waits_for(node, Job::Dispatch) {
        Readiness::Superseded
    } else if node.deadline.is_some_and(|deadline| deadline <= now) {
        Readiness::Expired
    } else {
        Readiness::Ready
    }
}

/// How often the node's dispatch has been put back.
fn tries(node: &NodeRecord) -> u32 {
    node.wake.as_ref().map_or(0, |wake| wake.tries)
}
