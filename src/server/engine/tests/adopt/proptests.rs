//! Adoptions of anything that a store may return.

use proptest::{option, prelude::*, sample::select};
use serde_json::{Value, json};

use super::*;

/// Few enough that they meet.
const IDS: [&str; 6] = [ROOT, "a", "b", "c", "d", "e"];

fn ids() -> impl Strategy<Value = &'static str> {
    select(&IDS[..])
}

fn times() -> impl Strategy<Value = Option<Timestamp>> {
    let time = select(&["0000-01-01T00:00:00Z", BEGAN, "2027-01-15T08:00:01Z", "9999-12-31T23:59:59Z"][..]);
    option::of(time.prop_map(|time| time.parse().expect("a time")))
}

fn kinds() -> impl Strategy<Value = Option<NodeKind>> {
    select(&[None, Some(NodeKind::Atomic), Some(NodeKind::Composite), Some(NodeKind::Composite)][..])
}

fn states() -> impl Strategy<Value = &'static str> {
    select(&["queued", "assigned", "running", "running", "running", "succeeded", "failed", "canceled"][..])
}

fn extensions() -> impl Strategy<Value = Value> {
    select(vec![
        Value::Null,
        json!({"decomposition_rounds": u64::MAX}),
        json!({"decomposition_rounds": [1]}),
        json!({"constraints": 7}),
        json!({"constraints": {"budgets": {"max_wall_time_ms": 1}}}),
        json!({"constraints": {"budgets": {"max_wall_time_ms": u64::MAX}}}),
    ])
}

fn nodes() -> impl Strategy<Value = StoredNode> {
    let run = prop_oneof![9 => Just(RUN), 1 => Just("another")];
    let parent = prop_oneof![1 => Just(None), 9 => ids().prop_map(Some), 1 => Just(Some("absent"))];
    (ids(), run, parent, kinds(), states(), times(), extensions(), any::<bool>()).prop_map(
        |(id, run, parent, kind, state, started, extensions, reads)| {
            let mut stored: StoredNode = StoredNode {
                node: parse(merged(
                    node(id, parent, "x", state),
                    json!({"run_id": run, "kind": kind, "extensions": extensions}),
                )),
                facts: NodeTypeFacts::default(),
            };
            stored.node.started_at = started;
            stored.facts.side_effect = reads.then_some(SideEffectClass::Read);
            stored
        },
    )
}

fn events() -> impl Strategy<Value = RunEvent> {
    let seq = prop_oneof![20 => 0..30_u64, 1 => Just(u64::MAX), 1 => Just(1 << 53)];
    let types = select(
        &[
            "run_started",
            "node_run_assigned",
            "composite_decomposed",
            "node_evaluated",
            "atomic_executed",
            "run_completed",
        ][..],
    );
    let data =
        select(vec![Value::Null, json!({}), json!({"state": "succeeded"}), json!({"state": "queued"})]);
    (seq, types, option::of(ids()), data)
        .prop_map(|(seq, type_, node, data)| parse(event(seq, type_, node, data)))
}

fn runs() -> impl Strategy<Value = StoredRun> {
    let state = select(&["queued", "running", "running", "running", "succeeded", "canceled"][..]);
    let root = prop_oneof![8 => Just(ROOT), 1 => Just("a"), 1 => Just("absent")];
    (
        (state, root, times(), extensions()),
        proptest::collection::vec(nodes(), 0..12),
        proptest::collection::vec(events(), 0..12),
    )
        .prop_map(|((state, root, started, extensions), nodes, events)| {
            let run = run(json!({"state": state, "root_node_run_id": root, "extensions": extensions}));
            let mut stored = StoredRun { run: parse(run), nodes, events };
            stored.run.started_at = started;
            stored
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, ..ProptestConfig::default() })]

    #[test]
    fn any_stored_run_is_adopted_soundly_and_can_end(stored in runs()) {
        let (mut world, _) = adopted(&stored);
        let live: Vec<String> =
            world.nodes.values().filter(|node| !node.is_terminal()).map(|node| node.id().to_string()).collect();
        for id in &live {
            match world.job(id) {
                Some(Job::Dispatch) => _ = world.dispatch(id),
                Some(Job::Deadline) => world.lost(id),
                Some(Job::CancelExecutor | Job::Approval | Job::SetAside) | None => {}
            }
        }
        for id in live {
            // It may be refused: for what its constraints say, for one.
            _ = world.create(&id, &[child(&format!("under {id}"))]);
        }
        invariants::each_run(&world);
        world.cancel(RUN);
        invariants::each_run(&world);
        prop_assert!(world.run().is_terminal());
        prop_assert!(world.nodes.values().all(NodeRecord::is_terminal));
    }
}
