//! Runs that repeat others: what is reused, and what is executed again.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    invariants,
    support::{Child, ROOT, RUN, World, child},
};
use crate::{
    engine::NodeTypeFacts,
    record::{Job, NodeRecord, Twin},
    types::{NodeRunId, NodeRunState, RunEventType, RunState},
};

const AGAIN: &str = "run-2";
const ROOT_AGAIN: &str = "root-2";

/// A child with a key, by which its id is known.
fn keyed(key: &str, inputs: Value) -> Child {
    child("").key(key).with("inputs", inputs)
}

fn id(run: &str, parent: &str, key: &str) -> String {
    NodeRunId::derived(&run.into(), &parent.into(), key).to_string()
}

/// A run with these children, of which those with `fails` have failed, and so has the
/// run.
fn failed_run(children: &[(Child, bool)], constraints: &Value) -> World {
    let mut world = World::composite(constraints);
    for (child, fails) in children {
        let created = world.create(ROOT, std::slice::from_ref(child)).expect("a child");
        let id = created[0].node_run_id.to_string();
        world.begin(&id);
        let state = if *fails { NodeRunState::Failed } else { NodeRunState::Succeeded };
        world.answer(&id, state);
    }
    world.complete(ROOT, json!({"state": "failed"})).expect("an end");
    world
}

/// The same, repeated, with its root at its executor.
fn again(world: &mut World, members: Value) {
    world.rerun(AGAIN, ROOT_AGAIN, true, members);
    world.begin(ROOT_AGAIN);
}

#[test]
fn succeeded_child_is_reused_and_failed_one_executed() {
    let children = [(keyed("good", json!({"n": 1})), false), (keyed("bad", json!({"n": 2})), true)];
    let mut world = failed_run(&children, &json!({"budgets": {"max_steps": 5, "max_external_calls": 5}}));
    let before = world.runs[&RUN.into()].clone();
    again(&mut world, json!({"constraints": {"budgets": {"max_steps": 5, "max_external_calls": 5}}}));
    let skip = world.events.len();
    let created =
        world.create_in(AGAIN, ROOT_AGAIN, &children.clone().map(|(child, _)| child)).expect("children");
    let old = world.node(&id(RUN, ROOT, "good")).clone();
    let [good, bad] = &created[..] else { panic!("two children") };
    assert_eq!((good.state, &good.outputs), (NodeRunState::Succeeded, &old.node.outputs));
    assert!(good.outputs.is_some() && good.started_at.is_none());
    assert_eq!(bad.state, NodeRunState::Queued);
    let (good, bad) = (good.node_run_id.as_str(), bad.node_run_id.as_str());
    assert_eq!(world.twin_of(good), &Twin::Reuses(old.id().clone()));
    assert_eq!((world.node(good).attempt, world.job(good)), (0, None));
    assert_eq!(world.extension(good, "jarvis.reused_from"), Some(json!(old.id())));
    assert_eq!(
        (world.twin_of(bad), world.job(bad)),
        (&Twin::Repeats(id(RUN, ROOT, "bad").as_str().into()), Some(Job::Dispatch))
    );
    // The events say so; the account of the run has the root's step alone.
    let events = &world.events[skip..];
    let of_good: Vec<Value> = events
        .iter()
        .filter(|record| record.event.node_run_id.as_ref().is_some_and(|id| id.as_str() == good))
        .map(|record| {
            json!([
                record.event.type_,
                record.event.extensions.as_ref().and_then(|own| own.get("jarvis.reused_from"))
            ])
        })
        .collect();
    assert_eq!(
        json!(of_good),
        json!([["node_run_assigned", null], ["node_evaluated", old.id()], ["atomic_executed", old.id()]])
    );
    let account = world.runs[&AGAIN.into()].account.expect("an account");
    assert_eq!(json!(account.shown())["used"]["steps"], json!(1));
    assert_eq!(world.runs[&AGAIN.into()].nodes, 3, "it counts in the structure");
    // A repetition of the request gets the same children.
    let repeated = world.create_in(AGAIN, ROOT_AGAIN, &[children[0].0.clone()]).expect("a child");
    assert_eq!(repeated[0].node_run_id.as_str(), good);
    // The new run shows what it repeats; the old one is as it was.
    let of = world.runs[&AGAIN.into()].run.extensions.as_ref().and_then(|own| own.get("jarvis.rerun_of"));
    assert_eq!((of, &world.runs[&RUN.into()]), (Some(json!(RUN)), &before));
    assert_eq!(before.owner, world.runs[&AGAIN.into()].owner);
    invariants::each_run(&world);
}

