//! What is sent, when it is, and what happens if it cannot be.

use jarvis_run_coordinator::types::RunState;
use serde_json::json;

use super::{CALLER_SPAN, CALLER_TRACE, TRACEPARENT, is_over, named, names};
use crate::support::{
    Answer, FakeExecutors, Program, TestServer, UNREACHABLE, collector::Collector, soon, start_of,
};

/// Starts a run with this `traceparent`, and waits for its end.
async fn run_of(t: &TestServer, traceparent: &str) {
    let request = t.request("POST", "/v1/runs").header("traceparent", traceparent);
    let run = Answer::of(request.json(&start_of("atomic.echo"))).await.ok();
    let ended = t.run_ended(&run["run_id"].as_str().expect("an id").into()).await;
    assert_eq!(ended.state, RunState::Succeeded);
}

#[tokio::test]
async fn unsampled_trace_is_passed_on_and_not_recorded() {
    let collector = Collector::start();
    let t = TestServer::start_with(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url()),
        ("OTEL_TRACES_SAMPLER", "always_off"),
    ])
    .await;
    let unsampled = format!("00-{CALLER_TRACE}-{CALLER_SPAN}-00");
    run_of(&t, &unsampled).await;
    let sent = t.executors.calls()[0].traceparent.clone().expect("a traceparent");
    let (start, end) = (format!("00-{CALLER_TRACE}-"), "-00");
    assert!(
        sent.starts_with(&start) && sent.ends_with(end) && sent != unsampled,
        "a span of its own: {sent}"
    );
    // Nor is one that begins here. Of a trace that its caller records, the caller decides.
    let run = t.run_start("atomic.echo", json!({})).await;
    t.run_ended(&run.run_id).await;
    run_of(&t, TRACEPARENT).await;
    // A stop sends what waits.
    t.stop().await;
    let spans = collector.spans();
    assert_eq!(names(&spans), ["execute atomic.echo", "invoke_workflow atomic.echo", "run accepted"]);
    assert!(spans.iter().all(|span| span.trace == CALLER_TRACE));
}

#[tokio::test]
async fn without_a_collector_the_callers_span_is_passed_on() {
    let t = TestServer::start().await;
    run_of(&t, TRACEPARENT).await;
    let run = t.run_start("atomic.echo", json!({})).await;
    t.run_ended(&run.run_id).await;
    let sent: Vec<_> = t.executors.calls().into_iter().map(|call| call.traceparent).collect();
    assert_eq!(sent, [Some(TRACEPARENT.to_owned()), None]);
    t.stop().await;
}

#[tokio::test]
async fn dead_collector_slows_no_run_and_is_logged_once() {
    let executors = FakeExecutors::start();
    let program = Program::with_executors(&executors)
        .var("OTEL_EXPORTER_OTLP_ENDPOINT", UNREACHABLE)
        .var("OTEL_BSP_MAX_QUEUE_SIZE", "4")
        .var("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "2")
        .var("JARVIS_RUN_COORDINATOR_OPERATOR_LISTEN", "127.0.0.1:0");
    let process = program.start().await;
    let operator = process.logged("listening for operators", 1).await;
    for number in 0..10 {
        let run = process.run_start(&format!("run-{number}"), "atomic.echo").await;
        assert_eq!(process.run_ended(&run.id).await, "succeeded");
    }
    process.logged("could not send spans to the collector", 1).await;
    let (_, health) = process.get("/v1/health").await;
    assert_eq!(health["status"], "ok", "{health}");
    let url = format!("http://{}/metrics", operator["address"].as_str().expect("an address"));
    let metrics = soon("metrics", async { reqwest::get(url).await?.text().await }).await.expect("metrics");
    assert!(metrics.contains("arp_spans_total{result=\"dropped\"}"), "{metrics}");
    let ended = process.terminate().await;
    let times = ended.stdout.matches("could not send spans to the collector").count();
    assert_eq!(times, 1, "{}", ended.stdout);
}

#[tokio::test]
async fn busy_collector_gets_the_spans_later() {
    let collector = Collector::start();
    let t = TestServer::start_with(&[
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &format!("{}/v1/traces", collector.url())),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-scope-orgid=team%20a"),
        ("OTEL_BSP_SCHEDULE_DELAY", "50"),
    ])
    .await;
    collector.answer(503);
    let run = t.run_start("atomic.echo", json!({})).await;
    t.run_ended(&run.run_id).await;
    collector.called(1).await;
    assert_eq!(collector.spans(), []);
    collector.answer(200);
    let spans = collector.spans_until("the end of the run", is_over).await;
    named(&spans, "run accepted");
    let headers = collector.headers();
    assert!(headers.len() >= 2 && headers.iter().all(|headers| headers["x-scope-orgid"] == "team a"));
    assert!(headers.iter().all(|headers| headers["content-type"] == "application/x-protobuf"));
    t.stop().await;
}

#[tokio::test]
async fn log_lines_name_the_span_that_they_belong_to() {
    let (collector, executors) = (Collector::start(), FakeExecutors::start());
    let program = Program::with_executors(&executors)
        .var("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url())
        .var("OTEL_BSP_SCHEDULE_DELAY", "50");
    let process = program.start().await;
    let run = process.run_start("named", "atomic.echo").await;
    assert_eq!(process.run_ended(&run.id).await, "succeeded");
    let spans = collector.spans_until("the end of the run", is_over).await;
    let audited = process.logged("audit", 1).await;
    assert_eq!(audited["trace_id"], named(&spans, "run accepted").trace, "{audited}");
    assert_eq!(audited["span_id"], named(&spans, "run accepted").id);
    process.terminate().await;
}
