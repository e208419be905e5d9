//! Hostile executors and a hostile registry: endless, deep and large answers.

use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};

use crate::{
    support::{process::start_request, soon},
    target::{AT_REST_MIB, Target},
};

/// The limit of answers in these tests.
const ANSWER_MIB: u64 = 4;
const MAX_ANSWER: (&str, &str) = ("JARVIS_RUN_COORDINATOR_MAX_ANSWER_BYTES", "4m");

/// There is one answer at a time, and each may cost six times its size, as a request
/// may.
const PEAK_MIB: u64 = AT_REST_MIB + 6 * ANSWER_MIB + 16;

/// A service that answers with raw bytes, and records its requests.
struct HostileService {
    url: String,
    requests: watch::Receiver<Vec<(String, Value)>>,
}

/// An answer: its first bytes, and bytes that are repeated until the connection is
/// closed (or until 256 MiB are sent, so that a failing test does not exhaust the
/// machine).
struct RawAnswer {
    beginning: Vec<u8>,
    repeated: Vec<u8>,
}

/// A node type, and what an executor answers about a node of it.
type Kind = (&'static str, fn(&str) -> RawAnswer);

const MOST_TAKEN: usize = 256 << 20;

/// The answer 200 with this body.
fn whole(body: impl AsRef<[u8]>) -> RawAnswer {
    let body = body.as_ref();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    RawAnswer { beginning: [head.as_bytes(), body].concat(), repeated: Vec::new() }
}

/// An endless answer with this status.
fn endless(status: &str, beginning: &str, repeated: &str) -> RawAnswer {
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\n\r\n{beginning}");
    RawAnswer {
        beginning: head.into_bytes(),
        repeated: repeated.repeat((64 << 10) / repeated.len() + 1).into_bytes(),
    }
}

impl HostileService {
    async fn start(answer_to: impl Fn(&str, &Value) -> RawAnswer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let (sender, requests) = watch::channel(Vec::new());
        let (answer_to, sender) = (Arc::new(answer_to), Arc::new(Mutex::new(sender)));
        let serve = async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (answer_to, sender) = (Arc::clone(&answer_to), Arc::clone(&sender));
                let answer = async move {
                    let mut socket = socket;
                    let Some((line, body)) = request(&mut socket).await else { return };
                    let RawAnswer { beginning, repeated } = answer_to(&line, &body);
                    sender.lock().expect("unpoisoned").send_modify(|requests| requests.push((line, body)));
                    let mut taken = beginning.len();
                    let mut going = socket.write_all(&beginning).await.is_ok() && !repeated.is_empty();
                    while going && taken < MOST_TAKEN {
                        taken += repeated.len();
                        going = socket.write_all(&repeated).await.is_ok();
                    }
                };
                #[expect(clippy::disallowed_methods, reason = "a service of the test's own")]
                tokio::spawn(answer);
            }
        };
        #[expect(clippy::disallowed_methods, reason = "a service of the test's own")]
        tokio::spawn(serve);
        Self { url, requests }
    }

    /// The number of requests whose request line contains `what`.
    fn count(&self, what: &str) -> usize {
        self.requests.borrow().iter().filter(|(line, _)| line.contains(what)).count()
    }
}

/// Reads a request; returns its request line and body.
async fn request(socket: &mut TcpStream) -> Option<(String, Value)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).ok()?.to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.and_then(|length| length.parse().ok()).unwrap_or_default()];
    socket.read_exact(&mut body).await.ok()?;
    let line = head.lines().next().unwrap_or_default().to_owned();
    Some((line, serde_json::from_slice(&body).unwrap_or_default()))
}

/// Runs a node of this type to its end in this state; returns the root.
async fn ended(target: &Target, run: &str, node_type: &str, state: &str) -> Value {
    let (status, answer) = target.process.post("/v1/runs", &start_request(run, node_type)).await;
    assert_eq!(status, 200, "{node_type}: {answer}");
    assert_eq!(target.process.run_ended(run).await, state, "{node_type}");
    target.process.node_run(answer["root_node_run_id"].as_str().expect("a root")).await
}

