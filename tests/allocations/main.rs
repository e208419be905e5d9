//! What requests cost, counted in allocations: a guard against regressions that is the same
//! on every machine, unlike times. (A future that grows to 100 KB, a copy of each record,
//! a client that is made for each call: all of it shows here.)
//!
//! ```text
//!   raw socket ──▶ server, journal in a file, executors: all in this process ──▶ allocations, KiB a request
//!                                                                       compared with baseline.json
//! ```
//!
//! The executors count as well; the client makes none. `ALLOCATIONS=overwrite` writes the
//! baseline again.

#![allow(unreachable_pub, reason = "a test binary exports nothing")]
#![allow(clippy::needless_pass_by_value, reason = "`json!({})` reads better without a borrow")]

#[path = "../integration/support/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the set-up of all tests")]
mod support;

use std::{alloc::System, collections::BTreeMap, fs};

use serde::{Deserialize, Serialize};
use serde_json::json;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use self::support::{TestServer, soon};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const BASELINE: &str = "tests/allocations/baseline.json";

/// Requests before the count begins: caches, connections, statements, buffers.
const WARM_UP: usize = 50;
/// Requests that are counted.
const COUNTED: usize = 300;
/// How much more than the baseline is a regression, in percent. What happens by time, such
/// as sweeps and heartbeats, is among it.
const ALLOWED: u64 = 10;

/// What one request costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Cost {
    allocations: u64,
    kib: u64,
}

/// A connection that is kept, and a buffer for its answers.
struct Connection {
    stream: TcpStream,
    answer: Vec<u8>,
}

impl Connection {
    async fn to(server: &TestServer) -> Self {
        let address = server.url().trim_start_matches("http://");
        Self { stream: TcpStream::connect(address).await.expect("connected"), answer: vec![0; 1 << 20] }
    }

    /// Sends a request, and waits for the whole answer, which has to be a success.
    async fn ask(&mut self, request: &[u8]) -> &str {
        self.stream.write_all(request).await.expect("sent");
        let mut filled = 0;
        while !is_whole(&self.answer[..filled]) {
            let read = self.stream.read(&mut self.answer[filled..]).await.expect("an answer");
            assert!(read > 0, "the connection ended");
            filled += read;
        }
        let answer = std::str::from_utf8(&self.answer[..filled]).expect("text");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        answer
    }

    /// The mean cost of a request.
    async fn cost(&mut self, request: &[u8]) -> Cost {
        for _ in 0..WARM_UP {
            self.ask(request).await;
        }
        let region = Region::new(ALLOCATOR);
        for _ in 0..COUNTED {
            self.ask(request).await;
        }
        let change = region.change();
        let counted = COUNTED as u64;
        let (allocations, bytes) = (change.allocations + change.reallocations, change.bytes_allocated);
        Cost { allocations: allocations as u64 / counted, kib: bytes as u64 / counted / 1024 }
    }
}

/// Whether this is a whole answer: with its length, or in chunks to the last one.
fn is_whole(answer: &[u8]) -> bool {
    let text = std::str::from_utf8(answer).expect("text");
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    match head.split("\r\n").find_map(|line| line.strip_prefix("content-length: ")) {
        Some(length) => length.parse() == Ok(body.len()),
        None => body.ends_with("0\r\n\r\n"),
    }
}

#[tokio::test]
async fn requests_allocate_no_more_than_the_baseline() {
    let server = TestServer::start().await;
    let run = server.run_start("atomic.echo", json!({})).await;
    server.run_ended(&run.run_id).await;
    let start =
        json!({"root_node_type_ref": {"node_type_id": "atomic.echo", "version": "1.0.0"}, "input": {}});
    let start = start.to_string();
    let post = format!(
        "POST /v1/runs HTTP/1.1\r\nhost: x\r\nprefer: wait=30\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{start}",
        start.len()
    );
    let get = |path: &str| format!("GET /v1/runs/{}{path} HTTP/1.1\r\nhost: x\r\n\r\n", run.run_id);
    let requests =
        [("run of one node, to its end", post), ("run read", get("")), ("events of a run", get("/events"))];

    let mut costs = BTreeMap::new();
    for (what, request) in requests {
        let mut connection = Connection::to(&server).await;
        costs.insert(what.to_owned(), soon(what, connection.cost(request.as_bytes())).await);
    }
    server.stop().await;
    println!("{costs:#?}");
    if std::env::var("ALLOCATIONS").is_ok_and(|then| then == "overwrite") {
        let text = serde_json::to_string_pretty(&costs).expect("JSON") + "\n";
        return fs::write(BASELINE, text).expect("written");
    }
    let text = fs::read_to_string(BASELINE).expect("the baseline");
    let baseline: BTreeMap<String, Cost> = serde_json::from_str(&text).expect("JSON");
    let names = |costs: &BTreeMap<String, Cost>| costs.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&costs), names(&baseline));
    for (what, cost) in &costs {
        let most = |of: u64| of + of * ALLOWED / 100 + 1;
        let before = baseline[what];
        assert!(
            cost.allocations <= most(before.allocations) && cost.kib <= most(before.kib),
            "{what}: {cost:?}, and it was {before:?}. If it is worth that: ALLOCATIONS=overwrite"
        );
    }
}
