//! JSON bodies that are cheap to send and expensive to read.

use serde_json::Value;

use crate::target::{AT_REST_MIB, Target};

/// The largest body that is read.
const BODY_MIB: u64 = 8;

/// There is one body at a time, and each may cost eight times its size. Seven were seen,
/// of a run that its own lists forbid: both records are written again with its error
/// while the start is kept for a second try.
const PEAK_MIB: u64 = AT_REST_MIB + 8 * BODY_MIB;

/// The bound on the memory of one body, beyond that of the process before it.
const ONE_BODY_MIB: u64 = 8 * BODY_MIB;

/// The same after the run was canceled, which reads and writes both records again. How
/// much of the first peak the allocator can use again differs between runs.
const CANCELED_MIB: u64 = ONE_BODY_MIB + BODY_MIB * 2;

/// A start request with this as its input.
fn start(input: &str) -> Vec<u8> {
    let head = r#"{"root_node_type_ref": {"node_type_id": "atomic.echo", "version": "1"}, "input": "#;
    format!("{head}{input}}}").into_bytes()
}

/// A start request with `levels` of arrays or objects in its input.
fn nested(levels: usize, open: &str, close: &str) -> Vec<u8> {
    start(&format!("{{\"x\": {}1{}}}", open.repeat(levels), close.repeat(levels)))
}

fn first_error(reply: &crate::target::Reply) -> Value {
    reply.refused(400, "invalid_request")["details"]["errors"][0].clone()
}

/// The digits of a message, without separators.
fn digits(message: &Value) -> String {
    message.as_str().unwrap_or_default().chars().filter(|c| !matches!(c, ',' | '_' | ' ' | '\'')).collect()
}

#[tokio::test]
async fn nesting_beyond_the_limit_is_refused_at_any_depth() {
    let target = Target::start(&[]).await;
    // With the request and the input, these are 101 levels and more.
    for levels in [99, 110, 124, 125, 126, 127, 200, 100_000] {
        for (open, close) in [("[", "]"), ("{\"\":", "}")] {
            let error = first_error(&target.post("/v1/runs", &nested(levels, open, close)).await);
            assert_eq!(error["type"], "json_too_deep", "{levels} levels of {open}: {error}");
            assert!(digits(&error["msg"]).contains("100"), "{error}");
        }
    }
    // Nesting that is never closed.
    for open in ["[", "{\"a\":", "[{\"a\":["] {
        let error = first_error(&target.post("/v1/runs", open.repeat(1_000_000).as_bytes()).await);
        assert_eq!(error["type"], "json_too_deep", "{open}: {error}");
    }
    target.unharmed(PEAK_MIB).await;
}

#[tokio::test]
async fn too_many_values_are_refused_in_bounded_memory() {
    let target = Target::start(&[]).await;
    let most = (BODY_MIB << 20) as usize - 200;
    for piece in ["{\"\":0}", "[]", "0", "\"\"", "null", "{\"a\":[]}"] {
        let pieces = vec![piece; most / (piece.len() + 1)].join(",");
        let error = first_error(&target.post("/v1/runs", &start(&format!("{{\"x\": [{pieces}]}}"))).await);
        assert_eq!(error["type"], "json_too_many_values", "{piece}: {error}");
        assert!(digits(&error["msg"]).contains("200000"), "{error}");
    }
    // The limit counts members of objects, too.
    let members: Vec<String> = (0..most / 14).map(|number| format!("\"{number:07}\":0")).collect();
    let error = first_error(&target.post("/v1/runs", &start(&format!("{{{}}}", members.join(",")))).await);
    assert_eq!(error["type"], "json_too_many_values", "{error}");
    target.unharmed(PEAK_MIB).await;
}

