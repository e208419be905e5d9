//! `doctor` and `check-config --probe` of the real program: each thing that can be wrong
//! is found from this machine, and what to do is said.

use serde_json::{Value, json};

use crate::support::{FakeService, Program, Sts, UNREACHABLE, process::Ended};

/// The findings of `doctor`, and its exit code.
async fn doctor(program: &Program) -> (Option<i32>, Vec<Value>) {
    let Ended { code, stdout, stderr } = program.command(&["doctor", "--port", "0"]).await;
    assert_eq!(stderr, "", "{stdout}");
    let findings: Vec<Value> =
        stdout.lines().map(|line| serde_json::from_str(line).expect("JSON a line")).collect();
    for finding in &findings {
        assert_eq!(finding["status"] != "ok", finding["remedy"].is_string(), "{finding}");
        assert!(!finding.to_string().contains("hush"), "{finding}");
    }
    (code, findings)
}

/// The first finding of a check.
fn of<'f>(findings: &'f [Value], check: &str) -> &'f Value {
    findings
        .iter()
        .find(|finding| finding["check"] == check)
        .unwrap_or_else(|| panic!("{check}: {findings:#?}"))
}

fn is(finding: &Value, status: &str, says: &str) {
    assert_eq!(finding["status"], status, "{finding}");
    let message = finding["message"].as_str().expect("a message");
    assert!(message.contains(says), "{says} in {finding}");
}

/// A service that answers as those around the coordinator do.
fn service(name: &'static str, health: &'static str) -> FakeService {
    FakeService::start_with_status(move |path, _| match path {
        "/v1/health" => (200, json!({"status": health, "time": "2026-11-28T12:00:00Z"})),
        "/v1/version" => {
            (200, json!({"service_name": name, "service_version": "1", "supported_api_versions": ["v1"]}))
        }
        _ => (404, json!({"error": {"code": "not_found", "message": "no"}})),
    })
}

#[tokio::test]
async fn sound_server_has_nothing_to_do() {
    let (pdp, registry) = (service("arp-jarvis-pdp", "ok"), service("arp-jarvis-noderegistry", "ok"));
    let executor = service("my-executor", "ok");
    let program = Program::bare(&[])
        .var("ARP_AUTH_PROFILE", "dev-insecure")
        .var("JARVIS_PDP_URL", pdp.url())
        .var("JARVIS_NODE_REGISTRY_URL", registry.url())
        .var("JARVIS_ATOMIC_EXECUTOR_URL", executor.url());
    let (code, findings) = doctor(&program).await;
    assert_eq!(code, Some(0), "{findings:#?}");
    is(of(&findings, "port"), "ok", "any free port");
    is(of(&findings, "journal"), "ok", "a start makes it");
    is(of(&findings, "disk"), "ok", "free");
    is(of(&findings, "pdp"), "ok", "ok, arp-jarvis-pdp 1");
    is(of(&findings, "node_registry"), "ok", "arp-jarvis-noderegistry 1");
    is(of(&findings, "atomic_executor"), "ok", "my-executor 1");
    is(of(&findings, "clock"), "ok", "as the services have it");
    assert!(!program.journal().exists(), "nothing is made");
    assert_eq!(std::fs::read_dir(program.path(".")).expect("the folder").count(), 0);
    // A PDP is asked for no decision, and an executor for no work.
    let asked =
        [&pdp, &executor].into_iter().flat_map(|service| service.requests()).filter(|body| !body.is_null());
    assert_eq!(asked.count(), 0);
}

