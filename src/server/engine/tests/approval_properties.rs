//! Any sequence of demands, decisions, crashes, retries, deadlines and cancels on a tree
//! with budgets: each approval ends at most once, no node is executed without the
//! grant that it needs, and what waits reserves nothing.

use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    invariants,
    support::{ROOT, RUN, World, answered, binding, call_failed, child},
};
use crate::{
    engine::{ApprovalVerdict, Approvals, BeginOutcome, NodeTypeFacts, PolicyOutcome, Work},
    record::{AttemptOutcome, Job},
    types::{NodeKind, NodeRunState, SideEffectClass},
};

#[derive(Clone, Debug)]
enum Step {
    Create {
        parent: usize,
        kind: &'static str,
        gated: bool,
    },
    Begin(usize, PolicyOutcome),
    Decide {
        at: usize,
        back: u32,
        verdict: ApprovalVerdict,
    },
    AskAgain(usize, Option<PolicyOutcome>),
    /// Its wake-up is due, perhaps late: nothing was running meanwhile.
    ExpireApproval(usize),
    Finish(usize, bool),
    /// The process dies with the call open, or with the node waiting, and another
    /// begins.
    Crash(usize),
    Complete(usize),
    ExpireNode(usize),
    ExpireRun,
    Cancel,
    Wait(u64),
    Setting(bool),
}

struct Tree {
    world: World,
    ids: Vec<String>,
    gated: Vec<bool>,
}

impl Tree {
    fn start(policy: PolicyOutcome, budgets: &Value) -> Self {
        let mut world = World::new();
        world.rules.gates.approvals = park(true);
        let reader = NodeTypeFacts {
            kind: Some(NodeKind::Atomic),
            side_effect: Some(SideEffectClass::Read),
            ..NodeTypeFacts::default()
        };
        world.types.insert("reader".into(), reader);
        let before = world.clone();
        world.start_as(RUN, ROOT, json!({"constraints": {"budgets": budgets}}), policy).expect("a start");
        invariants::check(&before, &world);
        Self { world, ids: vec![ROOT.into()], gated: vec![false] }
    }

    fn step(&mut self, step: &Step) {
        let before = self.world.clone();
        let place = |at: usize| at % self.ids.len();
        let id = |at: usize| self.ids[place(at)].clone();
        match *step {
            Step::Create { parent, kind, gated } => {
                let new = format!("node-{}", self.ids.len());
                let gates = json!({"gates": {"require_approval": gated}});
                let child = child(&new).of(kind).with("constraints", gates);
                if self.world.create(&id(parent), &[child]).is_ok() {
                    let inherited = self.gated[place(parent)];
                    self.ids.push(new);
                    self.gated.push(gated || inherited);
                }
            }
            Step::Begin(at, outcome) => self.begin(&id(at), self.gated[place(at)], outcome),
            Step::Decide { at, back, verdict } => {
                let id = id(at);
                let newest = self.world.node(&id).waits.approval.as_ref();
                let newest = newest.map_or(0, |approval| approval.approval_id.number);
                _ = self.world.decide(&id, newest.saturating_sub(back), verdict);
            }
            Step::AskAgain(at, outcome) => _ = self.world.ask_again(&id(at), outcome),
            Step::ExpireApproval(at) => _ = self.world.expire_approval(&id(at)),
            Step::Finish(at, succeeds) => {
                let id = id(at);
                let attempt = self.world.node(&id).attempt;
                let has_failed = self.world.attempts.iter().any(|entry| {
                    let is_failure = matches!(entry.outcome, AttemptOutcome::Failed { .. });
                    is_failure && entry.node_run_id.as_str() == id && entry.attempt == attempt
                });
                let result =
                    if succeeds { answered(NodeRunState::Succeeded) } else { call_failed(Work::NotStarted) };
                if attempt > 0 && !has_failed && self.world.node(&id).node.kind == Some(NodeKind::Atomic) {
                    self.world.finish(&id, attempt, result);
                }
            }
            Step::Crash(at) => {
                let id = id(at);
                match self.world.job(&id) {
                    Some(Job::Deadline) => {
                        self.world.due(&id);
                        self.world.lost(&id);
                    }
                    Some(Job::Approval) => {
                        self.world.due(&id);
                        self.world.ask_again(&id, None);
                    }
                    Some(Job::Dispatch | Job::CancelExecutor | Job::SetAside) | None => {}
                }
            }
            Step::Complete(at) => _ = self.world.complete(&id(at), json!({"state": "succeeded"})),
            Step::ExpireNode(at) => self.world.expire_node(&id(at)),
            Step::ExpireRun => self.world.expire_run(RUN),
            Step::Cancel => _ = self.world.cancel(RUN),
            Step::Wait(seconds) => _ = self.world.wait(Duration::from_secs(seconds)),
            Step::Setting(parks) => self.world.rules.gates.approvals = park(parks),
        }
        invariants::check(&before, &self.world);
    }

