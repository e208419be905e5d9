//! Adopted runs that go on.

use std::time::Duration;

use serde_json::{Value, json};

use super::*;

#[test]
fn adopted_node_continues_from_its_state() {
    use Job::{Deadline, Dispatch};
    let mut table = Vec::new();
    for (kind, state, job, attempt) in [
        ("atomic", "queued", Some(Dispatch), 0),
        ("composite", "queued", Some(Dispatch), 0),
        ("atomic", "assigned", Some(Dispatch), 0),
        ("atomic", "running", Some(Deadline), 1),
        ("composite", "running", Some(Deadline), 1),
        ("atomic", "succeeded", None, 1),
        ("composite", "failed", None, 1),
        ("atomic", "canceled", None, 1),
    ] {
        let nodes = [node(ROOT, None, "composite", "running"), node("a", Some(ROOT), kind, state)];
        let (world, changes) = adopted(&stored(&run(json!({})), &nodes, &[]));
        let record = world.node("a");
        assert_eq!((world.job("a"), record.attempt), (job, attempt), "{kind} {state}");
        assert_eq!((record.path.as_str(), world.node(ROOT).children), ("1.2", 1));
        assert_eq!(added(&changes), [] as [Value; 0]);
        assert_eq!(changes.outbox, [], "nothing is owed");
        // A lost attempt is due now.
        let due = record.wake.as_ref().is_some_and(|wake| wake.at <= world.now);
        table.push((kind, state, due));
    }
    let due: Vec<_> = table.iter().filter(|(.., due)| *due).map(|(kind, state, _)| (*kind, *state)).collect();
    let expected =
        [("atomic", "queued"), ("composite", "queued"), ("atomic", "assigned"), ("atomic", "running")];
    assert_eq!(due, expected);
}

#[test]
fn running_atomic_node_is_a_lost_attempt() {
    for (side_effect, again) in
        [(None, false), (Some(SideEffectClass::Write), false), (Some(SideEffectClass::Read), true)]
    {
        let root = node(ROOT, None, "atomic", "running");
        let mut stored = stored(&run(json!({})), &[root], &[]);
        stored.nodes[0].facts.side_effect = side_effect;
        let (mut world, _) = adopted(&stored);
        world.lost(ROOT);
        assert_eq!(world.attempts.len(), 1, "what is tried twice is recorded");
        if again {
            assert_eq!(world.job(ROOT), Some(Job::Dispatch));
            assert!(
                matches!(world.begin(ROOT), BeginOutcome::Started { attempt, .. } if attempt.number == 2)
            );
            assert_eq!(world.finish(ROOT, 1, answered(NodeRunState::Succeeded)), Applied::Late);
        } else {
            assert_eq!(world.failure(ROOT)[0], "executor_outcome_unknown");
            assert_eq!(
                (world.run().run.state, world.job(ROOT)),
                (RunState::Failed, Some(Job::CancelExecutor))
            );
        }
    }
}

#[test]
fn adopted_run_continues_like_any_other() {
    let id = keyed(ROOT, "k");
    let nodes = [
        merged(
            node(ROOT, None, "composite", "running"),
            json!({"extensions": {"decomposition_rounds": 1, "constraints":
                {"structural": {"max_decomposition_rounds_per_node": 2, "max_children_per_composite": 9}}}}),
        ),
        merged(node(&id, Some(ROOT), "atomic", "succeeded"), json!({"inputs": {}})),
    ];
    let events = [
        event(1, "run_started", None, json!({"root_node_run_id": ROOT})),
        event(2, "node_run_assigned", Some(ROOT), json!({"root": true})),
        event(3, "composite_decomposed", Some(ROOT), json!({"node_run_count": 1})),
        event(4, "node_run_assigned", Some(&id), json!({"parent_node_run_id": ROOT})),
    ];
    let (mut world, _) = adopted(&stored(&run(json!({})), &nodes, &events));
    let mut again = child("x").of("atomic.x").key("k");
    again = again.with("constraints", Value::Null);
    // The other coordinator did not narrow it by its parent: no difference.
    let known = world.create(ROOT, &[again.clone()]).expect("a repetition");
    assert_eq!(known[0].node_run_id.as_str(), id);
    let other = again.with("constraints", json!({"structural": {"max_children_per_composite": 1}}));
    let known = world.create(ROOT, &[other]);
    assert_eq!(known.map_err(|refused| refused.code()), Err("idempotency_conflict"));
    world.create(ROOT, &[child("b"), child("c")]).expect("the second round");
    assert_eq!((world.node("b").path.as_str(), world.node("c").path.as_str()), ("1.3", "1.4"));
    assert_eq!(world.create(ROOT, &[child("d")]).expect_err("a third").code(), "constraint_violation");
    world.complete(ROOT, json!({"state": "succeeded"})).expect("completed");
    assert_eq!((world.run().run.state, world.run().last_seq), (RunState::Succeeded, 10));
    let seqs: Vec<u64> = world.events.iter().map(|event| event.event.seq).collect();
    assert_eq!(seqs, (1..=10).collect::<Vec<_>>());
}

