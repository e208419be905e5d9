//! Starting, reading and cancelling runs (§5, §6.3 to §6.5).

use serde_json::json;

use crate::{
    bench::Bench,
    check::{Check, Need},
    http::As,
    values::{is_over, own, text, types, with},
    verdict::{Verdict, ensure, equal, equal_but_nulls, same_list},
};
use scripted_executor::Behaviour::{Echo, Hang};

const EXECUTORS: &[Need] = &[Need::Executors];
const ATOMIC: &[Need] = &[Need::Atomic];

pub(super) const CHECKS: &[Check] = &[
    Check::new(
        "core/5/canceled-stays-canceled",
        "A canceled run stays so when its root completes later",
        sticky,
    )
    .needs(EXECUTORS)
    .differs("G03, G04"),
    Check::new(
        "core/5/queued-may-end",
        "A composite may be completed by its executor at any time",
        early_end,
    )
    .needs(EXECUTORS),
    Check::new(
        "core/6.3/run-as-asked",
        "A run starts running, under the id that was asked for",
        run_as_asked,
    ),
    Check::new(
        "core/6.3/made-ids",
        "Without a run_id, or with an empty one, ids are made: prefix and 32 hex",
        made_ids,
    ),
    Check::new(
        "core/6.3/root-as-asked",
        "The root has the type and inputs of the request, and no parent",
        root_as_asked,
    ),
    Check::new("core/6.3/context-kept", "run_context is kept to the letter", context_kept),
    Check::new(
        "core/6.3/extensions-on-run-and-root",
        "Extensions of the request are on run and root",
        extensions,
    ),
    Check::new("core/6.3/constraints-recorded", "Constraints are recorded on run and root", constraints),
    Check::new("core/6.3/metadata-kept", "metadata of the request is not lost", metadata).differs("G26"),
    Check::new(
        "core/6.3/same-start-again",
        "The same start again is answered with the run there is",
        same_start,
    )
    .differs("D-07, G47"),
    Check::new("core/6.3/other-start-refused", "Another start under a known id is 409", other_start),
    Check::new("core/6.4/run-as-started", "A run is read as it was answered, until it changes", read_run)
        .needs(EXECUTORS),
    Check::new("core/6.4/run-ends-with-its-root", "A run ends like its root, and says when", ends_with_root)
        .needs(ATOMIC),
    Check::new("core/6.5/cancel", "A live run is canceled at once, and says when", cancel).needs(EXECUTORS),
    Check::new(
        "core/6.5/cancel-needs-no-body",
        "A cancel needs neither body nor content type",
        cancel_without_body,
    )
    .needs(EXECUTORS),
    Check::new(
        "core/6.5/cancel-twice",
        "A second cancel is 200 and changes nothing, nor adds an event",
        cancel_twice,
    )
    .needs(EXECUTORS),
    Check::new("core/6.5/cancel-after-the-end", "A run that is over stays as it is", cancel_late)
        .needs(ATOMIC),
    Check::new(
        "core/6.5/cancel-ends-nodes",
        "All live nodes of a canceled run are canceled",
        cancel_ends_nodes,
    )
    .needs(EXECUTORS)
    .differs("G03"),
];

fn sticky(b: &Bench) -> Verdict {
    let run = b.composite(json!({}))?;
    b.cancel(&run)?;
    // Whether the request is refused or not, the run is canceled.
    b.complete(&run.root, "succeeded")?;
    equal("the run's state", &b.run(&run)?["state"], &json!("canceled"))
}

fn early_end(b: &Bench) -> Verdict {
    let run = b.composite(json!({}))?;
    let child = b.children(&run, &[b.composite_spec(json!({}))])?.remove(0);
    // The check has not waited until the child is at its executor.
    let id = text(&child, "node_run_id")?;
    b.complete(&id, "succeeded")?.no_content()?;
    equal("the child's state", &b.node(&id)?["state"], &json!("succeeded"))
}

fn run_as_asked(b: &Bench) -> Verdict {
    let id = b.fresh("run");
    let run = b.started(&b.composite_request(json!({ "run_id": id })))?;
    equal("run_id", &run.body["run_id"], &json!(id))?;
    equal("state", &run.body["state"], &json!("running"))?;
    text(&run.body, "started_at").map(|_| ())
}

fn made_ids(b: &Bench) -> Verdict {
    let made = |id: &str, prefix: &str| {
        id.strip_prefix(prefix)
            .is_some_and(|rest| rest.len() == 32 && rest.bytes().all(|byte| byte.is_ascii_hexdigit()))
    };
    for request in [json!({}), json!({"run_id": ""})] {
        let run = b.started(&b.atomic_request(Echo, request))?;
        ensure(made(&run.id, "run_") && made(&run.root, "node_run_"), || run.body.to_string())?;
    }
    Ok(())
}

fn root_as_asked(b: &Bench) -> Verdict {
    let inputs = json!({"a": [1, 2.5, "x", true], "b": {"c": {}}});
    let run = b.started(&b.atomic_request(Echo, json!({ "input": inputs })))?;
    let root = b.node(&run.root)?;
    equal("inputs", &root["inputs"], &inputs)?;
    equal_but_nulls("node_type_ref", &root["node_type_ref"], &b.atomic_type())?;
    equal("run_id", &root["run_id"], &json!(run.id))?;
    ensure(root["parent_node_run_id"].is_null(), || format!("a root with a parent: {root}"))?;
    text(&root, "created_at").map(|_| ())
}

