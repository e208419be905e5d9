//! Tokens of a certified OpenID provider: those that callers come with, found
//! good by discovery, and those that we come to other services with.
//!
//! ```text
//!                     ┌────────── OpenID provider ◀──────────┐
//!     client          │ keys            ▲ client             │ keys
//!     credentials     ▼                 │ credentials        │
//!   test ───────▶ our program ──────────┴───────▶ arp-jarvis-atomic-executor
//! ```

use std::{sync::Arc, time::Duration};

use jarvis_run_coordinator::{
    clients::{Peer, RunEvents, Service as Kind, run_coordinator::Client},
    model::{NodeRun, Run, RunState},
    time::SystemClock,
};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::{Coordinator, Provider, Service, Surroundings, completion_error, echo_type, soon};

const US: &str = "arp-run-coordinator";
const EXECUTOR: &str = "arp-atomic-executor";

/// Our program, told of nothing but the issuer, and asking it for tokens.
async fn coordinator(provider: &Provider, vars: &[(&str, &str)]) -> Coordinator {
    let of_provider = provider.variables(US);
    let mut all: Vec<_> = of_provider.iter().map(|(name, value)| (*name, value.as_str())).collect();
    all.extend(vars);
    Coordinator::start_with(Surroundings::new().await, &all).await
}

/// What a caller with this token is told: "welcome", or why not.
async fn told(t: &Coordinator, token: &str) -> String {
    let request = reqwest::Client::new().get(format!("{}/v1/runs/nobody", t.url)).bearer_auth(token);
    let answer = request.send().await.expect("an answer");
    let (status, challenge) = (answer.status(), answer.headers().get("www-authenticate").cloned());
    let body: Value = answer.json().await.expect("JSON");
    let message = body["error"]["message"].as_str().expect("a message").to_owned();
    if status == StatusCode::NOT_FOUND {
        assert_eq!(body["error"]["code"], "run_not_found");
        return "welcome".into();
    }
    assert_eq!((status, &body["error"]["code"]), (StatusCode::UNAUTHORIZED, &json!("unauthorized")));
    let expected = format!("Bearer error=\"invalid_token\", error_description=\"{message}\"");
    assert_eq!(challenge.expect("a challenge"), expected.as_str());
    message
}

/// A run of a caller with this token, once it is over, and its root.
async fn echo(t: &Coordinator, token: &str) -> (Run, NodeRun) {
    run(t, token, &echo_type()).await
}

async fn run(t: &Coordinator, token: &str, node_type: &Value) -> (Run, NodeRun) {
    let peer = Peer::with_token(Kind::RunCoordinator, token);
    let client = Client::new_with_client(&t.url, reqwest::Client::new(), peer);
    let request = json!({"root_node_type_ref": node_type, "input": {"echo": "hello"}});
    let request = serde_json::from_value(request).expect("a start request");
    let run = client.start_run(&request).await.expect("the run starts").into_inner();
    let mut events = RunEvents::follow(client.clone(), run.run_id.clone(), Arc::new(SystemClock));
    soon("the end of the run", async { while events.next().await.expect("an event").is_some() {} }).await;
    let run = client.get_run(&run.run_id).await.expect("the run").into_inner();
    let root = client.get_node_run(&run.root_node_run_id).await.expect("the root").into_inner();
    (run, root)
}

fn assert_echoed((run, root): &(Run, NodeRun)) {
    assert_eq!(run.state, RunState::Succeeded, "{}", completion_error(root));
    assert_eq!(serde_json::to_value(&root.outputs).expect("JSON"), json!({"echo": "hello"}));
}

#[tokio::test]
async fn its_tokens_for_us_are_good_and_no_others() {
    let (provider, other) = tokio::join!(Provider::start("first", 300), Provider::start("first", 300));
    let t = coordinator(&provider, &[]).await;
    let good = provider.token(US).await;
    assert_eq!(told(&t, &good).await, "welcome");
    assert_eq!(told(&t, &provider.token("arp-run-gateway").await).await, "Invalid token audience");
    // A key of the same name, but not the same.
    assert_eq!(told(&t, &other.token(US).await).await, "Invalid token");
    let unsigned = good.rsplit_once('.').expect("a signature").0;
    for garbage in [unsigned, &format!("{unsigned}."), &format!("{unsigned}.AAAA"), "garbage", "a.b.c"] {
        assert_eq!(told(&t, garbage).await, "Invalid token", "{garbage}");
    }
    let stranger = Provider::start("stranger", 300).await;
    assert_eq!(told(&t, &stranger.token(US).await).await, "Unable to fetch JWKS");
    assert_eq!(told(&t, &good).await, "welcome");
}

#[tokio::test]
async fn its_tokens_expire() {
    let provider = Provider::start("first", 1).await;
    let t = coordinator(&provider, &[("ARP_AUTH_CLOCK_SKEW_SECONDS", "0")]).await;
    let token = provider.token(US).await;
    let expired = async {
        let mut often = tokio::time::interval(Duration::from_millis(50));
        loop {
            often.tick().await;
            let told = told(&t, &token).await;
            if told != "welcome" {
                return told;
            }
        }
    };
    assert_eq!(soon("its end", expired).await, "Token expired");
}