/// A change of the world or of the new child, after which nothing is reused.
type Change = (&'static str, fn(&mut World), fn(Child) -> Child);

#[test]
fn node_that_differs_is_executed_again() {
    let same: fn(Child) -> Child = |child| child;
    let nothing: fn(&mut World) = |_| {};
    let changes: [Change; 9] = [
        ("other inputs", nothing, |child| child.with("inputs", json!({"n": 7}))),
        ("another type", nothing, |child| child.of("atomic.other")),
        ("another version", nothing, |child| {
            child.with("node_type_ref", json!({"node_type_id": "atomic.echo", "version": "2"}))
        }),
        ("other constraints", nothing, |child| {
            child.with("constraints", json!({"gates": {"side_effect_class": "irreversible"}}))
        }),
        ("another key", nothing, |child| child.key("other")),
        (
            "judged as failed",
            |world| {
                world.evaluate(&id(RUN, ROOT, "k"), json!({"evaluation_result": {"status": "fail"}}));
            },
            same,
        ),
        (
            "an unknown kind now",
            |world| {
                world.types.insert("atomic.echo".into(), NodeTypeFacts::default());
            },
            same,
        ),
        (
            "not stored any more",
            |world| {
                world.nodes.remove(&id(RUN, ROOT, "k").as_str().into());
            },
            same,
        ),
        (
            "its parent has no twin",
            |world| {
                world.nodes.get_mut(&ROOT_AGAIN.into()).expect("the root").repetition.twin = Twin::None;
            },
            same,
        ),
    ];
    for (what, change, child_of) in changes {
        let old = keyed("k", json!({"n": 1}));
        let mut world = failed_run(&[(old.clone(), false)], &Value::Null);
        again(&mut world, json!({}));
        change(&mut world);
        let created = world.create_in(AGAIN, ROOT_AGAIN, &[child_of(old)]).expect("a child");
        assert_eq!(created[0].state, NodeRunState::Queued, "{what}");
        assert_eq!(created[0].outputs, None, "{what}");
        assert_eq!(world.extension(created[0].node_run_id.as_str(), "jarvis.reused_from"), None, "{what}");
    }
}

#[test]
fn rerun_from_the_start_reuses_nothing() {
    let child = keyed("k", json!({"n": 1}));
    let mut world = failed_run(&[(child.clone(), false)], &Value::Null);
    world.rerun(AGAIN, ROOT_AGAIN, false, json!({}));
    world.begin(ROOT_AGAIN);
    let created = world.create_in(AGAIN, ROOT_AGAIN, &[child]).expect("a child");
    assert_eq!((created[0].state, world.twin_of(ROOT_AGAIN)), (NodeRunState::Queued, &Twin::None));
    invariants::each_run(&world);
}

#[test]
fn children_without_keys_are_reused_once_each() {
    let spec = |id: &str, n: u32| child(id).with("inputs", json!({"n": n}));
    let old = [(spec("a", 1), false), (spec("b", 1), true), (spec("c", 1), false), (spec("d", 2), false)];
    let mut world = failed_run(&old, &Value::Null);
    again(&mut world, json!({}));
    let mut reused = Vec::new();
    for (at, n) in [2, 1, 1, 1, 3].into_iter().enumerate() {
        let id = format!("new-{at}");
        world.create_in(AGAIN, ROOT_AGAIN, &[spec(&id, n)]).expect("a child");
        reused.push(world.twin_of(&id).reused().map(ToString::to_string).unwrap_or_default());
    }
    assert_eq!(reused, ["d", "a", "c", "", ""]);
    invariants::each_run(&world);
}

#[test]
fn composite_is_reused_whole_or_repeated_by_its_children() {
    let plan = |key: &str| keyed(key, json!({})).of("composite.part");
    let mut world = World::composite(&Value::Null);
    for (key, state) in [("done", "succeeded"), ("broken", "failed")] {
        world.create(ROOT, &[plan(key)]).expect("a composite");
        let part = id(RUN, ROOT, key);
        world.begin(&part);
        world.create(&part, &[keyed("leaf", json!({}))]).expect("a leaf");
        let leaf = id(RUN, &part, "leaf");
        world.begin(&leaf);
        world.answer(&leaf, NodeRunState::Succeeded);
        world.complete(&part, json!({"state": state, "outputs": {"part": key}})).expect("an end");
    }
    world.complete(ROOT, json!({"state": "failed"})).expect("an end");
    again(&mut world, json!({}));
    world.create_in(AGAIN, ROOT_AGAIN, &[plan("done"), plan("broken")]).expect("composites");
    let (done, broken) = (id(AGAIN, ROOT_AGAIN, "done"), id(AGAIN, ROOT_AGAIN, "broken"));
    assert_eq!((world.state(&done), world.state(&broken)), (NodeRunState::Succeeded, NodeRunState::Queued));
    assert_eq!(world.node(&done).node.outputs.as_ref().and_then(|out| out.get("part")), Some(json!("done")));
    assert_eq!(world.node(&done).children, 0);
    world.begin(&broken);
    world.create_in(AGAIN, &broken, &[keyed("leaf", json!({}))]).expect("a leaf");
    assert_eq!(world.state(&id(AGAIN, &broken, "leaf")), NodeRunState::Succeeded);
    world.complete(&broken, json!({"state": "succeeded"})).expect("an end");
    world.complete(ROOT_AGAIN, json!({"state": "succeeded"})).expect("an end");
    assert_eq!(world.runs[&AGAIN.into()].run.state, RunState::Succeeded);
    assert_eq!(world.count(RunEventType::RunCompleted), 2);
    invariants::each_run(&world);
}

#[test]
fn forbidden_child_is_refused_and_not_reused() {
    let old = keyed("k", json!({}));
    let mut world = failed_run(&[(old.clone(), false)], &Value::Null);
    again(&mut world, json!({"constraints": {"candidates": {"denied_node_type_ids": ["atomic.echo"]}}}));
    let created = world.create_in(AGAIN, ROOT_AGAIN, &[old]).expect("a child");
    assert_eq!(created[0].state, NodeRunState::Failed);
    assert_eq!(world.twin_of(created[0].node_run_id.as_str()), &Twin::None);
    invariants::each_run(&world);
}

#[test]
fn results_of_another_run_are_never_taken() {
    let old = keyed("k", json!({}));
    let mut world = failed_run(&[(old.clone(), false)], &Value::Null);
    again(&mut world, json!({}));
    // A node of a third run in the place of the twin.
    let twin = world.nodes.get_mut(&id(RUN, ROOT, "k").as_str().into()).expect("the twin");
    twin.node.run_id = "run-3".into();
    let created = world.create_in(AGAIN, ROOT_AGAIN, &[old]).expect("a child");
    assert_eq!((created[0].state, &created[0].outputs), (NodeRunState::Queued, &None));
}

/// A child: below which node, with which key, composite or not, its inputs, and how it
/// ends.
type Step = (usize, Option<u8>, bool, u8, bool);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    proptest::collection::vec(
        (0..6_usize, proptest::option::of(0..3_u8), any::<bool>(), 0..3_u8, any::<bool>()),
        0..12,
    )
}

