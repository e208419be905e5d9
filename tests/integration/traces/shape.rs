//! The tree of a run, and what its spans say.

use jarvis_run_coordinator::types::{NodeRunState, RunState};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use serde_json::json;

use super::{
    CALLER_SPAN, CALLER_TRACE, TRACEPARENT, assert_tree, is_over, named, names, of_records, registry,
};
use crate::support::{FakeService, TestServer, collector::Collector, soon, spec, start_of};

#[tokio::test]
async fn trace_of_a_run_is_a_tree_of_attempts() {
    let (collector, registry) = (Collector::start(), FakeService::start(registry));
    let t = TestServer::start_with(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url()),
        ("OTEL_BSP_SCHEDULE_DELAY", "50"),
        ("JARVIS_NODE_REGISTRY_URL", registry.url()),
    ])
    .await;
    let request =
        t.request("POST", "/v1/runs").header("traceparent", TRACEPARENT).header("tracestate", "a=1");
    let run = crate::support::Answer::of(request.json(&start_of("composite.accept"))).await.ok();
    let (run_id, root) = (
        run["run_id"].as_str().expect("an id").into(),
        run["root_node_run_id"].as_str().expect("an id").into(),
    );
    let mut with_inputs = spec("atomic.echo");
    with_inputs["inputs"] = json!({"query": "hush"});
    let children = t.children(&run_id, &root, &[with_inputs, spec("atomic.busy-once")]).await;
    for child in &children {
        t.node_run_in(&child.node_run_id, NodeRunState::Succeeded).await;
    }
    t.complete(&root, "succeeded").await;
    assert_eq!(t.run_ended(&run_id).await.state, RunState::Succeeded);

    let spans = collector.spans_until("the end of the run", is_over).await;
    assert!(!format!("{spans:?}").contains("hush"), "no span has inputs");
    let all = of_records(spans.clone());
    assert_eq!(
        names(&all),
        [
            "execute atomic.busy-once",
            "execute atomic.busy-once",
            "execute atomic.echo",
            "execute composite.accept",
            "invoke_workflow composite.accept",
            "run accepted",
        ]
    );
    assert_tree(&all, CALLER_TRACE, CALLER_SPAN);
    let accepted = named(&all, "run accepted");
    assert_eq!((accepted.parent.as_str(), accepted.kind), (CALLER_SPAN, SpanKind::Server));
    assert_eq!(accepted.events, ["policy decision"]);
    let whole = named(&all, "invoke_workflow composite.accept");
    assert_eq!((&whole.parent, whole.attribute("arp.run.state")), (&accepted.id, "succeeded"));
    let composite = named(&all, "execute composite.accept");
    assert_eq!((&composite.parent, composite.kind), (&accepted.id, SpanKind::Client));
    assert!(composite.start >= whole.start && composite.end <= whole.end);
    let echo = named(&all, "execute atomic.echo");
    assert_eq!((&echo.parent, &echo.error), (&composite.id, &None));
    assert_eq!(echo.events, ["policy decision"]);
    for (name, value) in [
        ("arp.run.id", run_id.as_str()),
        ("arp.node_run.id", children[0].node_run_id.as_str()),
        ("arp.node_type.version", "1.0.0"),
        ("arp.node.kind", "atomic"),
        ("arp.node.depth", "1"),
        ("arp.attempt", "1"),
        ("arp.node_run.state", "succeeded"),
        ("gen_ai.operation.name", ""),
    ] {
        assert_eq!(echo.attribute(name), value, "{name}");
    }
    assert!(all.iter().all(|span| span.state == "a=1"), "the state of the trace is passed on");
    assert_eq!(echo.resource["service.name"], "jarvis-run-coordinator");

    let busy: Vec<_> = all.iter().filter(|span| span.name == "execute atomic.busy-once").collect();
    let (first, second) =
        if busy[0].attribute("arp.attempt") == "1" { (busy[0], busy[1]) } else { (busy[1], busy[0]) };
    assert_eq!((first.attribute("arp.attempt"), second.attribute("arp.attempt")), ("1", "2"));
    assert!(first.end <= second.start, "one attempt after the other");
    assert_eq!(first.error.as_deref(), Some(first.attribute("error.type")));
    assert_eq!(
        (first.events.as_slice(), &second.error),
        (&["policy decision".to_owned(), "retry scheduled".to_owned()][..], &None)
    );
    assert!([first, second].iter().all(|span| span.parent == composite.id));

    // The executor got the very spans that were recorded.
    for span in [composite, echo, first, second] {
        let header = format!("00-{CALLER_TRACE}-{}-01", span.id);
        let calls = t.executors.calls();
        let call = calls.iter().find(|call| call.traceparent.as_deref() == Some(&header));
        assert!(call.is_some_and(|call| call.tracestate.as_deref() == Some("a=1")), "{}", span.name);
    }
    // The executor's requests are traces of their own, linked to its attempt.
    let of_requests = |spans: &[crate::support::collector::Span]| {
        ["POST create_node_runs", "POST complete_node_run"]
            .iter()
            .all(|name| spans.iter().any(|span| span.name == *name))
    };
    let spans = collector.spans_until("the spans of requests", of_requests).await;
    for name in ["POST create_node_runs", "POST complete_node_run"] {
        let request = named(&spans, name);
        assert_eq!(
            (request.links.as_slice(), request.kind),
            (&[composite.id.clone()][..], SpanKind::Server),
            "{name}"
        );
        assert!(request.trace != CALLER_TRACE && request.parent.is_empty());
        assert_eq!(request.attribute("http.request.method"), "POST");
    }
    assert!(!spans.iter().any(|span| span.name == "POST start_run"), "its record stands for it");
    t.stop().await;
}

