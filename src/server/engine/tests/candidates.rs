//! Candidate sets (contract §6.6): what a child's type was chosen from.

use serde_json::{Value, json};

use super::support::{Child, ROOT, World, child, node_type};
use crate::engine::{Disagreement, Limit, Rejection};

fn set(types: &[&str]) -> Value {
    let candidates: Vec<Value> =
        types.iter().map(|id| json!({"node_type_ref": node_type(id), "score": 0.5})).collect();
    json!({"candidate_set_id": "set-1", "subtask_id": "S1", "candidates": candidates, "top_k": 3})
}

/// A child of type `atomic.echo` with a binding decision that quotes `set-1`.
fn bound(id: &str) -> Child {
    bound_to(id, "atomic.echo", "set-1")
}

fn bound_to(id: &str, type_id: &str, set: &str) -> Child {
    let binding =
        json!({"subtask_id": "S1", "candidate_set_id": set, "chosen_node_type_ref": node_type(type_id)});
    child(id).of(type_id).with("binding_decision", binding)
}

fn with_set(child: Child, set: &Value) -> Child {
    child.with("extensions", json!({"jarvis.candidate_set": set, "acme.x": null}))
}

fn limited(limit: u64) -> World {
    World::composite(&json!({"candidates": {"max_candidates_per_subtask": limit}}))
}

#[test]
fn set_that_is_brought_must_have_the_choice() {
    let good = || set(&["atomic.other", "atomic.echo"]);
    let mut other_version = good();
    other_version["candidates"][1]["node_type_ref"]["version"] = json!("2");
    let renamed = |member: &str| {
        let mut renamed = good();
        renamed[member] = json!("another");
        renamed
    };
    let mismatch = |member| Some(Rejection::CandidateSetMismatch(member));
    for (case, rejection) in [
        (with_set(bound("a"), &good()), None),
        // Without a binding decision the set speaks for itself.
        (with_set(child("a"), &good()), None),
        (with_set(bound("a"), &set(&["atomic.other"])), Some(Rejection::CandidateNotInSet)),
        (with_set(bound("a"), &set(&[])), Some(Rejection::CandidateNotInSet)),
        (with_set(bound("a"), &other_version), Some(Rejection::CandidateNotInSet)),
        (with_set(bound("a"), &renamed("candidate_set_id")), mismatch("candidate_set_id")),
        (with_set(bound("a"), &renamed("subtask_id")), mismatch("subtask_id")),
        (
            with_set(child("a").with("candidate_set_id", json!("other")), &good()),
            mismatch("candidate_set_id"),
        ),
        (
            with_set(bound("a"), &set(&["atomic.echo", "b", "c"])),
            Some(Rejection::Limit(Limit::MaxCandidatesPerSubtask)),
        ),
    ] {
        let mut world = limited(2);
        let before = world.clone();
        let answer = world.create(ROOT, std::slice::from_ref(&case)).map(drop);
        assert_eq!(answer.err(), rejection, "{case:?}");
        if rejection.is_some() {
            world.now = before.now;
            assert_eq!(world, before, "no trace");
        } else {
            // The evidence stays with the child, and the events name the set.
            assert_eq!(world.extension("a", "jarvis.candidate_set"), Some(good()));
            assert_eq!(world.extension("a", "candidate_set_id"), Some(json!("set-1")));
            let generated =
                json!(["candidate_set_generated", "a", {"candidate_set_id": "set-1", "subtask_id": "S1"}]);
            assert!(world.events_since(0).contains(&generated));
        }
    }
    // The codes and messages of the contract.
    let codes = [
        (Rejection::CandidateNotInSet, "candidate_not_in_set", "node_type_ref is not in its candidate set"),
        (
            Rejection::CandidateSetMismatch("subtask_id"),
            "binding_mismatch",
            "candidate set does not agree with subtask_id",
        ),
        (
            Rejection::Limit(Limit::MaxCandidatesPerSubtask),
            "constraint_violation",
            "max_candidates_per_subtask constraint violated",
        ),
        (
            Rejection::CandidateSetRequired,
            "candidate_set_required",
            "binding_decision requires its candidate set",
        ),
    ];
    for (rejection, code, message) in codes {
        assert_eq!((rejection.code(), &*rejection.message()), (code, message));
    }
}

