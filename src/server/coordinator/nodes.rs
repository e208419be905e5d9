//! Creating, reading, evaluating and completing NodeRuns (contract §6.6 to
//! §6.9).

use super::{
    Coordinator,
    error::{CoordinatorError, FieldError},
    schemas::{InputsJudged, OutputsJudged},
};
use crate::{
    auth::Principal,
    engine::{
        self, BadCandidateSet, CANDIDATE_SET, CANDIDATE_SET_BYTES, CandidateSet, Cause, ChildSpec,
        CreateChildren, NodeTypeFacts,
    },
    record::{AuditObject, Operation},
    types::{
        CompletionState, JsonObject, NodeRun, NodeRunCompleteRequest, NodeRunCreateSpec,
        NodeRunEvaluationReportRequest, NodeRunId, NodeRunsCreateRequest, NodeRunsCreateResponse,
        NodeTypeRef,
    },
};

impl Coordinator {
    /// Creates the children of a composite, or finds those that the request's
    /// idempotency keys stand for.
    pub async fn node_runs_create(
        &self,
        caller: &Principal,
        request: NodeRunsCreateRequest,
    ) -> Result<NodeRunsCreateResponse, CoordinatorError> {
        let NodeRunsCreateRequest { run_id, parent_node_run_id, node_runs, extensions } = request;
        // Errors of the parent are reported before the registry is asked about the
        // children.
        let run = self.run_authorize(caller, Operation::CreateNodeRuns, &run_id).await?;
        engine::constraints::stored(run.run.extensions.as_ref())?;
        let parent = self.parent_authorize(caller, &parent_node_run_id).await?;
        let parent_facts = &self.admission.facts_if_unknown(&parent).await?;
        engine::parent_check(&run, &parent, parent.node.kind.or(parent_facts.kind))?;
        let node_runs = Vec::from(node_runs);
        self.warn_of_own_keys(node_runs.iter().map(|spec| spec.extensions.as_ref()));
        let sets = candidate_sets(&node_runs)?;
        let mut wanted: Vec<(NodeRunCreateSpec, NodeRunId, NodeTypeFacts, InputsJudged)> = Vec::new();
        for (at, spec) in node_runs.into_iter().enumerate() {
            let place = ["body".into(), "node_runs".into(), at.into(), "node_type_ref".into()];
            let facts = self.admission.facts_at(&spec.node_type_ref, &place).await?;
            let id = match spec.idempotency_key.as_deref().filter(|key| !key.is_empty()) {
                Some(key) => NodeRunId::derived(&run_id, &parent_node_run_id, key),
                None => self.ids.node_run_id(),
            };
            let judged = self.admission.inputs_judge(&spec.node_type_ref, &spec.inputs).await;
            wanted.push((spec, id, facts, judged));
        }
        let (run_ref, parent_ref, wanted, sets) = (&run_id, &parent_node_run_id, &wanted, &sets);
        let committer = &*self.committer;
        let cause = Cause::asked(caller.actor(), Operation::CreateNodeRuns);
        let created = committer
            .request_beginning(cause, run_ref, |cx| async move {
                let run = committer.run_fetch(run_ref).await?;
                let parent = committer.parent_fetch_bare(parent_ref).await?;
                let mut children = Vec::with_capacity(wanted.len());
                let mut twins = self.twins_among(&run, &parent).await?;
                for (at, ((spec, id, facts, judged), candidates)) in wanted.iter().zip(sets).enumerate() {
                    let existing = match spec.idempotency_key {
                        Some(_) => committer.node_find(id).await?,
                        None => None,
                    };
                    if existing.is_none() {
                        // A repetition is not judged again.
                        let place =
                            |member: &str| ["body".into(), "node_runs".into(), at.into(), member.into()];
                        judged.check(&place("inputs"), &place("node_type_ref"))?;
                    }
                    let twin = match &mut twins {
                        Some(twins) if existing.is_none() => twins.find(committer, spec).await?,
                        Some(_) | None => None,
                    };
                    children.push(ChildSpec {
                        spec: spec.clone(),
                        id: id.clone(),
                        existing,
                        facts: facts.clone(),
                        candidates: candidates.clone(),
                        inputs: judged.note.clone(),
                        twin,
                    });
                }
                if children.iter().any(|child| child.existing.is_none()) {
                    committer.room_for_new_work()?;
                }
                let command = CreateChildren { parent, parent_facts: parent_facts.clone(), children };
                let kinds = wanted.iter().map(|(_, _, facts, _)| facts.kind);
                let claim = committer.queue.claim(run_ref, kinds);
                let created = engine::children_create(run, command, cx.with_claim(claim))?;
                Ok(self.attempts.begin_new(created, cx).await)
            })
            .await;
        let object = AuditObject::node(&run_id, &parent_node_run_id);
        let audit = self.audit_trail();
        let node_runs = audit.judged(caller, Operation::CreateNodeRuns, object, created).await?;
        Ok(NodeRunsCreateResponse { node_runs, extensions })
    }

    pub async fn node_run_get(
        &self,
        caller: &Principal,
        node: &NodeRunId,
    ) -> Result<NodeRun, CoordinatorError> {
        Ok(self.node_authorize(caller, Operation::GetNodeRun, node).await?.node)
    }

