//! Disagreements with the specification, and where each must be found.

use serde_json::{Value, json};

use crate::edit::{at, rename, set, take};

/// A disagreement: its name, how it comes about, and where it is found.
pub(crate) type Mutation = (&'static str, fn(&mut Value), &'static [&'static str]);

const START: &str = "/paths/~1v1~1runs/post";
/// The operation that most of these are about.
pub(crate) const GET: &str = "/paths/~1v1~1runs~1{run_id}/get";

pub(crate) const MUTATIONS: &[Mutation] = &[
    (
        "member removed",
        |d| _ = take(d, "/components/schemas/Health/properties/checks"),
        &["#/components/schemas/Health/properties/checks"],
    ),
    (
        "member added",
        |d| set(d, "/components/schemas/Run/properties/extra", json!({"type": "string"})),
        &["#/components/schemas/Run/properties/extra"],
    ),
    (
        "member added that is called like prose",
        |d| set(d, "/components/schemas/Run/properties/description", json!({"type": "string"})),
        &["#/components/schemas/Run/properties/description"],
    ),
    (
        "type changed",
        |d| set(d, "/components/schemas/Error/properties/retryable/type", json!("string")),
        &["#/components/schemas/Error/properties/retryable/type"],
    ),
    (
        "type of a shared schema changed",
        |d| set(d, "/components/schemas/RunId/type", json!("integer")),
        &["#/components/schemas/RunId/type"],
    ),
    ("type removed", |d| _ = take(d, "/components/schemas/RunId/type"), &["#/components/schemas/RunId/type"]),
    (
        "item type changed",
        |d| {
            set(
                d,
                "/components/schemas/CandidateConstraints/properties/denied_node_type_ids/items/type",
                json!("integer"),
            )
        },
        &["#/components/schemas/CandidateConstraints/properties/denied_node_type_ids/items/type"],
    ),
    (
        "required removed",
        |d| _ = take(d, "/components/schemas/Run/required/1"),
        &["#/components/schemas/Run/required"],
    ),
    (
        "required added",
        |d| {
            at(d, "/components/schemas/Run/required")
                .as_array_mut()
                .expect("a list")
                .push("started_at".into())
        },
        &["#/components/schemas/Run/required"],
    ),
    (
        "required where nothing was",
        |d| set(d, "/components/schemas/BuildInfo/required", json!(["commit"])),
        &["#/components/schemas/BuildInfo/required"],
    ),
    (
        "required member may be null",
        |d| set(d, "/components/schemas/Error/properties/code/nullable", json!(true)),
        &["#/components/schemas/Error/properties/code/nullable"],
    ),
    (
        "items may be null",
        |d| {
            set(
                d,
                "/components/schemas/VersionInfo/properties/supported_api_versions/items/nullable",
                json!(true),
            )
        },
        &["#/components/schemas/VersionInfo/properties/supported_api_versions/items/nullable"],
    ),
    (
        "upper bound changed",
        |d| set(d, "/components/schemas/EvaluationResult/properties/confidence/maximum", json!(2)),
        &["#/components/schemas/EvaluationResult/properties/confidence/maximum"],
    ),
    (
        "lower bound removed",
        |d| _ = take(d, "/components/schemas/BudgetConstraints/properties/max_cost/minimum"),
        &["#/components/schemas/BudgetConstraints/properties/max_cost/minimum"],
    ),
    (
        "lower bound made exclusive",
        |d| {
            set(d, "/components/schemas/BudgetConstraints/properties/max_steps/exclusiveMinimum", json!(true))
        },
        &["#/components/schemas/BudgetConstraints/properties/max_steps/exclusiveMinimum"],
    ),
    (
        "pattern added",
        |d| set(d, "/components/schemas/RunId/pattern", json!("^run_")),
        &["#/components/schemas/RunId/pattern"],
    ),
    (
        "minItems removed",
        |d| _ = take(d, "/components/schemas/NodeRunsCreateRequest/properties/node_runs/minItems"),
        &["#/components/schemas/NodeRunsCreateRequest/properties/node_runs/minItems"],
    ),
    (
        "enum value removed",
        |d| _ = take(d, "/components/schemas/RunState/enum/0"),
        &["#/components/schemas/RunState/enum"],
    ),
    (
        "enum value added",
        |d| at(d, "/components/schemas/RunState/enum").as_array_mut().expect("a list").push("paused".into()),
        &["#/components/schemas/RunState/enum"],
    ),
    (
        "enum value renamed",
        |d| set(d, "/components/schemas/SideEffectClass/enum", json!(["read", "write", "destroy"])),
        &["#/components/schemas/SideEffectClass/enum", "#/components/schemas/SideEffectClass/enum"],
    ),
    (
        "unknown members allowed",
        |d| set(d, "/components/schemas/NodeRunCreateSpec/additionalProperties", json!(true)),
        &["#/components/schemas/NodeRunCreateSpec/additionalProperties"],
    ),
    (
        "unknown members refused",
        |d| set(d, "/components/schemas/Extensions/additionalProperties", json!(false)),
        &["#/components/schemas/Extensions/additionalProperties"],
    ),
    (
        "map values of any type",
        |d| set(d, "/components/schemas/Metadata/properties/labels/additionalProperties", json!(true)),
        &["#/components/schemas/Metadata/properties/labels/additionalProperties"],
    ),
    (
        "map values of another type",
        |d| {
            set(
                d,
                "/components/schemas/Metadata/properties/labels/additionalProperties/type",
                json!("integer"),
            )
        },
        &["#/components/schemas/Metadata/properties/labels/additionalProperties/type"],
    ),
    (
        "format removed",
        |d| _ = take(d, "/components/schemas/EndpointLocator/format"),
        &["#/components/schemas/EndpointLocator/format"],
    ),
    (
        "format changed",
        |d| set(d, "/components/schemas/Run/properties/started_at/format", json!("date")),
        &["#/components/schemas/Run/properties/started_at/format"],
    ),
    (
        "default added, and false at that",
        |d| set(d, "/components/schemas/GateConstraints/properties/require_approval/default", json!(false)),
        &["#/components/schemas/GateConstraints/properties/require_approval/default"],
    ),
    (
        "schema that no operation refers to",
        |d| _ = take(d, "/components/schemas/RunEvent/required/1"),
        &["#/components/schemas/RunEvent/required"],
    ),
    (
        "schema that only such a schema refers to",
        |d| _ = take(d, "/components/schemas/RunEventType/enum/1"),
        &["#/components/schemas/RunEventType/enum"],
    ),
    (
        "operation missing",
        |d| _ = take(d, "/paths/~1v1~1runs~1{run_id}:cancel/post"),
        &["#/paths/~1v1~1runs~1{run_id}:cancel/post"],
    ),
    (
        "operation added",
        |d| {
            let get = at(d, GET).clone();
            set(d, "/paths/~1v1~1runs~1{run_id}/delete", get)
        },
        &["#/paths/~1v1~1runs~1{run_id}/delete"],
    ),
    (
        "method changed",
        |d| rename(d, "/paths/~1v1~1runs/post", "put"),
        &["#/paths/~1v1~1runs/post", "#/paths/~1v1~1runs/put"],
    ),
    (
        "operation id changed",
        |d| set(d, &format!("{START}/operationId"), json!("run_start")),
        &["#/paths/~1v1~1runs/post/operationId"],
    ),
    (
        "tag changed",
        |d| set(d, &format!("{START}/tags"), json!(["run"])),
        &["#/paths/~1v1~1runs/post/tags", "#/paths/~1v1~1runs/post/tags"],
    ),
    ("security of all removed", |d| _ = take(d, "/security"), &["#/security"]),
    ("security of one removed", |d| set(d, &format!("{GET}/security"), json!([])), &["#/security"]),
    (
        "security added where none was",
        |d| _ = take(d, "/paths/~1v1~1health/get/security"),
        &["#/paths/~1v1~1health/get/security"],
    ),
    (
        "security optional",
        |d| set(d, &format!("{GET}/security"), json!([{"ArpBearerJWT": []}, {}])),
        &["#/security"],
    ),
    (
        "security scheme changed",
        |d| set(d, "/components/securitySchemes/ArpBearerJWT/scheme", json!("basic")),
        &["#/components/securitySchemes/ArpBearerJWT/scheme"],
    ),
    (
        "status code changed",
        |d| rename(d, "/paths/~1v1~1runs/post/responses/200", "201"),
        &["#/paths/~1v1~1runs/post/responses/200", "#/paths/~1v1~1runs/post/responses/201"],
    ),
    (
        "status code missing",
        |d| _ = take(d, &format!("{GET}/responses/403")),
        &["#/paths/~1v1~1runs~1{run_id}/get/responses/403"],
    ),
    (
        "response has a body",
        |d| {
            set(
                d,
                "/paths/~1v1~1node-runs~1{node_run_id}:complete/post/responses/204/content",
                json!({"application/json": {}}),
            )
        },
        &["#/paths/~1v1~1node-runs~1{node_run_id}:complete/post/responses/204/content/application~1json"],
    ),
    (
        "response content type changed",
        |d| {
            rename(
                d,
                "/paths/~1v1~1runs~1{run_id}~1events/get/responses/200/content/application~1x-ndjson",
                "application/json",
            )
        },
        &[
            "#/paths/~1v1~1runs~1{run_id}~1events/get/responses/200/content/application~1json",
            "#/paths/~1v1~1runs~1{run_id}~1events/get/responses/200/content/application~1x-ndjson",
        ],
    ),
    (
        "response schema removed",
        |d| _ = take(d, &format!("{GET}/responses/200/content/application~1json/schema")),
        &["#/paths/~1v1~1runs~1{run_id}/get/responses/200/content/application~1json/schema"],
    ),
    (
        "header removed",
        |d| _ = take(d, "/components/responses/UnauthorizedError/headers/WWW-Authenticate"),
        &["#/components/responses/UnauthorizedError/headers/WWW-Authenticate"],
    ),
    (
        "header added",
        |d| {
            set(
                d,
                "/components/responses/ForbiddenError/headers",
                json!({"Retry-After": {"schema": {"type": "integer"}}}),
            )
        },
        &["#/components/responses/ForbiddenError/headers/retry-after"],
    ),
    (
        "header type changed",
        |d| {
            set(
                d,
                "/components/responses/UnauthorizedError/headers/WWW-Authenticate/schema/type",
                json!("integer"),
            )
        },
        &["#/components/responses/UnauthorizedError/headers/WWW-Authenticate/schema/type"],
    ),
    (
        "header required",
        |d| set(d, "/components/responses/UnauthorizedError/headers/WWW-Authenticate/required", json!(true)),
        &["#/components/responses/UnauthorizedError/headers/WWW-Authenticate/required"],
    ),
    (
        "parameter renamed",
        |d| set(d, &format!("{GET}/parameters/0/name"), json!("id")),
        &[
            "#/paths/~1v1~1runs~1{run_id}/get/parameters/0",
            "#/paths/~1v1~1runs~1{run_id}/get/parameters/id (path)",
        ],
    ),
    (
        "parameter not required",
        |d| set(d, &format!("{GET}/parameters/0/required"), json!(false)),
        &["#/paths/~1v1~1runs~1{run_id}/get/parameters/0/required"],
    ),
    (
        "parameter elsewhere",
        |d| set(d, &format!("{GET}/parameters/0/in"), json!("query")),
        &[
            "#/paths/~1v1~1runs~1{run_id}/get/parameters/0",
            "#/paths/~1v1~1runs~1{run_id}/get/parameters/run_id (query)",
        ],
    ),
    (
        "parameter type changed",
        |d| set(d, &format!("{GET}/parameters/0/schema"), json!({"type": "integer"})),
        &["#/components/schemas/RunId/type"],
    ),
    (
        "parameter added",
        |d| {
            at(d, &format!("{GET}/parameters"))
                .as_array_mut()
                .expect("a list")
                .push(json!({"in": "query", "name": "depth", "schema": {}}))
        },
        &["#/paths/~1v1~1runs~1{run_id}/get/parameters/depth (query)"],
    ),
    (
        "request body optional",
        |d| set(d, &format!("{START}/requestBody/required"), json!(false)),
        &["#/paths/~1v1~1runs/post/requestBody/required"],
    ),
    (
        "request body missing",
        |d| _ = take(d, &format!("{START}/requestBody")),
        &["#/paths/~1v1~1runs/post/requestBody"],
    ),
    (
        "request body where none was",
        |d| set(d, "/paths/~1v1~1runs~1{run_id}:cancel/post/requestBody", json!({"content": {}})),
        &["#/paths/~1v1~1runs~1{run_id}:cancel/post/requestBody"],
    ),
    (
        "request content type changed",
        |d| rename(d, &format!("{START}/requestBody/content/application~1json"), "application/yaml"),
        &[
            "#/paths/~1v1~1runs/post/requestBody/content/application~1json",
            "#/paths/~1v1~1runs/post/requestBody/content/application~1yaml",
        ],
    ),
];