#[tokio::test]
async fn its_keys_change_and_nobody_here_is_restarted() {
    let provider = Provider::start("first", 300).await;
    let t = coordinator(&provider, &[]).await;
    let of_first = provider.token(US).await;
    assert_eq!(told(&t, &of_first).await, "welcome");

    // The second one signs, the first one is still published.
    let provider = provider.with_keys(&["second", "first"]).await;
    let of_second = provider.token(US).await;
    assert_eq!(told(&t, &of_second).await, "welcome");
    assert_eq!(told(&t, &of_first).await, "welcome");

    // Another one of us, because for ten seconds no further unknown key makes
    // the first one ask.
    let t = coordinator(&provider, &[]).await;
    assert_eq!(told(&t, &of_first).await, "welcome");
    assert_eq!(told(&t, &of_second).await, "welcome");
    let provider = provider.with_keys(&["third"]).await;
    let of_third = provider.token(US).await;
    assert_eq!(told(&t, &of_third).await, "welcome");
    for old in [&of_first, &of_second] {
        assert_eq!(told(&t, old).await, "Unable to fetch JWKS");
    }
}

#[tokio::test]
async fn a_run_from_a_token_to_a_token() {
    let provider = Provider::start("first", 300).await;
    let executor = Service::guarded_executor(0, &provider.variables(EXECUTOR)).await;
    let vars = [
        ("JARVIS_ATOMIC_EXECUTOR_URL", executor.url.as_str()),
        ("JARVIS_ATOMIC_EXECUTOR_AUDIENCE", EXECUTOR),
        ("ARP_AUTH_SCOPE", "runs"),
    ];
    let t = coordinator(&provider, &vars).await;
    let token = provider.token(US).await;
    for _ in 0..3 {
        assert_echoed(&echo(&t, &token).await);
    }
    for audience in [EXECUTOR, "arp-jarvis-noderegistry"] {
        let form = format!("{{\"audience\":\"{audience}\",\"scope\":\"runs\"}}");
        assert_eq!(provider.granted(&[&form]), 1, "one token serves all calls of {audience}");
    }

    // The executor comes back, knowing new keys only: it refuses the token that
    // we hold.
    let port = executor.port;
    drop(executor);
    let provider = provider.with_keys(&["second"]).await;
    let executor = Service::guarded_executor(port, &provider.variables(EXECUTOR)).await;
    let token = provider.token(US).await;
    let again = echo(&t, &token).await;
    assert_echoed(&again);
    assert_eq!(provider.granted(&[EXECUTOR]), 1);
    assert_eq!(executor.executions(&again.0.root_node_run_id), 1);
}

#[tokio::test]
async fn audiences_may_be_asked_for_as_resources() {
    let provider = Provider::start("first", 300).await;
    let audience = "urn:arp:atomic-executor";
    let executor = Service::guarded_executor(0, &provider.variables(audience)).await;
    let vars = [
        ("JARVIS_ATOMIC_EXECUTOR_URL", executor.url.as_str()),
        ("JARVIS_ATOMIC_EXECUTOR_AUDIENCE", audience),
        ("JARVIS_NODE_REGISTRY_AUDIENCE", "urn:arp:node-registry"),
        ("JARVIS_RUN_COORDINATOR_TOKEN_AUDIENCE_FIELD", "resource"),
    ];
    let t = coordinator(&provider, &vars).await;
    let token = provider.token(US).await;
    assert_echoed(&echo(&t, &token).await);
    assert_eq!(provider.granted(&[&format!("{{\"resource\":\"{audience}\"}}")]), 1);
}

#[tokio::test]
async fn whom_the_provider_does_not_know_gets_no_token() {
    let provider = Provider::start("first", 300).await;
    let executor = Service::guarded_executor(0, &provider.variables(EXECUTOR)).await;
    let vars = [
        ("JARVIS_ATOMIC_EXECUTOR_URL", executor.url.as_str()),
        ("JARVIS_NODE_REGISTRY_URL", ""),
        ("ARP_AUTH_CLIENT_SECRET", "somebody else's"),
    ];
    let t = coordinator(&provider, &vars).await;
    let token = provider.token(US).await;
    let atomic = json!({"node_type_id": "atomic.echo", "version": "1"});
    let (run, root) = run(&t, &token, &atomic).await;
    assert_eq!(run.state, RunState::Failed);
    assert_eq!(
        completion_error(&root),
        json!({
            "code": "token_request_failed",
            "message": "Atomic Executor token request failed",
            "details": {"error": "the token endpoint answered 401: invalid_client"},
            "retryable": true,
        })
    );
    assert_eq!(executor.executions(&run.root_node_run_id), 0);
}
