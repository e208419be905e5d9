//! The commands `send-request` and `health` of the real program, against a server.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::support::{Program, Signer, Sts, TestServer, UNREACHABLE, process::Ended, redacted, sts::claims};

const EXAMPLE: &str = include_str!("../../examples/node-runs.json");

/// Runs `send-request` with this file and this server.
async fn send(url: &str, file: &str) -> Ended {
    let program = Program::bare(&["send-request", "--request", "request.json", "--url", url]);
    program.write("request.json", file);
    program.run().await
}

fn answer(ended: &Ended) -> Value {
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{}", ended.stdout);
    serde_json::from_str(&ended.stdout).expect("JSON")
}

#[tokio::test]
async fn send_request_sends_the_example_file() {
    let t = TestServer::idle().await;
    let first = answer(&send(t.url(), EXAMPLE).await);
    let golden = format!("{:#}\n", redacted(&first));
    expectorate::assert_contents("tests/output/send-request.json", &golden);

    // The same children again, in the run that exists now, without starting a run.
    let (run, root) = (&first["run"]["run_id"], &first["run"]["root_node_run_id"]);
    let mut children: Value = serde_json::from_str(EXAMPLE).expect("JSON");
    children.as_object_mut().expect("an object").remove("run");
    children["run_id"] = run.clone();
    children["parent_node_run_id"] = root.clone();
    let again = answer(&send(t.url(), &children.to_string()).await);
    assert_eq!(again["fetched"], first["fetched"]);
    assert_eq!(again["run"], Value::Null);

    // A run alone: its root is fetched.
    let start =
        json!({"run": {"root_node_type_ref": {"node_type_id": "atomic.echo", "version": "1"}, "input": {}}});
    let alone = answer(&send(t.url(), &start.to_string()).await);
    assert_eq!(alone["fetched"]["node_run_id"], alone["run"]["root_node_run_id"]);
    assert_eq!(alone["created"], Value::Null);
    t.stop().await;
}

#[tokio::test]
async fn send_request_reports_errors_with_exit_code_1() {
    let t = TestServer::idle().await;
    let sts = Sts::start();
    let vars = sts.variables();
    let vars: Vec<(&str, &str)> = vars.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let guarded = TestServer::start_with(&[&vars[..], &TestServer::IDLE].concat()).await;
    let unknown = r#"{"run_id": "nowhere", "parent_node_run_id": "missing", "node_runs": [{"inputs": {}, "node_type_ref": {"node_type_id": "x", "version": "1"}}]}"#;
    let atomic = r#"{"run": {"run_id": "r", "root_node_type_ref": {"node_type_id": "atomic.x", "version": "1"}, "input": {}}, "node_runs": [{"inputs": {}, "node_type_ref": {"node_type_id": "x", "version": "1"}}]}"#;
    let mut golden = String::new();
    let mut note = |what: &str, url: &str, ended: Ended| {
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{what}: {}", ended.stderr);
        writeln!(golden, "{what}:\n{}", ended.stderr.replace(url, "URL")).expect("text");
    };
    for (what, url, file) in [
        ("not JSON", UNREACHABLE, "{\"node_runs\": [}"),
        ("no object", UNREACHABLE, "[]"),
        ("nothing to send", UNREACHABLE, "{\"root_node_type_ref\": {}}"),
        ("an unreachable server", UNREACHABLE, EXAMPLE),
        ("members that are wrong", t.url(), "{\"node_runs\": [], \"nodes\": 1}"),
        ("an unknown run", t.url(), unknown),
        ("a parent that is not composite", t.url(), atomic),
        ("no token", guarded.url(), EXAMPLE),
    ] {
        note(what, url, send(url, file).await);
    }
    note("no file", UNREACHABLE, Program::bare(&["send-request", "--request", "nowhere.json"]).run().await);
    expectorate::assert_contents("tests/output/send-request-errors.txt", &golden);

    let token = Signer::known().sign(&claims(&json!({})));
    let arguments = ["send-request", "--request", "request.json", "--url", guarded.url()];
    // A token is accepted from the environment and from the command line.
    for program in [
        Program::bare(&arguments).var("JARVIS_RUN_COORDINATOR_TOKEN", &token),
        Program::bare(&[&arguments[..], &["--token", &token]].concat())
            .var("JARVIS_RUN_COORDINATOR_TOKEN", "stale"),
    ] {
        program.write("request.json", EXAMPLE);
        answer(&program.run().await);
    }
    for server in [t, guarded] {
        server.stop().await;
    }
}

#[tokio::test]
async fn health_command_prints_health_or_fails() {
    let t = TestServer::start().await;
    let good = answer(&Program::bare(&["health", "--url", t.url()]).run().await);
    assert_eq!(good["status"], "ok");
    t.stop().await;
    let ended = Program::bare(&["health", "--url", UNREACHABLE]).run().await;
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""));
    assert!(ended.stderr.contains("Is the server running?"), "{}", ended.stderr);
}
