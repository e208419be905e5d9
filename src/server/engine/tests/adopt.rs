//! Runs that the JARVIS stores have and the journal has not: as another
//! coordinator leaves them, and as no coordinator ever would.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use proptest::{option, prelude::*, sample::select};
use serde_json::{Value, json};

use super::{
    invariants,
    support::{ROOT, RUN, World, answered, child, keyed, parse},
};
use crate::{
    engine::{self, Applied, BeginOutcome, Decision, NodeTypeFacts, StoredNode, StoredRun},
    record::{ChangeSet, Job, NodePath, NodeRecord, Origin, OutboxItem},
    time::Timestamp,
    types::{NodeKind, NodeRun, NodeRunId, NodeRunState, RunEvent, RunEventType, RunState, SideEffectClass},
};

/// Long enough ago to tell it from now, not long enough for any deadline.
const BEGAN: &str = "2027-01-15T07:59:50Z";

fn run(more: Value) -> Value {
    merged(json!({"run_id": RUN, "state": "running", "root_node_run_id": ROOT, "started_at": BEGAN}), more)
}

/// A node of kind and state under `parent`.
fn node(id: &str, parent: Option<&str>, kind: &str, state: &str) -> Value {
    let mut node = json!({
        "node_run_id": id, "run_id": RUN, "parent_node_run_id": parent, "kind": kind, "state": state,
        "node_type_ref": {"node_type_id": format!("{kind}.x"), "version": "1"}, "created_at": BEGAN,
    });
    if !["queued", "assigned"].contains(&state) {
        node["started_at"] = json!(BEGAN);
    }
    if ["succeeded", "failed", "canceled"].contains(&state) {
        node["ended_at"] = json!(BEGAN);
    }
    node
}

#[expect(clippy::needless_pass_by_value, reason = "`json!({})` reads better without a borrow")]
fn event(seq: u64, type_: &str, node: Option<&str>, data: Value) -> Value {
    json!({"run_id": RUN, "seq": seq, "type": type_, "time": BEGAN, "node_run_id": node, "data": data})
}

fn merged(mut base: Value, more: Value) -> Value {
    if let (Value::Object(base), Value::Object(more)) = (&mut base, more) {
        base.extend(more);
    }
    base
}

fn stored(run: &Value, nodes: &[Value], events: &[Value]) -> StoredRun {
    let node = |node: &Value| StoredNode { node: parse(node.clone()), facts: NodeTypeFacts::default() };
    StoredRun {
        run: parse(run.clone()),
        nodes: nodes.iter().map(node).collect(),
        events: events.iter().cloned().map(parse).collect(),
    }
}

/// The world after an adoption, and what that committed.
fn adopted(stored: &StoredRun) -> (World, ChangeSet) {
    let mut world = World::new();
    let Decision { changes, answer: () } = engine::run_adopt(stored.clone(), world.cx());
    let changes = changes.expect("it is brought into the journal");
    sound(stored, &changes, world.now);
    world.import(changes.clone());
    invariants::audited(&world);
    (world, changes)
}

