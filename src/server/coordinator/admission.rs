//! What is asked before a run starts or a node is executed: the Node Registry
//! about types, and the policy decision point.
//!
//! ```text
//!   start:    facts ─────────────▶ policy (run.start)
//!   dispatch: facts ──▶ refusal? ──▶ policy (node.run.execute)
//!                   ──▶ irreversible? ──▶ policy (node.run.irreversible) ──▶ verdict
//! ```

use std::{borrow::Cow, sync::Arc};

use serde::Serialize;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use slog::{Logger, warn};

use super::{
    access::Authority,
    error::{CoordinatorError, FieldError, Step},
    schemas::{InputsJudged, OutputsJudged, Schemas},
    traced_policy::TracedPolicy,
};
use crate::{
    auth::Principal,
    clients::Subject,
    delegation::Delegation,
    engine::{self, Gates, NodeTypeFacts, PolicyDecided, PolicyOutcome},
    record::{Identity, NodeRecord, RunRecord, SealedToken},
    redact::Redactor,
    services::{
        node_registry::{NoFacts, NodeTypes},
        policy::{NODE_RUN_EXECUTE, NODE_RUN_IRREVERSIBLE, PdpUnavailable, Question, RUN_START},
    },
    types::{
        ConstraintEnvelope, Error, JsonObject, NodeRun, NodeRunId, NodeTypeRef, RunContext, RunId,
        RunStartRequest, SideEffectClass, json::canonical,
    },
};

/// Asks the Node Registry and the policy decision point.
pub(super) struct Admission {
    pub(super) node_types: NodeTypes,
    pub(super) policy: TracedPolicy,
    pub(super) authority: Arc<Authority>,
    pub(super) redactor: Redactor,
    pub(super) delegation: Option<Delegation>,
    pub(super) gates: Gates,
    pub(super) schemas: Option<Schemas>,
    pub(super) log: Logger,
}

/// A run that a caller wants to start.
pub(super) struct Start<'s> {
    pub(super) request: &'s RunStartRequest,
    pub(super) run_id: &'s RunId,
    pub(super) root_id: &'s NodeRunId,
    pub(super) facts: &'s NodeTypeFacts,
}

/// A run as policy is asked about its start.
struct About<'a> {
    root: &'a NodeRun,
    run_context: Option<&'a RunContext>,
    principal: Option<&'a str>,
    owner: Option<&'a Identity>,
    side_effect: Option<SideEffectClass>,
    input: &'a JsonObject,
}

/// A node at a checkpoint of its dispatch.
struct Dispatched<'d> {
    action: &'static str,
    run: &'d RunRecord,
    node: &'d NodeRecord,
    facts: &'d NodeTypeFacts,
}

impl Admission {
    /// The facts about a type; `None` if the registry rejects the type.
    pub(super) async fn facts(
        &self,
        node_type: &NodeTypeRef,
    ) -> Result<Option<NodeTypeFacts>, CoordinatorError> {
        match self.node_types.facts(node_type).await {
            Ok(facts) => Ok(Some(facts)),
            Err(NoFacts::Refused(reason)) => {
                warn!(self.log, "node registry rejected a node type";
                    "node_type_id" => shortened(&node_type.node_type_id), "error" => reason);
                Ok(None)
            }
            Err(NoFacts::Unavailable(internal)) => {
                Err(CoordinatorError::NodeRegistryUnavailable { internal })
            }
            Err(NoFacts::Forbidden(internal)) => Err(CoordinatorError::NodeRegistryForbidden { internal }),
        }
    }

    /// The facts about a type that a request names at `place`.
    pub(super) async fn facts_at(
        &self,
        node_type: &NodeTypeRef,
        place: &[Step],
    ) -> Result<NodeTypeFacts, CoordinatorError> {
        self.facts(node_type).await?.ok_or_else(|| {
            CoordinatorError::Invalid(vec![FieldError {
                kind: "node_type_refused",
                location: place.to_vec(),
                message: format!(
                    "the Node Registry refuses the node type '{}', version '{}'",
                    shortened(&node_type.node_type_id),
                    shortened(&node_type.version)
                ),
            }])
        })
    }

