//! Requests that the generated client does not send, and assertions about complete
//! answers.

use reqwest::{
    Method, RequestBuilder,
    header::{CONTENT_TYPE, HeaderMap},
};
use serde_json::Value;

use super::{TestServer, soon};

/// A complete answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl TestServer {
    pub fn request(&self, method: &str, path: &str) -> RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        self.http.request(method, format!("{}{path}", self.url))
    }

    /// A request to the operator API.
    pub fn operator_request(&self, method: &str, path: &str) -> RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        self.http.request(method, format!("{}{path}", self.operator_url()))
    }

    pub async fn get(&self, path: &str) -> Answer {
        Answer::of(self.request("GET", path)).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        Answer::of(self.request("POST", path).json(body)).await
    }

    /// Posts these bytes with this content type.
    pub async fn post_raw(&self, path: &str, content_type: &str, body: impl Into<reqwest::Body>) -> Answer {
        Answer::of(self.request("POST", path).header(CONTENT_TYPE, content_type).body(body)).await
    }
}

impl Answer {
    /// Sends the request and reads the whole answer. A JSON answer must have nulls
    /// only in free-form maps.
    pub async fn of(request: RequestBuilder) -> Self {
        soon("an answer", async {
            let response = request.send().await.expect("an answer");
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            let answer = Self { status, headers, text: response.text().await.expect("a body") };
            if answer.header("content-type") == Some("application/json") && !answer.text.is_empty() {
                let nulls = nulls(&answer.body());
                assert!(nulls.is_empty(), "null at {nulls:?} in {}", answer.text);
            }
            answer
        })
        .await
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("a header of ASCII"))
    }

    /// The values of a header that may stand in several lines.
    pub fn header_list(&self, name: &str) -> String {
        let lines = self.headers.get_all(name).iter();
        lines.map(|value| value.to_str().expect("a header of ASCII")).collect::<Vec<_>>().join(", ")
    }

    pub fn body(&self) -> Value {
        serde_json::from_str(&self.text).expect("JSON")
    }

    /// Asserts a success, and returns its body.
    #[track_caller]
    pub fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text);
        assert_eq!(self.header("content-type"), Some("application/json"));
        self.body()
    }

    /// Asserts a 204.
    #[track_caller]
    pub fn no_content(&self) {
        assert_eq!((self.status, self.text.as_str()), (204, ""));
    }

    /// Asserts an error envelope with this status and code and no unknown members,
    /// and returns its error.
    #[track_caller]
    pub fn refused(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(self.header("content-type"), Some("application/json"));
        let Value::Object(mut envelope) = self.body() else { panic!("no envelope: {}", self.text) };
        let error = envelope.remove("error").expect("an error");
        assert!(envelope.is_empty(), "more than an error: {}", self.text);
        assert_eq!(error["code"], code, "{error}");
        assert!(error["message"].is_string() && error["details"].as_array().is_none(), "{error}");
        for member in error.as_object().expect("an object").keys() {
            assert!(["code", "message", "details", "retryable"].contains(&member.as_str()), "{member}");
        }
        error
    }

    /// Asserts a validation error, and returns the type and location of each entry.
    #[track_caller]
    pub fn complaints(&self) -> Vec<(String, String)> {
        let error = self.refused(400, "invalid_request");
        assert_eq!(error["message"], "Request validation failed");
        let errors = error["details"]["errors"].as_array().expect("a list of errors").clone();
        let step = |step: &Value| step.as_str().map_or_else(|| step.to_string(), str::to_owned);
        let complaint = |error: Value| {
            let members: Vec<&String> = error.as_object().expect("an object").keys().collect();
            assert_eq!(members, ["loc", "msg", "type"], "no input comes back");
            let place: Vec<String> = error["loc"].as_array().expect("a place").iter().map(step).collect();
            (error["type"].as_str().expect("a word").to_owned(), place.join("."))
        };
        errors.into_iter().map(complaint).collect()
    }
}

/// The places of a JSON answer with nulls that the schemas do not allow. In
/// free-form maps nulls are data (contract §3.4).
pub fn nulls(body: &Value) -> Vec<String> {
    let mut found = Vec::new();
    walk(body, "", "", &mut found);
    found
}

/// The coordinator's own extension keys. Their values are typed and have no nulls.
const OWN: [&str; 6] = [
    "constraints",
    "decomposition_rounds",
    "completion_error",
    "candidate_set_id",
    "binding_decision",
    "idempotency_key",
];

fn walk(value: &Value, inside: &str, place: &str, found: &mut Vec<String>) {
    match value {
        Value::Null => found.push(place.to_owned()),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                walk(item, inside, &format!("{place}/{index}"), found);
            }
        }
        Value::Object(members) => {
            for (name, value) in members {
                let free_form = match (inside, name.as_str()) {
                    (_, "inputs" | "outputs" | "details" | "data") => true,
                    ("run_context", "identity" | "policy" | "budgets") => true,
                    ("extensions", name) => !OWN.contains(&name),
                    _ => false,
                };
                if !free_form {
                    walk(value, name, &format!("{place}/{name}"), found);
                }
            }
        }
        Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn nulls_are_found_where_they_must_not_be() {
    let body = serde_json::json!({
        "a": null,
        "inputs": {"x": null},
        "error": {"details": {"x": null}, "retryable": null},
        "run_context": {"budgets": {"x": null}, "tenant_id": null},
        "extensions": {"x": null, "constraints": {"budgets": {"max_cost": null}}},
        "node_runs": [{"kind": null}],
    });
    let expected = [
        "/a",
        "/error/retryable",
        "/extensions/constraints/budgets/max_cost",
        "/node_runs/0/kind",
        "/run_context/tenant_id",
    ];
    let mut found = nulls(&body);
    found.sort();
    assert_eq!(found, expected);
}
