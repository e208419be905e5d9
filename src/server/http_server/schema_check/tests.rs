//! Bodies against the schemas of the ARP types.

use schemars::JsonSchema;
use serde_json::{Value, json};

use super::{
    BodySchema, Tree,
    check::{MAX_ERRORS, MAX_NAME},
    schema::{MAX_SCALARS, MAX_SHORT},
};
use crate::{
    coordinator::FieldError,
    types::{
        NodeRunCompleteRequest, NodeRunEvaluationReportRequest, NodeRunsCreateRequest, RunStartRequest,
        json::bounds::Bounds,
    },
};

fn read(schema: &BodySchema, body: &Value) -> Tree {
    let bounds = Bounds::levels(100);
    Tree::read(schema, body.to_string().as_bytes(), &bounds).expect("JSON")
}

#[expect(clippy::needless_pass_by_value, reason = "`json!({})` reads better without a borrow")]
fn errors_of<T: JsonSchema>(body: Value) -> Vec<(&'static str, String)> {
    let schema = BodySchema::of::<T>();
    let errors = schema.check(&mut read(&schema, &body));
    let place =
        |error: &FieldError| error.location.iter().map(ToString::to_string).collect::<Vec<_>>().join(".");
    errors.iter().map(|error| (error.kind, place(error))).collect()
}

fn start(member: &str, value: Value) -> Value {
    let mut body = json!({"root_node_type_ref": {"node_type_id": "n", "version": "1"}, "input": {}});
    body[member] = value;
    body
}

fn structural(limits: &Value) -> Value {
    start("constraints", json!({ "structural": limits }))
}

fn labels(count: usize) -> Value {
    (0..count).map(|number| (format!("label {number}"), json!("v"))).collect::<serde_json::Map<_, _>>().into()
}