#[tokio::test]
async fn failure_and_cancel_show_in_the_trace() {
    let collector = Collector::start();
    let t = TestServer::start_with(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url()),
        ("OTEL_BSP_SCHEDULE_DELAY", "50"),
        ("OTEL_SEMCONV_STABILITY_OPT_IN", "gen_ai_latest_experimental"),
    ])
    .await;
    let failed = t.run_start("atomic.fail", json!({})).await;
    assert_eq!(t.run_ended(&failed.run_id).await.state, RunState::Failed);
    let canceled = t.run_start("composite.accept", json!({})).await;
    let child = &t.children(&canceled.run_id, &canceled.root_node_run_id, &[spec("atomic.hang")]).await[0];
    t.executors.called(":execute", 2).await;
    t.cancel(&canceled.run_id).await;

    let both = |spans: &[crate::support::collector::Span]| {
        spans.iter().filter(|span| span.name.starts_with("invoke_workflow ")).count() == 2
    };
    let spans = collector.spans_until("both runs", both).await;
    let attempt = named(&spans, "execute_tool atomic.fail");
    assert!(attempt.error.is_some() && !attempt.attribute("error.type").is_empty());
    assert_eq!(attempt.attribute("gen_ai.tool.name"), "atomic.fail");
    assert_eq!(named(&spans, "invoke_workflow atomic.fail").error, attempt.error);
    let whole = named(&spans, "invoke_workflow composite.accept");
    assert_eq!((whole.attribute("arp.run.state"), &whole.error), ("canceled", &None));
    assert_eq!(whole.attribute("gen_ai.workflow.name"), "composite.accept");
    // What a cascade ended is whole, too.
    let hung = named(&spans, "execute_tool atomic.hang");
    assert_eq!(hung.parent, named(&spans, "invoke_agent composite.accept").id);
    assert_eq!(hung.attribute("arp.node_run.id"), child.node_run_id.as_str());
    assert_eq!((hung.attribute("arp.node_run.state"), &hung.error), ("canceled", &None));
    // The cancel belongs to the attempt.
    let calls = t.executors.called(":cancel", 2).await;
    let cancel = calls.iter().find(|call| call.is_cancel_of(child.node_run_id.as_str())).expect("a cancel");
    assert_eq!(cancel.traceparent, Some(format!("00-{}-{}-01", hung.trace, hung.id)));
    t.stop().await;
}

#[tokio::test]
async fn questions_to_policy_are_spans_of_the_run() {
    let (collector, pdp) = (Collector::start(), FakeService::pdp());
    let t = TestServer::start_with(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url()),
        ("OTEL_BSP_SCHEDULE_DELAY", "50"),
        ("JARVIS_PDP_URL", pdp.url()),
    ])
    .await;
    let run = t.run_start("atomic.echo", json!({})).await;
    t.run_ended(&run.run_id).await;
    let spans = collector.spans_until("the end of the run", is_over).await;
    let accepted = named(&spans, "run accepted");
    assert_eq!(accepted.parent, "", "the trace begins here");
    let asked: Vec<_> =
        ["policy run.start", "policy node.run.execute"].map(|name| named(&spans, name)).to_vec();
    for span in &asked {
        assert_eq!((&span.trace, &span.parent, span.kind), (&accepted.trace, &accepted.id, SpanKind::Client));
        assert_eq!(span.attribute("arp.policy.decision"), "allow");
    }
    let sent: Vec<_> = asked.iter().map(|span| Some(format!("00-{}-{}-01", span.trace, span.id))).collect();
    assert_eq!(pdp.traceparents(), sent);
    t.stop().await;
}

#[tokio::test]
async fn run_context_names_the_trace_where_no_header_does() {
    let collector = Collector::start();
    let t = TestServer::start_with(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url()),
        ("OTEL_BSP_SCHEDULE_DELAY", "50"),
    ])
    .await;
    let named_by =
        |trace: &str| json!({"run_context": {"trace": {"trace_id": trace, "span_id": CALLER_SPAN}}});
    let run = t.run_start_with("atomic.echo", json!({}), named_by(CALLER_TRACE)).await;
    t.run_ended(&run.run_id).await;
    let spans = of_records(collector.spans_until("the end of the run", is_over).await);
    assert_tree(&spans, CALLER_TRACE, CALLER_SPAN);
    // The executor gets the context as the caller sent it.
    let call = &t.executors.called(":execute", 1).await[0];
    assert_eq!(call.body["run_context"], named_by(CALLER_TRACE)["run_context"]);

    let other = t.run_start_with("atomic.fail", json!({}), named_by("no id")).await;
    t.run_ended(&other.run_id).await;
    let is_over = |spans: &[crate::support::collector::Span]| {
        spans.iter().any(|span| span.name == "invoke_workflow atomic.fail")
    };
    let spans = collector.spans_until("the end of the other run", is_over).await;
    assert!(named(&spans, "execute atomic.fail").trace != CALLER_TRACE);
    soon("the stop", t.stop()).await;
}
