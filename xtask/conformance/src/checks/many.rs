//! Concurrent callers, and many nodes.

use serde_json::{Value, json};

use super::events::in_sequence;
use crate::{
    bench::Bench,
    check::{Check, Need},
    values::{count, id_of, ids_of, is_over, nodes_of, own, types},
    verdict::{Verdict, ensure, equal, same, same_list},
};
use scripted_executor::Behaviour::{Deaf, Echo, Hang};

const EXECUTORS: &[Need] = &[Need::Executors];
/// The number of concurrent callers.
const MANY: usize = 10;

pub(super) const CHECKS: &[Check] = &[
    Check::new(
        "deep/5/one-end-of-many",
        "Ten different completions at once: one counts, the others are 409",
        ends,
    )
    .needs(EXECUTORS)
    .differs("G04"),
    Check::new("deep/6.3/one-start-of-many", "Ten equal starts at once under one id make one run", starts)
        .needs(EXECUTORS)
        .differs("D-07, G47"),
    Check::new("deep/6.5/one-cancel-of-many", "Ten cancels at once end the run once", cancels)
        .needs(EXECUTORS)
        .differs("G04"),
    Check::new(
        "deep/6.5/cancel-reaches-executors",
        "Cancelling a run sends cancels for all live nodes",
        reach,
    )
    .needs(EXECUTORS)
    .differs("G03"),
    Check::new(
        "deep/6.5/late-results-dropped",
        "What an executor answers after the cancel changes nothing",
        late,
    )
    .needs(EXECUTORS)
    .differs("G03, G04"),
    Check::new(
        "deep/6.5/cancel-against-create",
        "Children that race with a cancel are refused or canceled",
        race,
    )
    .needs(EXECUTORS)
    .differs("G03, G04"),
    Check::new(
        "deep/6.6/exactly-the-limit",
        "Ten creates at once against max_children 3: exactly 3 children",
        limit,
    )
    .needs(EXECUTORS)
    .differs("G08"),
    Check::new(
        "deep/6.6/exactly-the-nodes",
        "Ten creates at once under two parents respect the run's total",
        total,
    )
    .needs(EXECUTORS)
    .differs("G08"),
    Check::new("deep/6.6/rounds-count", "Ten creates at once are ten rounds, none lost", rounds)
        .needs(EXECUTORS)
        .differs("G39, G40"),
    Check::new(
        "deep/6.6/many-children",
        "Twenty children of one request are all there, in order",
        many_children,
    )
    .needs(EXECUTORS),
    Check::new(
        "deep/8/one-child-of-many",
        "Ten creates at once under one key: one child, executed once",
        one_child,
    )
    .needs(EXECUTORS)
    .differs("G02"),
    Check::new("deep/8/mixed-keys", "Creates at once whose keys overlap: a child a key", mixed_keys)
        .needs(EXECUTORS)
        .differs("G02"),
    Check::new("deep/9.3/slow-executors", "While 100 nodes hang at their executor, the API answers", slow)
        .needs(EXECUTORS)
        .differs("G28"),
    Check::new("deep/9.4/nested", "Composites four deep end from the bottom up", nested).needs(EXECUTORS),
    Check::new(
        "deep/11/seq-under-load",
        "With ten callers at work seq has no gap, and its order is the stream's",
        load,
    )
    .needs(EXECUTORS),
    Check::new(
        "deep/11/order-within-a-node",
        "A node is assigned before it is decided on, executed, evaluated",
        within,
    )
    .needs(EXECUTORS),
];

fn ends(b: &Bench) -> Verdict {
    let run = b.composite(json!({}))?;
    let states = ["succeeded", "failed", "canceled"];
    let answers = b.at_once(MANY, |index| b.complete(&run.root, states[index % 3]))?;
    let state = b.node(&run.root)?["state"].clone();
    for (index, answer) in answers.iter().enumerate() {
        if states[index % 3] == state {
            answer.no_content()?;
        } else {
            answer.refused(409, "node_run_terminal")?;
        }
    }
    same("times run_completed", &count(&b.events(&run)?, "run_completed"), &1)
}

fn starts(b: &Bench) -> Verdict {
    let request = b.atomic_request(Echo, json!({"run_id": b.fresh("many")}));
    let mut runs = b.at_once(MANY, |_| b.started(&request))?;
    let run = runs.remove(0);
    for other in runs {
        same("the root", &other.root, &run.root)?;
    }
    let events = b.ended_events(&run)?;
    same("times run_started", &count(&events, "run_started"), &1)?;
    same("executions", &b.executors()?.executions(&run.root), &1)
}

fn cancels(b: &Bench) -> Verdict {
    let run = b.composite(json!({}))?;
    let answers = b.at_once(MANY, |_| b.cancel(&run))?;
    for answer in &answers {
        equal("the run", answer, &answers[0])?;
    }
    same("times run_completed", &count(&b.events(&run)?, "run_completed"), &1)
}

