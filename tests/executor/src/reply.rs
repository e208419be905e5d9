//! What goes over the wire, in HTTP worlds.

use serde_json::{Value, json};

use crate::Answer;

/// An HTTP response.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub content_type: &'static str,
    /// Seconds.
    pub retry_after: Option<u64>,
    pub body: String,
    /// The connection breaks before the whole body is sent.
    pub broken: bool,
}

/// What a proxy of a service mesh says when its upstream breaks off.
const MESH: &str =
    "upstream connect error or disconnect/reset before headers. reset reason: connection termination";

impl Reply {
    pub fn json(status: u16, body: impl Into<String>) -> Self {
        Self { status, content_type: "application/json", retry_after: None, body: body.into(), broken: false }
    }
}

impl Answer {
    /// The response to a request to execute or begin a node, which ended in
    /// this state. `None` breaks the connection off; a server that listens
    /// cannot refuse connections, so it breaks those off as well.
    pub fn reply(self, request: &Value, state: &str) -> Option<Reply> {
        let node = &request["node_run_id"];
        let ok = |body: Value| Some(Reply::json(200, body.to_string()));
        match self {
            Self::Result if state == "failed" => ok(failed(node)),
            Self::Result => ok(result(request, state)),
            Self::ResultOfAnotherNode => ok(json!({"node_run_id": "another-node", "state": "succeeded"})),
            Self::ResultNotTerminal => ok(result(request, "running")),
            Self::ResultWithEveryMember => ok(json!({
                "node_run_id": node, "state": "succeeded", "outputs": {"keep": null}, "error": null,
                "output_artifacts": [{"type": "artifact", "id": "a", "uri": "HTTP://Host.Example/a"}],
                "started_at": "2026-01-01T00:00:00Z", "ended_at": null, "extensions": {"a.b": 1},
                "unheard of": true,
            })),
            Self::NotJson => Some(Reply::json(200, "not JSON")),
            Self::Accepted => ok(json!({"accepted": true, "message": null})),
            Self::Rejected { reason } => ok(json!({"accepted": false, "message": reason})),
            Self::Envelope { status, retry_after } => {
                let code = if status == 429 { "throttled" } else { "busy" };
                let error = json!({"code": code, "message": "come back later", "details": {"queue": 7}});
                Some(Reply { retry_after, ..Reply::json(status, json!({ "error": error }).to_string()) })
            }
            Self::Intermediary { status: 502, retry_after } => Some(Reply {
                content_type: "text/html",
                retry_after,
                ..Reply::json(502, "<html>bad gateway</html>")
            }),
            Self::Intermediary { status, retry_after } => {
                Some(Reply { content_type: "text/plain", retry_after, ..Reply::json(status, MESH) })
            }
            Self::ConnectionRefused | Self::ConnectionBroken => None,
            Self::AnswerBroken => Some(Reply { broken: true, ..Reply::json(200, "{\"node_run_id\":") }),
        }
    }
}

/// A result with the node's inputs as its outputs.
pub fn result(request: &Value, state: &str) -> Value {
    json!({"node_run_id": request["node_run_id"], "state": state, "outputs": request["inputs"]})
}

pub fn failed(node: &Value) -> Value {
    let error =
        json!({"code": "handler_error", "message": "it went wrong", "details": {"why": "on purpose"}});
    json!({"node_run_id": node, "state": "failed", "error": error})
}

/// An error envelope.
pub fn refusal(status: u16, code: &str, message: &str) -> Reply {
    Reply::json(status, json!({"error": {"code": code, "message": message}}).to_string())
}
