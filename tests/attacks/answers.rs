//! Executors and a registry that are no friends.

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

/// What an answer may have, in these tests.
const ANSWER_MIB: u64 = 4;
const MAX_ANSWER: (&str, &str) = ("JARVIS_RUN_COORDINATOR_MAX_ANSWER_BYTES", "4m");

/// One answer at a time, and each may cost six times what is read of it, as a
/// request may.
const PEAK_MIB: u64 = AT_REST_MIB + 6 * ANSWER_MIB + 16;

/// A service of bytes: what it was asked, and what it does with it.
struct Evil {
    url: String,
    asked: watch::Receiver<Vec<(String, Value)>>,
}

/// An answer: its first bytes, and what is repeated until nobody listens (or 256
/// MiB have been taken: the test is to fail, not to eat the machine).
struct Poison {
    beginning: Vec<u8>,
    again: Vec<u8>,
}

/// What an executor answers about a node whose type is this.
type Kind = (&'static str, fn(&str) -> Poison);

const MOST_TAKEN: usize = 256 << 20;

/// Answers 200 and this.
fn whole(body: impl AsRef<[u8]>) -> Poison {
    let body = body.as_ref();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    Poison { beginning: [head.as_bytes(), body].concat(), again: Vec::new() }
}

/// Answers with this status, and without end.
fn endless(status: &str, beginning: &str, again: &str) -> Poison {
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\n\r\n{beginning}");
    Poison { beginning: head.into_bytes(), again: again.repeat((64 << 10) / again.len() + 1).into_bytes() }
}

impl Evil {
    async fn start(poison: impl Fn(&str, &Value) -> Poison + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let (sender, asked) = watch::channel(Vec::new());
        let (poison, sender) = (Arc::new(poison), Arc::new(Mutex::new(sender)));
        let serve = async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (poison, sender) = (Arc::clone(&poison), Arc::clone(&sender));
                let answer = async move {
                    let mut socket = socket;
                    let Some((line, body)) = request(&mut socket).await else { return };
                    let Poison { beginning, again } = poison(&line, &body);
                    sender.lock().expect("unpoisoned").send_modify(|asked| asked.push((line, body)));
                    let mut taken = beginning.len();
                    let mut going = socket.write_all(&beginning).await.is_ok() && !again.is_empty();
                    while going && taken < MOST_TAKEN {
                        taken += again.len();
                        going = socket.write_all(&again).await.is_ok();
                    }
                };
                #[expect(clippy::disallowed_methods, reason = "a service of the test's own")]
                tokio::spawn(answer);
            }
        };
        #[expect(clippy::disallowed_methods, reason = "a service of the test's own")]
        tokio::spawn(serve);
        Self { url, asked }
    }

    /// How often a path that contains this was asked for.
    fn asked(&self, what: &str) -> usize {
        self.asked.borrow().iter().filter(|(line, _)| line.contains(what)).count()
    }
}

/// The request line and the body of a request.
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

/// The root of a run of this type, when it has ended in this state.
async fn ended(target: &Target, run: &str, node_type: &str, state: &str) -> Value {
    let (status, answer) = target.process.post("/v1/runs", &start_request(run, node_type)).await;
    assert_eq!(status, 200, "{node_type}: {answer}");
    assert_eq!(target.process.run_ended(run).await, state, "{node_type}");
    target.process.node_run(answer["root_node_run_id"].as_str().expect("a root")).await
}

async fn success(target: &Target, run: &str, node_type: &str) -> Value {
    ended(target, run, node_type, "succeeded").await
}

/// A run of a node of this type has failed: its error.
async fn failure(target: &Target, run: &str, node_type: &str) -> Value {
    ended(target, run, node_type, "failed").await["extensions"]["completion_error"].clone()
}

fn executor_of(kinds: &'static [Kind]) -> impl Fn(&str, &Value) -> Poison {
    move |_, body| {
        let (kind, node) = (&body["node_type_ref"]["node_type_id"], body["node_run_id"].as_str());
        match kinds.iter().find(|(name, _)| *kind == **name) {
            Some((_, poison)) => poison(node.unwrap_or_default()),
            None => whole("{}"),
        }
    }
}

/// Everything about an answer but its outputs.
fn succeeded(node: &str, outputs: &str) -> String {
    format!("{{\"node_run_id\": \"{node}\", \"state\": \"succeeded\", \"outputs\": {outputs}}}")
}

/// Each fails its node, in words, and is asked for once.
#[tokio::test]
async fn hostile_executor_answer_costs_only_its_node() {
    const KINDS: &[Kind] = &[
        ("atomic.endless-text", |_| endless("200 OK", "{\"outputs\": {\"x\": \"", "x")),
        ("atomic.endless-bombs", |_| endless("200 OK", "{\"outputs\": {\"x\": [", "{\"\":0},")),
        ("atomic.endless-blanks", |_| endless("200 OK", "", " ")),
        ("atomic.endless-nesting", |_| endless("200 OK", "", "[")),
        ("atomic.endless-announced", |_| Poison {
            beginning: b"HTTP/1.1 200 OK\r\ncontent-length: 999999999999\r\n\r\n{".to_vec(),
            again: vec![b' '; 64 << 10],
        }),
        ("atomic.another", |_| whole(succeeded("another", "{}"))),
    ];
    let evil = Evil::start(executor_of(KINDS)).await;
    let vars = [MAX_ANSWER, ("JARVIS_ATOMIC_EXECUTOR_URL", &*evil.url)];
    let target = Target::start(&vars).await;
    for (number, (kind, _)) in KINDS.iter().enumerate() {
        let error = failure(&target, &format!("run-{number}"), kind).await;
        assert_eq!(error["code"], "atomic_executor_invalid_result", "{kind}: {error}");
        if kind.contains("endless") {
            assert_eq!(error["message"], "Atomic Executor answered with more than 4194304 bytes", "{kind}");
        }
        assert!(error.to_string().len() < 1_000, "{kind}: {error}");
        assert_eq!(evil.asked(":execute"), number + 1, "{kind}");
    }
    target.alive(PEAK_MIB).await;
}