    /// Records an evaluation and the recovery action that was chosen; carries out an
    /// abort.
    pub async fn node_run_evaluate(
        &self,
        caller: &Principal,
        node: &NodeRunId,
        report: NodeRunEvaluationReportRequest,
    ) -> Result<(), CoordinatorError> {
        let run_id = self.node_authorize(caller, Operation::ReportNodeRunEvaluation, node).await?.node.run_id;
        let committer = &*self.committer;
        let (report, operation) = (&report, Operation::ReportNodeRunEvaluation);
        let target = match engine::abort_target(report, node) {
            Some(target) if target != node && !self.may_end(caller, target).await? => None,
            target => target,
        };
        let evaluated = committer
            .request(Cause::asked(caller.actor(), operation), &run_id, |cx| async move {
                let node = committer.node_fetch_bare(node).await?;
                committer.assignment_recheck(caller, operation, &node).await?;
                let run = committer.run_of(&node).await?;
                let abort = match target {
                    Some(target) => committer.abort_of(&node, target).await?,
                    None => None,
                };
                if abort.is_none() {
                    // It ends nothing, and there may be any number of them.
                    committer.room_for_new_work()?;
                }
                Ok(engine::node_evaluate(run, node, report.clone(), abort, cx))
            })
            .await;
        let object = AuditObject::node(&run_id, node);
        self.audit_trail().judged(caller, operation, object, evaluated).await
    }

    /// A completion as its outputs deserve: a success whose outputs are not what its
    /// type says may be a failure. Also how they violate it, if that is noted.
    async fn judged(
        &self,
        node_type: &NodeTypeRef,
        mut completion: NodeRunCompleteRequest,
    ) -> (NodeRunCompleteRequest, Option<JsonObject>) {
        match completion.state {
            CompletionState::Succeeded => {}
            CompletionState::Failed | CompletionState::Canceled => return (completion, None),
        }
        match self.admission.outputs_judge(node_type, completion.outputs.as_ref()).await {
            OutputsJudged::Accepted => (completion, None),
            OutputsJudged::Noted(violations) => (completion, Some(violations)),
            OutputsJudged::Failed(error) => {
                (completion.state, completion.error) = (CompletionState::Failed, Some(error));
                (completion, None)
            }
        }
    }

    /// Whether the caller may end another node than the one that it evaluates. If
    /// not, that is in the audit trail, and the evaluation stands without it.
    async fn may_end(&self, caller: &Principal, node: &NodeRunId) -> Result<bool, CoordinatorError> {
        match self.node_authorize(caller, Operation::CompleteNodeRun, node).await {
            Ok(_) => Ok(true),
            Err(
                CoordinatorError::NodeRunNotFound(_)
                | CoordinatorError::OutsideAssignment(_)
                | CoordinatorError::LacksRole(_),
            ) => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    /// Ends a NodeRun as reported.
    pub async fn node_run_complete(
        &self,
        caller: &Principal,
        node: &NodeRunId,
        completion: NodeRunCompleteRequest,
    ) -> Result<(), CoordinatorError> {
        let known = self.node_authorize(caller, Operation::CompleteNodeRun, node).await?.node;
        let run_id = known.run_id;
        let (mut completion, violations) = self.judged(&known.node_type_ref, completion).await;
        completion.error = completion.error.map(|error| self.committer.redactor.error(error));
        let (completion, _turn) = self.outputs.completion_offload(node, completion).await;
        let (committer, completion, violations) = (&*self.committer, &completion, violations.as_ref());
        committer
            .request(Cause::asked(caller.actor(), Operation::CompleteNodeRun), &run_id, |cx| async move {
                let view = committer.with_payers(committer.bare_view(node).await?).await?;
                Ok(engine::node_complete(view, completion.clone(), violations, cx)?)
            })
            .await?;
        // As after a cancel.
        committer.queue.node_ended(node);
        Ok(())
    }
}

/// The candidate set that each spec brings.
fn candidate_sets(specs: &[NodeRunCreateSpec]) -> Result<Vec<Option<CandidateSet>>, CoordinatorError> {
    let (mut sets, mut errors) = (Vec::with_capacity(specs.len()), Vec::new());
    for (at, spec) in specs.iter().enumerate() {
        let bad = match CandidateSet::of(spec.extensions.as_ref()) {
            Ok(set) => {
                sets.push(set);
                continue;
            }
            Err(bad) => bad,
        };
        let (kind, message) = match bad {
            BadCandidateSet::TooLong => {
                ("too_long", format!("a candidate set has at most {CANDIDATE_SET_BYTES} bytes of JSON"))
            }
            BadCandidateSet::Malformed => {
                ("model_attributes_type", "not a CandidateSet of the Selection API".to_owned())
            }
        };
        let location =
            ["body".into(), "node_runs".into(), at.into(), "extensions".into(), CANDIDATE_SET.into()];
        errors.push(FieldError { kind, location: location.into(), message });
    }
    if errors.is_empty() { Ok(sets) } else { Err(CoordinatorError::Invalid(errors)) }
}
