//! A coordinator in this process, with a journal of its own and a free port.

use std::{collections::BTreeMap, sync::Arc};

use futures::TryStreamExt;
use jarvis_run_coordinator::{
    app::{Broken, Server, StartError, Surroundings},
    clients::{Peer, Service, run_coordinator::Client},
    config::{Flags, Settings},
    journal::faulty::{Faults, FaultyJournal},
    time::MachineClock,
    types::{NodeRun, NodeRunId, NodeRunState, Run, RunEvent, RunId, RunStartRequest},
};
use serde_json::{Value, json};
use slog::{Discard, Logger, o};

use super::{FakeExecutors, soon};

/// A server, the client that is generated from its API document, and its executors.
pub struct TestServer {
    pub client: Client,
    /// For requests that the generated client does not send.
    pub http: reqwest::Client,
    pub url: String,
    pub executors: FakeExecutors,
    pub journal: tempfile::TempDir,
    server: Option<Server>,
}

impl TestServer {
    /// The variables that switch dispatch off.
    pub const IDLE: [(&str, &str); 1] = [("JARVIS_RUN_COORDINATOR_AUTO_DISPATCH", "off")];

    /// Starts a server without authentication that allows everything.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts a server that dispatches nothing: nodes stay queued, and only requests
    /// change the journal.
    pub async fn idle() -> Self {
        Self::start_with(&Self::IDLE).await
    }

    /// Starts a server with further variables.
    pub async fn start_with(vars: &[(&str, &str)]) -> Self {
        let journal = tempfile::tempdir().expect("a folder for the journal");
        Self::try_start(journal, FakeExecutors::start(), vars).await.expect("the server starts")
    }

    /// Starts a server whose journal fails as `faults` says.
    pub async fn start_with_faults(faults: &Faults, vars: &[(&str, &str)]) -> Self {
        let journal = tempfile::tempdir().expect("a folder for the journal");
        let faults = faults.clone();
        let surroundings = Surroundings {
            before_journal: Box::new(move |journal| Arc::new(FaultyJournal::new(journal, faults))),
            ..Surroundings::default()
        };
        Self::start_in(surroundings, journal, FakeExecutors::start(), vars).await.expect("the server starts")
    }

    /// Starts a server with this bound on the jobs of each kind in memory.
    pub async fn start_with_room(in_hand: usize, vars: &[(&str, &str)]) -> Self {
        Self::start_among(Surroundings { in_hand, ..Surroundings::default() }, vars).await
    }

    /// Starts a server with other surroundings: clock, journal, bounds.
    pub async fn start_among(surroundings: Surroundings, vars: &[(&str, &str)]) -> Self {
        let journal = tempfile::tempdir().expect("a folder for the journal");
        Self::start_in(surroundings, journal, FakeExecutors::start(), vars).await.expect("the server starts")
    }

    /// Starts a server with this clock.
    pub async fn start_with_clock(clock: impl MachineClock, vars: &[(&str, &str)]) -> Self {
        let journal = tempfile::tempdir().expect("a folder for the journal");
        Self::try_start_with_clock(clock, journal, FakeExecutors::start(), vars)
            .await
            .expect("the server starts")
    }

    /// Starts a server with this clock on an existing journal.
    pub async fn try_start_with_clock(
        clock: impl MachineClock,
        journal: tempfile::TempDir,
        executors: FakeExecutors,
        vars: &[(&str, &str)],
    ) -> Result<Self, StartError> {
        let surroundings = Surroundings { clock: Arc::new(clock), ..Surroundings::default() };
        Self::start_in(surroundings, journal, executors, vars).await
    }

    /// Starts a server on an existing journal.
    pub async fn try_start(
        journal: tempfile::TempDir,
        executors: FakeExecutors,
        vars: &[(&str, &str)],
    ) -> Result<Self, StartError> {
        Self::start_in(Surroundings::default(), journal, executors, vars).await
    }