#[test]
fn each_error_has_its_type_and_location() {
    for (body, word, place) in [
        (json!([]), "model_attributes_type", "body"),
        (json!(null), "model_attributes_type", "body"),
        (start("root_node_type_ref", json!(3)), "model_attributes_type", "body.root_node_type_ref"),
        (start("root_node_type_ref", json!(null)), "model_attributes_type", "body.root_node_type_ref"),
        (
            start("root_node_type_ref", json!({"node_type_id": "n"})),
            "missing",
            "body.root_node_type_ref.version",
        ),
        (start("input", json!([])), "dict_type", "body.input"),
        (start("extensions", json!("x")), "dict_type", "body.extensions"),
        (start("surprise", json!(1)), "extra_forbidden", "body.surprise"),
        (start("run_id", json!(1)), "string_type", "body.run_id"),
        (start("metadata", json!({"labels": {"l": 1}})), "string_type", "body.metadata.labels.l"),
        (start("metadata", json!({"labels": {"l": null}})), "string_type", "body.metadata.labels.l"),
        (start("metadata", json!({"labels": labels(MAX_SCALARS + 1)})), "too_long", "body.metadata.labels"),
        (start("metadata", json!({"labels": labels(MAX_SCALARS + 9)})), "too_long", "body.metadata.labels"),
        (structural(&json!({"max_depth": "1"})), "int_type", "body.constraints.structural.max_depth"),
        (structural(&json!({"max_depth": true})), "int_type", "body.constraints.structural.max_depth"),
        (structural(&json!({"max_depth": 1.0})), "int_type", "body.constraints.structural.max_depth"),
        (
            structural(&json!({"max_depth": -1})),
            "greater_than_equal",
            "body.constraints.structural.max_depth",
        ),
        (
            structural(&json!({"max_depth": -1e30})),
            "greater_than_equal",
            "body.constraints.structural.max_depth",
        ),
        (
            start("constraints", json!({"candidates": {"max_candidates_per_subtask": 0}})),
            "greater_than_equal",
            "body.constraints.candidates.max_candidates_per_subtask",
        ),
        (
            start("constraints", json!({"candidates": {"allowed_node_type_ids": {}}})),
            "list_type",
            "body.constraints.candidates.allowed_node_type_ids",
        ),
        (
            start("constraints", json!({"candidates": {"allowed_node_type_ids": ["a", 1]}})),
            "string_type",
            "body.constraints.candidates.allowed_node_type_ids.1",
        ),
        (
            start("constraints", json!({"budgets": {"max_cost": "1"}})),
            "float_type",
            "body.constraints.budgets.max_cost",
        ),
        (
            start("constraints", json!({"budgets": {"max_cost": -0.5}})),
            "greater_than_equal",
            "body.constraints.budgets.max_cost",
        ),
        (
            start("constraints", json!({"gates": {"require_approval": 1}})),
            "bool_type",
            "body.constraints.gates.require_approval",
        ),
        (
            start("constraints", json!({"gates": {"side_effect_class": "READ"}})),
            "enum",
            "body.constraints.gates.side_effect_class",
        ),
    ] {
        assert_eq!(errors_of::<RunStartRequest>(body.clone()), [(word, place.to_owned())], "{body}");
    }
    let create = |specs: Value| json!({"run_id": "r", "parent_node_run_id": "p", "node_runs": specs});
    let spec = json!({"node_type_ref": {"node_type_id": "n", "version": "1"}, "inputs": {}});
    for (specs, errors) in [
        (json!([]), vec![("too_short", "body.node_runs")]),
        (json!(vec![&spec; 1001]), vec![("too_long", "body.node_runs")]),
        (json!(vec![&spec; 1000]), vec![]),
        (json!([spec, {"inputs": {}}]), vec![("missing", "body.node_runs.1.node_type_ref")]),
    ] {
        let expected: Vec<_> = errors.into_iter().map(|(word, place)| (word, place.to_owned())).collect();
        assert_eq!(errors_of::<NodeRunsCreateRequest>(create(specs)), expected);
    }
    let complete = |uri: &str| {
        let artifact = json!({"type": "artifact", "id": "a", "uri": uri});
        errors_of::<NodeRunCompleteRequest>(json!({"state": "failed", "output_artifacts": [artifact]}))
    };
    assert_eq!(complete("/bare/path"), [("url_parsing", "body.output_artifacts.0.uri".to_owned())]);
    assert_eq!(complete("urn:a:b"), []);
    let evaluation = |confidence: f64| {
        let result = json!({"status": "success", "confidence": confidence});
        errors_of::<NodeRunEvaluationReportRequest>(json!({ "evaluation_result": result }))
    };
    let place = || "body.evaluation_result.confidence".to_owned();
    assert_eq!(evaluation(1.1), [("less_than_equal", place())]);
    assert_eq!(evaluation(-0.1), [("greater_than_equal", place())]);
    assert_eq!(evaluation(1.0), []);
}

#[test]
fn all_errors_are_listed_in_a_fixed_order() {
    let body = json!({"zeta": 1, "alpha": 2, "run_id": 5, "constraints": {"gates": {"odd": 1}}});
    let expected = [
        ("extra_forbidden", "body.constraints.gates.odd"),
        ("missing", "body.input"),
        ("missing", "body.root_node_type_ref"),
        ("string_type", "body.run_id"),
        ("extra_forbidden", "body.alpha"),
        ("extra_forbidden", "body.zeta"),
    ];
    assert_eq!(errors_of::<RunStartRequest>(body), expected.map(|(word, place)| (word, place.to_owned())));
}

#[test]
fn null_for_an_optional_member_counts_as_absent() {
    for member in ["run_id", "run_context", "constraints", "metadata", "extensions"] {
        assert_eq!(errors_of::<RunStartRequest>(start(member, json!(null))), [], "{member}");
    }
    assert_eq!(errors_of::<RunStartRequest>(structural(&json!(null))), []);
    assert_eq!(errors_of::<RunStartRequest>(start("input", json!(null))).len(), 1);
}

