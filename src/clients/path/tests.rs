//! Every operation of every client that takes an id in its path, with hostile
//! ids, against a server that records the requests.

use std::{future::Future, pin::Pin, sync::LazyLock};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
};

use super::*;
use crate::clients::{
    Peer, Service, artifact_store, atomic_executor, composite_executor, event_stream, node_registry,
    run_coordinator, run_store, verbatim,
};

/// Ids that callers, other coordinators and services may use.
const HOSTILE: [&str; 22] = [
    "plain",
    "a:b",
    "a:cancel",
    r"a\..\..\..\internal\secrets",
    r"..\admin",
    r"\\other.example\x",
    "a/../../internal",
    "../x",
    "/etc",
    "//other.example/x",
    "%2e%2e",
    "%2F..%2F",
    "%",
    "a?b=c",
    "a#b",
    "a;b=c",
    "a b\t\r\nx: y",
    "\u{0}\u{1b}\u{7f}",
    "ü\u{202e}𝄞",
    "...",
    "!",
    "{}[]|^`<>\"'@$&+,=*()",
];

/// Ids that no path can carry.
const IMPOSSIBLE: [&str; 3] = ["", ".", ".."];

/// Shared, because making it takes longer than all of its calls.
static HTTP: LazyLock<reqwest::Client> =
    LazyLock::new(|| reqwest::Client::builder().no_proxy().build().expect("a client"));

type Call = Pin<Box<dyn Future<Output = ()>>>;

/// An operation: the path before and behind the id, and the call at a URL.
struct Operation {
    method: &'static str,
    before: &'static str,
    behind: &'static str,
    call: fn(String, String) -> Call,
}

macro_rules! operations {
    ($($method:literal $before:literal $behind:literal $service:ident $module:ident |$client:ident, $id:ident| $call:expr;)*) => {
        [$(Operation {
            method: $method,
            before: $before,
            behind: $behind,
            call: |url, $id| Box::pin(async move {
                let http = HTTP.clone();
                let $client = $module::Client::new_with_client(&url, http, Peer::anonymous(Service::$service));
                let _ = $call.await;
            }),
        }),*]
    };
}

