//! Each failure has its status, code and message.

use super::*;
use crate::{engine::Rejection, types::RunId};

fn shown(error: &ApiError) -> (u16, Value) {
    (error.0.status.as_u16(), serde_json::to_value(error).unwrap())
}

#[test]
fn failures_map_to_status_code_and_message() {
    let unauthorized = AuthError { error: "invalid_token", message: "Token expired" };
    let field =
        |kind, location: Vec<Step>, message: &str| FieldError { kind, location, message: message.into() };
    let table = [
        (
            ApiError::internal("a secret"),
            500,
            json!({"code": "internal_error", "message": "Internal server error"}),
        ),
        (
            ApiError::unauthorized(&unauthorized),
            401,
            json!({"code": "unauthorized", "message": "Token expired"}),
        ),
        (
            ApiError::too_large(10),
            413,
            json!({"code": "payload_too_large", "message": "The request body is larger than 10 bytes", "retryable": false}),
        ),
        (
            CoordinatorError::RunNotFound(RunId::new("r")).into(),
            404,
            json!({"code": "run_not_found", "message": "Run 'r' not found", "retryable": false}),
        ),
        (
            CoordinatorError::OutsideAssignment("n".into()).into(),
            403,
            json!({"code": "forbidden", "message": "Token is scoped to NodeRun 'n' and its descendants", "retryable": false}),
        ),
        (
            CoordinatorError::Rejected(Rejection::RunAlreadyExists).into(),
            409,
            json!({"code": "run_already_exists", "message": "Run already exists.", "retryable": false}),
        ),
        (
            CoordinatorError::NodeRegistryUnavailable { internal: "http://secret".into() }.into(),
            503,
            json!({"code": "node_registry_unavailable", "message": "Node Registry request failed", "retryable": true}),
        ),
        (
            ApiError::invalid(vec![field(
                "missing",
                vec!["body".into(), "node_runs".into(), 0.into(), "inputs".into()],
                "Field required",
            )]),
            400,
            json!({"code": "invalid_request", "message": "Request validation failed", "retryable": false, "details":
                {"errors": [{"type": "missing", "loc": ["body", "node_runs", 0, "inputs"], "msg": "Field required"}]}}),
        ),
        (
            HttpError::for_bad_request(None, "bad path parameter: secret".into()).into(),
            400,
            json!({"code": "invalid_request", "message": "Request validation failed", "retryable": false}),
        ),
        (
            HttpError::for_internal_error("a secret".into()).into(),
            500,
            json!({"code": "internal_error", "message": "Internal server error"}),
        ),
        (
            HttpError::for_not_found(None, "no path in router".into()).into(),
            404,
            json!({"code": "http_error", "message": "Not Found", "retryable": false}),
        ),
    ];
    for (error, status, expected) in table {
        assert_eq!(shown(&error), (status, json!({ "error": expected })));
    }
}

#[test]
fn reached_limit_is_named_with_the_time_to_wait() {
    let limit = |millis| LimitReached {
        name: "rate_per_principal",
        value: 5,
        unit: "requests per second and principal",
        wait: Duration::from_millis(millis),
    };
    for (error, status, code) in [
        (ApiError::rate_limited(limit(1)), 429, "rate_limited"),
        (ApiError::overloaded(limit(1)), 503, "overloaded"),
    ] {
        let expected = json!({"code": code, "retryable": true,
            "message": "The limit of 5 requests per second and principal is reached: try again later",
            "details": {"limit": {"name": "rate_per_principal", "value": 5,
                "unit": "requests per second and principal"}}});
        assert_eq!(shown(&error), (status, json!({ "error": expected })));
    }
    for (millis, seconds) in [(0, "1"), (1, "1"), (1_000, "1"), (1_001, "2"), (59_999, "60")] {
        let response = ApiError::rate_limited(limit(millis)).into_response();
        assert_eq!(response.headers()[RETRY_AFTER], seconds, "{millis}");
    }
}

#[test]
fn internal_message_goes_to_the_log_only() {
    let error = ApiError::from(CoordinatorError::NodeRegistryUnavailable { internal: "refused".into() });
    assert_eq!(error.to_string(), "refused");
    assert_eq!(ApiError::from(HttpError::for_internal_error("why".into())).to_string(), "why");
}

#[test]
fn challenge_says_what_is_wrong_with_the_token() {
    let error = ApiError::unauthorized(&AuthError { error: "invalid_token", message: "Token expired" });
    let response = error.into_response();
    assert_eq!(
        response.headers()[WWW_AUTHENTICATE],
        "Bearer error=\"invalid_token\", error_description=\"Token expired\""
    );
    assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
}