/// What holds of any adoption.
fn sound(stored: &StoredRun, changes: &ChangeSet, now: Timestamp) {
    let run = changes.run.as_ref().expect("the run is new");
    let over = run.is_terminal();
    assert_eq!((run.version, run.deadline.is_none(), &run.started_by), (0, over, &None));
    assert_eq!(run.origin, Origin::Adopted);
    if stored.run.state.is_terminal() {
        assert_eq!(run.run, stored.run, "a run that is over never changes");
    }
    assert_eq!(run.nodes, changes.nodes.len() as u64);

    let of_run = stored.nodes.iter().filter(|node| node.node.run_id == stored.run.run_id);
    let given: BTreeMap<&NodeRunId, &StoredNode> =
        of_run.rev().map(|stored| (&stored.node.node_run_id, stored)).collect();
    assert_eq!(records_of(changes).len(), given.len(), "all of them");
    let records = records_of(changes);
    assert_eq!(records.len(), changes.nodes.len(), "each node once");
    let places: BTreeSet<&str> = changes.nodes.iter().map(|node| node.path.as_str()).collect();
    assert_eq!(places.len(), changes.nodes.len(), "each in a place of its own");
    for record in &changes.nodes {
        let before = &given[record.id()].node;
        let again = NodeRecord { wake: record.wake.clone(), ..parse(json!(record)) };
        assert_eq!(again, *record, "a journal can keep it");
        let job = record.wake.as_ref().map(|wake| wake.job);
        assert_eq!((record.version, &record.node.run_id), (0, &run.run.run_id));
        assert_eq!(record.path == NodePath::root(), *record.id() == run.run.root_node_run_id);
        assert!(record.wake.as_ref().is_none_or(|wake| wake.claimed_by.is_none()), "nobody is at it");
        assert!(record.path.contains(&record.path) && NodePath::root().contains(&record.path));
        if record.is_terminal() {
            assert!([None, Some(Job::CancelExecutor)].contains(&job));
            assert!(!before.state.is_terminal() || (record.node == *before && job.is_none()));
        } else {
            assert!(!over, "nothing lives in a run that is over");
            let but_constraints = |node: &NodeRun| {
                let mut extensions = node.extensions.clone().unwrap_or_default();
                extensions.remove("constraints");
                NodeRun { extensions: Some(extensions), ..node.clone() }
            };
            assert_eq!(but_constraints(&record.node), but_constraints(before), "what lives on is as it was");
            let executing = record.node.state == NodeRunState::Running;
            assert_eq!(job, Some(if executing { Job::Deadline } else { Job::Dispatch }), "{record:?}");
            assert!(record.deadline <= run.deadline && record.deadline.is_some());
            let parent = record.node.parent_node_run_id.as_ref().and_then(|parent| records.get(parent));
            let is_root = *record.id() == run.run.root_node_run_id;
            assert!(is_root || parent.is_some_and(|parent| !parent.is_terminal()), "somebody waits for it");
            assert!(is_root || parent.is_some_and(|parent| parent.path.contains(&record.path)));
        }
        assert_eq!(owes_node(changes, record.id()), record.node != *before, "owed if changed");
    }
    assert_eq!(owes_run(changes), run.run != stored.run);
    let live_root = records.get(&run.run.root_node_run_id).is_some_and(|root| !root.is_terminal());
    assert_eq!(live_root, !over, "a run lives as long as its root");

    let seqs: Vec<u64> = changes.events.iter().map(|event| event.event.seq).collect();
    assert!(seqs.is_sorted_by(|a, b| a < b), "{seqs:?}");
    assert_eq!(seqs.last().copied().unwrap_or_default(), run.last_seq);
    let (theirs, ours): (Vec<_>, Vec<_>) =
        changes.events.iter().partition(|event| event.event.seq < first_owed(changes));
    assert!(theirs.iter().all(|event| stored.events.contains(&event.event)));
    assert!(ours.iter().all(|event| event.event.time == now));
    let first = theirs.last().map_or(1, |event| event.event.seq + 1);
    assert!(ours.iter().zip(first..).all(|(event, seq)| event.event.seq == seq), "ours go on after theirs");
    for event in &changes.events {
        let node = event.event.node_run_id.as_ref().and_then(|node| records.get(node));
        assert_eq!(event.path.as_ref(), node.map(|node| &node.path));
    }
    let told_over = changes.events.iter().filter(|event| event.event.type_ == RunEventType::RunCompleted);
    assert!(!stored.run.state.is_terminal() || over);
    assert!(over || told_over.count() == 0);
}

fn records_of(changes: &ChangeSet) -> BTreeMap<&NodeRunId, &NodeRecord> {
    changes.nodes.iter().map(|node| (node.id(), node)).collect()
}

fn owes_run(changes: &ChangeSet) -> bool {
    changes.outbox.contains(&OutboxItem::Run { new: true })
}

fn owes_node(changes: &ChangeSet, id: &NodeRunId) -> bool {
    changes.outbox.contains(&OutboxItem::NodeRun { node_run_id: id.clone(), new: true })
}

/// `seq` of the first event that the Event Stream does not have; those before
/// it came from there.
fn first_owed(changes: &ChangeSet) -> u64 {
    let range = |item: &OutboxItem| match item {
        OutboxItem::Events { first, last } => Some((*first, *last)),
        OutboxItem::Run { .. } | OutboxItem::NodeRun { .. } => None,
    };
    let Some((first, last)) = changes.outbox.iter().find_map(range) else { return u64::MAX };
    assert_eq!(Some(last), changes.events.last().map(|event| event.event.seq));
    first
}

/// Events of a change set that we added, as `[type, node_run_id, data]`.
fn added(changes: &ChangeSet) -> Vec<Value> {
    let ours = changes.events.iter().filter(|event| event.event.seq >= first_owed(changes));
    ours.map(|event| json!([event.event.type_, event.event.node_run_id, event.event.data])).collect()
}

