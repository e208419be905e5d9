//! Validation of request bodies (contract §3.1, §3.2). A refused request writes
//! nothing.

use serde_json::{Value, json};

use crate::support::{TestServer, start_of};

const JSON: &str = "application/json";

fn start() -> Value {
    start_of("atomic.echo")
}

/// A valid start request with one member, named by its path, changed.
fn start_with(path: &[&str], value: Value) -> Value {
    let mut body = start();
    let mut place = &mut body;
    for name in path {
        place = &mut place[*name];
    }
    *place = value;
    body
}

/// Bodies of the four operations that take one, each with one error; the type and the
/// location of that error.
fn rows() -> Vec<(&'static str, Value, &'static str, &'static str)> {
    const RUNS: &str = "/v1/runs";
    const NODES: &str = "/v1/node-runs";
    const EVALUATION: &str = "/v1/node-runs/ROOT:evaluation";
    const COMPLETE: &str = "/v1/node-runs/ROOT:complete";
    let limits = |value: Value| start_with(&["constraints", "structural"], json!({"max_depth": value}));
    let constraint = |part: &str, value: Value| start_with(&["constraints", part], value);
    let ref_ = || json!({"node_type_id": "atomic.echo", "version": "1"});
    let create = |specs: Value| json!({"run_id": "RUN", "parent_node_run_id": "ROOT", "node_runs": specs});
    let spec = |name: &str, value: Value| {
        let mut spec = json!({"node_type_ref": ref_(), "inputs": {}});
        spec[name] = value;
        create(json!([{"node_type_ref": ref_(), "inputs": {}}, spec]))
    };
    let evaluation = |result: Value| json!({ "evaluation_result": result });
    let artifact =
        |uri: &str| json!({"state": "failed", "output_artifacts": [{"type": "a", "id": "i", "uri": uri}]});
    vec![
        (RUNS, json!([]), "model_attributes_type", "body"),
        (RUNS, json!(null), "model_attributes_type", "body"),
        (RUNS, json!("x"), "model_attributes_type", "body"),
        (
            RUNS,
            start_with(&["root_node_type_ref"], json!("atomic.echo")),
            "model_attributes_type",
            "body.root_node_type_ref",
        ),
        (
            RUNS,
            start_with(&["root_node_type_ref"], json!({"version": "1"})),
            "missing",
            "body.root_node_type_ref.node_type_id",
        ),
        (
            RUNS,
            start_with(&["root_node_type_ref"], json!(null)),
            "model_attributes_type",
            "body.root_node_type_ref",
        ),
        (RUNS, json!({"root_node_type_ref": ref_()}), "missing", "body.input"),
        (RUNS, start_with(&["input"], json!(null)), "dict_type", "body.input"),
        (RUNS, start_with(&["input"], json!([])), "dict_type", "body.input"),
        (RUNS, start_with(&["extensions"], json!("x")), "dict_type", "body.extensions"),
        (RUNS, start_with(&["surprise"], json!(null)), "extra_forbidden", "body.surprise"),
        (
            RUNS,
            start_with(&["root_node_type_ref", "kind"], json!("atomic")),
            "extra_forbidden",
            "body.root_node_type_ref.kind",
        ),
        (
            RUNS,
            start_with(&["run_context", "trace"], json!({"x": "y"})),
            "extra_forbidden",
            "body.run_context.trace.x",
        ),
        (RUNS, start_with(&["run_id"], json!(7)), "string_type", "body.run_id"),
        (
            RUNS,
            start_with(&["run_context", "tenant_id"], json!(true)),
            "string_type",
            "body.run_context.tenant_id",
        ),
        (RUNS, start_with(&["metadata", "labels"], json!({"a": 1})), "string_type", "body.metadata.labels.a"),
        (RUNS, limits(json!("1")), "int_type", "body.constraints.structural.max_depth"),
        (RUNS, limits(json!(true)), "int_type", "body.constraints.structural.max_depth"),
        (RUNS, limits(json!(1.0)), "int_type", "body.constraints.structural.max_depth"),
        (RUNS, limits(json!(1.5)), "int_type", "body.constraints.structural.max_depth"),
        (RUNS, limits(json!(-1)), "greater_than_equal", "body.constraints.structural.max_depth"),
        (
            RUNS,
            constraint("candidates", json!({"max_candidates_per_subtask": 0})),
            "greater_than_equal",
            "body.constraints.candidates.max_candidates_per_subtask",
        ),
        (
            RUNS,
            constraint("candidates", json!({"allowed_node_type_ids": "a"})),
            "list_type",
            "body.constraints.candidates.allowed_node_type_ids",
        ),
        (
            RUNS,
            constraint("candidates", json!({"denied_node_type_ids": ["a", null]})),
            "string_type",
            "body.constraints.candidates.denied_node_type_ids.1",
        ),
        (
            RUNS,
            constraint("budgets", json!({"max_cost": "1"})),
            "float_type",
            "body.constraints.budgets.max_cost",
        ),
        (
            RUNS,
            constraint("budgets", json!({"max_cost": true})),
            "float_type",
            "body.constraints.budgets.max_cost",
        ),
        (
            RUNS,
            constraint("budgets", json!({"max_cost": -0.1})),
            "greater_than_equal",
            "body.constraints.budgets.max_cost",
        ),
        (
            RUNS,
            constraint("gates", json!({"require_approval": 1})),
            "bool_type",
            "body.constraints.gates.require_approval",
        ),
        (
            RUNS,
            constraint("gates", json!({"require_approval": "yes"})),
            "bool_type",
            "body.constraints.gates.require_approval",
        ),
        (
            RUNS,
            constraint("gates", json!({"side_effect_class": "Read"})),
            "enum",
            "body.constraints.gates.side_effect_class",
        ),
        (
            RUNS,
            constraint("gates", json!({"side_effect_class": 1})),
            "enum",
            "body.constraints.gates.side_effect_class",
        ),
        (
            RUNS,
            start_with(&["run_context", "actor"], json!({"type": "user", "id": "u", "uri": "no/uri"})),
            "url_parsing",
            "body.run_context.actor.uri",
        ),
        (NODES, create(json!([])), "too_short", "body.node_runs"),
        (NODES, create(json!({})), "list_type", "body.node_runs"),
        (NODES, create(json!([1])), "model_attributes_type", "body.node_runs.0"),
        (NODES, spec("inputs", json!("x")), "dict_type", "body.node_runs.1.inputs"),
        (NODES, spec("idempotency_key", json!(1)), "string_type", "body.node_runs.1.idempotency_key"),
        (NODES, spec("odd", json!(1)), "extra_forbidden", "body.node_runs.1.odd"),
        (
            NODES,
            spec("binding_decision", json!({"subtask_id": "S1"})),
            "missing",
            "body.node_runs.1.binding_decision.chosen_node_type_ref",
        ),
        (EVALUATION, json!({}), "missing", "body.evaluation_result"),
        (EVALUATION, evaluation(json!({"status": "great"})), "enum", "body.evaluation_result.status"),
        (
            EVALUATION,
            evaluation(json!({"status": "success", "confidence": 1.1})),
            "less_than_equal",
            "body.evaluation_result.confidence",
        ),
        (
            EVALUATION,
            evaluation(json!({"status": "success", "confidence": -1})),
            "greater_than_equal",
            "body.evaluation_result.confidence",
        ),
        (COMPLETE, json!({"state": "running"}), "enum", "body.state"),
        (COMPLETE, json!({"state": "succeeded", "error": {"code": "c"}}), "missing", "body.error.message"),
        (COMPLETE, artifact("/bare/path"), "url_parsing", "body.output_artifacts.0.uri"),
    ]
}

