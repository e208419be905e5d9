//! Servers without a coordinator in them: they exchange the messages of a run of one node, in
//! a process of their own, and decide and store nothing. What they cost is what HTTP costs.
//!
//! ```text
//!   POST /v1/runs ──▶ a Run          in the background: POST …:execute to the executor
//!   GET …/events?follow=1 ──▶ when the executor has answered: seven lines
//! ```

mod plain;
mod with_dropshot;

use std::{
    collections::HashMap,
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::{Context, Result};
use clap::{Subcommand, ValueEnum};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::{Mutex, oneshot};

use crate::{
    arp::{Await, start_request},
    child::Owned,
    http::Connection,
    load::Call,
    plan,
    subject::Subject,
};

/// What the bench starts itself as.
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum Hidden {
    /// A bare server
    #[command(hide = true)]
    BareServer { kind: BareKind, executor: SocketAddr },
}

/// Which one, as a word of the command line.
#[derive(Clone, Copy, Debug)]
pub struct BareKind(plan::BareKind);

impl std::str::FromStr for BareKind {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        plan::BareKind::from_str(word, false).map(Self)
    }
}

impl Hidden {
    /// Serves until it is killed.
    pub fn run(self) -> Result<()> {
        let Self::BareServer { kind: BareKind(kind), executor } = self;
        let runs = Arc::new(Runs::new(executor));
        tokio::runtime::Runtime::new()?.block_on(async {
            match kind {
                plan::BareKind::Hyper => plain::serve(runs).await,
                plan::BareKind::Dropshot => with_dropshot::serve(runs).await,
            }
        })
    }
}

/// A bare server that runs. It is killed when dropped.
pub(crate) struct Bare {
    kind: plan::BareKind,
    process: Owned,
    address: SocketAddr,
}

impl Bare {
    pub(crate) fn start(kind: plan::BareKind, executor: SocketAddr) -> Result<Self> {
        let name = kind.to_possible_value().context("a word for it")?;
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(["bare-server", name.get_name(), &executor.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let mut process = Owned::spawn(&mut command)?;
        let mut line = String::new();
        BufReader::new(process.child().stdout.take().context("its output")?).read_line(&mut line)?;
        let address = line.trim().parse().with_context(|| format!("a bare server's address: {line:?}"))?;
        Ok(Self { kind, process, address })
    }

    pub(crate) fn subject(&self) -> Subject<'static> {
        let request = start_request("atomic.fast", "1", &json!({"n": 1, "children": 0}));
        Subject {
            label: self.kind.label().into(),
            servers: vec![self.address],
            call: Call::Run { request: Arc::from(request), how: Await::Follow },
            processes: vec![self.process.id()],
            others: Vec::new(),
            database: None,
        }
    }
}

/// The request, as far as a server must look at it.
#[derive(Deserialize, JsonSchema)]
struct StartRequest {
    root_node_type_ref: NodeTypeRef,
    input: serde_json::Value,
}

#[derive(Clone, Deserialize, Serialize, JsonSchema)]
struct NodeTypeRef {
    node_type_id: String,
    version: String,
}

#[derive(Serialize, JsonSchema)]
struct RunAnswer {
    run_id: String,
    root_node_run_id: String,
    root_node_type_ref: NodeTypeRef,
    state: String,
    started_at: String,
}

/// The runs between the two requests of their clients.
struct Runs {
    executor: SocketAddr,
    next: AtomicU64,
    started: Mutex<HashMap<String, oneshot::Receiver<String>>>,
    /// Connections to the executor that are not in use.
    idle: Mutex<Vec<Connection>>,
}

impl Runs {
    fn new(executor: SocketAddr) -> Self {
        Self { executor, next: AtomicU64::new(1), started: Mutex::default(), idle: Mutex::default() }
    }

    async fn start(self: &Arc<Self>, request: StartRequest) -> RunAnswer {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (run_id, root) = (format!("run_{number:032x}"), format!("node_run_{number:032x}"));
        let (sender, receiver) = oneshot::channel();
        self.started.lock().await.insert(run_id.clone(), receiver);
        let execute = json!({
            "run_id": run_id, "node_run_id": root, "node_type_ref": request.root_node_type_ref,
            "inputs": request.input,
        });
        let (runs, lines) = (Arc::clone(self), lines(&run_id, &root));
        tokio::spawn(async move {
            let idle = runs.idle.lock().await.pop();
            let mut connection = idle.unwrap_or_else(|| Connection::to(runs.executor));
            let answer = connection.post("/v1/atomic-node-runs:execute", execute.to_string()).await;
            match answer {
                Ok(_) => {
                    runs.idle.lock().await.push(connection);
                    // The client may be gone.
                    _ = sender.send(lines);
                }
                Err(error) => eprintln!("the executor: {error:#}"),
            }
        });
        RunAnswer {
            run_id,
            root_node_run_id: root,
            root_node_type_ref: request.root_node_type_ref,
            state: "running".into(),
            started_at: "2026-01-01T00:00:00.000000Z".into(),
        }
    }

    /// The lines of a run, when its node has ended.
    async fn events(&self, run_id: &str) -> Option<String> {
        let receiver = self.started.lock().await.remove(run_id)?;
        receiver.await.ok()
    }
}

/// The events of a run of one node, as long as the coordinator's.
fn lines(run_id: &str, root: &str) -> String {
    const TYPES: [&str; 7] = [
        "run_started",
        "node_run_assigned",
        "policy_decided",
        "policy_decided",
        "node_evaluated",
        "atomic_executed",
        "run_completed",
    ];
    let mut text = String::new();
    for (index, name) in TYPES.into_iter().enumerate() {
        text += &format!(
            r#"{{"data":{{"state":"succeeded"}},"extensions":{{"jarvis.actor":{{"kind":"coordinator"}}}},"node_run_id":"{root}","run_id":"{run_id}","seq":{},"time":"2026-01-01T00:00:00.000000Z","type":"{name}"}}"#,
            index + 1,
        );
        text.push('\n');
    }
    text
}
