//! The real program in a process of its own: in an empty folder, with an environment
//! that has only what the test sets. The test reads its log.
//!
//! ```text
//!   Program (folder, variables, arguments) ──start──▶ Process ──terminate · kill──▶ Ended
//!        ▲                                               │
//!        └──────── the folder, with the journal ─────────┘ stays for the next start
//! ```

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
    process::Stdio,
    thread,
    time::Duration,
};

use jarvis_run_coordinator::journal::sqlite::{SqliteJournal, SqliteOptions};
use rusqlite::Connection;
use serde_json::{Value, json};
use slog::{Discard, Logger, o};
use tokio::{process, sync::watch};

use super::{FakeExecutors, soon};

const BINARY: &str = env!("CARGO_BIN_EXE_jarvis-run-coordinator");
const STDERR: &str = "stderr.txt";

/// The folder, environment and arguments to start the program with. The folder
/// outlives each process, so that the next one continues with its journal.
pub struct Program {
    folder: tempfile::TempDir,
    vars: BTreeMap<String, String>,
    arguments: Vec<String>,
}

/// A running process. It is killed when dropped.
pub struct Process {
    child: process::Child,
    log: watch::Receiver<Log>,
    folder: PathBuf,
    url: String,
    http: reqwest::Client,
}

/// A process that has ended.
#[derive(Debug, PartialEq, Eq)]
pub struct Ended {
    /// `None` if a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    /// The standard error, without the path of the folder.
    pub stderr: String,
}

/// The lines that were written to stdout so far.
#[derive(Default)]
struct Log {
    lines: Vec<String>,
    ended: bool,
}

impl Program {
    /// The program with these arguments and an empty environment.
    pub fn bare(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        Self { folder, vars: BTreeMap::new(), arguments }
    }

    /// A server without authentication that allows everything, on a free port, with
    /// a journal in its folder.
    pub fn server() -> Self {
        Self::bare(&["--port", "0"])
            .var("ARP_AUTH_PROFILE", "dev-insecure")
            .var("JARVIS_POLICY_PROFILE", "dev-allow")
            .var("JARVIS_RUN_COORDINATOR_LOG_FORMAT", "json")
    }

    /// [`Program::server`] with both executors.
    pub fn with_executors(executors: &FakeExecutors) -> Self {
        Self::server()
            .var("JARVIS_ATOMIC_EXECUTOR_URL", executors.url())
            .var("JARVIS_COMPOSITE_EXECUTOR_URL", executors.url())
            .var("JARVIS_RUN_COORDINATOR_PUBLIC_URL", "http://127.0.0.1:1")
    }

    pub fn var(mut self, name: &str, value: &str) -> Self {
        self.vars.insert(name.into(), value.into());
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.vars.remove(name);
        self
    }

    /// Replaces the arguments.
    pub fn with_arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        self
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).expect("written");
    }

    /// The default path of the journal.
    pub fn journal(&self) -> PathBuf {
        self.path("jarvis-run-coordinator.db")
    }

    /// Opens the journal as the program does. No process may have it open.
    pub fn open_journal(&self) -> SqliteJournal {
        let options = SqliteOptions { path: self.journal(), max_bytes: None, outbox: false };
        SqliteJournal::open(options, Logger::root(Discard, o!())).expect("the journal")
    }

    /// Starts a process without waiting until it listens.
    fn spawn(&self) -> Process {
        let (stdout, writer) = io::pipe().expect("a pipe");
        let stderr = File::create(self.path(STDERR)).expect("a file");
        let child = process::Command::new(BINARY)
            .args(&self.arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .envs(&self.vars)
            .stdin(Stdio::null())
            .stdout(writer)
            .stderr(stderr)
            .kill_on_drop(true)
            .spawn()
            .expect("the program starts");
        let (sender, log) = watch::channel(Log::default());
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                let line = line.expect("UTF-8");
                sender.send_modify(|log| log.lines.push(line));
            }
            sender.send_modify(|log| log.ended = true);
        });
        let folder = self.folder.path().to_owned();
        Process { child, log, folder, url: String::new(), http: reqwest::Client::new() }
    }

    /// Starts a server, and waits until it listens.
    pub async fn start(&self) -> Process {
        let mut process = self.spawn();
        process.url = process.listening(1).await.1;
        process
    }

    /// [`Program::start`] for a log that is text.
    #[allow(dead_code, reason = "only some test binaries read text")]
    pub async fn start_in_text(&self) -> Process {
        let mut process = self.spawn();
        let address = |log: &Log| {
            let line = log.lines.iter().find(|line| line.contains(": listening, version: "))?;
            let rest = line.split_once("address: ")?.1;
            rest.split(',').next().map(str::to_owned)
        };
        let mut log = process.log.clone();
        let found = soon("listening", log.wait_for(|log| log.ended || address(log).is_some())).await;
        let found = address(&found.expect("a log")).expect("it listens");
        process.url = format!("http://{found}");
        process
    }

    /// Runs the program to its end with other arguments, beside the process that may
    /// be running in its folder.
    pub async fn command(&self, arguments: &[&str]) -> Ended {
        let mut command = process::Command::new(BINARY);
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .envs(&self.vars)
            .stdin(Stdio::null());
        let output = soon("the end of the command", command.output()).await.expect("the program starts");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        let stderr = without_folder(&text(output.stderr), self.folder.path());
        Ended { code: output.status.code(), stdout: text(output.stdout), stderr }
    }

    /// [`Program::command`] with this on stdin.
    #[allow(dead_code, reason = "only some test binaries write to commands")]
    pub async fn command_reading(&self, arguments: &[&str], input: &str) -> Ended {
        self.write("stdin.txt", input);
        let mut command = process::Command::new(BINARY);
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .envs(&self.vars)
            .stdin(File::open(self.path("stdin.txt")).expect("a file"));
        let output = soon("the end of the command", command.output()).await.expect("the program starts");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        let stderr = without_folder(&text(output.stderr), self.folder.path());
        Ended { code: output.status.code(), stdout: text(output.stdout), stderr }
    }

    /// Runs the program to its end.
    pub async fn run(&self) -> Ended {
        self.spawn().ended().await
    }
}