    /// A dispatch as the dispatcher makes it. Without a demand the node is free to go;
    /// with one it needs the grant of a caller.
    fn begin(&mut self, id: &str, gated: bool, outcome: PolicyOutcome) {
        let before = self.world.clone();
        let soon = self.world.now + Duration::from_millis(1);
        if before.node(id).deadline.is_some_and(|deadline| deadline <= soon) {
            return self.world.expire_node(id);
        }
        let begun = match (gated, self.world.rules.gates.approvals) {
            // What the constraints demand is refused before policy is asked.
            (true, Approvals::Fail) => self.world.dispatch(id),
            _ => self.world.begin_with(id, outcome, Ok(binding())),
        };
        let is_demanded = gated || outcome == PolicyOutcome::RequireApproval;
        let node = before.node(id);
        let is_granted = node.waits.approval.as_ref().is_some_and(|approval| approval.is_granted());
        match begun {
            BeginOutcome::Started { .. } => assert!(!is_demanded || is_granted, "without a grant: {node:?}"),
            BeginOutcome::Waits(approval) => {
                assert!(is_demanded && !is_granted, "nothing demands it: {node:?}");
                assert_eq!(self.world.run().account, before.run().account, "waiting costs nothing");
                let after = self.world.node(id);
                assert_eq!((after.attempt, after.retries), (node.attempt, node.retries));
                assert_eq!(after.node.state, node.node.state);
                assert_eq!(after.budget, node.budget);
                let last = node.waits.approval.as_ref().map_or(0, |approval| approval.approval_id.number);
                assert_eq!(approval.approval_id.number, last + 1);
            }
            BeginOutcome::Failed | BeginOutcome::Superseded => {}
        }
    }
}

fn park(parks: bool) -> Approvals {
    if parks { Approvals::Park { timeout: Duration::from_secs(900) } } else { Approvals::Fail }
}

fn outcomes() -> impl Strategy<Value = PolicyOutcome> {
    prop_oneof![
        5 => Just(PolicyOutcome::Allow),
        4 => Just(PolicyOutcome::RequireApproval),
        1 => Just(PolicyOutcome::Deny),
    ]
}

fn verdicts() -> impl Strategy<Value = ApprovalVerdict> {
    prop_oneof![3 => Just(ApprovalVerdict::Approve), 1 => Just(ApprovalVerdict::Deny)]
}

fn steps() -> impl Strategy<Value = Step> {
    let at = || 0..1000_usize;
    let low = || prop_oneof![1 => Just(0_usize), 20 => 1..1000_usize];
    let kinds = prop_oneof![2 => Just("composite.plan"), 2 => Just("reader"), 2 => Just("atomic.echo")];
    prop_oneof![
        10 => (at(), kinds, prop_oneof![2 => Just(false), 1 => Just(true)])
            .prop_map(|(parent, kind, gated)| Step::Create { parent, kind, gated }),
        20 => (at(), outcomes()).prop_map(|(at, outcome)| Step::Begin(at, outcome)),
        12 => (at(), prop_oneof![5 => Just(0_u32), 1 => Just(1)], verdicts())
            .prop_map(|(at, back, verdict)| Step::Decide { at, back, verdict }),
        8 => (at(), proptest::option::weighted(0.8, outcomes()))
            .prop_map(|(at, outcome)| Step::AskAgain(at, outcome)),
        4 => at().prop_map(Step::ExpireApproval),
        8 => (low(), any::<bool>()).prop_map(|(at, succeeds)| Step::Finish(at, succeeds)),
        6 => at().prop_map(Step::Crash),
        2 => low().prop_map(Step::Complete),
        1 => at().prop_map(Step::ExpireNode),
        1 => Just(Step::ExpireRun),
        1 => Just(Step::Cancel),
        3 => prop_oneof![6 => Just(40_u64), 2 => Just(900), 1 => Just(3600)].prop_map(Step::Wait),
        1 => any::<bool>().prop_map(Step::Setting),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn each_approval_ends_once_whatever_happens(
        policy in outcomes(),
        steps_max in proptest::option::of(0..6_u64),
        steps in proptest::collection::vec(steps(), 1..100),
    ) {
        let budgets = steps_max.map_or(json!({}), |steps| json!({"max_steps": steps, "max_external_calls": 9}));
        let mut tree = Tree::start(policy, &budgets);
        for step in &steps {
            tree.step(step);
        }
        tree.step(&Step::Cancel);
        prop_assert!(tree.world.nodes.values().all(|node| node.wake.as_ref().is_none_or(|wake| wake.job == Job::CancelExecutor)));
    }
}
