//! Callers with a bearer token: users, and executors with the token of their
//! assignment.

use jarvis_run_coordinator::types::NodeRunState;
use serde_json::{Value, json};

use crate::support::{Answer, Call, FakeExecutors, Signer, Sts, TestServer, soon, sts::claims};

pub fn spec(id: &str) -> Value {
    json!({"node_type_ref": {"node_type_id": id, "version": "1.0.0"}, "inputs": {"x": 1}})
}

/// A caller with a bearer token.
pub struct Bearer<'t> {
    pub t: &'t TestServer,
    pub token: String,
}

impl<'t> Bearer<'t> {
    pub fn new(t: &'t TestServer, token: impl Into<String>) -> Self {
        Self { t, token: token.into() }
    }

    pub async fn get(&self, path: &str) -> Answer {
        Answer::of(self.t.request("GET", path).bearer_auth(&self.token)).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        Answer::of(self.t.request("POST", path).bearer_auth(&self.token).json(body)).await
    }

    /// Starts a run; returns its id and that of its root.
    pub async fn start(&self, node_type: &str) -> [String; 2] {
        let request = json!({"root_node_type_ref": spec(node_type)["node_type_ref"], "input": {}});
        let run = self.post("/v1/runs", &request).await.ok();
        ["run_id", "root_node_run_id"].map(|name| run[name].as_str().expect("an id").to_owned())
    }

    /// Creates a child; returns its id.
    pub async fn create(&self, run: &str, parent: &str, node_type: &str) -> String {
        let request = json!({"run_id": run, "parent_node_run_id": parent, "node_runs": [spec(node_type)]});
        let created = self.post("/v1/node-runs", &request).await.ok();
        created["node_runs"][0]["node_run_id"].as_str().expect("an id").to_owned()
    }

    /// Polls until a node has succeeded.
    pub async fn succeeded(&self, node: &str) {
        let state = NodeRunState::Succeeded.to_string();
        soon("the end of the node", async {
            while self.get(&format!("/v1/node-runs/{node}")).await.ok()["state"] != state {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

pub async fn guarded(sts: &Sts, more: &[(&str, &str)]) -> TestServer {
    let journal = tempfile::tempdir().expect("a folder for the journal");
    guarded_on(journal, FakeExecutors::start(), sts, more).await
}

pub async fn guarded_on(
    journal: tempfile::TempDir,
    executors: FakeExecutors,
    sts: &Sts,
    more: &[(&str, &str)],
) -> TestServer {
    let vars = sts.variables();
    let mut vars: Vec<(&str, &str)> = vars.iter().map(|(name, value)| (*name, value.as_str())).collect();
    vars.extend_from_slice(more);
    TestServer::try_start(journal, executors, &vars).await.expect("the server starts")
}

pub fn user(t: &TestServer) -> Bearer<'_> {
    Bearer::new(t, Signer::known().sign(&claims(&json!({}))))
}

/// The assignment token that the executor of a composite received.
pub async fn assigned(t: &TestServer, node: &str) -> String {
    let is_assignment = |call: &&Call| call.path.ends_with(":begin") && call.body["node_run_id"] == node;
    let calls =
        t.executors.calls_until("the assignment", |calls| calls.iter().any(|c| is_assignment(&c))).await;
    let call = calls.iter().find(is_assignment).expect("the assignment");
    call.body["assignment_token"].as_str().expect("a token").to_owned()
}

#[track_caller]
pub fn forbidden(answer: &Answer, node: &str) {
    let message = format!("Token is scoped to NodeRun '{node}' and its descendants");
    let expected = json!({"code": "forbidden", "message": message, "retryable": false});
    assert_eq!(answer.refused(403, "forbidden"), expected);
}

/// A request: the operation in the API document, the path, and the body.
pub type Request = ((&'static str, &'static str), String, Value);

/// The requests of all operations on a node of a run.
pub fn about_node(run: &str, node: &str) -> Vec<Request> {
    let path = format!("/v1/node-runs/{node}");
    let evaluation = json!({"evaluation_result": {"status": "fail"}});
    let create = json!({"run_id": run, "parent_node_run_id": node, "node_runs": [spec("atomic.echo")]});
    vec![
        (("get", "/v1/node-runs/{node_run_id}"), path.clone(), Value::Null),
        (("get", "/v1/node-runs/{node_run_id}/events"), format!("{path}/events"), Value::Null),
        (("post", "/v1/node-runs/{node_run_id}:evaluation"), format!("{path}:evaluation"), evaluation),
        (("post", "/v1/node-runs"), "/v1/node-runs".into(), create),
        (
            ("post", "/v1/node-runs/{node_run_id}:complete"),
            format!("{path}:complete"),
            json!({"state": "succeeded"}),
        ),
    ]
}

pub async fn send(bearer: &Bearer<'_>, (operation, path, body): &Request) -> Answer {
    match operation.0 {
        "get" => bearer.get(path).await,
        _ => bearer.post(path, body).await,
    }
}

/// The part of a token that is not its signature, as JSON.
fn part_of(token: &str, at: usize) -> Value {
    let part = token.split('.').nth(at).expect("three parts");
    let part = base64::Engine::decode(&base64::prelude::BASE64_URL_SAFE_NO_PAD, part).expect("base64");
    serde_json::from_slice(&part).expect("JSON")
}

pub fn claims_of(token: &str) -> Value {
    part_of(token, 1)
}

/// The id of the key that signed a token.
pub fn kid_of(token: &str) -> String {
    part_of(token, 0)["kid"].as_str().expect("a key id").to_owned()
}