/// An answer of so many levels: the result, its outputs, and lists.
fn deep(node: &str, levels: usize) -> Poison {
    let lists = levels - 2;
    whole(succeeded(node, &format!("{{\"x\": {}1{}}}", "[".repeat(lists), "]".repeat(lists))))
}

/// Answers that fit and yet are too much: as deep as no body may be.
#[tokio::test]
async fn answer_nesting_is_limited_like_a_body() {
    const KINDS: &[Kind] = &[
        ("atomic.deep", |node| deep(node, 101)),
        // Around the parser's own limit, and far beyond.
        ("atomic.deeper", |node| deep(node, 127)),
        ("atomic.deeper-still", |node| deep(node, 128)),
        ("atomic.deepest", |node| deep(node, 100_000)),
        // Where nothing looks at it.
        ("atomic.deep-aside", |node| {
            let aside = format!("\"aside\": {}{}, \"outputs\"", "[".repeat(100), "]".repeat(100));
            whole(succeeded(node, "{}").replace("\"outputs\"", &aside))
        }),
        ("atomic.as-deep-as-allowed", |node| deep(node, 100)),
    ];
    let evil = Evil::start(executor_of(KINDS)).await;
    let vars = [MAX_ANSWER, ("JARVIS_ATOMIC_EXECUTOR_URL", &*evil.url)];
    let target = Target::start(&vars).await;
    let ((allowed, _), refused) = KINDS.split_last().expect("kinds");
    for (number, (kind, _)) in refused.iter().enumerate() {
        let error = failure(&target, &format!("run-{number}"), kind).await;
        assert_eq!(error["code"], "atomic_executor_invalid_result", "{kind}: {error}");
        let message = "Atomic Executor answered with more than 100 levels of nesting";
        assert_eq!(error["message"], message, "{kind}");
        assert_eq!(evil.asked(":execute"), number + 1, "{kind}");
    }
    let node = success(&target, "run", allowed).await;
    assert!(node["outputs"]["x"].is_array(), "{node}");
    target.alive(PEAK_MIB).await;
}

/// What is made of an answer is as large as its text, whatever the text is.
#[tokio::test]
async fn answer_of_many_values_costs_only_its_bytes() {
    const BOMBS: usize = 500_000;
    const KINDS: &[Kind] = &[("atomic.bombs", |node| {
        whole(succeeded(node, &format!("{{\"x\": [{}0]}}", "{\"\":0},".repeat(BOMBS))))
    })];
    let evil = Evil::start(executor_of(KINDS)).await;
    let vars = [MAX_ANSWER, ("JARVIS_ATOMIC_EXECUTOR_URL", &*evil.url)];
    let target = Target::start(&vars).await;
    let node = success(&target, "run", "atomic.bombs").await;
    assert_eq!(node["outputs"]["x"].as_array().map(Vec::len), Some(BOMBS + 1));
    assert_eq!(evil.asked(":execute"), 1);
    target.alive(PEAK_MIB).await;
}

/// Failures that are told without end are failures of their status.
#[tokio::test]
async fn endless_failure_answer_is_a_failure() {
    const KINDS: &[Kind] = &[
        ("atomic.refuses", |_| endless("404 Not Found", "{\"error\": {\"code\": \"", "x")),
        ("atomic.breaks-down", |_| endless("500 Internal Server Error", "", "x")),
    ];
    let evil = Evil::start(executor_of(KINDS)).await;
    let vars = [MAX_ANSWER, ("JARVIS_ATOMIC_EXECUTOR_URL", &*evil.url)];
    let target = Target::start(&vars).await;
    for (number, (kind, _)) in KINDS.iter().enumerate() {
        let error = failure(&target, &format!("run-{number}"), kind).await;
        assert_eq!(error["code"], "atomic_executor_unavailable", "{kind}: {error}");
        assert_eq!(evil.asked(":execute"), number + 1, "{kind}");
    }
    target.alive(PEAK_MIB).await;
}

/// Nothing is begun on the word of a registry that talks without end, or about
/// another type; and it is asked for nothing but types.
#[tokio::test]
async fn lying_registry_starts_no_run() {
    let evil = Evil::start(|line, _| match line {
        line if line.contains("/endless?") => endless("200 OK", "{\"x\": \"", "x"),
        line if line.contains("/endless-failure?") => endless("503 Service Unavailable", "", "x"),
        _ => whole(r#"{"node_type_id": "jarvis.core.echo", "version": "1", "kind": "atomic"}"#),
    })
    .await;
    let target = Target::start(&[MAX_ANSWER, ("JARVIS_NODE_REGISTRY_URL", &*evil.url)]).await;
    for node_type in
        ["endless", "endless-failure", "jarvis.core.pay", r"x\..\jarvis.core.echo", "x/../jarvis.core.echo"]
    {
        let reply = target.post("/v1/runs", start_request("run", node_type).to_string().as_bytes()).await;
        reply.refused(503, "node_registry_unavailable");
    }
    let asked = soon("the questions", async { evil.asked.borrow().clone() }).await;
    for (line, _) in asked {
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