#[test]
fn a_node_goes_on_from_where_it_was() {
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
        // Due now: nobody waits for the answer of whoever is at it.
        let due = record.wake.as_ref().is_some_and(|wake| wake.at <= world.now);
        table.push((kind, state, due));
    }
    let due: Vec<_> = table.iter().filter(|(.., due)| *due).map(|(kind, state, _)| (*kind, *state)).collect();
    let expected =
        [("atomic", "queued"), ("composite", "queued"), ("atomic", "assigned"), ("atomic", "running")];
    assert_eq!(due, expected);
}

#[test]
fn an_atomic_node_at_its_executor_is_a_lost_attempt() {
    for (side_effect, again) in
        [(None, false), (Some(SideEffectClass::Write), false), (Some(SideEffectClass::Read), true)]
    {
        let root = node(ROOT, None, "atomic", "running");
        let mut stored = stored(&run(json!({})), &[root], &[]);
        stored.nodes[0].facts.side_effect = side_effect;
        let (mut world, _) = adopted(&stored);
        world.lost(ROOT);
        assert_eq!(world.attempts.len(), 1, "what is tried twice is recorded");
        match again {
            true => {
                assert_eq!(world.job(ROOT), Some(Job::Dispatch));
                assert!(
                    matches!(world.begin(ROOT), BeginOutcome::Started { attempt, .. } if attempt.number == 2)
                );
                assert_eq!(world.finish(ROOT, 1, answered(NodeRunState::Succeeded)), Applied::Late);
            }
            false => {
                assert_eq!(world.failure(ROOT)[0], "executor_outcome_unknown");
                assert_eq!(
                    (world.run().run.state, world.job(ROOT)),
                    (RunState::Failed, Some(Job::CancelExecutor))
                );
            }
        }
    }
}

