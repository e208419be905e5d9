//! Our program, as a process on a journal of its own.

use std::{path::Path, thread};

use jarvis_run_coordinator::{
    clients::{Peer, Service, run_coordinator::Client},
    ids::{NodeRunId, RunId},
    model::{NodeRun, Run, RunEvent},
};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    process::Process,
    services::{Services, attended},
    soon,
};

/// What a program is started with, and again after a crash.
pub struct Surroundings {
    pub journal: TempDir,
    pub registry: String,
    pub services: &'static Services,
}

impl Surroundings {
    /// An empty journal, and the services of all tests.
    pub async fn new() -> Self {
        let services = Services::shared().await;
        let journal = tempfile::tempdir().expect("a folder for the journal");
        Self { journal, registry: services.registry.url.clone(), services }
    }
}

impl Drop for Surroundings {
    fn drop(&mut self) {
        if thread::panicking() {
            self.services.registry.print_output();
            self.services.executor.print_output();
        }
    }
}

/// The program among the services, without authentication, allowing everything.
pub struct Coordinator {
    process: Process,
    pub client: Client,
    pub url: String,
    around: Surroundings,
}

impl Coordinator {
    pub async fn start() -> Self {
        Self::start_with(Surroundings::new().await, &[]).await
    }

    /// The same with further variables.
    pub async fn start_with(around: Surroundings, vars: &[(&str, &str)]) -> Self {
        let folder = around.journal.path();
        let journal = folder.join("journal.db").display().to_string();
        let mut all = vec![
            ("ARP_AUTH_PROFILE", "dev-insecure"),
            ("JARVIS_POLICY_PROFILE", "dev-allow"),
            ("JARVIS_RUN_COORDINATOR_JOURNAL", &journal),
            ("JARVIS_RUN_COORDINATOR_LOG_FORMAT", "json"),
            ("JARVIS_NODE_REGISTRY_URL", &around.registry),
            ("JARVIS_ATOMIC_EXECUTOR_URL", &around.services.executor.url),
        ];
        all.extend(vars);
        let mut command = attended(Path::new(env!("CARGO_BIN_EXE_jarvis-run-coordinator")), &all);
        // Not where somebody's `.env` is.
        command.args(["--port", "0"]).current_dir(folder);
        let process = Process::start("coordinator", command);
        let address = process
            .line("its address", |line| {
                let record: Value = serde_json::from_str(line).ok()?;
                (record["msg"] == "listening").then(|| record["address"].as_str().map(str::to_owned))?
            })
            .await;
        let url = format!("http://{address}");
        let peer = Peer::anonymous(Service::RunCoordinator);
        let client = Client::new_with_client(&url, reqwest::Client::new(), peer);
        let health = client.health().await.expect("it answers").into_inner();
        assert_eq!(health.status.to_string(), "ok");
        Self { process, client, url, around }
    }

    /// kill -9.
    pub fn kill(mut self) -> Surroundings {
        self.process.kill();
        self.around
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
        self.client.start_run(&request).await.expect("the run starts").into_inner()
    }

    /// A body as it is, and the answer as it is.
    pub async fn post(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        let http = reqwest::Client::new();
        let answer = http.post(format!("{}{path}", self.url)).json(body).send().await.expect("an answer");
        (answer.status(), answer.json().await.expect("a JSON answer"))
    }

    /// Waits until a run is over: the run, its root, and all events.
    pub async fn run_ended(&self, run: &RunId) -> (Run, NodeRun, Vec<RunEvent>) {
        let url = format!("{}/v1/runs/{run}/events?follow=1", self.url);
        let lines = async { reqwest::get(url).await.expect("a stream").text().await.expect("its lines") };
        let lines = soon("the end of the run", lines).await;
        let events: Vec<RunEvent> =
            lines.lines().map(|line| serde_json::from_str(line).expect("a RunEvent a line")).collect();
        let seqs: Vec<u64> = events.iter().map(|event| event.seq).collect();
        assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>(), "seq has no gaps");
        let run = self.client.get_run(run).await.expect("the run").into_inner();
        let root = self.root(&run.root_node_run_id).await;
        (run, root, events)
    }

    pub fn services(&self) -> &'static Services {
        self.around.services
    }

    pub async fn root(&self, node: &NodeRunId) -> NodeRun {
        self.client.get_node_run(node).await.expect("the root").into_inner()
    }

    /// Waits until it has logged this.
    pub async fn logged(&self, message: &str) {
        self.process.line(message, |line| line.contains(message).then_some(())).await;
    }
}

/// The error that a node was completed with.
pub fn completion_error(node: &NodeRun) -> Value {
    node.extensions
        .as_ref()
        .and_then(|extensions| extensions.get("completion_error"))
        .cloned()
        .unwrap_or_default()
}

/// The names of events, in order.
pub fn types(events: &[RunEvent]) -> Vec<String> {
    events.iter().map(|event| event.type_.to_string()).collect()
}