#[tokio::test]
async fn each_body_error_has_its_type_and_location() {
    let t = TestServer::idle().await;
    let run = t.run_start("composite.accept", json!({})).await;
    let here =
        |text: &str| text.replace("ROOT", run.root_node_run_id.as_str()).replace("RUN", run.run_id.as_str());
    let before = t.journal_rows();
    for (path, body, word, place) in rows() {
        let answer = t.post_raw(&here(path), JSON, here(&body.to_string())).await;
        assert_eq!(answer.complaints(), [(word.to_owned(), place.to_owned())], "{body}");
        assert_eq!(t.journal_rows(), before, "{body}");
    }
    assert!(t.executors.calls().is_empty());
    t.stop().await;
}

#[tokio::test]
async fn all_body_errors_are_reported_without_the_input() {
    let t = TestServer::idle().await;
    let body = json!({"input": "a secret", "run_id": ["a secret"], "zeta": "a secret", "alpha": 1});
    let answer = t.post("/v1/runs", &body).await;
    let complaints: Vec<String> =
        answer.complaints().into_iter().map(|(word, place)| format!("{word} {place}")).collect();
    assert_eq!(
        complaints,
        [
            "dict_type body.input",
            "missing body.root_node_type_ref",
            "string_type body.run_id",
            "extra_forbidden body.alpha",
            "extra_forbidden body.zeta",
        ]
    );
    assert!(!answer.text.contains("secret"));
    t.stop().await;
}