/// Creates and ends the nodes of a run; its composites end at last.
fn play(world: &mut World, run: &str, root: &str, steps: &[Step]) {
    let mut composites = vec![(root.to_owned(), true)];
    for (at, (below, key, is_composite, n, succeeds)) in steps.iter().enumerate() {
        let (parent, _) = composites[below % composites.len()].clone();
        let wanted = child(&format!("{run}-{at}")).with("inputs", json!({"n": n}));
        let wanted = if *is_composite { wanted.of("composite.part") } else { wanted };
        let wanted = match key {
            Some(key) => wanted.key(&key.to_string()),
            None => wanted,
        };
        // A key that stands for something else is refused.
        let Ok(created) = world.create_in(run, &parent, &[wanted]) else { continue };
        let id = created[0].node_run_id.to_string();
        if created[0].state != NodeRunState::Queued {
            continue;
        }
        world.begin(&id);
        if *is_composite {
            composites.push((id, *succeeds));
        } else {
            world.answer(&id, if *succeeds { NodeRunState::Succeeded } else { NodeRunState::Failed });
        }
    }
    for (composite, succeeds) in composites.iter().rev() {
        let state = if *succeeds { "succeeded" } else { "failed" };
        world.complete(composite, json!({"state": state, "outputs": {"of": composite}})).expect("an end");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn only_what_succeeded_is_reused_and_as_it_was(first in steps(), second in steps(), same in any::<bool>()) {
        let mut world = World::composite(&Value::Null);
        play(&mut world, RUN, ROOT, &first);
        again(&mut world, json!({}));
        let before = world.clone();
        play(&mut world, AGAIN, ROOT_AGAIN, if same { &first } else { &second });
        invariants::each_run(&world);
        let again = |node: &&NodeRecord| node.node.run_id.as_str() == AGAIN;
        for node in world.nodes.values().filter(again) {
            let Some(old) = node.repetition.twin.reused() else { continue };
            let old = before.node(old.as_str());
            prop_assert_eq!(old.node.run_id.as_str(), RUN);
            prop_assert_eq!(old.node.state, NodeRunState::Succeeded);
            prop_assert_eq!((&old.node.outputs, &old.node.inputs), (&node.node.outputs, &node.node.inputs));
            prop_assert_eq!(&old.node.node_type_ref, &node.node.node_type_ref);
            prop_assert_eq!((node.attempt, node.node.started_at), (0, None));
        }
        // The original is as it was.
        for (id, node) in &before.nodes {
            prop_assert!(node.node.run_id.as_str() != RUN || world.nodes[id] == *node);
        }
    }
}
