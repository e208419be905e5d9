//! Reading events (§13).

use base64::{Engine, engine::general_purpose::URL_SAFE};
use serde_json::{Value, json};

use crate::{
    bench::{Bench, Run},
    check::{Check, Need},
    values::id_of,
    verdict::{Verdict, ensure, same, same_list, skip},
};
use scripted_executor::Behaviour::{Echo, Hang};

const EXECUTORS: &[Need] = &[Need::Executors];

pub(super) const CHECKS: &[Check] = &[
    Check::new("core/13/ndjson", "A stream is application/x-ndjson, a RunEvent a line", ndjson)
        .needs(&[Need::Atomic])
        .differs("G14, D-03"),
    Check::new("core/13/node-stream", "A node's stream is the node and what is below it", node_stream)
        .needs(EXECUTORS),
    Check::new("core/13/unknown-run", "The stream of an unknown run is 404", unknown_run).differs("D-12"),
    Check::new("core/13/no-following", "The stream of a live run ends with what there is", no_following)
        .needs(EXECUTORS),
    Check::new("deep/13/cursor-and-limit", "A stream may be read in parts, if that is offered", parts)
        .needs(&[Need::Atomic]),
    Check::new(
        "deep/13/follow",
        "A followed stream has new events and ends with its run, if offered",
        follow,
    )
    .needs(EXECUTORS),
];

fn ndjson(b: &Bench) -> Verdict {
    let run = b.atomic(Echo)?;
    b.ended_events(&run)?;
    let answer = b.get(&format!("{}/events", run.path()))?;
    if !answer.content_type.starts_with("application/x-ndjson") {
        return answer.wrong(&format!("is {}", answer.content_type));
    }
    if !answer.text.ends_with('\n') {
        return answer.wrong("has a last line without an end");
    }
    for line in answer.text.lines() {
        match serde_json::from_str::<Value>(line) {
            Ok(event) if event["run_id"] == run.id.as_str() && event["type"].is_string() => {}
            Ok(_) | Err(_) => return answer.wrong("has a line that is no RunEvent"),
        }
    }
    Ok(())
}

fn node_stream(b: &Bench) -> Verdict {
    let run = b.composite(json!({}))?;
    let inner = id_of(&b.children(&run, &[b.composite_spec(json!({}))])?[0])?;
    let deep = id_of(&b.children_of(&run, &inner, &[b.atomic_spec(Echo, json!({}))])?[0])?;
    let aside = id_of(&b.children(&run, &[b.atomic_spec(Echo, json!({}))])?[0])?;
    for node in [&deep, &aside] {
        b.node_ended(node)?;
    }
    b.complete(&inner, "succeeded")?.no_content()?;
    b.complete(&run.root, "succeeded")?.no_content()?;
    let all = b.ended_events(&run)?;
    for (node, within) in [
        (&deep, vec![&deep]),
        (&aside, vec![&aside]),
        (&inner, vec![&inner, &deep]),
        (&run.root, vec![&run.root, &inner, &deep, &aside]),
    ] {
        let about = |event: &&Value| within.iter().any(|node| event["node_run_id"] == node.as_str());
        let wanted: Vec<Value> = all.iter().filter(about).map(|event| event["seq"].clone()).collect();
        let seen = b.events_at(&format!("/v1/node-runs/{node}/events"))?;
        let seen: Vec<Value> = seen.iter().map(|event| event["seq"].clone()).collect();
        same_list(&format!("the stream of {node}"), &seen, &wanted)?;
    }
    Ok(())
}

fn unknown_run(b: &Bench) -> Verdict {
    let id = b.fresh("nowhere");
    b.get(&format!("/v1/runs/{id}/events"))?.says(404, "run_not_found", &format!("Run '{id}' not found"))
}

fn no_following(b: &Bench) -> Verdict {
    let run = b.composite(json!({}))?;
    let events = b.events(&run)?;
    ensure(events.len() >= 3, || format!("{events:?}"))
}

/// The URL-safe base64 of a seq.
fn cursor(seq: u64) -> String {
    URL_SAFE.encode(seq.to_string())
}

/// Skips the check if streams take no parameters: these are optional.
fn offered(b: &Bench, run: &Run) -> Verdict {
    match b.events_at(&format!("{}/events?limit=1", run.path()))?.len() {
        1 => Ok(()),
        _ => skip("streams ignore parameters here, which are extras"),
    }
}

fn seqs(events: &[Value]) -> Vec<u64> {
    events.iter().filter_map(|event| event["seq"].as_u64()).collect()
}

fn parts(b: &Bench) -> Verdict {
    let run = b.atomic(Echo)?;
    let all = seqs(&b.ended_events(&run)?);
    same("events", &all.len(), &7)?;
    offered(b, &run)?;
    let path = format!("{}/events", run.path());
    for (query, wanted) in [
        (format!("cursor={}", cursor(5)), &all[5..]),
        (format!("cursor={}&limit=2", cursor(2)), &all[2..4]),
        (format!("cursor={}", cursor(99)), &[]),
        ("limit=10000".into(), &all[..]),
    ] {
        same_list(&query, &seqs(&b.events_at(&format!("{path}?{query}"))?), wanted)?;
    }
    for query in ["cursor=nonsense!", "limit=0", "limit=x"] {
        b.get(&format!("{path}?{query}"))?.refused(400, "invalid_request")?;
    }
    Ok(())
}

fn follow(b: &Bench) -> Verdict {
    let run = b.composite(json!({}))?;
    offered(b, &run)?;
    let before = b.events(&run)?.len();
    let followed = format!("{}/events?follow=1", run.path());
    let read = b.at_once(2, |index| match index {
        // The stream ends by itself.
        0 => b.http.lines(&followed, |_| false),
        _ => {
            let child = id_of(&b.children(&run, &[b.atomic_spec(Hang, json!({}))])?[0])?;
            b.work(&child)?;
            b.executors()?.release(&child);
            b.node_ended(&child)?;
            b.complete(&run.root, "succeeded")?.no_content()?;
            Ok(Vec::new())
        }
    })?;
    let stored = b.events(&run)?.len();
    ensure(stored > before, || "nothing has happened".into())?;
    same("lines that were followed", &read[0].len(), &stored)
}