#[test]
fn repeated_create_finds_the_adopted_child() {
    let id = keyed(ROOT, "k");
    let nodes = [
        node(ROOT, None, "composite", "running"),
        merged(node(&id, Some(ROOT), "atomic", "succeeded"), json!({"inputs": {}})),
    ];
    let (mut world, _) = adopted(&stored(&run(json!({})), &nodes, &[]));
    let found = world.create(ROOT, &[child("x").of("atomic.x").key("k")]).expect("a replay");
    assert_eq!((found[0].node_run_id.as_str(), found[0].state), (id.as_str(), NodeRunState::Succeeded));
}

#[test]
fn rounds_are_the_maximum_of_stored_and_counted() {
    let decomposed = |count: u64| -> Vec<Value> {
        (1..=count).map(|seq| event(seq, "composite_decomposed", Some(ROOT), json!({}))).collect()
    };
    for (extension, events, rounds) in [
        (json!(null), 0, 0),
        (json!(2), 0, 2),
        (json!(null), 3, 3),
        (json!(2), 3, 3),
        (json!(3), 2, 3),
        (json!(-5), 1, 1),
        (json!("abc"), 1, 1),
        (json!(1.5), 1, 1),
    ] {
        let root = node(ROOT, None, "composite", "running");
        let root = merged(root, json!({"extensions": {"decomposition_rounds": extension}}));
        let (world, _) = adopted(&stored(&run(json!({})), &[root], &decomposed(events)));
        assert_eq!(world.node(ROOT).rounds, rounds, "{extension} {events}");
    }
    let root = node(ROOT, None, "composite", "running");
    let root = merged(root, json!({"extensions": {"decomposition_rounds": u64::MAX}}));
    let (mut world, _) = adopted(&stored(&run(json!({})), &[root], &[]));
    world.create(ROOT, &[child("a")]).expect("there is always a next round");
}

#[test]
fn deadline_counts_from_the_original_start() {
    let hour = Duration::from_secs(3600);
    let budget = |ms: u64| json!({"constraints": {"budgets": {"max_wall_time_ms": ms}}});
    for (began, extensions, left) in [
        ("2027-01-15T07:50:00Z", json!({}), Duration::from_secs(3000)),
        ("2027-01-15T07:50:00Z", budget(900_000), Duration::from_secs(300)),
        ("2027-01-15T07:50:00Z", budget(60_000), Duration::ZERO),
        ("2020-01-01T00:00:00Z", json!({}), Duration::ZERO),
        // A start in the future counts as now.
        ("9999-01-01T00:00:00Z", json!({}), hour),
        ("9999-12-31T23:59:59-14:00", json!({}), hour),
        ("0000-01-01T00:00:00Z", json!({}), Duration::ZERO),
        ("9999-12-31T23:59:59-14:00", budget(u64::MAX), hour),
        ("2027-01-15T07:50:00Z", json!({"constraints": "nonsense"}), Duration::from_secs(3000)),
    ] {
        let run = run(json!({"started_at": began, "extensions": extensions}));
        let (mut world, _) = adopted(&stored(&run, &[node(ROOT, None, "composite", "running")], &[]));
        let deadline = world.run().deadline.expect("it lives");
        assert_eq!(deadline.since(world.now), left, "{began} {extensions}");
        // The silence of its executor is checked by then.
        let silence = world.rules.composite_silence.expect("a limit");
        let due = deadline.min(world.now + silence);
        assert_eq!(world.node(ROOT).wake.as_ref().map(|wake| wake.at), Some(due));
        world.wait(left);
        world.expire_run(RUN);
        assert_eq!(world.run().run.state, RunState::Failed);
    }
    let (world, _) =
        adopted(&stored(&run(json!({"started_at": null})), &[node(ROOT, None, "composite", "running")], &[]));
    assert_eq!(world.run().deadline, Some(world.now + hour), "without a start it counts from now");
}