impl Process {
    pub fn id(&self) -> u32 {
        self.child.id().expect("it has not ended")
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// Waits until it listens for the `count`th time; returns that log line and the
    /// URL.
    pub async fn listening(&self, count: usize) -> (Value, String) {
        let line = self.logged("listening", count).await;
        let url = format!("http://{}", line["address"].as_str().expect("an address"));
        (line, url)
    }

    /// The same process at the URL where it listens for the `count`th time.
    pub async fn listening_again(mut self, count: usize) -> Self {
        self.url = self.listening(count).await.1;
        self
    }

    /// Waits until a message was logged `count` times; returns that line (of JSON).
    pub async fn logged(&self, message: &str, count: usize) -> Value {
        let seen = |log: &Log| {
            let lines = log.lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            lines.filter(|line| line["msg"] == message).nth(count - 1)
        };
        let mut log = self.log.clone();
        let waited = log.wait_for(|log| log.ended || seen(log).is_some());
        let log = soon(message, waited).await.expect("a log");
        let stderr = || fs::read_to_string(self.folder.join(STDERR)).unwrap_or_default();
        seen(&log)
            .unwrap_or_else(|| panic!("{message}: never logged\n{}\n{}", log.lines.join("\n"), stderr()))
    }

    pub fn has_logged(&self, message: &str) -> bool {
        self.log.borrow().lines.iter().any(|line| line.contains(message))
    }

    /// Kills the process with SIGKILL, and waits for its end.
    pub async fn kill(mut self) {
        self.child.kill().await.expect("killed");
    }

    /// Sends SIGKILL without waiting for the end.
    pub fn start_kill(&mut self) {
        self.child.start_kill().expect("killed");
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        let kill =
            std::process::Command::new("kill").args([format!("-{name}"), self.id().to_string()]).status();
        assert!(kill.expect("a kill command").success());
    }

    /// Waits for its end.
    pub async fn ended(mut self) -> Ended {
        let status = soon("the end of the process", self.child.wait()).await.expect("a status");
        let log = soon("the end of its log", self.log.wait_for(|log| log.ended)).await.expect("a log");
        let stderr = fs::read_to_string(self.folder.join(STDERR)).expect("its standard error");
        Ended {
            code: status.code(),
            stdout: log.lines.iter().flat_map(|line| [line, "\n"]).collect(),
            stderr: without_folder(&stderr, &self.folder),
        }
    }

    /// Sends SIGTERM, and waits for an orderly end.
    pub async fn terminate(self) -> Ended {
        self.signal("TERM");
        let ended = self.ended().await;
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
        ended
    }

    pub async fn get(&self, path: &str) -> (u16, Value) {
        self.try_request(self.http.get(self.at(path))).await.expect("an answer")
    }

    pub async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.try_post(path, body).await.expect("an answer")
    }

    /// [`Process::post`] for a process that may die meanwhile.
    pub async fn try_post(&self, path: &str, body: &Value) -> reqwest::Result<(u16, Value)> {
        self.try_request(self.http.post(self.at(path)).json(body)).await
    }