fn reach(b: &Bench) -> Verdict {
    let run = b.composite(json!({}))?;
    let children = b.children(&run, &[b.composite_spec(json!({})), b.atomic_spec(Hang, json!({}))])?;
    let mut nodes = ids_of(&children)?;
    b.node_in(&nodes[0], "running")?;
    nodes.push(id_of(&b.children_of(&run, &nodes[0], &[b.atomic_spec(Hang, json!({}))])?[0])?);
    nodes.push(run.root.clone());
    for node in &nodes {
        b.work(node)?;
        b.node_in(node, "running")?;
    }
    b.cancel(&run)?;
    for node in &nodes {
        b.cancel_call(node)?;
        b.node_in(node, "canceled")?;
    }
    Ok(())
}

fn late(b: &Bench) -> Verdict {
    let run = b.composite(json!({}))?;
    let children = b.children(&run, &[b.atomic_spec(Deaf, json!({})), b.atomic_spec(Deaf, json!({}))])?;
    let nodes = ids_of(&children)?;
    for node in &nodes {
        b.work(node)?;
    }
    b.cancel(&run)?;
    let (state, events) = (b.node(&nodes[0])?["state"].clone(), b.events(&run)?);
    equal("the node's state", &state, &json!("canceled"))?;
    b.executors()?.release(&nodes[0]);
    // The answer has been processed at the latest when a run that was started
    // after it is over.
    let other = b.atomic(Echo)?;
    b.run_ended(&other)?;
    equal("the node's state", &b.node(&nodes[0])?["state"], &json!("canceled"))?;
    same_list("the events", &types(&b.events(&run)?), &types(&events))
}

fn race(b: &Bench) -> Verdict {
    let run = b.composite(json!({}))?;
    let spec = b.composite_spec(json!({}));
    let answers = b.at_once(MANY, |index| match index {
        0 => b.post(&format!("{}:cancel", run.path()), &json!({})),
        _ => b.create(&run, &run.root, std::slice::from_ref(&spec)),
    })?;
    answers[0].ok()?;
    for answer in &answers[1..] {
        if answer.status == 200 {
            b.node_in(&id_of(&nodes_of(answer)?[0])?, "canceled")?;
        } else {
            // Both ends are right: either may be seen first.
            let over = answer.refused(409, "run_terminal");
            over.or_else(|_| answer.refused(409, "parent_node_run_terminal"))?;
        }
    }
    let events = b.events(&run)?;
    ensure(types(&events).last() == Some(&"run_completed"), || format!("{:?}", types(&events)))
}

fn limit(b: &Bench) -> Verdict {
    let run = b.composite(json!({"structural": {"max_children_per_composite": 3}}))?;
    let spec = b.composite_spec(json!({}));
    let answers = b.at_once(MANY, |_| b.create(&run, &run.root, std::slice::from_ref(&spec)))?;
    let mut good = 0;
    for answer in &answers {
        if answer.status == 200 {
            good += nodes_of(answer)?.len();
        } else {
            answer.refused(409, "constraint_violation")?;
        }
    }
    same("children", &good, &3)?;
    let events = b.events(&run)?;
    same("times composite_decomposed", &count(&events, "composite_decomposed"), &3)?;
    same("times node_run_assigned, with the root's", &count(&events, "node_run_assigned"), &4)
}

fn total(b: &Bench) -> Verdict {
    let run = b.composite(json!({"structural": {"max_total_nodes_per_run": 6}}))?;
    let inner = id_of(&b.children(&run, &[b.composite_spec(json!({}))])?[0])?;
    let spec = b.composite_spec(json!({}));
    let answers = b.at_once(MANY, |index| {
        b.create(&run, if index % 2 == 0 { &run.root } else { &inner }, std::slice::from_ref(&spec))
    })?;
    same("children that were accepted", &answers.iter().filter(|answer| answer.status == 200).count(), &4)
}

fn rounds(b: &Bench) -> Verdict {
    let run = b.composite(json!({}))?;
    let spec = b.composite_spec(json!({}));
    for answer in b.at_once(MANY, |_| b.create(&run, &run.root, std::slice::from_ref(&spec)))? {
        nodes_of(&answer)?;
    }
    let rounds = own(&b.node(&run.root)?, "decomposition_rounds").clone();
    equal("decomposition_rounds", &rounds, &json!(MANY))
}

fn many_children(b: &Bench) -> Verdict {
    const CHILDREN: usize = 20;
    let run = b.composite(json!({}))?;
    let specs: Vec<Value> =
        (0..CHILDREN).map(|index| b.composite_spec(json!({"inputs": {"index": index}}))).collect();
    let nodes = b.children(&run, &specs)?;
    let indexes: Vec<u64> = nodes.iter().filter_map(|node| node["inputs"]["index"].as_u64()).collect();
    same_list("the children", &indexes, &(0..CHILDREN as u64).collect::<Vec<_>>())?;
    let mut ids = ids_of(&nodes)?;
    let events = b.events(&run)?;
    let assigned = events.iter().filter(|event| event["data"]["parent_node_run_id"] == run.root.as_str());
    let assigned: Vec<String> =
        assigned.filter_map(|event| Some(event["node_run_id"].as_str()?.to_owned())).collect();
    same_list("the events", &assigned, &ids)?;
    ids.sort();
    ids.dedup();
    same("different ids", &ids.len(), &CHILDREN)
}

