//! Tokens of a certified OpenID provider: those of callers, verified by discovery, and
//! those of our own calls to other services.
//!
//! ```text
//!                     ┌────────── OpenID provider ◀──────────┐
//!     client          │ keys            ▲ client             │ keys
//!     credentials     ▼                 │ credentials        │
//!   test ───────▶ our program ──────────┴───────▶ arp-jarvis-atomic-executor
//! ```

use std::time::Duration;

use jarvis_run_coordinator::types::{NodeRun, Run, RunState};
use jarvis_stack::Part;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{Caller, Provider, TestStack, completion_error, echo_type, soon};

const US: &str = "arp-run-coordinator";
const EXECUTOR: &str = "arp-atomic-executor";

/// Our program, configured with the issuer alone, from which it requests its tokens.
fn coordinator(provider: &Provider, vars: &[(&str, &str)]) -> TestStack {
    TestStack::embedded_with(&[Part::Coordinator], |mut blueprint| {
        blueprint = provider.guard(blueprint, Part::Coordinator, US);
        for (name, value) in vars {
            blueprint = blueprint.with(Part::Coordinator, name, value);
        }
        blueprint
    })
}

/// The same with an Atomic Executor that requires tokens for `audience`.
fn with_executor(provider: &Provider, audience: &str, vars: &[(&str, &str)]) -> TestStack {
    TestStack::embedded_with(&[Part::AtomicExecutor, Part::Coordinator], |mut blueprint| {
        blueprint = provider.guard(blueprint, Part::Coordinator, US);
        blueprint = provider.guard(blueprint, Part::AtomicExecutor, audience);
        blueprint = blueprint.with(Part::Coordinator, "JARVIS_ATOMIC_EXECUTOR_AUDIENCE", audience);
        for (name, value) in vars {
            blueprint = blueprint.with(Part::Coordinator, name, value);
        }
        blueprint
    })
}

fn caller(t: &TestStack, token: &str) -> Caller {
    Caller::new(&t.coordinator.url, Some(token.to_owned()))
}