#[tokio::test]
async fn invalid_json_is_refused_with_its_offset() {
    let t = TestServer::idle().await;
    let before = t.journal_rows();
    let input =
        |value: &str| start().to_string().replace("\"input\":{}", &format!("\"input\":{{\"x\":{value}}}"));
    for body in [
        input("NaN").into_bytes(),
        input("Infinity").into_bytes(),
        input("-Infinity").into_bytes(),
        input("1e999").into_bytes(),
        input(r#""\ud800""#).into_bytes(),
        input(r#""\udc00\ud800""#).into_bytes(),
        input("01").into_bytes(),
        input("'x'").into_bytes(),
        input("1,").into_bytes(),
        format!("{} {{}}", start()).into_bytes(),
        format!("{}x", start()).into_bytes(),
        format!("\u{feff}{}", start()).into_bytes(),
        [start().to_string().as_bytes(), b"\0"].concat(),
        b"{\"run_id\": \"\xff\"}".to_vec(),
        b"{".to_vec(),
        b" ".to_vec(),
    ] {
        let shown = String::from_utf8_lossy(&body).into_owned();
        let complaints = t.post_raw("/v1/runs", JSON, body).await.complaints();
        let [(word, place)] = &complaints[..] else { panic!("{complaints:?}") };
        assert_eq!(word, "json_invalid", "{shown}");
        let offset = place.strip_prefix("body.").expect("a place").parse::<usize>().expect("an offset");
        assert!(offset <= shown.len(), "{place}");
    }
    let complaints = t.post_raw("/v1/runs", JSON, "{\n  \"a\": x}").await.complaints();
    assert_eq!(complaints, [("json_invalid".into(), "body.9".into())]);
    assert_eq!(t.post_raw("/v1/runs", JSON, "").await.complaints(), [("missing".into(), "body".into())]);
    assert_eq!(t.journal_rows(), before);
    t.stop().await;
}

#[tokio::test]
async fn only_json_content_types_are_read() {
    let t = TestServer::idle().await;
    for good in [
        "application/json",
        "Application/JSON",
        "application/json; charset=latin-1",
        "application/arp+json;v=1",
    ] {
        t.post_raw("/v1/runs", good, start().to_string()).await.ok();
    }
    let before = t.journal_rows();
    for bad in [
        "text/plain",
        "text/json",
        "application/+json",
        "application/jsonx",
        "multipart/form-data; boundary=x",
    ] {
        let complaints = t.post_raw("/v1/runs", bad, start().to_string()).await.complaints();
        assert_eq!(complaints, [("content_type".into(), "header.content-type".into())], "{bad}");
    }
    let none = crate::support::Answer::of(t.request("POST", "/v1/runs").body(start().to_string())).await;
    assert_eq!(none.complaints(), [("content_type".into(), "header.content-type".into())]);
    assert_eq!(t.journal_rows(), before);
    t.stop().await;
}

#[tokio::test]
async fn unusual_valid_bodies_are_read_as_meant() {
    let t = TestServer::idle().await;
    let text = start().to_string();
    // The last one of duplicate keys counts.
    let twice = text.replacen('{', r#"{"run_id":"first","run_id":"last","#, 1);
    assert_eq!(t.post_raw("/v1/runs", JSON, twice).await.ok()["run_id"], "last");
    // An empty id is no id.
    let fresh = t.post("/v1/runs", &start_with(&["run_id"], json!(""))).await.ok();
    assert!(fresh["run_id"].as_str().expect("an id").starts_with("run_"));
    // For each optional member null means absence.
    for member in ["run_id", "run_context", "constraints", "metadata", "extensions"] {
        let run = t.post("/v1/runs", &start_with(&[member], json!(null))).await.ok();
        assert!(run.get("run_context").is_none(), "{run}");
        assert_eq!(run["extensions"], json!({"jarvis.owner": {"subject": "dev"}}));
    }
    // Integers may have any size.
    let huge =
        text.replacen('{', r#"{"constraints":{"structural":{"max_depth":1234567890123456789012345}},"#, 1);
    let run = t.post_raw("/v1/runs", JSON, huge).await.ok();
    assert_eq!(run["extensions"]["constraints"]["structural"]["max_depth"], json!(u64::MAX));
    let big = text.replacen("\"input\":{}", r#""input":{"big":123456789012345678901234567890}"#, 1);
    t.post_raw("/v1/runs", JSON, big).await.ok();
    // Empty strings are valid.
    let empty = start_with(&["root_node_type_ref", "version"], json!(""));
    t.post("/v1/runs", &empty).await.ok();
    // Strings are kept unchanged.
    let odd = json!({"": "\u{0}\u{1f600}\u{7f}\"\\/", "\n": ["\u{2028}", {}]});
    let run = t.post("/v1/runs", &start_with(&["input"], odd.clone())).await.ok();
    let root = run["root_node_run_id"].as_str().expect("an id");
    assert_eq!(t.get(&format!("/v1/node-runs/{root}")).await.ok()["inputs"], odd);
    t.stop().await;
}

/// Numbers in maps are returned as they were sent, after any number of writes.
#[tokio::test]
async fn numbers_in_maps_round_trip() {
    let t = TestServer::idle().await;
    let numbers = "[0,-1,18446744073709551615,-9223372036854775808,9007199254740993,0.1,1.0,-0.0,5e-324,\
        2.638344616030823e-256,3.141592653589793,6.626070150000001e-34,0.00012345678901234567,100004059201495.83]";
    let start = start().to_string().replace("\"input\":{}", &format!("\"input\":{{\"x\":{numbers}}}"));
    let run = t.post_raw("/v1/runs", JSON, start).await.ok();
    let root = format!("/v1/node-runs/{}", run["root_node_run_id"].as_str().expect("an id"));
    for _ in 0..3 {
        // Each report reads the node and writes it again.
        let report = json!({"evaluation_result": {"status": "unknown"}});
        t.post(&format!("{root}:evaluation"), &report).await.no_content();
        let text = t.get(&root).await.text;
        assert!(text.contains(numbers), "{text}");
    }
    t.stop().await;
}

#[tokio::test]
async fn uris_are_returned_in_normal_form() {
    let t = TestServer::idle().await;
    for (given, normal) in [
        ("http://h:8081", "http://h:8081/"),
        ("HTTP://Host.Example:80/a b", "http://host.example/a%20b"),
        ("file:///x", "file:///x"),
        ("urn:a:b", "urn:a:b"),
        ("unix:///x", "unix:///x"),
    ] {
        let run = t.run_start("composite.accept", json!({})).await;
        let root = format!("/v1/node-runs/{}", run.root_node_run_id);
        let artifact = json!({"type": "artifact", "id": "a", "uri": given});
        t.post(&format!("{root}:complete"), &json!({"state": "succeeded", "output_artifacts": [artifact]}))
            .await
            .no_content();
        assert_eq!(t.get(&root).await.ok()["output_artifacts"][0]["uri"], normal);
    }
    t.stop().await;
}
