//! Event streams (contract §13, §15): their format, cursors and limits, and following.

use std::sync::Arc;

use futures::StreamExt;
use jarvis_run_coordinator::{
    events::{EventHub, Events, StreamOptions},
    types::{NodeRunState, RunEvent, RunEventType},
};
use reqwest::Response;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{ATOMIC_RUN, TestServer, nulls, soon, spec};

fn seqs(text: &str) -> Vec<u64> {
    let event = |line: &str| serde_json::from_str::<RunEvent>(line).expect("a RunEvent a line").seq;
    text.lines().map(event).collect()
}

async fn read(t: &TestServer, path: &str) -> String {
    let answer = t.get(path).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/x-ndjson")), "{path}");
    answer.text
}

/// A followed stream, read line by line.
struct Followed {
    response: Response,
    rest: String,
}

impl Followed {
    async fn start(t: &TestServer, path: &str) -> Self {
        let response = soon("the stream", t.request("GET", path).send()).await.expect("a stream");
        assert_eq!(
            (response.status().as_u16(), &response.headers()["content-type"]),
            (200, &"application/x-ndjson".parse().expect("a header"))
        );
        Self { response, rest: String::new() }
    }

    /// The next event; `None` at the end of the stream.
    async fn next(&mut self) -> Option<RunEvent> {
        loop {
            if let Some((line, rest)) = self.rest.split_once('\n') {
                let event = serde_json::from_str(line).expect("a RunEvent a line");
                self.rest = rest.to_owned();
                return Some(event);
            }
            match soon("more of the stream", self.response.chunk()).await.expect("a sound stream") {
                Some(chunk) => self.rest.push_str(std::str::from_utf8(&chunk).expect("UTF-8")),
                None => {
                    assert_eq!(self.rest, "", "the stream ended within a line");
                    return None;
                }
            }
        }
    }

    async fn take(&mut self, count: usize) -> Vec<RunEventType> {
        let mut types = Vec::new();
        for _ in 0..count {
            types.push(self.next().await.expect("an event").type_);
        }
        types
    }
}

#[tokio::test]
async fn run_stream_is_ndjson_ordered_by_seq() {
    let t = TestServer::start().await;
    let run = t.run_start("atomic.echo", json!({})).await;
    t.run_ended(&run.run_id).await;
    let text = read(&t, &format!("/v1/runs/{}/events", run.run_id)).await;
    assert!(text.ends_with('\n') && !text.contains("\n\n"), "each line ends with a line feed");
    assert_eq!(seqs(&text), [1, 2, 3, 4, 5, 6, 7]);
    for line in text.lines() {
        let event: Value = serde_json::from_str(line).expect("JSON");
        assert_eq!((nulls(&event), &event["run_id"]), (Vec::new(), &json!(run.run_id)));
        let of_the_run = event["type"] == "run_started";
        assert_eq!(event.get("node_run_id").is_none(), of_the_run, "{event}");
    }
    let generated = t.client.stream_run_events(&run.run_id).await.expect("a stream");
    assert_eq!(generated.headers()["content-type"], "application/x-ndjson");
    t.stop().await;
}