#[test]
fn quoted_set_stands_for_as_many_types_as_the_limit_says() {
    let over = Err(Rejection::Limit(Limit::MaxCandidatesPerSubtask));
    let mut world = limited(2);
    let mut create = |child: Child| world.create(ROOT, &[child]).map(drop);
    assert_eq!(create(bound("a")), Ok(()));
    assert_eq!(create(bound_to("b", "atomic.b", "set-1")), Ok(()));
    assert_eq!(create(bound_to("c", "atomic.c", "set-1")), over);
    // A type that it stands for already, and another set.
    assert_eq!(create(bound("d")), Ok(()));
    assert_eq!(create(bound_to("e", "atomic.c", "set-2")), Ok(()));
    // A third one within one request leaves no trace of the others.
    let three = [("f", "atomic.f"), ("g", "atomic.g"), ("h", "atomic.h")];
    let three = three.map(|(id, type_id)| bound_to(id, type_id, "set-3"));
    assert_eq!(world.create(ROOT, &three).map(drop), over);
    world.create(ROOT, &three[1..]).expect("the first two are not counted");
    // Without an id the subtask counts; without both nothing does.
    let of_subtask = |id: &str, type_id: &str| {
        let binding = json!({"subtask_id": "S9", "chosen_node_type_ref": node_type(type_id)});
        child(id).of(type_id).with("binding_decision", binding)
    };
    for (id, fits) in [("i", true), ("j", true), ("k", false)] {
        let answer = world.create(ROOT, &[of_subtask(id, &format!("atomic.{id}"))]);
        assert_eq!(answer.is_ok(), fits, "{id}");
    }
    for id in ["l", "m", "n"] {
        world.create(ROOT, &[child(id).of(&format!("atomic.{id}"))]).expect("it quotes nothing");
    }
    // Nothing is kept where nothing is limited.
    let mut free = World::composite(&Value::Null);
    for id in ["a", "b", "c"] {
        free.create(ROOT, &[bound_to(id, &format!("atomic.{id}"), "set-1")]).expect("no limit");
    }
    assert!(free.node(ROOT).bindings.is_empty());
}

#[test]
fn binding_without_its_set_is_refused_where_sets_are_required() {
    let mut world = World::composite(&Value::Null);
    world.create(ROOT, &[bound("before").key("k")]).expect("trusted");
    world.rules.gates.candidate_sets_required = true;
    assert_eq!(world.create(ROOT, &[bound("a")]).map(drop), Err(Rejection::CandidateSetRequired));
    world.create(ROOT, &[with_set(bound("b"), &set(&["atomic.echo"]))]).expect("with its set");
    world.create(ROOT, &[child("c")]).expect("nothing is decided");
    world.create(ROOT, &[bound("before").key("k")]).expect("a repetition");
}

#[test]
fn repetition_with_another_set_is_a_conflict() {
    let mut world = World::composite(&Value::Null);
    let (one, two) = (set(&["atomic.echo"]), set(&["atomic.echo", "b"]));
    let original = with_set(bound("a").key("k"), &one);
    let first = world.create(ROOT, std::slice::from_ref(&original)).expect("a child");
    let conflict = Err(Rejection::Idempotency(Disagreement::CandidateSetContent));
    assert_eq!(world.create(ROOT, &[with_set(bound("a").key("k"), &two)]), conflict);
    assert_eq!(world.create(ROOT, &[original]).expect("the same"), first);
    assert_eq!(world.create(ROOT, &[bound("a").key("k")]).expect("left out"), first);
}