#[test]
fn an_adopted_run_is_like_any_other() {
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
    // The other one did not narrow it by its parent: that is no difference.
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
fn a_repeated_create_finds_the_adopted_child() {
    let id = keyed(ROOT, "k");
    let nodes = [
        node(ROOT, None, "composite", "running"),
        merged(node(&id, Some(ROOT), "atomic", "succeeded"), json!({"inputs": {}})),
    ];
    let (mut world, _) = adopted(&stored(&run(json!({})), &nodes, &[]));
    let found = world.create(ROOT, &[child("x").of("atomic.x").key("k")]).expect("a replay");
    assert_eq!((found[0].node_run_id.as_str(), found[0].state), (id.as_str(), NodeRunState::Succeeded));
}

fn bounded(node: Value, constraints: &Value) -> Value {
    merged(node, json!({"extensions": {"constraints": constraints, "a.b": 1}}))
}

/// Another coordinator does not narrow children by their parents, and lets the
/// highest side effect win.
#[test]
fn what_lives_on_is_narrowed_by_the_run_and_all_above_it() {
    let of_run = json!({"gates": {"side_effect_class": "write"}, "structural": {"max_depth": 4}});
    let of_root = json!({"candidates": {"denied_node_type_ids": ["atomic.x"]}});
    let of_plan = json!({"structural": {"max_depth": 2}, "gates": {"side_effect_class": "read"}});
    let wide = json!({"gates": {"side_effect_class": "irreversible"}, "structural": {"max_depth": 9}});
    let narrow = json!({"structural": {"max_depth": 1}, "gates": {"side_effect_class": "read"},
        "candidates": {"denied_node_type_ids": ["atomic.x"]}});
    let nodes = [
        bounded(node(ROOT, None, "composite", "running"), &of_root),
        // Children first: the order of a store says nothing.
        bounded(node("deep", Some("plan"), "atomic", "queued"), &wide),
        bounded(node("fits", Some("plan"), "atomic", "queued"), &narrow),
        bounded(node("plan", Some(ROOT), "composite", "running"), &of_plan),
        node("bare", Some(ROOT), "composite", "queued"),
        bounded(node("done", Some(ROOT), "atomic", "succeeded"), &wide),
    ];
    let run = run(json!({"extensions": {"constraints": of_run}}));
    let (mut world, changes) = adopted(&stored(&run, &nodes, &[]));
    let denied = json!(["atomic.x"]);
    for (id, depth, effect) in [
        (ROOT, 4, "write"),
        ("bare", 4, "write"),
        ("plan", 2, "read"),
        ("deep", 2, "read"),
        ("fits", 1, "read"),
    ] {
        let expected = json!({"structural": {"max_depth": depth}, "gates": {"side_effect_class": effect},
            "candidates": {"denied_node_type_ids": denied}});
        assert_eq!(world.extension(id, "constraints"), Some(expected.clone()), "{id}");
        assert_eq!(owes_node(&changes, &id.into()), id != "fits", "{id}: the Run Store hears of it");
    }
    assert_eq!(world.extension("done", "constraints"), Some(wide.clone()), "what is over stays as it is");
    assert_eq!(world.extension("deep", "a.b"), Some(json!(1)), "and so does all else");

    assert_eq!(world.dispatch("deep"), BeginOutcome::Failed);
    assert_eq!(world.failure("deep")[0], "node_type_denied");
    assert_eq!(world.create("plan", &[child("c")]).map(|made| made.len()), Ok(1), "depth 2");
    assert!(world.create("bare", &[child("d").with("constraints", wide)]).is_ok());
    assert_eq!(
        world.extension("d", "constraints").map(|own| own["gates"].clone()),
        Some(json!({"side_effect_class": "write"}))
    );
}

#[test]
fn below_constraints_that_nobody_can_read_nothing_is_executed() {
    let nonsense = json!({"structural": {"max_depth": "deep"}});
    for (of_run, of_root) in [(nonsense.clone(), json!({})), (json!({}), nonsense)] {
        let nodes = [
            bounded(node(ROOT, None, "composite", "running"), &of_root),
            bounded(node("a", Some(ROOT), "atomic", "queued"), &json!({"structural": {"max_depth": 3}})),
            node("b", Some(ROOT), "atomic", "queued"),
        ];
        let run = run(json!({"extensions": {"constraints": of_run}}));
        let (mut world, _) = adopted(&stored(&run, &nodes, &[]));
        for id in ["a", "b"] {
            assert_eq!(world.dispatch(id), BeginOutcome::Failed, "{id} {of_run} {of_root}");
            assert_eq!(world.failure(id)[0], "constraint_invalid");
        }
    }
}

/// Whatever a record says, the run's own constraints hold at dispatch.
#[test]
fn the_runs_constraints_hold_at_dispatch_whatever_the_node_says() {
    let mut world = World::new();
    let denied = json!({"candidates": {"denied_node_type_ids": ["atomic.echo"]}});
    let start =
        json!({"root_node_type_ref": {"node_type_id": "atomic.echo", "version": "1"}, "constraints": denied});
    world.start(start).expect("a start");
    let root = world.nodes.get_mut(&ROOT.into()).expect("the root");
    let wide = json!({"candidates": {"denied_node_type_ids": []}});
    root.node.extensions.get_or_insert_default().insert("constraints".into(), wide);
    assert_eq!(world.dispatch(ROOT), BeginOutcome::Failed);
    assert_eq!(world.failure(ROOT)[0], "node_type_denied");
}

#[test]
fn rounds_are_those_told_or_those_counted_whichever_are_more() {
    let told = |count: u64| -> Vec<Value> {
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
        let (world, _) = adopted(&stored(&run(json!({})), &[root], &told(events)));
        assert_eq!(world.node(ROOT).rounds, rounds, "{extension} {events}");
    }
    let root = node(ROOT, None, "composite", "running");
    let root = merged(root, json!({"extensions": {"decomposition_rounds": u64::MAX}}));
    let (mut world, _) = adopted(&stored(&run(json!({})), &[root], &[]));
    world.create(ROOT, &[child("a")]).expect("there is always a next round");
}

#[test]
fn time_runs_from_when_it_began() {
    let hour = Duration::from_secs(3600);
    let budget = |ms: u64| json!({"constraints": {"budgets": {"max_wall_time_ms": ms}}});
    for (began, extensions, left) in [
        ("2027-01-15T07:50:00Z", json!({}), Duration::from_secs(3000)),
        ("2027-01-15T07:50:00Z", budget(900_000), Duration::from_secs(300)),
        ("2027-01-15T07:50:00Z", budget(60_000), Duration::ZERO),
        ("2020-01-01T00:00:00Z", json!({}), Duration::ZERO),
        // Whoever says so: nothing began in the future.
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
        // By then it is asked whether its executor has been heard from.
        let silence = world.rules.composite_silence.expect("it is asked about");
        let due = deadline.min(world.now + silence);
        assert_eq!(world.node(ROOT).wake.as_ref().map(|wake| wake.at), Some(due));
        world.wait(left);
        world.expire_run(RUN);
        assert_eq!(world.run().run.state, RunState::Failed);
    }
    let (world, _) =
        adopted(&stored(&run(json!({"started_at": null})), &[node(ROOT, None, "composite", "running")], &[]));
    assert_eq!(world.run().deadline, Some(world.now + hour), "nobody knows when it began");
}

#[test]
fn what_nobody_waits_for_is_canceled_and_its_executor_told() {
    let nodes = [
        node(ROOT, None, "composite", "running"),
        node("done", Some(ROOT), "composite", "failed"),
        node("below", Some("done"), "composite", "running"),
        node("deep", Some("below"), "atomic", "queued"),
        node("orphan", Some("nobody"), "atomic", "running"),
        node("loose", None, "atomic", "queued"),
        node("x", Some("y"), "atomic", "assigned"),
        node("y", Some("x"), "composite", "queued"),
        node("self", Some("self"), "atomic", "queued"),
        node("fine", Some(ROOT), "atomic", "queued"),
    ];
    let (world, changes) = adopted(&stored(&run(json!({})), &nodes, &[]));
    for (id, job, path) in [
        ("below", Some(Job::CancelExecutor), "1.2.3"),
        ("deep", None, "1.2.3.4"),
        ("orphan", Some(Job::CancelExecutor), "1.5"),
        ("loose", None, "1.6"),
        ("x", None, "1.7"),
        ("y", None, "1.7.8"),
        ("self", None, "1.9"),
    ] {
        assert_eq!((world.state(id), world.job(id)), (NodeRunState::Canceled, job), "{id}");
        assert_eq!(world.node(id).path.as_str(), path, "{id}");
        assert!(owes_node(&changes, &id.into()), "the stores are to hear of it");
    }
    assert_eq!((world.state("fine"), world.job("fine")), (NodeRunState::Queued, Some(Job::Dispatch)));
    let told = added(&changes);
    assert_eq!(told.len(), 5, "one for each atomic node: {told:?}");
    assert_eq!(told[0], json!(["atomic_executed", "deep", {"state": "canceled", "executed": false}]));
}

#[test]
fn a_run_ends_with_its_root_or_for_want_of_one() {
    let (queued, running) =
        (node(ROOT, None, "composite", "queued"), node(ROOT, None, "composite", "running"));
    let ended = |state: &str| node(ROOT, None, "composite", state);
    let child = node("a", Some(ROOT), "composite", "running");
    let elsewhere = merged(running.clone(), json!({"run_id": "another"}));
    for (case, run_state, nodes, state, completed_by) in [
        ("started", "queued", vec![queued], "running", None),
        ("alive", "running", vec![running.clone(), child.clone()], "running", None),
        ("root done", "running", vec![ended("succeeded"), child.clone()], "succeeded", Some(json!(ROOT))),
        ("root failed", "queued", vec![ended("failed")], "failed", Some(json!(ROOT))),
        ("root canceled", "running", vec![ended("canceled")], "canceled", Some(json!(ROOT))),
        ("no root", "running", vec![child.clone()], "failed", Some(Value::Null)),
        ("no nodes", "running", vec![], "failed", Some(Value::Null)),
        ("root elsewhere", "running", vec![elsewhere], "failed", Some(Value::Null)),
        ("two roots", "running", vec![running.clone(), ended("succeeded")], "running", None),
        ("over", "succeeded", vec![ended("succeeded"), child.clone()], "succeeded", None),
        ("over, but alive", "canceled", vec![running, child], "canceled", None),
    ] {
        let (world, changes) = adopted(&stored(&run(json!({"state": run_state})), &nodes, &[]));
        assert_eq!(world.run().run.state.to_string(), state, "{case}");
        let told = added(&changes);
        let completed: Vec<_> = told.iter().filter(|event| event[0] == "run_completed").collect();
        assert_eq!(completed.first().map(|event| event[1].clone()), completed_by, "{case}");
        assert_eq!(
            told.last().is_some_and(|last| last[0] == "run_completed"),
            completed_by.is_some(),
            "{case}"
        );
        let nothing = ["no nodes", "root elsewhere"].contains(&case);
        assert_eq!(told.iter().any(|event| event[0] == "run_started"), nothing, "{case}");
    }
}

#[test]
fn the_end_of_a_run_is_told_once() {
    let began = event(1, "run_started", None, json!({}));
    let over = |state: Value| event(9, "run_completed", None, json!({"state": state}));
    let nodes = [node(ROOT, None, "composite", "running")];
    for (run_state, events, state, told) in [
        // Told, but not written.
        ("running", vec![began.clone(), over(json!("succeeded"))], "succeeded", json!([])),
        ("running", vec![over(json!("running"))], "failed", json!([])),
        ("queued", vec![over(json!(7))], "failed", json!([])),
        // Written, but not told.
        (
            "canceled",
            vec![began.clone()],
            "canceled",
            json!([["run_completed", null, {"state": "canceled"}]]),
        ),
        ("succeeded", vec![began.clone(), over(json!("canceled"))], "succeeded", json!([])),
        // Told once, and forgotten since.
        ("succeeded", vec![], "succeeded", json!([])),
        ("succeeded", vec![event(5, "node_evaluated", Some(ROOT), json!({}))], "succeeded", json!([])),
    ] {
        let (world, changes) = adopted(&stored(&run(json!({"state": run_state})), &nodes, &events));
        assert_eq!(world.run().run.state.to_string(), state, "{run_state} {events:?}");
        assert_eq!(json!(added(&changes)), told, "{run_state} {events:?}");
        assert_eq!((world.state(ROOT), world.job(ROOT)), (NodeRunState::Canceled, Some(Job::CancelExecutor)));
    }
    let done = [node(ROOT, None, "composite", "succeeded")];
    let (_, changes) = adopted(&stored(&run(json!({"state": "succeeded"})), &done, &[began]));
    assert_eq!(added(&changes), [json!(["run_completed", ROOT, {"state": "succeeded"}])]);
}

#[test]
fn events_keep_their_numbers_and_ours_go_on_after_them() {
    let mut elsewhere = event(3, "run_completed", None, json!({}));
    elsewhere["run_id"] = json!("another");
    let events = [
        event(7, "node_evaluated", Some(ROOT), json!({"status": "fail"})),
        event(0, "run_completed", None, json!({})),
        event(2, "node_evaluated", Some("nobody"), json!({"status": "fail"})),
        event(7, "run_completed", None, json!({})),
        elsewhere,
        event(u64::MAX, "run_completed", None, json!({})),
        event(4, "run_started", None, json!({})),
    ];
    let (mut world, changes) =
        adopted(&stored(&run(json!({})), &[node(ROOT, None, "composite", "running")], &events));
    let kept: Vec<_> =
        changes.events.iter().map(|event| (event.event.seq, event.event.type_.to_string())).collect();
    let expected = [(2, "node_evaluated"), (4, "run_started"), (7, "node_evaluated")];
    assert_eq!(kept, expected.map(|(seq, name)| (seq, name.to_owned())));
    world.cancel(RUN);
    assert_eq!(world.events.last().map(|event| event.event.seq), Some(8));
}

#[test]
fn no_request_is_the_one_that_started_it() {
    let (mut world, _) = adopted(&stored(&run(json!({})), &[node(ROOT, None, "composite", "running")], &[]));
    assert_eq!(world.start(json!({})).expect_err("it is there").code(), "run_already_exists");
}

// ---- whatever a store may say ----

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
    let parent = prop_oneof![1 => Just(None), 9 => ids().prop_map(Some), 1 => Just(Some("nobody"))];
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
    let root = prop_oneof![8 => Just(ROOT), 1 => Just("a"), 1 => Just("nobody")];
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
    fn whatever_is_stored_what_is_adopted_is_sound_and_can_be_ended(stored in runs()) {
        let (mut world, _) = adopted(&stored);
        let live: Vec<String> =
            world.nodes.values().filter(|node| !node.is_terminal()).map(|node| node.id().to_string()).collect();
        for id in &live {
            match world.job(id) {
                Some(Job::Dispatch) => _ = world.dispatch(id),
                Some(Job::Deadline) => world.lost(id),
                Some(Job::CancelExecutor) | None => {}
            }
        }
        for id in live {
            // It may be refused: for what its constraints say, for one.
            _ = world.create(&id, &[child(&format!("under {id}"))]);
        }
        invariants::audited(&world);
        world.cancel(RUN);
        invariants::audited(&world);
        prop_assert!(world.run().is_terminal());
        prop_assert!(world.nodes.values().all(NodeRecord::is_terminal));
    }
}
