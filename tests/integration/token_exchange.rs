//! Calls made for a run act for the caller that started it (RFC 8693): with tokens
//! that the token service makes of the caller's.

use jarvis_run_coordinator::types::{Run, RunState};
use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};

use crate::support::{
    FakeExecutors, FakeService, Signer, Sts, TestServer,
    sts::{claims, now},
};

const KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
const OTHER_KEY: &str = "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

async fn server(sts: &Sts, key: &str, more: &[(&str, &str)]) -> TestServer {
    let journal = tempfile::tempdir().expect("a folder");
    restart(sts, key, more, journal, FakeExecutors::start()).await
}

async fn restart(
    sts: &Sts,
    key: &str,
    more: &[(&str, &str)],
    journal: tempfile::TempDir,
    executors: FakeExecutors,
) -> TestServer {
    let vars = sts.variables();
    let mut vars: Vec<(&str, &str)> = vars.iter().map(|(name, value)| (*name, value.as_str())).collect();
    vars.extend([
        ("JARVIS_RUN_COORDINATOR_TOKEN_EXCHANGE", "on"),
        ("JARVIS_RUN_COORDINATOR_SECRETS_KEY", key),
        ("JARVIS_RUN_COORDINATOR_MAX_RETRIES", "0"),
    ]);
    vars.extend(more);
    TestServer::try_start(journal, executors, &vars).await.expect("the server starts")
}

/// The token of a caller, valid for these seconds.
fn token(subject: &str, seconds: i64) -> String {
    Signer::known().sign(&claims(&json!({"sub": subject, "exp": now() + seconds})))
}

async fn start(t: &TestServer, token: &str, node_type: &str) -> Run {
    let request = json!({"root_node_type_ref": {"node_type_id": node_type, "version": "1"}, "input": {}});
    let request = serde_json::from_value(request).expect("a request");
    t.client_with_token(token).start_run(&request).await.expect("it starts").into_inner()
}

async fn end(t: &TestServer, token: &str, run: &Run) -> RunState {
    let client = t.client_with_token(token);
    crate::support::soon("the end of the run", async {
        loop {
            let run = client.get_run(&run.run_id).await.expect("the run").into_inner();
            if run.state.is_terminal() {
                return run.state;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

/// Who called an executor, for whom, as the tokens say.
fn callers(t: &TestServer) -> Vec<String> {
    t.executors.calls().iter().map(|call| call.authorization.clone().unwrap_or_default()).collect()
}

/// Whether the record of the only run has a sealed token.
fn is_sealed(t: &TestServer) -> bool {
    let file = t.journal.path().join("journal.db");
    let file = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("the journal");
    let body: String = file.query_row("SELECT body FROM runs", [], |row| row.get(0)).expect("a run");
    assert!(body.contains("\"owner\""), "the record of a run: {body}");
    body.contains("\"subject_token\"")
}

/// Asserts that the journal has none of these texts.
fn assert_not_stored(t: &TestServer, secrets: &[&str]) {
    for file in std::fs::read_dir(t.journal.path()).expect("the folder") {
        let path = file.expect("a file").path();
        let bytes = std::fs::read(&path).expect("its bytes");
        for secret in secrets {
            let found = bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
            assert!(!found, "{} has {secret}", path.display());
        }
    }
}

#[tokio::test]
async fn calls_for_a_run_act_for_its_starter() {
    let sts = Sts::start();
    let pdp = FakeService::pdp();
    let t = server(&sts, KEY, &[("JARVIS_PDP_URL", pdp.url())]).await;
    for subject in ["alice", "bob"] {
        let token = token(subject, 300);
        let run = start(&t, &token, "atomic.echo").await;
        assert_eq!(end(&t, &token, &run).await, RunState::Succeeded);
        assert_not_stored(&t, &[&token, token.rsplit('.').next().expect("a signature"), "exchanged-for"]);
    }
    let audience = "arp-jarvis-atomicexecutor";
    assert_eq!(
        callers(&t),
        ["alice", "bob"]
            .map(|subject| format!("Bearer exchanged-for-{subject}-by-the-coordinator-at-{audience}"))
    );
    t.stop().await;
}

#[tokio::test]
async fn sealed_token_survives_a_restart_and_needs_its_key() {
    let sts = Sts::start();
    let token = token("alice", 300);
    for (key, ends, calls) in [(KEY, RunState::Succeeded, 1), (OTHER_KEY, RunState::Failed, 0)] {
        let idle = [("JARVIS_RUN_COORDINATOR_AUTO_DISPATCH", "off")];
        let t = server(&sts, KEY, &idle).await;
        let run = start(&t, &token, "atomic.echo").await;
        assert_not_stored(&t, &[&token]);
        assert!(is_sealed(&t));
        let (journal, executors) = t.stop().await;

        let t = restart(&sts, key, &[], journal, executors).await;
        assert_eq!(end(&t, &token, &run).await, ends);
        assert!(!is_sealed(&t), "it is gone with the end of the run");
        let called = callers(&t);
        assert_eq!(called.len(), calls, "another key: nothing is sent");
        assert!(called.iter().all(|caller| caller.contains("exchanged-for-alice-by-")), "{called:?}");
        let root = t.client_with_token(&token).get_node_run(&run.root_node_run_id).await.expect("the root");
        let error = root.into_inner().extensions.map(|extensions| extensions.value("completion_error"));
        let code = error.map_or(Value::Null, |error| error["code"].clone());
        assert_eq!(code, if calls == 1 { Value::Null } else { json!("token_request_failed") });
        t.stop().await;
    }
}

#[tokio::test]
async fn expired_caller_is_not_replaced_by_the_coordinator() {
    let sts = Sts::start();
    // The coordinator tolerates some seconds, the token service does not.
    let expired = token("alice", -10);
    let t = server(&sts, KEY, &[]).await;
    let run = start(&t, &expired, "atomic.echo").await;
    assert_eq!(end(&t, &expired, &run).await, RunState::Failed);
    assert_eq!(callers(&t), [""; 0], "no call in the coordinator's own name");
    t.stop().await;
}

#[tokio::test]
async fn without_the_exchange_calls_are_the_coordinators_own() {
    let sts = Sts::start();
    let off = [("JARVIS_RUN_COORDINATOR_TOKEN_EXCHANGE", "off")];
    let t = server(&sts, "", &off).await;
    let token = token("alice", 300);
    let run = start(&t, &token, "atomic.echo").await;
    assert_eq!(end(&t, &token, &run).await, RunState::Succeeded);
    assert_eq!(callers(&t), ["Bearer token-for-arp-jarvis-atomicexecutor"]);
    t.stop().await;
}

#[tokio::test]
async fn key_that_is_no_key_prevents_the_start() {
    let sts = Sts::start();
    let vars = sts.variables();
    let mut vars: Vec<(&str, &str)> = vars.iter().map(|(name, value)| (*name, value.as_str())).collect();
    vars.extend([
        ("JARVIS_RUN_COORDINATOR_TOKEN_EXCHANGE", "on"),
        ("JARVIS_RUN_COORDINATOR_SECRETS_KEY", "hush"),
    ]);
    let journal = tempfile::tempdir().expect("a folder");
    let Err(error) = TestServer::try_start(journal, FakeExecutors::start(), &vars).await else {
        panic!("it starts")
    };
    assert_eq!(
        error.to_string(),
        "JARVIS_RUN_COORDINATOR_SECRETS_KEY must be 32 random bytes in base64 (openssl rand -base64 32)"
    );
}
