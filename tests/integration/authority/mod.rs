//! Authorization (contract §19, D-19): who may do what with which run.
//!
//! - `matrix`: every operation by every kind of caller, as a golden file.
//! - `operator`: the same for the operator API; `webhooks`: of which tenant they report.
//! - `audited`: what of it is in the audit trail.
//! - `bulk`: bulk jobs, reruns.
//! - `attacks`: what a caller of another tenant tries.

mod attacks;
mod audited;
mod bulk;
mod matrix;
mod operator;
mod webhooks;

use serde_json::{Value, json};

use crate::{
    bearer::{assigned, guarded},
    support::{
        Answer, Signer, TestServer,
        sts::{claims, now},
    },
};

/// A caller, with its token if it has one.
struct Caller<'t> {
    t: &'t TestServer,
    token: Option<String>,
}

impl<'t> Caller<'t> {
    /// The subject of a token with these further claims.
    fn new(t: &'t TestServer, subject: &str, changes: Value) -> Self {
        let mut all = json!({"sub": subject, "exp": now() + 300});
        all.as_object_mut().expect("an object").extend(changes.as_object().expect("an object").clone());
        Self { t, token: Some(Signer::known().sign(&claims(&all))) }
    }

    fn with_token(t: &'t TestServer, token: Option<String>) -> Self {
        Self { t, token }
    }

    async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &Value::Null).await
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, body).await
    }

    async fn send(&self, method: &str, path: &str, body: &Value) -> Answer {
        self.sent(self.t.request(method, path), body).await
    }

    /// Sends a request to the operator API.
    async fn operate(&self, method: &str, path: &str, body: &Value) -> Answer {
        self.sent(self.t.operator_request(method, path), body).await
    }

    async fn sent(&self, request: reqwest::RequestBuilder, body: &Value) -> Answer {
        let request = match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        Answer::of(if body.is_null() { request } else { request.json(body) }).await
    }

    /// Starts a run with these further members; returns it.
    async fn start(&self, more: Value) -> Value {
        self.post("/v1/runs", &start(more)).await.ok()
    }

    /// Creates a composite below `parent`; returns its id.
    async fn create(&self, run: &str, parent: &str) -> String {
        let created = self.post("/v1/node-runs", &create(run, parent)).await.ok();
        created["node_runs"][0]["node_run_id"].as_str().expect("an id").to_owned()
    }
}

/// The request to start a run of a composite whose executor waits.
fn start(more: Value) -> Value {
    let mut request = json!({"root_node_type_ref": composite(), "input": {"secret": "of alice"}});
    request.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    request
}

fn create(run: &str, parent: &str) -> Value {
    json!({"run_id": run, "parent_node_run_id": parent,
        "node_runs": [{"node_type_ref": composite(), "inputs": {}}]})
}

fn composite() -> Value {
    json!({"node_type_id": "composite.accept", "version": "1.0.0"})
}