fn context_kept(b: &Bench) -> Verdict {
    let context = json!({"tenant_id": "t", "actor": {"type": "user", "id": "u"}, "identity": {"a": {"b": null}},
        "trace": {"trace_id": "x", "request_id": "y"}, "budgets": {"n": 1.5}});
    let run = b.started(&b.atomic_request(Echo, json!({ "run_context": context })))?;
    equal_but_nulls("run_context", &b.run(&run)?["run_context"], &{
        let mut wanted = context;
        wanted["identity"] = json!({"a": {}});
        wanted
    })
}

fn extensions(b: &Bench) -> Verdict {
    let value = json!({"list": [1, "x"]});
    let more = json!({"extensions": {"conformance.key": value}});
    let run = b.started(&b.atomic_request(Echo, more))?;
    for object in [b.run(&run)?, b.node(&run.root)?] {
        equal("the extension", &object["extensions"]["conformance.key"], &value)?;
    }
    Ok(())
}

fn constraints(b: &Bench) -> Verdict {
    let given = json!({"structural": {"max_depth": 3}, "candidates": {"denied_node_type_ids": ["b", "a"]}});
    let run = b.started(&b.composite_request(json!({ "constraints": given })))?;
    equal_but_nulls("on the run", own(&b.run(&run)?, "constraints"), &given)?;
    let root = b.node(&run.root)?;
    let merged = own(&root, "constraints");
    equal("max_depth on the root", &merged["structural"]["max_depth"], &json!(3))?;
    equal(
        "the deny-list on the root, sorted",
        &merged["candidates"]["denied_node_type_ids"],
        &json!(["a", "b"]),
    )
}

fn metadata(b: &Bench) -> Verdict {
    let label = b.fresh("label");
    let more = json!({"metadata": {"labels": {"conformance": label}}});
    let run = b.started(&b.atomic_request(Echo, more))?;
    let kept = [b.run(&run)?, b.node(&run.root)?].iter().any(|object| object.to_string().contains(&label));
    ensure(kept, || format!("neither run nor root has the label: {}", run.body))
}

fn same_start(b: &Bench) -> Verdict {
    let request = b.composite_request(json!({"run_id": b.fresh("same"), "metadata": {"labels": {"a": "b"}}}));
    let first = b.started(&request)?;
    let again = b.started(&request)?;
    equal("the root of the second answer", &json!(again.root), &json!(first.root))?;
    let started = types(&b.events(&first)?).iter().filter(|name| **name == "run_started").count();
    ensure(started == 1, || format!("{started} times run_started"))
}

fn other_start(b: &Bench) -> Verdict {
    let id = b.fresh("other");
    let first = b.started(&b.composite_request(json!({ "run_id": id })))?;
    for more in [json!({"input": {"a": 2}}), json!({"run_context": {"tenant_id": "t"}})] {
        let request = with(b.composite_request(json!({ "run_id": id })), more);
        b.start(&request)?.says(409, "run_already_exists", "Run already exists.")?;
    }
    equal("the root", &b.run(&first)?["root_node_run_id"], &json!(first.root))
}

fn read_run(b: &Bench) -> Verdict {
    let run = b.composite(json!({}))?;
    equal("the run", &b.run(&run)?, &run.body)
}

fn ends_with_root(b: &Bench) -> Verdict {
    let run = b.atomic(Echo)?;
    let ended = b.run_ended(&run)?;
    equal("the run's state", &ended["state"], &json!("succeeded"))?;
    text(&ended, "ended_at")?;
    equal("the root's state", &b.node(&run.root)?["state"], &json!("succeeded"))
}

fn cancel(b: &Bench) -> Verdict {
    let run = b.composite(json!({}))?;
    let canceled = b.cancel(&run)?;
    equal("state", &canceled["state"], &json!("canceled"))?;
    text(&canceled, "ended_at")?;
    equal("the run", &b.run(&run)?, &canceled)?;
    let events = b.events(&run)?;
    let Some(last) = events.iter().rfind(|event| event["type"] == "run_completed") else {
        return ensure(false, || format!("no run_completed in {:?}", types(&events)));
    };
    equal("data", &last["data"], &json!({"state": "canceled"}))?;
    ensure(last["node_run_id"].is_null(), || format!("no node has ended it: {last}"))
}

fn cancel_without_body(b: &Bench) -> Verdict {
    let run = b.composite(json!({}))?;
    let path = format!("{}:cancel", run.path());
    let answer = b.http.send("POST", &path, As::Caller, None, "")?;
    equal("state", &answer.ok()?["state"], &json!("canceled"))
}

fn cancel_twice(b: &Bench) -> Verdict {
    let run = b.composite(json!({}))?;
    let first = b.cancel(&run)?;
    let events = b.events(&run)?;
    equal("the second answer", &b.cancel(&run)?, &first)?;
    same_list("the events", &b.events(&run)?, &events)
}

fn cancel_late(b: &Bench) -> Verdict {
    let run = b.atomic(Echo)?;
    let events = b.ended_events(&run)?;
    let ended = b.run(&run)?;
    equal("the answer", &b.cancel(&run)?, &ended)?;
    equal("the run", &b.run(&run)?, &ended)?;
    same_list("the events", &b.events(&run)?, &events)
}

fn cancel_ends_nodes(b: &Bench) -> Verdict {
    let run = b.composite(json!({}))?;
    let child = b.children(&run, &[b.atomic_spec(Hang, json!({}))])?.remove(0);
    let child = text(&child, "node_run_id")?;
    b.work(&child)?;
    b.cancel(&run)?;
    for node in [&run.root, &child] {
        let node = b.node(node)?;
        ensure(node["state"] == "canceled" && is_over(&node) && node["ended_at"].is_string(), || {
            format!("not canceled: {node}")
        })?;
    }
    Ok(())
}