async fn success(target: &Target, run: &str, node_type: &str) -> Value {
    ended(target, run, node_type, "succeeded").await
}

/// Runs a node of this type to its failure; returns the error.
async fn failure(target: &Target, run: &str, node_type: &str) -> Value {
    ended(target, run, node_type, "failed").await["extensions"]["completion_error"].clone()
}

fn executor_of(kinds: &'static [Kind]) -> impl Fn(&str, &Value) -> RawAnswer {
    move |_, body| {
        let (kind, node) = (&body["node_type_ref"]["node_type_id"], body["node_run_id"].as_str());
        match kinds.iter().find(|(name, _)| *kind == **name) {
            Some((_, answer_to)) => answer_to(node.unwrap_or_default()),
            None => whole("{}"),
        }
    }
}

/// A successful result with these outputs.
fn succeeded(node: &str, outputs: &str) -> String {
    format!("{{\"node_run_id\": \"{node}\", \"state\": \"succeeded\", \"outputs\": {outputs}}}")
}

/// Each answer fails its node with a message, and the call is not repeated.
#[tokio::test]
async fn hostile_executor_answer_costs_only_its_node() {
    const KINDS: &[Kind] = &[
        ("atomic.endless-text", |_| endless("200 OK", "{\"outputs\": {\"x\": \"", "x")),
        ("atomic.endless-bombs", |_| endless("200 OK", "{\"outputs\": {\"x\": [", "{\"\":0},")),
        ("atomic.endless-blanks", |_| endless("200 OK", "", " ")),
        ("atomic.endless-nesting", |_| endless("200 OK", "", "[")),
        ("atomic.endless-announced", |_| RawAnswer {
            beginning: b"HTTP/1.1 200 OK\r\ncontent-length: 999999999999\r\n\r\n{".to_vec(),
            repeated: vec![b' '; 64 << 10],
        }),
        ("atomic.another", |_| whole(succeeded("another", "{}"))),
    ];
    let hostile = HostileService::start(executor_of(KINDS)).await;
    let vars = [MAX_ANSWER, ("JARVIS_ATOMIC_EXECUTOR_URL", &*hostile.url)];
    let target = Target::start(&vars).await;
    for (number, (kind, _)) in KINDS.iter().enumerate() {
        let error = failure(&target, &format!("run-{number}"), kind).await;
        assert_eq!(error["code"], "atomic_executor_invalid_result", "{kind}: {error}");
        if kind.contains("endless") {
            assert_eq!(error["message"], "Atomic Executor answered with more than 4194304 bytes", "{kind}");
        }
        assert!(error.to_string().len() < 1_000, "{kind}: {error}");
        assert_eq!(hostile.count(":execute"), number + 1, "{kind}");
    }
    target.alive(PEAK_MIB).await;
}

/// An answer with this many levels: the result, its outputs, and lists.
fn deep(node: &str, levels: usize) -> RawAnswer {
    let lists = levels - 2;
    whole(succeeded(node, &format!("{{\"x\": {}1{}}}", "[".repeat(lists), "]".repeat(lists))))
}

/// Answers within the size limit that are nested deeper than a body may be.
#[tokio::test]
async fn answer_nesting_is_limited_like_a_body() {
    const KINDS: &[Kind] = &[
        ("atomic.deep", |node| deep(node, 101)),
        // Depths around the parser's own limit, and far beyond it.
        ("atomic.deeper", |node| deep(node, 127)),
        ("atomic.deeper-still", |node| deep(node, 128)),
        ("atomic.deepest", |node| deep(node, 100_000)),
        // In a member that is not read.
        ("atomic.deep-aside", |node| {
            let aside = format!("\"aside\": {}{}, \"outputs\"", "[".repeat(100), "]".repeat(100));
            whole(succeeded(node, "{}").replace("\"outputs\"", &aside))
        }),
        ("atomic.as-deep-as-allowed", |node| deep(node, 100)),
    ];
    let hostile = HostileService::start(executor_of(KINDS)).await;
    let vars = [MAX_ANSWER, ("JARVIS_ATOMIC_EXECUTOR_URL", &*hostile.url)];
    let target = Target::start(&vars).await;
    let ((allowed, _), refused) = KINDS.split_last().expect("kinds");
    for (number, (kind, _)) in refused.iter().enumerate() {
        let error = failure(&target, &format!("run-{number}"), kind).await;
        assert_eq!(error["code"], "atomic_executor_invalid_result", "{kind}: {error}");
        let message = "Atomic Executor answered with more than 100 levels of nesting";
        assert_eq!(error["message"], message, "{kind}");
        assert_eq!(hostile.count(":execute"), number + 1, "{kind}");
    }
    let node = success(&target, "run", allowed).await;
    assert!(node["outputs"]["x"].is_array(), "{node}");
    target.alive(PEAK_MIB).await;
}