#[tokio::test]
async fn invalid_or_large_bodies_are_refused_in_bounded_memory() {
    let target = Target::start(&[]).await;
    let long = "1".repeat(1_000_000);
    let mut utf16 = vec![0xff, 0xfe];
    utf16.extend(start("{}").iter().flat_map(|byte| [*byte, 0]));
    for (what, body) in [
        ("a number of a million digits", start(&format!("{{\"x\": {long}}}"))),
        ("an exponent of a million digits", start(&format!("{{\"x\": 1e{long}}}"))),
        ("a number beyond all", start("{\"x\": -1e999}")),
        ("NaN", start("{\"x\": NaN}")),
        ("the same member again, of another type", start("{}, \"input\": 7")),
        ("half a surrogate pair", start(r#"{"x": "\ud800"}"#)),
        ("an overlong byte sequence", [b"{\"x\": \"".as_slice(), b"\xc0\xaf", b"\"}"].concat()),
        ("a raw control character", start("{\"x\": \"\u{1}\"}")),
        ("a byte order mark", ["\u{feff}".as_bytes(), &start("{}")].concat()),
        ("UTF-16", utf16),
        ("something after the end", [start("{}"), b"{}".to_vec()].concat()),
        ("nothing", Vec::new()),
        // A million escapes in an unknown member.
        ("escapes", format!("{{\"x\": \"{}\"}}", "\\u0041".repeat(1_300_000)).into_bytes()),
        ("blanks", " ".repeat(8_000_000).into_bytes()),
        ("a long name", format!("{{\"{}\": 0}}", "n".repeat(8_000_000)).into_bytes()),
    ] {
        let reply = target.post("/v1/runs", &body).await;
        let error = reply.refused(400, "invalid_request");
        assert!(reply.body.len() < 4_000, "{what}: {} bytes of answer", reply.body.len());
        assert!(error["details"]["errors"][0]["type"].is_string(), "{what}: {error}");
    }
    let large = vec![b' '; (BODY_MIB << 20) as usize + 1];
    target.post("/v1/runs", &large).await.refused(413, "payload_too_large");
    // A chunked body does not announce its size.
    let mut chunks = b"POST /v1/runs HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
        connection: close\r\ntransfer-encoding: chunked\r\n\r\n"
        .to_vec();
    for chunk in large.chunks(1 << 20) {
        chunks.extend(format!("{:x}\r\n", chunk.len()).bytes().chain(chunk.iter().copied()).chain(*b"\r\n"));
    }
    chunks.extend(b"0\r\n\r\n");
    target.send(&chunks).await.only().refused(413, "payload_too_large");
    target.unharmed(PEAK_MIB).await;
}

/// A start request of nearly the largest size, with these members.
fn start_with(members: &str) -> Vec<u8> {
    let body = format!(
        r#"{{"run_id": "big", "root_node_type_ref": {{"node_type_id": "composite.plan", "version": "1"}},
            "input": {{}}, {members}}}"#
    );
    let most = (BODY_MIB << 20) as usize;
    assert!((most / 8 * 7..=most).contains(&body.len()), "{} bytes", body.len());
    body.into_bytes()
}

/// A list of type ids, each of 400 bytes, which begin with these numbers.
fn type_ids(numbers: impl Iterator<Item = usize>) -> String {
    let pad = "p".repeat(394);
    let ids: Vec<String> = numbers.map(|number| format!("\"{number:06}{pad}\"")).collect();
    format!("[{}]", ids.join(","))
}

fn extensions(numbers: impl Iterator<Item = usize>) -> String {
    let pad = "p".repeat(25);
    let members: Vec<String> = numbers.map(|number| format!("\"a.{number:06}{pad}\":0")).collect();
    format!("\"extensions\": {{{}}}", members.join(","))
}

fn candidates(allowed: &str, denied: &str) -> String {
    format!(
        r#""constraints": {{"candidates": {{"allowed_node_type_ids": {allowed}, "denied_node_type_ids": {denied}}}}}"#
    )
}

/// Constraints and extensions of a run are stored in two records, and are read again by
/// later requests.
#[tokio::test]
async fn large_bodies_are_stored_in_bounded_memory() {
    let (many, some) = (199_000, 10_000);
    for (what, members) in [
        ("extensions", extensions(0..many)),
        ("extensions in the wrong order", extensions((0..many).rev())),
        ("type ids", candidates(&type_ids(0..some), &type_ids(some..2 * some))),
        ("type ids in the wrong order", candidates(&type_ids((0..some).rev()), &type_ids(some..2 * some))),
    ] {
        // Without dispatch, only the cost of the body is measured.
        let target = Target::start(&[("JARVIS_RUN_COORDINATOR_AUTO_DISPATCH", "off")]).await;
        let small = start("{}");
        assert_eq!(target.post("/v1/runs", &small).await.status, 200);
        let at_rest = target.peak_mib();
        let body = start_with(&members);
        drop(members);
        let run = target.post("/v1/runs", &body).await;
        assert_eq!(run.status, 200, "{what}: {:.300}", run.body);
        let started = target.peak_mib() - at_rest;
        let run = target.post("/v1/runs/big:cancel", b"").await;
        assert_eq!(run.status, 200, "{what}: {:.300}", run.body);
        let canceled = target.peak_mib() - at_rest;
        println!("{what}: {} bytes cost {started} MiB, with the cancel {canceled} MiB", body.len());
        assert!(started <= ONE_BODY_MIB && canceled <= CANCELED_MIB, "{what}: {started}, {canceled} MiB");
        target.alive(PEAK_MIB).await;
    }
}
