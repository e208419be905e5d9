//! One run across `kill -9` is one trace with every attempt once.

use std::collections::BTreeSet;

use serde_json::json;

use super::{CALLER_SPAN, CALLER_TRACE, TRACEPARENT, assert_tree, is_over, names, of_records, registry};
use crate::support::{
    FakeExecutors, FakeService, Program,
    collector::{Collector, Span},
    process::{Process, StartedRun, start_request},
    soon,
};

/// Starts a run of a composite in the caller's trace.
async fn start(process: &Process, run: &str) -> StartedRun {
    let request = reqwest::Client::new().post(process.at("/v1/runs")).header("traceparent", TRACEPARENT);
    let answer = soon("an answer", request.json(&start_request(run, "composite.accept")).send())
        .await
        .expect("an answer");
    let answer: serde_json::Value = answer.json().await.expect("a Run");
    let text = |name: &str| answer[name].as_str().expect("a Run").to_owned();
    StartedRun { id: text("run_id"), root: text("root_node_run_id") }
}

/// A program whose process sends spans after this many milliseconds.
fn program(executors: &FakeExecutors, registry: &FakeService, collector: &Collector, delay: &str) -> Program {
    Program::with_executors(executors)
        .var("JARVIS_NODE_REGISTRY_URL", registry.url())
        .var("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url())
        .var("OTEL_BSP_SCHEDULE_DELAY", delay)
}

/// The attempts among the spans, by node and number.
fn attempts(spans: &[Span]) -> Vec<(String, String)> {
    let of_attempt = |span: &&Span| span.attributes.contains_key("arp.attempt");
    let attempt = |span: &Span| {
        (span.attribute("arp.node_run.id").to_owned(), span.attribute("arp.attempt").to_owned())
    };
    spans.iter().filter(of_attempt).map(attempt).collect()
}

#[tokio::test]
async fn run_across_kills_is_one_trace_with_each_attempt_once() {
    let (executors, registry, collector) =
        (FakeExecutors::start(), FakeService::start(registry), Collector::start());
    // The first process sends nothing before it is killed.
    let slow = program(&executors, &registry, &collector, "3600000")
        .var("OTEL_BSP_MAX_QUEUE_SIZE", "50000")
        .var("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "10000");
    let process = slow.start().await;
    let run = start(&process, "crashing").await;
    executors.called(":begin", 1).await;
    let echo = process.child(&run, "atomic.echo").await;
    process.node_ended(&echo).await;
    let busy = process.child(&run, "atomic.busy-once").await;
    process.node_ended(&busy).await;
    let hung = process.child(&run, "atomic.hang").await;
    executors.calls_until("the execution", |calls| calls.iter().any(|call| call.is_work_of(&hung))).await;
    process.kill().await;
    assert_eq!(collector.received(), []);

    // The second sends what the first left, and is killed at work.
    let quick = slow.var("OTEL_BSP_SCHEDULE_DELAY", "50");
    let process = quick.start().await;
    executors
        .calls_until("the second execution", |calls| {
            calls.iter().filter(|call| call.is_work_of(&hung)).count() == 2
        })
        .await;
    let lost = |spans: &[Span]| spans.iter().any(|span| span.attribute("error.type") == "attempt_lost");
    collector.spans_until("the lost attempt", lost).await;
    process.kill().await;

    let process = quick.start().await;
    executors
        .calls_until("the third execution", |calls| {
            calls.iter().filter(|call| call.is_work_of(&hung)).count() == 3
        })
        .await;
    executors.release(&hung);
    process.node_ended(&hung).await;
    let path = format!("/v1/node-runs/{}:complete", run.root);
    assert_eq!(process.post(&path, &json!({"state": "succeeded"})).await.0, 204);
    assert_eq!(process.run_ended(&run.id).await, "succeeded");
    process.kill().await;

    // Whatever the third has not sent, the fourth does.
    let process = quick.start().await;
    let spans = of_records(collector.spans_until("the end of the run", is_over).await);
    process.terminate().await;

    assert_tree(&spans, CALLER_TRACE, CALLER_SPAN);
    let found = attempts(&spans);
    let distinct: BTreeSet<_> = found.iter().cloned().collect();
    assert_eq!(distinct.len(), found.len(), "each attempt once: {found:?}");
    let expected = [(&run.root, 1), (&echo, 1), (&busy, 1), (&busy, 2), (&hung, 1), (&hung, 2), (&hung, 3)];
    let expected: BTreeSet<_> =
        expected.iter().map(|(node, number)| ((*node).clone(), number.to_string())).collect();
    assert_eq!(distinct, expected);
    let errors = |node: &str| {
        let mut spans: Vec<&Span> =
            spans.iter().filter(|span| span.attribute("arp.node_run.id") == node).collect();
        spans.sort_by_key(|span| span.start);
        spans.iter().map(|span| span.attribute("error.type").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(errors(&hung), ["attempt_lost", "attempt_lost", ""]);
    assert_eq!(names(&spans).iter().filter(|name| **name == "run accepted").count(), 1);
}

#[tokio::test]
async fn orderly_stop_leaves_nothing_to_send_again() {
    let (executors, registry, collector) =
        (FakeExecutors::start(), FakeService::start(registry), Collector::start());
    let program = program(&executors, &registry, &collector, "3600000");
    let process = program.start().await;
    let run = start(&process, "orderly").await;
    executors.called(":begin", 1).await;
    let child = process.child(&run, "atomic.echo").await;
    process.node_ended(&child).await;
    process.terminate().await;
    let first = of_records(collector.received());
    assert_eq!(names(&first), ["execute atomic.echo", "run accepted"]);

    let process = program.start().await;
    let path = format!("/v1/node-runs/{}:complete", run.root);
    assert_eq!(process.post(&path, &json!({"state": "succeeded"})).await.0, 204);
    process.terminate().await;
    let all = of_records(collector.received());
    assert_eq!(all.len(), 4, "each span was sent once: {:?}", names(&all));
    assert_tree(&all, CALLER_TRACE, CALLER_SPAN);
}