fn operations() -> impl IntoIterator<Item = Operation> {
    fn run(id: &str) -> crate::types::Run {
        serde_json::from_value(serde_json::json!({"run_id": id, "root_node_run_id": "n", "state": "running"}))
            .expect("a Run")
    }
    fn node(id: &str) -> crate::types::NodeRun {
        serde_json::from_value(serde_json::json!({"run_id": "r", "node_run_id": id, "state": "running",
            "node_type_ref": {"node_type_id": "t", "version": "1"}}))
        .expect("a NodeRun")
    }
    operations! {
        "GET" "/v1/artifacts/" "" ArtifactStore artifact_store |client, id| client.get_artifact(&id);
        "HEAD" "/v1/artifacts/" "" ArtifactStore artifact_store |client, id| client.head_artifact(&id);
        "GET" "/v1/artifacts/" "/metadata" ArtifactStore artifact_store |client, id| client.get_metadata(&id);
        "POST" "/v1/atomic-node-runs/" ":cancel" AtomicExecutor atomic_executor
            |client, id| client.cancel_atomic_node_run(&id.as_str().into());
        "POST" "/v1/composite-node-runs/" ":cancel" CompositeExecutor composite_executor
            |client, id| client.cancel_composite_node_run(&id.as_str().into());
        "GET" "/v1/runs/" "/events" EventStream event_stream
            |client, id| client.stream_run_events(&id.as_str().into(), None, None, None);
        "GET" "/v1/node-runs/" "/events" EventStream event_stream
            |client, id| client.stream_node_run_events(&id.as_str().into(), None, None, None);
        "GET" "/v1/node-types/" "" NodeRegistry node_registry |client, id| client.get_node_type(&id, None);
        "GET" "/v1/runs/" "" RunCoordinator run_coordinator |client, id| client.get_run(&id.as_str().into());
        "POST" "/v1/runs/" ":cancel" RunCoordinator run_coordinator |client, id| client.cancel_run(&id.as_str().into());
        "GET" "/v1/runs/" "/events" RunCoordinator run_coordinator
            |client, id| client.stream_run_events(&id.as_str().into());
        "GET" "/v1/node-runs/" "" RunCoordinator run_coordinator |client, id| client.get_node_run(&id.as_str().into());
        "GET" "/v1/node-runs/" "/events" RunCoordinator run_coordinator
            |client, id| client.stream_node_run_events(&id.as_str().into());
        "POST" "/v1/node-runs/" ":evaluation" RunCoordinator run_coordinator |client, id| async move {
            let body = serde_json::from_str(r#"{"evaluation_result": {"status": "success"}}"#).expect("a body");
            client.report_node_run_evaluation(&id.as_str().into(), &body).await
        };
        "POST" "/v1/node-runs/" ":complete" RunCoordinator run_coordinator |client, id| async move {
            let body = serde_json::from_str(r#"{"state": "succeeded"}"#).expect("a body");
            client.complete_node_run(&id.as_str().into(), &body).await
        };
        "GET" "/v1/runs/" "" RunStore run_store |client, id| client.get_run(&id.as_str().into());
        "PUT" "/v1/runs/" "" RunStore run_store |client, id| async move {
            let body = run_store::types::UpdateRunRequest { run: run(&id) };
            client.update_run(&id.as_str().into(), &body).await
        };
        "GET" "/v1/runs/" "/node-runs" RunStore run_store
            |client, id| client.list_node_runs(&id.as_str().into(), None, None);
        "GET" "/v1/node-runs/" "" RunStore run_store |client, id| client.get_node_run(&id.as_str().into());
        "PUT" "/v1/node-runs/" "" RunStore run_store |client, id| async move {
            let body = run_store::types::UpdateNodeRunRequest { node_run: node(&id) };
            client.update_node_run(&id.as_str().into(), &body).await
        };
        // The call of `send-request`.
        "GET" "/v1/node-runs/" "" RunCoordinator run_coordinator |client, id| async move {
            verbatim::get(&client, &format!("/v1/node-runs/{}", encode_path(&id)), "get_node_run").await
        };
    }
}

/// A server that records method and path of each request, and answers 404.
async fn recorder() -> (String, UnboundedReceiver<(String, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let (sender, lines) = unbounded_channel();
    #[expect(clippy::disallowed_methods, reason = "a service of the test's own")]
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                match socket.read_u8().await {
                    Ok(byte) => head.push(byte),
                    Err(_) => break,
                }
            }
            let head = String::from_utf8(head).expect("UTF-8");
            let mut words = head.split(' ').map(str::to_owned);
            let _ = sender.send((words.next().unwrap_or_default(), words.next().unwrap_or_default()));
            let answer = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            let _ = socket.write_all(answer).await;
        }
    });
    (url, lines)
}

fn decoded(segment: &str) -> Option<String> {
    percent_encoding::percent_decode_str(segment).decode_utf8().ok().map(Into::into)
}

#[tokio::test]
async fn encoded_id_arrives_as_one_segment_or_is_not_sent() {
    let (url, mut arrived) = recorder().await;
    for Operation { method, before, behind, call } in operations() {
        for id in HOSTILE {
            call(url.clone(), id.into()).await;
            let (seen, path) =
                arrived.try_recv().unwrap_or_else(|_| panic!("{before}{id:?}{behind}: no request"));
            assert_eq!(seen, method, "{before}{id:?}{behind}");
            let path = path.split('?').next().unwrap_or_default();
            let segment = path.strip_prefix(before).and_then(|rest| rest.strip_suffix(behind));
            let segment = segment.unwrap_or_else(|| panic!("{before}{id:?}{behind} arrived as {path}"));
            assert!(!segment.contains(['/', '\\', '?', '#', ';', ':']), "{id:?} arrived as {segment}");
            assert_eq!(decoded(segment).as_deref(), Some(id), "{before}{segment}{behind}");
        }
        for id in IMPOSSIBLE {
            call(url.clone(), id.into()).await;
            assert!(arrived.try_recv().is_err(), "{method} {before}{id:?}{behind} was sent");
        }
    }
}

/// The table above has every place where a generated client puts an id into a
/// path, and each uses our function.
#[test]
fn table_has_every_operation_with_an_id() {
    macro_rules! generated {
        ($($name:literal)*) => { [$(include_str!(concat!(env!("OUT_DIR"), "/", $name, ".rs"))),*] };
    }
    let clients = generated!["artifact_store" "atomic_executor" "composite_executor" "event_stream"
        "node_registry" "pdp" "run_coordinator" "run_store" "selection"];
    let mut places = 0;
    for code in clients {
        places += code.matches("encode_path(&").count();
        assert!(!code.contains("progenitor_client::{encode_path"));
    }
    // `send-request` does not use a generated method.
    assert_eq!(places, operations().into_iter().count() - 1);
}
