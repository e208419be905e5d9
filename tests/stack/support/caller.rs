//! A caller of the coordinator, or of the gateway in front of it: most of their API is
//! the same.

use jarvis_run_coordinator::{
    clients::{Peer, Service, run_coordinator::Client},
    types::{NodeRun, NodeRunId, Run, RunEvent, RunId},
};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use super::{VERSION, soon};

/// A client, with or without a token.
pub struct Caller {
    pub client: Client,
    pub url: String,
    http: reqwest::Client,
    token: Option<String>,
}

impl Caller {
    /// A caller with a token, or without one.
    pub fn new(url: &str, token: Option<String>) -> Self {
        // Each request has a connection of its own, because the server may be killed.
        let http = reqwest::Client::builder().pool_max_idle_per_host(0).build().expect("a client");
        let peer = match &token {
            Some(token) => Peer::with_token(Service::RunCoordinator, token),
            None => Peer::anonymous(Service::RunCoordinator),
        };
        let client = Client::new_with_client(url, http.clone(), peer);
        Self { client, url: url.to_owned(), http, token }
    }

    /// A caller of the same URL without a token.
    pub fn anonymous(&self) -> Self {
        Self::new(&self.url, None)
    }

    /// A caller of another URL with the same token.
    pub fn at(&self, url: &str) -> Self {
        Self::new(url, self.token.clone())
    }

    pub async fn run_start(&self, node_type: &Value, input: Value) -> Run {
        self.run_start_with(node_type, input, json!({})).await
    }

    /// Starts a run with further members in the request.
    pub async fn run_start_with(&self, node_type: &Value, input: Value, more: Value) -> Run {
        let mut request = json!({"root_node_type_ref": node_type, "input": input});
        let members = request.as_object_mut().expect("an object");
        if let Value::Object(more) = more {
            members.extend(more);
        }
        let request = serde_json::from_value(request).expect("a start request");
        let started = soon("a started run", self.client.start_run(&request)).await;
        started.expect("the run starts").into_inner()
    }

    /// Starts a run of the planner with this goal.
    pub async fn plan(&self, goal: &str) -> Run {
        self.run_start(&planner_type(), json!({"goal": goal})).await
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.url));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Posts a body; returns the status and the body of the answer.
    pub async fn post(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        let answer = self.request(Method::POST, path).json(body).send();
        let answer = soon("an answer", answer).await.expect("an answer");
        (answer.status(), answer.json().await.expect("a JSON answer"))
    }

    pub async fn run(&self, run: &RunId) -> Run {
        self.client.get_run(run).await.expect("the run").into_inner()
    }

    pub async fn node(&self, node: &NodeRunId) -> NodeRun {
        self.client.get_node_run(node).await.expect("the node run").into_inner()
    }

    pub async fn cancel(&self, run: &RunId) -> Run {
        self.client.cancel_run(run).await.expect("it is canceled").into_inner()
    }

    /// Follows a run to its end; returns the run, its root, and all events. Only for the
    /// coordinator itself.
    pub async fn run_ended(&self, run: &RunId) -> (Run, NodeRun, Vec<RunEvent>) {
        let path = format!("/v1/runs/{run}/events?follow=1");
        let lines = async {
            let answer = self.request(Method::GET, &path).send().await.expect("a stream");
            assert_eq!(answer.status(), StatusCode::OK);
            answer.text().await.expect("its lines")
        };
        let lines = soon("the end of the run", lines).await;
        let events: Vec<RunEvent> =
            lines.lines().map(|line| serde_json::from_str(line).expect("a RunEvent a line")).collect();
        let seqs: Vec<u64> = events.iter().map(|event| event.seq).collect();
        assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>(), "seq has no gaps");
        let run = self.run(run).await;
        let root = self.node(&run.root_node_run_id).await;
        (run, root, events)
    }
}

pub fn echo_type() -> Value {
    json!({"node_type_id": "jarvis.core.echo", "version": VERSION})
}

pub fn sleep_type() -> Value {
    json!({"node_type_id": "jarvis.core.sleep", "version": VERSION})
}

pub fn planner_type() -> Value {
    json!({"node_type_id": "jarvis.composite.planner.general", "version": VERSION})
}

/// The error that a node was completed with.
pub fn completion_error(node: &NodeRun) -> Value {
    node.extensions.as_ref().and_then(|extensions| extensions.get("completion_error")).unwrap_or_default()
}

/// The types of events, in order.
pub fn types(events: &[RunEvent]) -> Vec<String> {
    events.iter().map(|event| event.type_.to_string()).collect()
}