#[tokio::test]
async fn node_stream_covers_the_node_and_its_descendants() {
    let t = TestServer::idle().await;
    let run = t.run_start("composite.accept", json!({})).await;
    let root = &run.root_node_run_id;
    // The path of the twentieth child begins with the digits of the second one's.
    let children = t.children(&run.run_id, root, &vec![spec("composite.accept"); 20]).await;
    let second = &children[0].node_run_id;
    let inner = t.children(&run.run_id, second, &[spec("composite.accept")]).await.remove(0).node_run_id;
    let deep = t.children(&run.run_id, &inner, &[spec("atomic.echo")]).await.remove(0).node_run_id;
    t.complete(&deep, "succeeded").await;
    t.complete(root, "succeeded").await;
    let all = t.events(&run.run_id).await;
    let of = |nodes: &[&jarvis_run_coordinator::types::NodeRunId]| {
        let about = |event: &&RunEvent| event.node_run_id.as_ref().is_some_and(|node| nodes.contains(&node));
        all.iter().filter(about).map(|event| event.seq).collect::<Vec<_>>()
    };
    for (node, within) in [
        (&deep, vec![&deep]),
        (&inner, vec![&inner, &deep]),
        (second, vec![second, &inner, &deep]),
        (&children[18].node_run_id, vec![&children[18].node_run_id]),
    ] {
        let text = read(&t, &format!("/v1/node-runs/{node}/events")).await;
        assert_eq!(seqs(&text), of(&within));
        assert!(!text.is_empty());
    }
    // The root's stream has every event but those about the run as a whole.
    let text = read(&t, &format!("/v1/node-runs/{root}/events")).await;
    assert_eq!(seqs(&text), (2..=all.len() as u64).collect::<Vec<_>>());
    let last = format!("/v1/node-runs/{root}/events?cursor={}", cursor(all.len() as u64 - 1));
    assert!(read(&t, &last).await.contains("run_completed"), "the root ended the run");
    t.stop().await;
}

/// The Event Stream's cursor: the decimal `seq` in URL-safe base64.
fn cursor(seq: u64) -> String {
    use base64::{Engine, engine::general_purpose::URL_SAFE};
    URL_SAFE.encode(seq.to_string())
}

#[tokio::test]
async fn cursor_and_limit_select_a_part_of_the_stream() {
    let t = TestServer::start().await;
    let run = t.run_start("atomic.echo", json!({})).await;
    t.run_ended(&run.run_id).await;
    let base = format!("/v1/runs/{}/events", run.run_id);
    for (query, expected) in [
        (String::new(), vec![1, 2, 3, 4, 5, 6, 7]),
        (format!("cursor={}", cursor(0)), vec![1, 2, 3, 4, 5, 6, 7]),
        (format!("cursor={}", cursor(5)), vec![6, 7]),
        (format!("cursor={}", cursor(5).trim_end_matches('=')), vec![6, 7]),
        (format!("cursor={}", cursor(7)), vec![]),
        (format!("cursor={}", cursor(u64::MAX)), vec![]),
        ("limit=2".into(), vec![1, 2]),
        ("limit=10000".into(), vec![1, 2, 3, 4, 5, 6, 7]),
        (format!("cursor={}&limit=3", cursor(2)), vec![3, 4, 5]),
        (format!("cursor={}&limit=3&follow=1", cursor(2)), vec![3, 4, 5]),
        ("follow=0&unknown=x".into(), vec![1, 2, 3, 4, 5, 6, 7]),
    ] {
        assert_eq!(seqs(&read(&t, &format!("{base}?{query}")).await), expected, "{query}");
    }
    // The limit counts events of the node, not the events that were read.
    let node = format!("/v1/node-runs/{}/events?limit=2", run.root_node_run_id);
    assert_eq!(seqs(&read(&t, &node).await), [2, 3]);
    for (query, name, word) in [
        ("cursor=", "cursor", "value_error"),
        ("cursor=12", "cursor", "value_error"),
        ("cursor=LTE=", "cursor", "value_error"), // "-1"
        ("limit=0", "limit", "greater_than_equal"),
        ("limit=10001", "limit", "less_than_equal"),
        ("limit=-1", "limit", "int_parsing"),
        ("limit=ten", "limit", "int_parsing"),
        ("follow=maybe", "follow", "bool_parsing"),
    ] {
        for base in [&base, &format!("/v1/node-runs/{}/events", run.root_node_run_id)] {
            let complaints = t.get(&format!("{base}?{query}")).await.complaints();
            assert_eq!(complaints, [(word.into(), format!("query.{name}"))], "{query}");
        }
    }
    t.stop().await;
}