    async fn start_in(
        surroundings: Surroundings,
        journal: tempfile::TempDir,
        executors: FakeExecutors,
        vars: &[(&str, &str)],
    ) -> Result<Self, StartError> {
        let path = journal.path().join("journal.db").display().to_string();
        let mut all = BTreeMap::from(
            [
                ("ARP_AUTH_PROFILE", "dev-insecure"),
                ("JARVIS_POLICY_PROFILE", "dev-allow"),
                ("JARVIS_RUN_COORDINATOR_JOURNAL", &path),
                ("JARVIS_ATOMIC_EXECUTOR_URL", executors.url()),
                ("JARVIS_COMPOSITE_EXECUTOR_URL", executors.url()),
                ("JARVIS_RUN_COORDINATOR_PUBLIC_URL", "http://127.0.0.1:1"),
                ("JARVIS_RUN_COORDINATOR_SHUTDOWN_TIMEOUT_SECS", "5"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
        );
        all.extend(vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let flags = Flags { port: Some(0), ..Flags::default() };
        let settings = Settings::from_vars(&all, &flags).expect("sound settings");
        let log = Logger::root(Discard, o!());
        let server = Server::start(&settings, surroundings, &log).await?;
        let scheme = if settings.tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}", server.address());
        let http = reqwest::Client::new();
        let client = Client::new_with_client(&url, http.clone(), Peer::anonymous(Service::RunCoordinator));
        Ok(Self { client, http, url, executors, journal, server: Some(server) })
    }

    /// The same server, called through this HTTP client.
    pub fn called_through(mut self, http: reqwest::Client) -> Self {
        let peer = Peer::anonymous(Service::RunCoordinator);
        self.client = Client::new_with_client(&self.url, http.clone(), peer);
        self.http = http;
        self
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// The base URL of the operator API.
    pub fn operator_url(&self) -> String {
        let server = self.server.as_ref().expect("it runs");
        let address = server.operator_address().expect("JARVIS_RUN_COORDINATOR_OPERATOR_LISTEN is set");
        let scheme = self.url.split(':').next().expect("a scheme");
        format!("{scheme}://{address}")
    }

    /// A client of this server that sends a bearer token.
    pub fn client_with_token(&self, token: &str) -> Client {
        Client::new_with_client(
            &self.url,
            self.http.clone(),
            Peer::with_token(Service::RunCoordinator, token),
        )
    }

    pub async fn run_start(&self, node_type: &str, input: Value) -> Run {
        self.run_start_with(node_type, input, json!({})).await
    }

    /// Starts a run with further members in the request.
    pub async fn run_start_with(&self, node_type: &str, input: Value, more: Value) -> Run {
        let mut request = json!({
            "root_node_type_ref": {"node_type_id": node_type, "version": "1.0.0"},
            "input": input,
        });
        let members = request.as_object_mut().expect("an object");
        members.extend(more.as_object().expect("an object").clone());
        let request: RunStartRequest = serde_json::from_value(request).expect("a start request");
        self.client.start_run(&request).await.expect("the run starts").into_inner()
    }

    /// Creates children from these specs.
    pub async fn children(&self, run: &RunId, parent: &NodeRunId, specs: &[Value]) -> Vec<NodeRun> {
        let request = json!({"run_id": run, "parent_node_run_id": parent, "node_runs": specs});
        let request = serde_json::from_value(request).expect("a create request");
        self.client.create_node_runs(&request).await.expect("the children are created").into_inner().node_runs
    }

    /// Waits until a run is terminal; returns it.
    pub async fn run_ended(&self, run: &RunId) -> Run {
        self.follow(run).await;
        self.client.get_run(run).await.expect("the run").into_inner()
    }

    /// Follows a run to its end; returns all its events.
    pub async fn follow(&self, run: &RunId) -> Vec<RunEvent> {
        let url = format!("{}/v1/runs/{run}/events?follow=1", self.url);
        let lines = soon("the end of the run", async {
            self.http.get(url).send().await.expect("a stream").text().await.expect("its lines")
        });
        parse(&lines.await)
    }

    /// The events of a run so far, without following it.
    pub async fn events(&self, run: &RunId) -> Vec<RunEvent> {
        let stream = self.client.stream_run_events(run).await.expect("a stream").into_inner().into_inner();
        let chunks: Vec<bytes::Bytes> = stream.try_collect().await.expect("its lines");
        parse(std::str::from_utf8(&chunks.concat()).expect("UTF-8"))
    }

    /// The types of a run's events so far.
    pub async fn event_types(&self, run: &RunId) -> Vec<String> {
        self.events(run).await.iter().map(|event| event.type_.to_string()).collect()
    }

    pub async fn run(&self, run: &RunId) -> Run {
        self.client.get_run(run).await.expect("the run").into_inner()
    }

    pub async fn node_run(&self, node: &NodeRunId) -> NodeRun {
        self.client.get_node_run(node).await.expect("the node run").into_inner()
    }

    /// Waits until a node is in this state.
    pub async fn node_run_in(&self, node: &NodeRunId, state: NodeRunState) -> NodeRun {
        self.node_run_until(node, |node| node.state == state).await
    }

    /// Completes a node as its executor would.
    pub async fn complete(&self, node: &NodeRunId, state: &str) {
        self.post(&format!("/v1/node-runs/{node}:complete"), &json!({"state": state})).await.no_content();
    }

    pub async fn cancel(&self, run: &RunId) -> Run {
        self.client.cancel_run(run).await.expect("the run").into_inner()
    }

    /// Polls a node until `done` holds, for conditions that are in no event.
    pub async fn node_run_until(&self, node: &NodeRunId, done: impl Fn(&NodeRun) -> bool) -> NodeRun {
        soon("the node run", async {
            loop {
                let node_run = self.client.get_node_run(node).await.expect("the node run").into_inner();
                if done(&node_run) {
                    return node_run;
                }
                tokio::task::yield_now().await;
            }
        })
        .await
    }

    /// Waits until the server reports that it must end.
    pub async fn broken(&self) -> Broken {
        soon("the report that the server must end", self.server.as_ref().expect("it runs").broken()).await
    }

    /// Stops the server; returns the journal and the executors to start the next one
    /// with.
    pub async fn stop(mut self) -> (tempfile::TempDir, FakeExecutors) {
        if let Some(server) = self.server.take() {
            soon("the server's stop", server.stop()).await;
        }
        (self.journal, self.executors)
    }
}

fn parse(lines: &str) -> Vec<RunEvent> {
    lines.lines().map(|line| serde_json::from_str(line).expect("a RunEvent a line")).collect()
}