    async fn try_request(&self, request: reqwest::RequestBuilder) -> reqwest::Result<(u16, Value)> {
        soon("an answer", async {
            let answer = request.send().await?;
            let (status, text) = (answer.status().as_u16(), answer.text().await?);
            Ok((status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
        })
        .await
    }

    /// Sends a request to its operator API; a body makes it a `POST`.
    pub async fn operate(&self, path: &str, body: Option<&Value>) -> (u16, Value) {
        let line = self.logged("listening for operators", 1).await;
        let url = format!("http://{}{path}", line["address"].as_str().expect("an address"));
        let request = match body {
            Some(body) => self.http.post(url).json(body),
            None => self.http.get(url),
        };
        self.try_request(request).await.expect("an answer")
    }

    pub fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// Starts a run with a root of this node type.
    pub async fn run_start(&self, run: &str, node_type: &str) -> StartedRun {
        let (status, answer) = self.post("/v1/runs", &start_request(run, node_type)).await;
        assert_eq!(status, 200, "{answer}");
        let text = |name: &str| answer[name].as_str().expect("a Run").to_owned();
        StartedRun { id: text("run_id"), root: text("root_node_run_id") }
    }

    pub async fn run_get(&self, run: &str) -> Value {
        let (status, answer) = self.get(&format!("/v1/runs/{run}")).await;
        assert_eq!(status, 200, "{answer}");
        answer
    }

    pub async fn node_run(&self, node: &str) -> Value {
        let (status, answer) = self.get(&format!("/v1/node-runs/{node}")).await;
        assert_eq!(status, 200, "{answer}");
        answer
    }

    /// Creates a child of this node type below the run's root; returns its id.
    pub async fn child(&self, parent: &StartedRun, node_type: &str) -> String {
        let spec = json!({"node_type_ref": {"node_type_id": node_type, "version": "1.0.0"}, "inputs": {}});
        let request = json!({"run_id": parent.id, "parent_node_run_id": parent.root, "node_runs": [spec]});
        let (status, answer) = self.post("/v1/node-runs", &request).await;
        assert_eq!(status, 200, "{answer}");
        answer["node_runs"][0]["node_run_id"].as_str().expect("a NodeRun").to_owned()
    }

    /// Waits until a node is terminal, by polling: its stream ends only with the run.
    pub async fn node_ended(&self, node: &str) {
        soon("the end of the node", async { while self.node_run(node).await["ended_at"].is_null() {} }).await;
    }

    /// Waits until a run is terminal; returns its state. Its history must be complete.
    pub async fn run_ended(&self, run: &str) -> String {
        let events = self.get(&format!("/v1/runs/{run}/events?follow=1")).await.1;
        let lines = events.as_str().unwrap_or_else(|| panic!("no events of {run}: {events}")).lines();
        let events: Vec<Value> =
            lines.map(|line| serde_json::from_str(line).expect("an event a line")).collect();
        assert_history(&events);
        let run = self.run_get(run).await;
        assert_eq!(run["state"], events.last().expect("events")["data"]["state"]);
        run["state"].as_str().expect("a state").to_owned()
    }
}

/// The ids of a run that was started, and of its root.
pub struct StartedRun {
    pub id: String,
    pub root: String,
}

/// A request to start a run under this id.
pub fn start_request(run: &str, node_type: &str) -> Value {
    json!({
        "run_id": run,
        "root_node_type_ref": {"node_type_id": node_type, "version": "1.0.0"},
        "input": {"of": run},
    })
}

/// Asserts that the events of a terminal run count from 1 without a gap, begin with
/// its only `run_started` and end with its only `run_completed`.
#[track_caller]
pub fn assert_history(events: &[Value]) {
    let seqs: Vec<u64> = events.iter().map(|event| event["seq"].as_u64().expect("a seq")).collect();
    assert_eq!(seqs, (1..=events.len() as u64).collect::<Vec<_>>());
    for (type_, place) in [("run_started", 0), ("run_completed", events.len() - 1)] {
        let places: Vec<usize> = (0..events.len()).filter(|&at| events[at]["type"] == type_).collect();
        assert_eq!(places, [place], "{type_}");
    }
}

/// Changes the journal with SQL. No process may have it open.
pub fn edit_journal(program: &Program, sql: &str) {
    let journal = Connection::open(program.journal()).expect("the journal");
    journal.execute_batch(sql).expect("SQL");
}

fn without_folder(text: &str, folder: &Path) -> String {
    let folder = fs::canonicalize(folder).unwrap_or(folder.to_owned());
    text.replace(&format!("{}/", folder.display()), "./")
}

/// An upper bound for what must not wait for a timeout: shorter than those timeouts,
/// and long enough for a slow machine.
pub const PROMPT: Duration = Duration::from_secs(20);
