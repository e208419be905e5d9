//! Request targets that look like other paths than they are.

use crate::target::{AT_REST_MIB, Target};

const PEAK_MIB: u64 = AT_REST_MIB + 16;

fn request(method: &str, target: &[u8]) -> Vec<u8> {
    let (before, after) = (format!("{method} "), " HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    [before.as_bytes(), target, after.as_bytes()].concat()
}

#[tokio::test]
async fn unusual_paths_are_routed_as_the_contract_says() {
    let target = Target::start(&[]).await;
    let long = format!("/v1/runs/{}", "a".repeat(60_000));
    let longer = format!("/v1/runs/{}", "a".repeat(200_000));
    for (method, path, status) in [
        // Plain paths, for comparison.
        ("GET", b"/v1/health".as_slice(), 200),
        ("GET", b"/v1/runs/a", 404),
        // Dot segments.
        ("GET", b"/v1/runs/../health", 400),
        ("GET", b"/v1/./health", 400),
        ("GET", b"/v1/runs/%2e%2e/health", 404),
        ("GET", b"/v1/runs/.%2E/health", 404),
        ("GET", b"/v1/runs/..", 400),
        ("GET", b"/v1/runs/%2e", 404),
        // Three dots are an ordinary segment.
        ("GET", b"/v1/runs/...", 404),
        // Slashes, and characters that are taken for slashes.
        ("GET", b"/v1//health", 404),
        ("GET", b"//v1/health", 404),
        ("GET", b"/v1/health/", 404),
        ("GET", b"/v1/runs/x%2Fevents", 404),
        ("GET", b"/v1/runs/x%2f..%2f..%2fhealth", 404),
        ("GET", b"/v1%2Fhealth", 404),
        ("GET", br"/v1/runs/x\..\..\health", 404),
        ("GET", br"\v1\health", 400),
        ("GET", b"/v1/runs/x%5C..%5C..%5Chealth", 404),
        ("GET", b"/v1/runs/%252e%252e%252fhealth", 404),
        ("GET", b"/v1/health;x=y", 404),
        ("GET", b"/v1/health%20", 404),
        ("GET", b"/v1/health%00", 404),
        ("GET", b"/V1/HEALTH", 404),
        // Bytes that are not text.
        ("GET", b"/v1/runs/%00", 404),
        ("GET", b"/v1/runs/a\0b", 400),
        ("GET", b"/v1/runs/%C0%AF", 400),
        ("GET", b"/v1/runs/%FF", 400),
        ("GET", b"/v1/runs/\xff", 400),
        ("GET", b"/v1/runs/%E0%80%AE%E0%80%AE", 400),
        ("GET", b"/v1/runs/%", 404),
        ("GET", b"/v1/runs/%zz", 404),
        ("GET", b"/v1/runs/%u002e", 404),
        // Verbs.
        ("POST", b"/v1/runs/a:cancel", 404),
        ("POST", b"/v1/runs/a/:cancel", 404),
        ("POST", b"/v1/runs/:cancel", 405),
        ("POST", b"/v1/runs/a:cancel/", 404),
        ("GET", b"/v1/runs/a:cancel", 404),
        ("POST", b"/v1/runs/..:cancel", 405),
        // Absolute URLs are for proxies. Only their path counts.
        ("GET", b"http://other.example/v1/health", 200),
        ("GET", b"http://other.example/v1/runs/../health", 400),
        ("GET", b"other.example:80", 404),
        ("CONNECT", b"other.example:80", 404),
        ("OPTIONS", b"*", 404),
        ("GET", b"?x=/v1/health", 400),
        ("GET", long.as_bytes(), 404),
        ("GET", longer.as_bytes(), 414),
    ] {
        let reply = target.send(&request(method, path)).await.only();
        let shown = String::from_utf8_lossy(&path[..path.len().min(80)]);
        assert_eq!(reply.status, status, "{method} {shown}: {reply:?}");
    }
    target.unharmed(PEAK_MIB).await;
}