#[tokio::test]
async fn stream_of_an_unknown_id_is_404_even_if_followed() {
    let t = TestServer::idle().await;
    for query in ["", "?follow=1", "?cursor=MQ==&limit=1"] {
        t.get(&format!("/v1/runs/nowhere/events{query}")).await.refused(404, "run_not_found");
        t.get(&format!("/v1/node-runs/unknown/events{query}")).await.refused(404, "node_run_not_found");
    }
    t.stop().await;
}

/// The gateway and the SDK read a stream to its end, without a time limit.
#[tokio::test]
async fn stream_of_a_live_run_ends_unless_followed() {
    let t = TestServer::idle().await;
    let run = t.run_start("atomic.echo", json!({})).await;
    assert_eq!(seqs(&read(&t, &format!("/v1/runs/{}/events", run.run_id)).await), [1, 2, 3]);
    assert_eq!(seqs(&read(&t, &format!("/v1/node-runs/{}/events", run.root_node_run_id)).await), [2, 3]);
    t.stop().await;
}

#[tokio::test]
async fn followed_stream_delivers_new_events_and_ends_with_the_run() {
    use RunEventType::{
        AtomicExecuted, CompositeDecomposed, NodeEvaluated, NodeRunAssigned, PolicyDecided, RunCompleted,
        RunStarted,
    };
    let t = TestServer::idle().await;
    let run = t.run_start("composite.accept", json!({})).await;
    let mut whole = Followed::start(&t, &format!("/v1/runs/{}/events?follow=1", run.run_id)).await;
    let mut later =
        Followed::start(&t, &format!("/v1/runs/{}/events?follow=true&cursor={}", run.run_id, cursor(3)))
            .await;
    let mut root =
        Followed::start(&t, &format!("/v1/node-runs/{}/events?follow=1", run.root_node_run_id)).await;
    assert_eq!(whole.take(3).await, [RunStarted, NodeRunAssigned, PolicyDecided]);
    assert_eq!(root.take(2).await, [NodeRunAssigned, PolicyDecided]);
    // The following events are newer than the streams.
    let child = t.children(&run.run_id, &run.root_node_run_id, &[spec("atomic.echo")]).await.remove(0);
    let mut below =
        Followed::start(&t, &format!("/v1/node-runs/{}/events?follow=1", child.node_run_id)).await;
    for stream in [&mut whole, &mut later, &mut root] {
        assert_eq!(stream.take(2).await, [CompositeDecomposed, NodeRunAssigned]);
    }
    let evaluation = json!({"evaluation_result": {"status": "success"}});
    t.post(&format!("/v1/node-runs/{}:evaluation", child.node_run_id), &evaluation).await.no_content();
    t.complete(&child.node_run_id, "succeeded").await;
    for stream in [&mut whole, &mut later, &mut root] {
        assert_eq!(stream.take(2).await, [NodeEvaluated, AtomicExecuted]);
    }
    t.complete(&run.root_node_run_id, "succeeded").await;
    for stream in [&mut whole, &mut later, &mut root] {
        assert_eq!(stream.take(1).await, [RunCompleted]);
        assert!(stream.next().await.is_none());
    }
    // The child's stream ends with the run, too.
    assert_eq!(below.take(3).await, [NodeRunAssigned, NodeEvaluated, AtomicExecuted]);
    assert!(below.next().await.is_none());
    // The stream of a finished run ends at once.
    let text = read(&t, &format!("/v1/runs/{}/events?follow=1&cursor={}", run.run_id, cursor(99))).await;
    assert_eq!(text, "");
    t.stop().await;
}

/// Followers of a busy run miss no event and see none twice.
#[tokio::test]
async fn followers_see_every_event_once() {
    let t = TestServer::start().await;
    let run = t.run_start("composite.accept", json!({})).await;
    let follow = || t.follow(&run.run_id);
    let work = async {
        for _ in 0..10 {
            let children =
                t.children(&run.run_id, &run.root_node_run_id, &vec![spec("atomic.echo"); 10]).await;
            for child in children {
                t.node_run_in(&child.node_run_id, NodeRunState::Succeeded).await;
            }
        }
        t.complete(&run.root_node_run_id, "succeeded").await;
    };
    let (one, other, ()) = tokio::join!(follow(), follow(), work);
    let stored = t.events(&run.run_id).await;
    assert_eq!(
        stored.iter().map(|event| event.seq).collect::<Vec<_>>(),
        (1..=stored.len() as u64).collect::<Vec<_>>()
    );
    assert_eq!(stored.len(), 4 + 10 + 100 * 4 + 1);
    assert!(one == stored && other == stored);
    t.stop().await;
}