/// The memory for an answer is proportional to its text, even with very many values.
#[tokio::test]
async fn answer_of_many_values_costs_only_its_bytes() {
    const BOMBS: usize = 500_000;
    const KINDS: &[Kind] = &[("atomic.bombs", |node| {
        whole(succeeded(node, &format!("{{\"x\": [{}0]}}", "{\"\":0},".repeat(BOMBS))))
    })];
    let hostile = HostileService::start(executor_of(KINDS)).await;
    let vars = [MAX_ANSWER, ("JARVIS_ATOMIC_EXECUTOR_URL", &*hostile.url)];
    let target = Target::start(&vars).await;
    let node = success(&target, "run", "atomic.bombs").await;
    assert_eq!(node["outputs"]["x"].as_array().map(Vec::len), Some(BOMBS + 1));
    assert_eq!(hostile.count(":execute"), 1);
    target.alive(PEAK_MIB).await;
}

/// An endless error answer fails the call with its status.
#[tokio::test]
async fn endless_failure_answer_is_a_failure() {
    const KINDS: &[Kind] = &[
        ("atomic.refuses", |_| endless("404 Not Found", "{\"error\": {\"code\": \"", "x")),
        ("atomic.breaks-down", |_| endless("500 Internal Server Error", "", "x")),
    ];
    let hostile = HostileService::start(executor_of(KINDS)).await;
    let vars = [MAX_ANSWER, ("JARVIS_ATOMIC_EXECUTOR_URL", &*hostile.url)];
    let target = Target::start(&vars).await;
    for (number, (kind, _)) in KINDS.iter().enumerate() {
        let error = failure(&target, &format!("run-{number}"), kind).await;
        assert_eq!(error["code"], "atomic_executor_unavailable", "{kind}: {error}");
        assert_eq!(hostile.count(":execute"), number + 1, "{kind}");
    }
    target.alive(PEAK_MIB).await;
}

/// Endless registry answers, and answers about another type, start no run; and the
/// registry is asked for nothing but types.
#[tokio::test]
async fn lying_registry_starts_no_run() {
    let hostile = HostileService::start(|line, _| match line {
        line if line.contains("/endless?") => endless("200 OK", "{\"x\": \"", "x"),
        line if line.contains("/endless-failure?") => endless("503 Service Unavailable", "", "x"),
        _ => whole(r#"{"node_type_id": "jarvis.core.echo", "version": "1", "kind": "atomic"}"#),
    })
    .await;
    let target = Target::start(&[MAX_ANSWER, ("JARVIS_NODE_REGISTRY_URL", &*hostile.url)]).await;
    for node_type in
        ["endless", "endless-failure", "jarvis.core.pay", r"x\..\jarvis.core.echo", "x/../jarvis.core.echo"]
    {
        let reply = target.post("/v1/runs", start_request("run", node_type).to_string().as_bytes()).await;
        reply.refused(503, "node_registry_unavailable");
    }
    let requests = soon("the requests", async { hostile.requests.borrow().clone() }).await;
    for (line, _) in requests {
        let path = line
            .strip_prefix("get /v1/node-types/")
            .expect("a node type")
            .split('?')
            .next()
            .unwrap_or_default();
        assert!(!path.contains(['/', '\\']), "{line}");
    }
    target.unharmed(PEAK_MIB).await;
}