    /// The facts about a node's type, if its record does not say what kind of
    /// node it is (§9.1). A rejected type leaves the kind unknown.
    pub(super) async fn facts_if_unknown(
        &self,
        node: &NodeRecord,
    ) -> Result<NodeTypeFacts, CoordinatorError> {
        match node.node.kind {
            Some(_) => Ok(NodeTypeFacts::default()),
            None => Ok(self.facts(&node.node.node_type_ref).await?.unwrap_or_default()),
        }
    }

    /// Judges the inputs of a node of this type, if that is switched on.
    pub(super) async fn inputs_judge(&self, node_type: &NodeTypeRef, inputs: &JsonObject) -> InputsJudged {
        match &self.schemas {
            None => InputsJudged::default(),
            Some(schemas) => schemas.inputs_judge(&self.node_types, node_type, inputs, &self.log).await,
        }
    }

    /// Judges the outputs of a node that has succeeded, if that is switched on.
    pub(super) async fn outputs_judge(
        &self,
        node_type: &NodeTypeRef,
        outputs: Option<&JsonObject>,
    ) -> OutputsJudged {
        match &self.schemas {
            None => OutputsJudged::Accepted,
            Some(schemas) => schemas.outputs_judge(&self.node_types, node_type, outputs, &self.log).await,
        }
    }

    /// Asks for the policy decision at the checkpoint `run.start`.
    pub(super) async fn decide_start(
        &self,
        caller: &Principal,
        owner: &Identity,
        start: Start<'_>,
    ) -> Result<PolicyDecided, CoordinatorError> {
        let Start { request, run_id, root_id, facts } = start;
        let node_type = request.root_node_type_ref.clone();
        let root = NodeRun::queued(run_id.clone(), root_id.clone(), node_type, facts.kind);
        let about = About {
            root: &root,
            run_context: request.run_context.as_ref(),
            principal: Some(caller.subject()),
            owner: Some(owner),
            side_effect: facts.side_effect,
            input: &request.input,
        };
        let constraints =
            || engine::constraints::merge([request.constraints.as_ref(), facts.constraints.as_ref()]);
        let subject = caller.subject_token().map_or(Subject::Own, |token| Subject::Caller(token.clone()));
        let run_context = self.attributed(about.run_context, about.owner);
        let question = self.start_question(&about, run_context.as_deref(), constraints, subject);
        // Without a decision there is no run yet: its caller can ask again.
        let decided = self.decide(question).await;
        decided.map_err(|PdpUnavailable(internal)| CoordinatorError::PdpUnavailable { internal })
    }