#[tokio::test]
async fn service_that_is_wrong_is_found() {
    let (down, coordinator) =
        (service("arp-jarvis-pdp", "down"), service("arp-jarvis-run-coordinator", "ok"));
    let other = FakeService::start_with_status(|_, _| (404, json!("nothing here")));
    let program = Program::bare(&[])
        .var("ARP_AUTH_PROFILE", "dev-insecure")
        .var("JARVIS_PDP_URL", down.url())
        .var("JARVIS_NODE_REGISTRY_URL", other.url())
        .var("JARVIS_ATOMIC_EXECUTOR_URL", UNREACHABLE)
        .var("JARVIS_COMPOSITE_EXECUTOR_URL", coordinator.url());
    let (code, findings) = doctor(&program).await;
    assert_eq!(code, Some(1));
    is(of(&findings, "pdp"), "warning", "down, arp-jarvis-pdp");
    is(of(&findings, "node_registry"), "warning", "answers 404 to GET /v1/health");
    is(of(&findings, "atomic_executor"), "failed", "refused");
    let remedy = of(&findings, "atomic_executor")["remedy"].as_str().expect("a remedy");
    assert!(remedy.contains("JARVIS_ATOMIC_EXECUTOR_URL"), "{remedy}");
    is(of(&findings, "composite_executor"), "failed", "is a run coordinator");
    is(of(&findings, "configuration"), "ok", "profile dev-insecure");
    let warnings = findings.iter().filter(|finding| finding["check"] == "configuration").count();
    assert!(warnings > 1, "{findings:#?}");
}

#[tokio::test]
async fn token_that_is_refused_and_keys_that_are_missing_are_found() {
    let sts = Sts::start();
    let registry = FakeService::start_with_status(|path, _| match path {
        "/v1/health" | "/v1/version" => (200, json!({"status": "ok", "time": "2026-11-28T12:00:00Z"})),
        _ => (401, json!({"error": {"code": "unauthorized", "message": "Invalid token audience"}})),
    });
    let mut program = Program::bare(&[]).var("JARVIS_NODE_REGISTRY_URL", registry.url());
    for (name, value) in sts.variables() {
        program = program.var(name, &value);
    }
    let (code, findings) = doctor(&program).await;
    assert_eq!(code, Some(1), "{findings:#?}");
    is(of(&findings, "signing_keys"), "ok", "1 key");
    is(of(&findings, "token"), "ok", "a token for arp-jarvis-noderegistry");
    is(of(&findings, "node_registry"), "failed", "answers 401 to GET /v1/node-types/doctor");

    let program = program
        .var("ARP_AUTH_TOKEN_ENDPOINT", &format!("{UNREACHABLE}/token"))
        .var("ARP_AUTH_JWKS_URI", &format!("{UNREACHABLE}/keys"))
        .var("JARVIS_RUN_COORDINATOR_TOKEN_FILE", "no-such-file");
    let (code, findings) = doctor(&program).await;
    assert_eq!(code, Some(1), "{findings:#?}");
    is(of(&findings, "signing_keys"), "failed", "/keys");
    is(of(&findings, "token"), "failed", "gives no token for arp-jarvis-noderegistry");
    is(of(&findings, "token_of_commands"), "failed", "no-such-file");
}

#[tokio::test]
async fn port_and_journal_of_a_running_server_are_recognised() {
    let program = Program::server();
    let process = program.start().await;
    let port = process.url().rsplit(':').next().expect("a port").to_owned();
    let probe = ["check-config", "--probe", "--port", &port];
    let beside = program.command(&probe).await;
    assert_eq!((beside.code, beside.stderr.as_str()), (Some(0), ""), "{}", beside.stdout);
    assert!(beside.stdout.contains(": a run coordinator "), "{}", beside.stdout);
    assert!(beside.stdout.contains(" bytes, in use by a server"), "{}", beside.stdout);
    process.terminate().await;
    let after = program.command(&probe).await;
    assert_eq!(after.code, Some(0), "{}", after.stdout);
    assert!(after.stdout.contains(" is free") && !after.stdout.contains("in use"), "{}", after.stdout);

    // Something else has the port, and the journal is none.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port().to_string();
    program.write("j.db", "no journal at all, but long enough for a header of a database ".repeat(8));
    let answer = std::thread::spawn(move || drop(taken.accept()));
    let wrong = program.command(&["check-config", "--probe", "--port", &port, "--journal", "j.db"]).await;
    answer.join().expect("it was asked");
    assert_eq!(wrong.code, Some(1), "{}", wrong.stdout);
    assert!(wrong.stdout.contains("is in use by another program"), "{}", wrong.stdout);
    assert!(wrong.stdout.contains("is not a journal"), "{}", wrong.stdout);
    assert!(wrong.stdout.contains("set another address with --host and --port"), "{}", wrong.stdout);
}