#[test]
fn integers_of_any_size_are_integers() {
    let schema = BodySchema::of::<RunStartRequest>();
    let body = structural(&json!({"max_depth": u64::MAX, "max_total_nodes_per_run": 1e25}));
    let mut body = read(&schema, &body);
    assert_eq!(schema.check(&mut body), []);
    let request: RunStartRequest = serde::Deserialize::deserialize(body).expect("a request");
    let limits = request.constraints.and_then(|given| given.structural).expect("limits");
    assert_eq!((limits.max_depth, limits.max_total_nodes_per_run), (Some(u64::MAX), Some(u64::MAX)));
}

#[test]
fn declared_member_is_found_behind_many_unknown_ones() {
    let body = format!(
        r#"{{{}"input": 1}}"#,
        (0..MAX_SCALARS + 9).map(|n| format!("\"a{n}\": 1, ")).collect::<String>()
    );
    let schema = BodySchema::of::<RunStartRequest>();
    let mut body = Tree::read(&schema, body.as_bytes(), &Bounds::levels(100)).expect("JSON");
    assert_eq!(schema.check(&mut body)[0].kind, "dict_type");
}

#[test]
fn number_and_size_of_errors_are_bounded() {
    let mut body = start("run_id", json!("r"));
    for index in 0..1000 {
        body[format!("{index}{}", "x".repeat(1000))] = json!(1);
    }
    let schema = BodySchema::of::<RunStartRequest>();
    let errors = schema.check(&mut read(&schema, &body));
    assert_eq!(errors.len(), MAX_ERRORS);
    assert!(errors.iter().all(|error| error.location[1].to_string().len() <= MAX_NAME));
}

#[test]
fn enum_error_lists_the_values() {
    let schema = BodySchema::of::<NodeRunCompleteRequest>();
    let errors = schema.check(&mut read(&schema, &json!({"state": "done"})));
    assert_eq!(errors[0].message, "Input should be 'succeeded', 'failed' or 'canceled'");
}

#[test]
fn ids_keys_and_labels_are_short() {
    let (fits, long) = ("ü".repeat(MAX_SHORT), "ü".repeat(MAX_SHORT + 1));
    let spec = |member: &str, text: &str| {
        let mut spec = json!({"node_type_ref": {"node_type_id": "n", "version": "1"}, "inputs": {}});
        spec[member] = json!(text);
        json!({"run_id": "r", "parent_node_run_id": "p", "node_runs": [spec]})
    };
    for text in [&fits, &long] {
        let expected = |place: &str| {
            let complaint = ("string_too_long", place.to_owned());
            if *text == long { vec![complaint] } else { Vec::new() }
        };
        for member in ["idempotency_key", "candidate_set_id", "requested_executor_instance_id"] {
            let place = format!("body.node_runs.0.{member}");
            assert_eq!(errors_of::<NodeRunsCreateRequest>(spec(member, text)), expected(&place));
        }
        let typed = start("root_node_type_ref", json!({"node_type_id": text, "version": "1"}));
        assert_eq!(errors_of::<RunStartRequest>(typed), expected("body.root_node_type_ref.node_type_id"));
        let listed = start("constraints", json!({"candidates": {"allowed_node_type_ids": ["a", text]}}));
        let place = "body.constraints.candidates.allowed_node_type_ids.1";
        assert_eq!(errors_of::<RunStartRequest>(listed), expected(place));
        let labelled = start("metadata", json!({"labels": {"l": text}}));
        assert_eq!(errors_of::<RunStartRequest>(labelled), expected("body.metadata.labels.l"));
        let named = start("metadata", json!({"annotations": {text.clone(): "v"}}));
        let place = format!("body.metadata.annotations.{}", "ü".repeat(MAX_NAME));
        assert_eq!(errors_of::<RunStartRequest>(named), expected(&place));
    }
    // Texts for people, and whatever is free-form.
    let prose = json!({"state": "failed", "error": {"code": "c", "message": long, "details": {"x": long}}});
    assert_eq!(errors_of::<NodeRunCompleteRequest>(prose), []);
    let annotated = start("metadata", json!({"annotations": {"a": long}}));
    assert_eq!(errors_of::<RunStartRequest>(annotated), []);
}