#[tokio::test]
async fn disconnected_follower_releases_its_tasks() {
    let t = TestServer::idle().await;
    let run = t.run_start("atomic.echo", json!({})).await;
    let address = t.url.strip_prefix("http://").expect("an address").to_owned();
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    let mut followers = Vec::new();
    for _ in 0..5 {
        let mut connection = TcpStream::connect(&address).await.expect("a connection");
        let request = format!("GET /v1/runs/{}/events?follow=1 HTTP/1.1\r\nhost: x\r\n\r\n", run.run_id);
        connection.write_all(request.as_bytes()).await.expect("sent");
        let mut seen = String::new();
        while !seen.contains("policy_decided") {
            let mut piece = [0; 4096];
            let length = soon("the first lines", connection.read(&mut piece)).await.expect("lines");
            seen.push_str(std::str::from_utf8(&piece[..length]).expect("UTF-8"));
        }
        followers.push(connection);
    }
    assert!(tasks() >= before + 5, "the server has a task for each follower");
    drop(followers);
    // Their tasks end although the run has no further event.
    soon("the end of the followers' tasks", async {
        while tasks() > before {
            tokio::task::yield_now().await;
        }
    })
    .await;
    t.stop().await;
}

/// The hub has an entry only for runs that are followed.
#[tokio::test]
async fn hub_drops_a_run_without_followers() {
    let t = TestServer::idle().await;
    let run = t.run_start("atomic.echo", json!({})).await;
    let (journal, _executors) = t.stop().await;
    let options = jarvis_run_coordinator::journal::sqlite::SqliteOptions {
        path: journal.path().join("journal.db"),
        max_bytes: None,
        outbox: false,
    };
    let log = slog::Logger::root(slog::Discard, slog::o!());
    let journal =
        jarvis_run_coordinator::journal::sqlite::SqliteJournal::open(options, log).expect("the journal");
    let events = Events { journal: Arc::new(journal), hub: Arc::new(EventHub::default()) };
    let stream = |follow| {
        events.stream(run.run_id.clone(), None, StreamOptions { follow, ..StreamOptions::default() })
    };
    let mut one = stream(true);
    let other = stream(true);
    assert_eq!(events.hub.len(), 1);
    one.next().await.expect("a chunk").expect("sound");
    drop(one);
    assert_eq!(events.hub.len(), 1);
    drop(other);
    let unfollowed = stream(false);
    assert!(events.hub.is_empty());
    assert_eq!(unfollowed.count().await, 1);
}

#[tokio::test]
async fn stop_ends_followed_streams_and_bounds_its_wait() {
    let t = TestServer::start_with(&[("JARVIS_RUN_COORDINATOR_SHUTDOWN_TIMEOUT_SECS", "0.5")]).await;
    // A node whose executor never answers, and a follower of its run.
    let run = t.run_start("atomic.deaf", json!({})).await;
    let mut stream = Followed::start(&t, &format!("/v1/runs/{}/events?follow=1", run.run_id)).await;
    stream.take(4).await;
    let url = t.url.clone();
    let (journal, executors) = t.stop().await;
    assert!(stream.next().await.is_none(), "the stream ended in order");
    assert!(reqwest::get(format!("{url}/v1/health")).await.is_err(), "the port is closed");

    // The next server opens the journal and has the events.
    let t = TestServer::try_start(journal, executors, &[]).await.expect("the next server");
    assert_eq!(t.event_types(&run.run_id).await[..4], ATOMIC_RUN[..4]);
    t.stop().await;
}
