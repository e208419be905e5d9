//! Commands about approvals.

use std::time::Duration;

use serde_json::{Value, json};

use super::{World, binding, child, decided, parse};
use crate::{
    engine::{
        self, ApprovalAnswer, ApprovalVerdict, Approvals, BeginAttempt, BeginOutcome, Cause, Cx,
        DecideApproval, PolicyDecided, PolicyOutcome, Rejection,
    },
    record::{Actor, Approval, ApprovalOutcome, Identity, Operation},
};

impl World {
    /// A world in which nodes wait for approvals, with an atomic child `a` of the
    /// composite root that its constraints demand one for.
    pub(crate) fn with_gate() -> Self {
        let mut world = Self::parking();
        let gated = child("a").with("constraints", json!({"gates": {"require_approval": true}}));
        world.create(super::ROOT, &[gated]).expect("a child");
        world
    }

    /// The same with a child for which nothing demands one so far.
    pub(crate) fn parking() -> Self {
        let mut world = Self::new();
        world.rules.gates.approvals = Approvals::Park { timeout: Duration::from_secs(900) };
        world.start(Value::Null).expect("a start");
        world.begin(super::ROOT);
        world
    }

    /// Policy demands an approval of a node at its dispatch.
    pub(crate) fn begin_demanded(&mut self, node: &str) -> BeginOutcome {
        self.begin_with(node, PolicyOutcome::RequireApproval, Ok(binding()))
    }

    /// The same with members of the decision.
    pub(crate) fn begin_decided(&mut self, node: &str, evidence: Value) -> BeginOutcome {
        let demand = decided("node.run.execute", PolicyOutcome::RequireApproval);
        self.begin_verdict(node, PolicyDecided { evidence: parse(evidence), ..demand })
    }

    pub(crate) fn begin_verdict(&mut self, node: &str, verdict: PolicyDecided) -> BeginOutcome {
        let view = self.view(node);
        let facts = self.asked(&view.node);
        self.tick();
        let command = BeginAttempt { facts, verdict: Ok(verdict), executor: Ok(binding()) };
        self.apply(engine::attempt_begin(view, command, self.cx()))
    }

    /// The node's newest approval.
    pub(crate) fn approval(&self, node: &str) -> Approval {
        self.node(node).waits.approval.as_deref().expect("an approval").clone()
    }

    /// An operator decides about the approval of that number.
    pub(crate) fn decide(
        &mut self,
        node: &str,
        number: u32,
        verdict: ApprovalVerdict,
    ) -> Result<Approval, Rejection> {
        let view = self.view(node);
        self.tick();
        let operator = Actor::Caller(Identity::bare("operator"));
        let operation = match verdict {
            ApprovalVerdict::Approve => Operation::ApproveNodeRun,
            ApprovalVerdict::Deny => Operation::DenyNodeRun,
        };
        let command = DecideApproval { number, verdict, reason: "as agreed".into() };
        let cx = Cx { cause: Cause::asked(&operator, operation), ..self.cx() };
        let decision = engine::approval_decide(view, &command, cx);
        self.commit(decision)
    }

    /// Policy is asked again; `None`: it is unavailable.
    pub(crate) fn ask_again(
        &mut self,
        node: &str,
        outcome: Option<PolicyOutcome>,
    ) -> Option<ApprovalOutcome> {
        let view = self.view(node);
        let number = view.node.waits.approval.as_ref().map_or(0, |approval| approval.approval_id.number);
        let decided = |outcome| ApprovalAnswer::Decided(Ok(decided("node.run.execute", outcome)));
        let answer = outcome.map_or(ApprovalAnswer::Nothing, decided);
        self.tick();
        self.apply(engine::approval_asked_again(view, number, answer, self.cx()))
    }

    /// Its wake-up is due. Whether the approval has expired.
    pub(crate) fn expire_approval(&mut self, node: &str) -> bool {
        let view = self.view(node);
        self.tick();
        self.apply(engine::approval_expire(view, self.cx()))
    }
}
