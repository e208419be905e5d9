//! The coordinator's own extension keys: whose they are and how they are spelt
//! (contract §12, D-01, D-15).

use serde_json::{Value, json};

use super::support::{ROOT, RUN, World, child, keyed, node_type};
use crate::{
    engine::{Limit, Rejection, extensions::OWN_KEYS, is_own_key},
    types::{Extensions, NodeRunState, RunId},
};

/// Every own key in both spellings, with values that would do harm.
fn forged() -> Value {
    let spellings = OWN_KEYS.iter().flat_map(|key| [(*key).to_owned(), format!("jarvis.{key}")]);
    let mut map: serde_json::Map<String, Value> = spellings.map(|key| (key, json!(-5))).collect();
    map.insert("jarvis.owner".into(), json!({"subject": "admin"}));
    map.insert("jarvis.actor".into(), json!({"kind": "coordinator"}));
    map.insert("jarvis.approval".into(), json!({"approval_id": "x.1", "decision": {"outcome": "approved"}}));
    map.insert("acme.kept".into(), json!([null]));
    map.insert("jarvis.other".into(), json!(1));
    Value::Object(map)
}

#[test]
fn reserved_keys_of_a_caller_are_dropped() {
    let mut world = World::new();
    world.start(json!({ "extensions": forged() })).expect("a start");
    world.create(ROOT, &[child("a").with("extensions", forged())]).expect("a child");
    let kept = json!({"acme.kept": [null], "jarvis.other": 1});
    let of_run = world.run().run.extensions.clone().map(Value::from);
    assert_eq!(world.node("a").node.extensions.clone().map(Value::from), Some(kept.clone()));
    let mut root = kept;
    root["jarvis.owner"] = json!({"subject": "caller"});
    assert_eq!(of_run, Some(root.clone()));
    root["decomposition_rounds"] = json!(1);
    assert_eq!(world.node(ROOT).node.extensions.clone().map(Value::from), Some(root));
}

#[test]
fn forged_rounds_lift_no_limit() {
    let mut world = World::new();
    let limit = json!({"structural": {"max_decomposition_rounds_per_node": 1}});
    world.start(json!({"constraints": limit, "extensions": forged()})).expect("a start");
    world.create(ROOT, &[child("a")]).expect("the first round");
    let rounds = Rejection::Limit(Limit::MaxDecompositionRoundsPerNode);
    assert_eq!(world.create(ROOT, &[child("b")]), Err(rounds));
}

#[test]
fn ours_are_known_under_both_spellings() {
    for key in OWN_KEYS {
        assert!(is_own_key(key) && is_own_key(&format!("jarvis.{key}")));
        assert!(!is_own_key(&format!("acme.{key}")) && !is_own_key(&format!("{key}.x")));
    }
}

/// Everything that is written under an own key, by one keyed and bound child
/// that fails.
fn written(dotted_keys: bool) -> World {
    let mut world = World::new();
    world.rules.dotted_keys = dotted_keys;
    world.start(json!({"constraints": {"structural": {"max_depth": 3}}})).expect("a start");
    let binding =
        json!({"subtask_id": "S", "chosen_node_type_ref": node_type("atomic.echo"), "candidate_set_id": "c"});
    world.create(ROOT, &[child("").key("k").with("binding_decision", binding)]).expect("a child");
    let error = json!({"code": "c", "message": "m"});
    world.complete(&keyed(ROOT, "k"), json!({"state": "failed", "error": error})).expect("completed");
    world
}

#[test]
fn the_switch_decides_how_our_keys_are_written() {
    for (dotted, prefix) in [(false, ""), (true, "jarvis.")] {
        let world = written(dotted);
        let keys = |extensions: &Option<Extensions>| {
            let all = extensions.iter().flat_map(Extensions::keys);
            let mut keys: Vec<String> = all.filter(|key| key != "jarvis.owner").collect();
            keys.sort();
            keys
        };
        let spelt = |names: &[&str]| names.iter().map(|name| format!("{prefix}{name}")).collect::<Vec<_>>();
        assert_eq!(keys(&world.run().run.extensions), spelt(&["constraints"]));
        assert_eq!(keys(&world.node(ROOT).node.extensions), spelt(&["constraints", "decomposition_rounds"]));
        let of_child =
            ["binding_decision", "candidate_set_id", "completion_error", "constraints", "idempotency_key"];
        assert_eq!(keys(&world.node(&keyed(ROOT, "k")).node.extensions), spelt(&of_child));
    }
}

#[test]
fn both_spellings_are_read_whatever_the_switch_says() {
    for dotted in [false, true] {
        let mut world = written(dotted);
        world.rules.dotted_keys = !dotted;
        // A repetition compares with what is stored under the other spelling.
        let other = json!({"subtask_id": "T", "chosen_node_type_ref": node_type("atomic.echo")});
        for repetition in [
            child("").key("k").with("binding_decision", other),
            child("").key("k").with("candidate_set_id", json!("d")),
            child("").key("k").with("constraints", json!({"structural": {"max_depth": 2}})),
        ] {
            let rejection = world.create(ROOT, &[repetition]).expect_err("a conflict");
            assert_eq!(rejection.code(), "idempotency_conflict");
        }
        let same = json!({"subtask_id": "S", "chosen_node_type_ref": node_type("atomic.echo"), "candidate_set_id": "c"});
        world.create(ROOT, &[child("").key("k").with("binding_decision", same)]).expect("the same");
        // Limits hold, and a counter is never there in two spellings.
        world.create(ROOT, &[child("a").of("composite.plan")]).expect("depth 1");
        world.create("a", &[child("b").of("composite.plan")]).expect("depth 2");
        world.create("b", &[child("c").of("composite.plan")]).expect("depth 3");
        assert_eq!(world.create("c", &[child("d")]), Err(Rejection::Limit(Limit::MaxDepth)));
        let (new, old) = if dotted { ("", "jarvis.") } else { ("jarvis.", "") };
        assert_eq!(world.extension(ROOT, &format!("{new}decomposition_rounds")), Some(json!(2)));
        assert_eq!(world.extension(ROOT, &format!("{old}decomposition_rounds")), None);
    }
}

#[test]
fn unreadable_stored_constraints_fail_the_node_at_dispatch() {
    for key in ["constraints", "jarvis.constraints"] {
        let mut world = World::new();
        world.start(Value::Null).expect("a start");
        let run = world.runs.get_mut(&RunId::new(RUN)).expect("the run");
        run.run.extensions.get_or_insert_default().insert(key.into(), json!({"gates": 7}));
        world.dispatch(ROOT);
        assert_eq!(world.state(ROOT), NodeRunState::Failed);
        assert_eq!(world.failure(ROOT), json!(["constraint_invalid", "Constraints payload is not valid"]));
    }
}
