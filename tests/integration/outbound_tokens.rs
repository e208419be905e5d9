//! The tokens of our own calls to other services (contract §20), from a token endpoint
//! on loopback.

use futures::future::join_all;
use jarvis_run_coordinator::types::{Run, RunState};
use serde_json::{Value, json};

use crate::support::{FakeService, TestServer};

/// A token endpoint whose tokens name their audience.
fn sts(expires_in: Value) -> FakeService {
    FakeService::start(move |_, form| {
        let form = form.as_str().unwrap_or_default();
        let audience = form.split('&').find_map(|field| field.strip_prefix("audience=")).unwrap_or("none");
        json!({"access_token": format!("for-{audience}"), "token_type": "Bearer", "expires_in": expires_in})
    })
}

async fn server(token_endpoint: &str) -> TestServer {
    TestServer::start_with(&[
        ("ARP_AUTH_CLIENT_ID", "run coordinator"),
        ("ARP_AUTH_CLIENT_SECRET", "hush&hush"),
        ("ARP_AUTH_TOKEN_ENDPOINT", token_endpoint),
        ("JARVIS_COMPOSITE_EXECUTOR_AUDIENCE", "composites"),
    ])
    .await
}

async fn echo(t: &TestServer) -> Run {
    let run = t.run_start("atomic.echo", json!({})).await;
    t.run_ended(&run.run_id).await
}

#[tokio::test]
async fn token_per_audience_serves_all_calls() {
    let sts = sts(json!("300"));
    let t = server(sts.url()).await;
    let runs = join_all((0..16).map(|_| echo(&t))).await;
    assert!(runs.iter().all(|run| run.state == RunState::Succeeded));
    t.run_start("composite.accept", json!({})).await;
    t.executors.called(":begin", 1).await;
    for call in t.executors.calls() {
        let audience = if call.path.ends_with(":begin") { "composites" } else { "arp-jarvis-atomicexecutor" };
        assert_eq!(call.authorization, Some(format!("Bearer for-{audience}")), "{}", call.path);
    }
    let forms = ["arp-jarvis-atomicexecutor", "composites"].map(|audience| {
        let form = "grant_type=client_credentials&client_id=run+coordinator&client_secret=hush%26hush";
        json!(format!("{form}&audience={audience}"))
    });
    assert_eq!(sts.requests(), forms, "16 concurrent runs make one request per audience");
    t.stop().await;
}

#[tokio::test]
async fn registry_without_an_audience_is_called_without_a_token() {
    let sts = sts(json!(300));
    let registry = FakeService::registry_of_atomics("read");
    let t = TestServer::start_with(&[
        ("ARP_AUTH_CLIENT_ID", "run coordinator"),
        ("ARP_AUTH_CLIENT_SECRET", "hush&hush"),
        ("ARP_AUTH_TOKEN_ENDPOINT", sts.url()),
        ("JARVIS_NODE_REGISTRY_URL", registry.url()),
        ("ARP_AUTH_SCOPE", "runs"),
    ])
    .await;
    assert_eq!(echo(&t).await.state, RunState::Succeeded);
    assert_eq!(registry.requests().len(), 1);
    let form = "grant_type=client_credentials&client_id=run+coordinator&client_secret=hush%26hush\
                &audience=arp-jarvis-atomicexecutor&scope=runs";
    assert_eq!(sts.requests(), [json!(form)], "a token for the executor only");
    t.stop().await;
}

#[tokio::test]
async fn replaced_client_secret_is_used_without_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("secret");
    std::fs::write(&path, "first\n").expect("written");
    let sts = sts(json!(0));
    let t = TestServer::start_with(&[
        ("ARP_AUTH_CLIENT_ID", "me"),
        ("ARP_AUTH_CLIENT_SECRET_FILE", path.to_str().expect("a path")),
        ("ARP_AUTH_TOKEN_ENDPOINT", sts.url()),
    ])
    .await;
    for secret in ["first", "second"] {
        std::fs::write(&path, secret).expect("written");
        assert_eq!(echo(&t).await.state, RunState::Succeeded);
        let form = sts.requests().last().expect("a request").to_string();
        assert!(form.contains(&format!("client_secret={secret}&")), "{form}");
    }
    t.stop().await;
}

#[tokio::test]
async fn expired_token_is_not_sent() {
    let sts = sts(json!(0));
    let t = server(sts.url()).await;
    for requests in 1..=3 {
        assert_eq!(echo(&t).await.state, RunState::Succeeded);
        assert_eq!(sts.requests().len(), requests);
    }
    t.stop().await;
}

#[tokio::test]
async fn no_executor_is_called_without_a_token() {
    let nonsense = FakeService::start(|_, _| json!({"access_token": ""}));
    for endpoint in ["http://127.0.0.1:1/token", nonsense.url()] {
        let t = server(endpoint).await;
        let run = echo(&t).await;
        assert_eq!(run.state, RunState::Failed);
        let root = t.node_run(&run.root_node_run_id).await;
        let error = &root.extensions.expect("the reason").value("completion_error");
        assert_eq!(error["code"], "token_request_failed", "{endpoint}");
        assert_eq!(error["message"], "Atomic Executor token request failed");
        assert!(!error.to_string().contains("127.0.0.1"), "no topology: {error}");
        assert_eq!(t.executors.calls().len(), 0);
        t.stop().await;
    }
}