    /// The question at the checkpoint `run.start`.
    fn start_question<'q>(
        &self,
        about: &About<'q>,
        run_context: Option<&'q RunContext>,
        constraints: impl FnOnce() -> Option<ConstraintEnvelope>,
        subject: Subject,
    ) -> Question<'q> {
        let About { root, run_context: given, principal, owner, side_effect, input } = about;
        let context = || {
            [
                ("principal", json!(principal)),
                ("owner", json!(owner)),
                ("tenant_id", json!(self.tenant(*given, *owner))),
                ("kind", json!(root.kind)),
                ("depth", json!(0)),
                ("side_effect", json!(side_effect)),
                (INPUTS_DIGEST, digest(input).into()),
            ]
        };
        Question {
            action: RUN_START,
            node: root,
            run_context,
            constraints: self.for_pdp(constraints).flatten(),
            context: self.for_pdp(|| named(context())).unwrap_or_default(),
            subject,
        }
    }

    /// Asks policy again about a node for which it demanded an approval, at the
    /// checkpoint at which it did. `None`: there is no PDP.
    pub(super) async fn ask_again(
        &self,
        run: &RunRecord,
        node: &NodeRecord,
        action: &str,
    ) -> Result<Option<Result<PolicyDecided, Error>>, PdpUnavailable> {
        let owner = run.owner.as_ref();
        let run_context = self.attributed(run.run.run_context.as_ref(), owner);
        let subject = self.for_pdp(|| self.subject(run)).unwrap_or(Subject::Own);
        let (facts, input) = (NodeTypeFacts::default(), node.node.inputs.clone().unwrap_or_default());
        let question = if action == RUN_START {
            let about = About {
                root: &node.node,
                run_context: run.run.run_context.as_ref(),
                principal: owner.map(|owner| owner.subject.as_str()),
                owner,
                side_effect: node.side_effect,
                input: &input,
            };
            let constraints = || {
                let of_run = engine::constraints::stored(run.run.extensions.as_ref()).unwrap_or_default();
                engine::constraints::merge([of_run.as_ref(), node.type_constraints.as_ref()])
            };
            self.start_question(&about, run_context.as_deref(), constraints, subject)
        } else {
            if let Some(refusal) = engine::attempt_refusal(run, node, &facts, self.gates) {
                return Ok(Some(Err(refusal)));
            }
            let action =
                if action == NODE_RUN_IRREVERSIBLE { NODE_RUN_IRREVERSIBLE } else { NODE_RUN_EXECUTE };
            let about = Dispatched { action, run, node, facts: &facts };
            self.dispatch_question(&about, run_context.as_deref(), subject)
        };
        match self.policy.within(run, node, self.policy.ask_again(question)).await {
            None => Ok(None),
            Some(answer) => Ok(Some(Ok(self.redacted(answer?)))),
        }
    }

    /// The tenant of a run that policy is asked with (contract §10).
    fn tenant<'t>(&self, context: Option<&'t RunContext>, owner: Option<&'t Identity>) -> Option<&'t str> {
        self.authority.tenant(owner, context.and_then(|context| context.tenant_id.as_deref()))
    }

    /// A run context with the tenant that policy is asked with, whatever tenant the
    /// caller named in it.
    fn attributed<'c>(
        &self,
        context: Option<&'c RunContext>,
        owner: Option<&Identity>,
    ) -> Option<Cow<'c, RunContext>> {
        let context = context?;
        let tenant = self.tenant(Some(context), owner);
        if context.tenant_id.as_deref() == tenant {
            return Some(Cow::Borrowed(context));
        }
        let tenant_id = tenant.map(str::to_owned);
        Some(Cow::Owned(RunContext { tenant_id, ..context.clone() }))
    }

    /// Decides whether a node may be executed: the policy decision at the last
    /// checkpoint that it comes to, or the reason why policy is not even asked. A
    /// node about which policy cannot be asked everywhere has no verdict.
    pub(super) async fn verdict(
        &self,
        run: &RunRecord,
        node: &NodeRecord,
        facts: &NodeTypeFacts,
    ) -> Result<Result<PolicyDecided, Error>, PdpUnavailable> {
        if let Some(refusal) = engine::attempt_refusal(run, node, facts, self.gates) {
            return Ok(Err(refusal));
        }
        let decided = self.decide_about(NODE_RUN_EXECUTE, run, node, facts).await?;
        let passes = match decided.outcome {
            PolicyOutcome::Allow => true,
            PolicyOutcome::RequireApproval => {
                node.waits.approval.as_ref().is_some_and(|approval| approval.is_granted())
            }
            PolicyOutcome::Deny => false,
        };
        if !passes || !engine::attempt_is_irreversible(node, facts, self.gates) {
            return Ok(Ok(decided));
        }
        let irreversible = self.decide_about(NODE_RUN_IRREVERSIBLE, run, node, facts).await?;
        Ok(Ok(PolicyDecided { after: Some(Box::new(decided)), ..irreversible }))
    }

    async fn decide_about(
        &self,
        action: &'static str,
        run: &RunRecord,
        node: &NodeRecord,
        facts: &NodeTypeFacts,
    ) -> Result<PolicyDecided, PdpUnavailable> {
        let run_context = self.attributed(run.run.run_context.as_ref(), run.owner.as_ref());
        let subject = self.for_pdp(|| self.subject(run)).unwrap_or(Subject::Own);
        let about = Dispatched { action, run, node, facts };
        let question = self.dispatch_question(&about, run_context.as_deref(), subject);
        self.policy.within(run, node, self.decide(question)).await
    }

    /// The question at a checkpoint of a node's dispatch.
    fn dispatch_question<'q>(
        &self,
        about: &Dispatched<'q>,
        run_context: Option<&'q RunContext>,
        subject: Subject,
    ) -> Question<'q> {
        let Dispatched { action, run, node, facts } = *about;
        let owner = run.owner.as_ref();
        let context = || {
            [
                ("principal", json!(owner.map(|owner| &owner.subject))),
                ("owner", json!(owner)),
                ("tenant_id", json!(self.tenant(run.run.run_context.as_ref(), owner))),
                ("kind", json!(node.node.kind.or(facts.kind))),
                ("depth", json!(node.path.depth())),
                ("parent_node_run_id", json!(node.node.parent_node_run_id)),
                ("side_effect", json!(node.side_effect.or(facts.side_effect))),
                ("attempt", json!(node.attempt + 1)),
                (INPUTS_DIGEST, digest(&node.node.inputs.clone().unwrap_or_default()).into()),
            ]
        };
        let constraints = || engine::effective_constraints(run, node, facts).unwrap_or_default();
        Question {
            action,
            node: &node.node,
            run_context,
            constraints: self.for_pdp(constraints).flatten(),
            context: self.for_pdp(|| named(context())).unwrap_or_default(),
            subject,
        }
    }

    /// The caller's token as a run keeps it, if calls are made on its behalf.
    pub(super) fn sealed(&self, run: &RunId, caller: &Principal) -> Option<SealedToken> {
        self.delegation.as_ref()?.seal(run, caller.subject_token()?)
    }

    /// On whose behalf calls for a run are made.
    pub(super) fn subject(&self, run: &RunRecord) -> Subject {
        let delegation = self.delegation.as_ref();
        delegation.map_or(Subject::Own, |delegation| delegation.subject(run.id(), run.subject_token.as_ref()))
    }

    /// What the policy decides. Its words go into events, so they are redacted.
    async fn decide(&self, question: Question<'_>) -> Result<PolicyDecided, PdpUnavailable> {
        self.policy.decide(question).await.map(|decided| self.redacted(decided))
    }

    fn redacted(&self, mut decided: PolicyDecided) -> PolicyDecided {
        let redacted = |text: Option<String>| text.map(|text| self.redactor.message(&text).into_owned());
        decided.reason_code = redacted(decided.reason_code);
        decided.message = redacted(decided.message);
        decided.evidence = self.redactor.object(&decided.evidence);
        decided
    }

    /// A part of a question that only a PDP reads; the local postures do not.
    fn for_pdp<T>(&self, part: impl FnOnce() -> T) -> Option<T> {
        if self.policy.is_local() { None } else { Some(part()) }
    }
}

fn named<const N: usize>(facts: [(&str, Value); N]) -> Map<String, Value> {
    facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The first 200 characters of a caller's text, for a message.
fn shortened(text: &str) -> String {
    text.chars().take(200).collect()
}

/// The name of the inputs' digest in the context of a question to the PDP. It
/// stands for the inputs, which may be large and confidential.
const INPUTS_DIGEST: &str = "inputs_sha256";

/// A digest of the content that does not depend on the order of members.
pub(super) fn digest(content: &impl Serialize) -> String {
    let canonical = canonical::text_of(content).unwrap_or_default();
    Sha256::digest(canonical).iter().map(|byte| format!("{byte:02x}")).collect()
}