fn one_child(b: &Bench) -> Verdict {
    let run = b.composite(json!({}))?;
    let binding = json!({"subtask_id": "S1", "chosen_node_type_ref": b.atomic_type()});
    let spec = b.atomic_spec(Echo, json!({"idempotency_key": run.id, "binding_decision": binding}));
    let answers = b.at_once(MANY, |_| b.children(&run, std::slice::from_ref(&spec)))?;
    let id = id_of(&answers[0][0])?;
    for nodes in &answers {
        same("the child", &id_of(&nodes[0])?, &id)?;
    }
    b.node_ended(&id)?;
    b.complete(&run.root, "succeeded")?.no_content()?;
    let events = b.ended_events(&run)?;
    same("executions", &b.executors()?.executions(&id), &1)?;
    for (name, wanted) in
        [("composite_decomposed", 1), ("node_run_assigned", 2), ("subtask_mapped", 1), ("atomic_executed", 1)]
    {
        same(&format!("times {name}"), &count(&events, name), &wanted)?;
    }
    Ok(())
}

fn mixed_keys(b: &Bench) -> Verdict {
    let run = b.composite(json!({}))?;
    let keyed =
        |index: usize| b.composite_spec(json!({"idempotency_key": format!("{} {}", run.id, index % 5)}));
    let specs: Vec<Value> = (0..MANY).map(keyed).collect();
    let answers = b.at_once(MANY, |index| b.children(&run, &specs[index % 3..index % 3 + 5]))?;
    let mut ids = ids_of(&answers.concat())?;
    ids.sort();
    ids.dedup();
    same("children", &ids.len(), &5)?;
    same("times node_run_assigned, with the root's", &count(&b.events(&run)?, "node_run_assigned"), &6)
}

fn slow(b: &Bench) -> Verdict {
    const HANGING: usize = 100;
    let run = b.composite(json!({}))?;
    let specs = vec![b.atomic_spec(Hang, json!({})); HANGING];
    let mut nodes = Vec::new();
    for some in specs.chunks(MANY) {
        nodes.extend(ids_of(&b.children(&run, some)?)?);
    }
    for node in &nodes {
        b.work(node)?;
    }
    for _ in 0..MANY {
        equal("the run's state", &b.run(&run)?["state"], &json!("running"))?;
    }
    b.executors()?.release(&run.id);
    for node in &nodes {
        equal("state", &b.node_ended(node)?["state"], &json!("succeeded"))?;
    }
    Ok(())
}

fn nested(b: &Bench) -> Verdict {
    let run = b.composite(json!({}))?;
    let mut path = vec![run.root.clone()];
    for depth in 0..3 {
        let child = id_of(&b.children_of(&run, &path[depth], &[b.composite_spec(json!({}))])?[0])?;
        b.node_in(&child, "running")?;
        path.push(child);
    }
    let leaf = id_of(&b.children_of(&run, &path[3], &[b.atomic_spec(Echo, json!({}))])?[0])?;
    equal("the leaf's state", &b.node_ended(&leaf)?["state"], &json!("succeeded"))?;
    for node in path.iter().rev() {
        equal("the run's state", &b.run(&run)?["state"], &json!("running"))?;
        b.complete(node, "succeeded")?.no_content()?;
        equal("state", &b.node(node)?["state"], &json!("succeeded"))?;
    }
    equal("the run's state", &b.run(&run)?["state"], &json!("succeeded"))
}

fn load(b: &Bench) -> Verdict {
    let run = b.composite(json!({}))?;
    let report = json!({"evaluation_result": {"status": "success"}});
    b.at_once(MANY, |_| {
        for _ in 0..3 {
            let child = id_of(&b.children(&run, &[b.atomic_spec(Echo, json!({}))])?[0])?;
            b.post(&format!("{}:evaluation", run.root_path()), &report)?.no_content()?;
            b.node_ended(&child)?;
        }
        Ok(())
    })?;
    b.complete(&run.root, "succeeded")?.no_content()?;
    let events = b.ended_events(&run)?;
    in_sequence(&events)?;
    same("times atomic_executed", &count(&events, "atomic_executed"), &(MANY * 3))
}

fn within(b: &Bench) -> Verdict {
    let run = b.composite(json!({}))?;
    let specs = vec![b.atomic_spec(Echo, json!({})); 3];
    let answers = b.at_once(MANY, |_| b.children(&run, &specs))?;
    let nodes = ids_of(&answers.concat())?;
    for node in &nodes {
        b.until(&format!("/v1/node-runs/{node}"), "is over", is_over)?;
    }
    b.complete(&run.root, "succeeded")?.no_content()?;
    let events = b.ended_events(&run)?;
    for node in &nodes {
        let of_node: Vec<Value> =
            events.iter().filter(|event| event["node_run_id"] == node.as_str()).cloned().collect();
        let wanted = ["node_run_assigned", "policy_decided", "node_evaluated", "atomic_executed"];
        same_list(node, &types(&of_node), &wanted)?;
    }
    Ok(())
}