/// The answer to a caller with this token: "welcome", or the message of the refusal.
async fn answer_to(t: &TestStack, token: &str) -> String {
    let answer = caller(t, token).request(Method::GET, "/v1/runs/unknown").send().await.expect("an answer");
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

/// Runs the echo node for a caller with this token; returns the run and its root.
async fn echo(t: &TestStack, token: &str) -> (Run, NodeRun) {
    run(t, token, &echo_type()).await
}

async fn run(t: &TestStack, token: &str, node_type: &Value) -> (Run, NodeRun) {
    let caller = caller(t, token);
    let run = caller.run_start(node_type, json!({"echo": "hello"})).await;
    let (run, root, _) = caller.run_ended(&run.run_id).await;
    (run, root)
}

fn assert_echoed((run, root): &(Run, NodeRun)) {
    assert_eq!(run.state, RunState::Succeeded, "{}", completion_error(root));
    assert_eq!(serde_json::to_value(&root.outputs).expect("JSON"), json!({"echo": "hello"}));
}

#[tokio::test]
async fn provider_tokens_for_our_audience_are_accepted() {
    let (provider, other) = (Provider::start("first", 300), Provider::start("first", 300));
    let t = coordinator(&provider, &[]);
    let good = provider.token(US).await;
    assert_eq!(answer_to(&t, &good).await, "welcome");
    assert_eq!(answer_to(&t, &provider.token("arp-run-gateway").await).await, "Invalid token audience");
    // Another key under the same name.
    assert_eq!(answer_to(&t, &other.token(US).await).await, "Invalid token");
    let unsigned = good.rsplit_once('.').expect("a signature").0;
    for garbage in [unsigned, &format!("{unsigned}."), &format!("{unsigned}.AAAA"), "garbage", "a.b.c"] {
        assert_eq!(answer_to(&t, garbage).await, "Invalid token", "{garbage}");
    }
    let stranger = Provider::start("stranger", 300);
    assert_eq!(answer_to(&t, &stranger.token(US).await).await, "Unable to fetch JWKS");
    assert_eq!(answer_to(&t, &good).await, "welcome");
}

#[tokio::test]
async fn provider_tokens_expire() {
    let provider = Provider::start("first", 1);
    let t = coordinator(&provider, &[("ARP_AUTH_CLOCK_SKEW_SECONDS", "0")]);
    let token = provider.token(US).await;
    let expired = async {
        let mut often = tokio::time::interval(Duration::from_millis(50));
        loop {
            often.tick().await;
            let answer = answer_to(&t, &token).await;
            if answer != "welcome" {
                return answer;
            }
        }
    };
    assert_eq!(soon("the end of the token", expired).await, "Token expired");
}

#[tokio::test]
async fn provider_key_rotation_needs_no_restart() {
    let provider = Provider::start("first", 300);
    let t = coordinator(&provider, &[]);
    let of_first = provider.token(US).await;
    assert_eq!(answer_to(&t, &of_first).await, "welcome");

    // The second key signs, and the first one is still published.
    let provider = provider.with_keys(&["second", "first"]);
    let of_second = provider.token(US).await;
    assert_eq!(answer_to(&t, &of_second).await, "welcome");
    assert_eq!(answer_to(&t, &of_first).await, "welcome");

    // A new coordinator, because the first one fetches keys for a further unknown key
    // only after ten seconds.
    let t = coordinator(&provider, &[]);
    assert_eq!(answer_to(&t, &of_first).await, "welcome");
    assert_eq!(answer_to(&t, &of_second).await, "welcome");
    let provider = provider.with_keys(&["third"]);
    let of_third = provider.token(US).await;
    assert_eq!(answer_to(&t, &of_third).await, "welcome");
    for old in [&of_first, &of_second] {
        assert_eq!(answer_to(&t, old).await, "Unable to fetch JWKS");
    }
}

#[tokio::test]
async fn run_uses_provider_tokens_inbound_and_outbound() {
    let provider = Provider::start("first", 300);
    let t = with_executor(&provider, EXECUTOR, &[("ARP_AUTH_SCOPE", "runs")]);
    let token = provider.token(US).await;
    for _ in 0..3 {
        assert_echoed(&echo(&t, &token).await);
    }
    for audience in [EXECUTOR, "arp-jarvis-noderegistry"] {
        let form = format!("{{\"audience\":\"{audience}\",\"scope\":\"runs\"}}");
        assert_eq!(provider.granted(&[&form]), 1, "one token serves all calls of {audience}");
    }

    // The executor restarts and knows only new keys: it refuses our cached token.
    t.stop(Part::AtomicExecutor);
    let provider = provider.with_keys(&["second"]);
    t.start(Part::AtomicExecutor);
    let token = provider.token(US).await;
    let again = echo(&t, &token).await;
    assert_echoed(&again);
    assert_eq!(provider.granted(&[EXECUTOR]), 1);
    t.executed(&again.0.root_node_run_id, 1);
}

#[tokio::test]
async fn audience_may_be_requested_as_a_resource() {
    let provider = Provider::start("first", 300);
    let audience = "urn:arp:atomic-executor";
    let vars = [
        ("JARVIS_NODE_REGISTRY_AUDIENCE", "urn:arp:node-registry"),
        ("JARVIS_RUN_COORDINATOR_TOKEN_AUDIENCE_FIELD", "resource"),
    ];
    let t = with_executor(&provider, audience, &vars);
    let token = provider.token(US).await;
    assert_echoed(&echo(&t, &token).await);
    assert_eq!(provider.granted(&[&format!("{{\"resource\":\"{audience}\"}}")]), 1);
}

#[tokio::test]
async fn client_unknown_to_the_provider_gets_no_token() {
    let provider = Provider::start("first", 300);
    let vars = [("JARVIS_NODE_REGISTRY_URL", ""), ("ARP_AUTH_CLIENT_SECRET", "another secret")];
    let t = with_executor(&provider, EXECUTOR, &vars);
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
    t.executed(&run.root_node_run_id, 0);
}
