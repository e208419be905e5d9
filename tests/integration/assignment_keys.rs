//! The keys of assignment tokens rotate, and no call is lost (contract §9.4): `journal
//! rotate-key` beside a running server, and between two.
//!
//! ```text
//!   composite gets its token ──▶ rotated ──▶ it works on with that token
//!                                       └──▶ the next composite gets one of the new key
//!                                       └──▶ all old tokens expired ──▶ the old key is gone
//! ```

use std::{
    collections::BTreeSet,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use futures::future::{join, join_all};
use jarvis_run_coordinator::{
    cli::{JournalCommand, journal},
    time::{Clock, Timestamp},
    types::NodeRunState,
};
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::{
    bearer::{Bearer, assigned, claims_of, guarded, guarded_on, kid_of, spec, user},
    support::{
        FakeExecutors, Program, Signer, Sts, TestMachine, TestServer, process::Process, soon, sts::claims,
    },
};

/// The number of keys in a journal.
fn keys_in(journal: &Path) -> usize {
    let stored: Vec<u8> = Connection::open(journal)
        .expect("the journal")
        .query_one("SELECT value FROM secrets WHERE name = 'assignment_token_key'", [], |row| row.get(0))
        .expect("the keys");
    serde_json::from_slice::<Vec<Value>>(&stored).map_or(1, |keys| keys.len())
}

/// Rotates the key of a server in this process, as the command does. Returns what the
/// command prints.
fn rotate(t: &TestServer, now: Timestamp, revoke_old: bool) -> String {
    let (command, path) = (JournalCommand::RotateKey { revoke_old }, t.journal.path().join("journal.db"));
    let mut out = Vec::new();
    assert!(journal::run(&command, &path, now, &mut out).expect("rotated"));
    String::from_utf8(out).expect("UTF-8")
}

#[tokio::test]
async fn rotated_key_loses_no_call_of_a_composite() {
    let sts = Sts::start();
    let executors = FakeExecutors::start();
    let mut program = Program::with_executors(&executors).without("ARP_AUTH_PROFILE");
    for (name, value) in sts.variables() {
        program = program.var(name, &value);
    }
    let http = reqwest::Client::new();
    let as_user = Signer::known().sign(&claims(&json!({})));
    let post = async |process: &Process, token: &str, path: &str, body: &Value| {
        let request = http.post(process.at(path)).bearer_auth(token).json(body);
        let answer = soon("an answer", request.send()).await.expect("an answer");
        (answer.status().as_u16(), answer.json().await.unwrap_or(Value::Null))
    };
    let start = async |process: &Process| {
        let request = json!({"root_node_type_ref": spec("composite.accept")["node_type_ref"], "input": {}});
        let (status, run) = post(process, &as_user, "/v1/runs", &request).await;
        assert_eq!(status, 200, "{run}");
        let root = run["root_node_run_id"].as_str().expect("an id").to_owned();
        let calls = executors
            .calls_until("the assignment", |calls| calls.iter().any(|call| call.body["node_run_id"] == *root))
            .await;
        let call = calls.into_iter().find(|call| call.body["node_run_id"] == *root).expect("the assignment");
        let token = call.body["assignment_token"].as_str().expect("a token").to_owned();
        (run["run_id"].as_str().expect("an id").to_owned(), root, token)
    };
    let create = async |process: &Process, (run, root, token): &(String, String, String)| {
        let request = json!({"run_id": run, "parent_node_run_id": root, "node_runs": [spec("atomic.hang")]});
        post(process, token, "/v1/node-runs", &request).await.0
    };
    let complete = async |process: &Process, (_, root, token): &(String, String, String)| {
        post(process, token, &format!("/v1/node-runs/{root}:complete"), &json!({"state": "succeeded"})).await
    };

    let process = program.start().await;
    let (first, second) = (start(&process).await, start(&process).await);
    assert_eq!(kid_of(&first.2), kid_of(&second.2));
    let rotated = program.command(&["journal", "rotate-key"]).await;
    assert_eq!((rotated.code, rotated.stderr.as_str()), (Some(0), ""), "{rotated:?}");
    let new_kid =
        rotated.stdout.lines().next().expect("a line").rsplit(' ').next().expect("an id").to_owned();
    assert!(rotated.stdout.contains("stay valid until their last token has expired"), "{rotated:?}");
    // The next token has the new key, and the old one is as good as before.
    let third = start(&process).await;
    assert_eq!(kid_of(&third.2), new_kid);
    for of in [&first, &third] {
        assert_eq!(create(&process, of).await, 200);
        assert_eq!(complete(&process, of).await.0, 204);
        assert_eq!(complete(&process, of).await.0, 204, "the answer again");
    }
    process.kill().await;

    // Rotated while no server runs: the token is of the key before the last.
    let rotated = program.command(&["journal", "rotate-key"]).await;
    assert_eq!((rotated.code, rotated.stderr.as_str()), (Some(0), ""), "{rotated:?}");
    let process = program.start().await;
    let fourth = start(&process).await;
    assert!(![kid_of(&first.2), new_kid].contains(&kid_of(&fourth.2)));
    for of in [&second, &fourth] {
        assert_eq!(create(&process, of).await, 200);
        assert_eq!(complete(&process, of).await.0, 204);
    }

    // A key has leaked. What it signed is good for nothing.
    let fifth = start(&process).await;
    let revoked = program.command(&["journal", "rotate-key", "--revoke-old"]).await;
    assert_eq!((revoked.code, revoked.stderr.as_str()), (Some(0), ""), "{revoked:?}");
    assert!(revoked.stdout.contains("old keys deleted: 3\n"), "{revoked:?}");
    assert!(revoked.stdout.ends_with("silence limit or deadline: 1\n"), "{revoked:?}");
    soon("the end of the old key", async { while create(&process, &fifth).await != 401 {} }).await;
    let (status, envelope) = complete(&process, &fifth).await;
    assert_eq!((status, &envelope["error"]["message"]), (401, &json!("Invalid token")));
    let sixth = start(&process).await;
    assert_eq!(complete(&process, &sixth).await.0, 204);
    assert_eq!(keys_in(&program.journal()), 1);
    process.terminate().await;
    let checked = program.command(&["journal", "check"]).await;
    assert!(checked.code == Some(0) && checked.stdout.ends_with("\nsound\n"), "{checked:?}");
}

#[tokio::test]
async fn retired_key_is_deleted_when_its_tokens_have_expired() {
    let sts = Sts::start();
    let machine = TestMachine::default();
    let vars = sts.variables();
    let mut vars: Vec<(&str, &str)> = vars.iter().map(|(name, value)| (*name, value.as_str())).collect();
    vars.extend([
        ("ARP_AUTH_MODE", "optional"),
        ("ARP_AUTH_CLOCK_SKEW_SECONDS", "30"),
        ("JARVIS_RUN_COORDINATOR_RUN_TIMEOUT_SECS", "7200"),
        ("JARVIS_RUN_COORDINATOR_CALL_TIMEOUT_SECS", "80000"),
        ("JARVIS_RUN_COORDINATOR_COMPOSITE_SILENCE_SECS", "0"),
    ]);
    let t = TestServer::start_with_clock(machine.clone(), &vars).await;
    let file = t.journal.path().join("journal.db");
    let begin = async || {
        let run = t.run_start("composite.accept", json!({})).await;
        let root = run.root_node_run_id.to_string();
        let token = assigned(&t, &root).await;
        (run, Bearer::new(&t, token))
    };
    let (run, old) = begin().await;
    let printed = rotate(&t, machine.now(), false);
    assert_eq!(keys_in(&file), 2);
    let until = printed.lines().nth(1).expect("a line").split(", at ").nth(1).expect("a time");
    let until: Timestamp = until.split(": ").next().expect("a time").parse().expect("a time");
    let deadline = Timestamp::from_micros(t.deadline_of(run.root_node_run_id.as_str()));
    assert_eq!(until, deadline + Duration::from_secs(1));
    let expiry = claims_of(&old.token)["exp"].as_i64().expect("a number") * 1_000_000;
    assert!(expiry <= until.as_micros(), "{expiry} {until}");
    // In the last second before its deadline the old token is still good.
    machine.pass(Duration::from_secs(7198));
    let (_, new) = begin().await;
    assert_ne!(kid_of(&new.token), kid_of(&old.token));
    old.create(run.run_id.as_str(), run.root_node_run_id.as_str(), "atomic.echo").await;
    let complete = format!("/v1/node-runs/{}:complete", run.root_node_run_id);
    old.post(&complete, &json!({"state": "succeeded"})).await.no_content();
    t.node_run_in(&run.root_node_run_id, NodeRunState::Succeeded).await;
    assert_eq!(keys_in(&file), 2);
    // One more second, the clock skew, and the interval at which it is looked for.
    machine.pass(Duration::from_secs(4 + 30 + 60));
    soon("the deletion of the key", async {
        while keys_in(&file) > 1 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let gone = old.post(&complete, &json!({"state": "succeeded"})).await.refused(401, "unauthorized");
    assert!(["Token expired", "Invalid token"].contains(&gone["message"].as_str().expect("text")), "{gone}");
    new.get("/v1/node-runs/nothing").await.refused(404, "node_run_not_found");
    t.stop().await;
}

/// The first key of a journal of an earlier version has no id.
#[tokio::test]
async fn key_of_an_earlier_version_is_the_first() {
    let sts = Sts::start();
    let t = guarded(&sts, &[]).await;
    user(&t).start("composite.accept").await;
    t.at_rest().await;
    let file = t.journal.path().join("journal.db");
    let (journal, executors) = t.stop().await;
    let edit = "UPDATE secrets SET value = randomblob(32) WHERE name = 'assignment_token_key'";
    assert_eq!(Connection::open(&file).expect("the journal").execute(edit, []).expect("an update"), 1);

    let t = guarded_on(journal, executors, &sts, &[]).await;
    let [run, root] = user(&t).start("composite.accept").await;
    let old = Bearer::new(&t, assigned(&t, &root).await);
    rotate(&t, jarvis_run_coordinator::time::SystemClock.now(), false);
    let [_, newer] = user(&t).start("composite.accept").await;
    let new = assigned(&t, &newer).await;
    assert!(!old.token.split('.').next().expect("a header").contains("kid"));
    assert_eq!((kid_of(&new).len(), keys_in(&file)), (32, 2));
    old.create(&run, &root, "atomic.echo").await;
    t.stop().await;
}

#[tokio::test]
async fn rotation_reports_what_it_cannot_rotate() {
    let program = Program::server();
    let failed = async |why: &str| {
        let ended = program.command(&["journal", "rotate-key"]).await;
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(3), ""), "{ended:?}");
        assert!(ended.stderr.contains(why), "{ended:?}");
    };
    failed("No such file").await;
    assert!(!program.journal().exists(), "no journal is made by mistake");
    program.write("jarvis-run-coordinator.db", "something");
    failed("file is not a database").await;
    std::fs::remove_file(program.journal()).expect("there");

    // Without authentication there are no tokens, and no key.
    program.start().await.terminate().await;
    failed("the journal has no key of assignment tokens").await;
    let edit =
        |sql: &str| Connection::open(program.journal()).expect("the journal").execute_batch(sql).expect(sql);
    edit("INSERT INTO secrets VALUES ('assignment_token_key', x'00')");
    failed("the keys were not rotated: the keys of assignment tokens cannot be read").await;
    // A server of an earlier version may be running.
    edit("PRAGMA user_version = 4");
    failed("start the server of this version first").await;
}

/// The command writes beside the server, which is in the middle of its commits.
#[tokio::test]
async fn rotations_under_load_fail_no_request() {
    let (sts, executors) = (Sts::start(), FakeExecutors::start());
    let mut program = Program::with_executors(&executors).without("ARP_AUTH_PROFILE");
    for (name, value) in sts.variables() {
        program = program.var(name, &value);
    }
    let process = program.var("ARP_AUTH_MODE", "optional");
    let (program, process) = (&process, process.start().await);
    let enough = AtomicBool::new(false);
    let load = join_all((0..8).map(|caller| {
        let (process, enough) = (&process, &enough);
        async move {
            let mut count = 0;
            while !enough.load(Ordering::SeqCst) {
                // Fails the test if it is refused.
                process.run_start(&format!("run-{caller}-{count}"), "composite.accept").await;
                count += 1;
            }
            count
        }
    }));
    let rotations = async {
        for _ in 0..10 {
            let rotated = program.command(&["journal", "rotate-key"]).await;
            assert_eq!((rotated.code, rotated.stderr.as_str()), (Some(0), ""), "{rotated:?}");
        }
        enough.store(true, Ordering::SeqCst);
    };
    let (counts, ()) = join(load, rotations).await;
    let runs = counts.iter().sum::<usize>();
    assert!(runs > 8, "{counts:?}");
    // Every composite got a token, of keys from the first to the last, and all are good.
    let calls = executors.called(":begin", runs).await;
    let tokens: Vec<&str> = calls.iter().filter_map(|call| call.body["assignment_token"].as_str()).collect();
    assert_eq!(tokens.len(), runs);
    assert!(tokens.iter().map(|token| kid_of(token)).collect::<BTreeSet<_>>().len() > 1, "{runs}");
    let http = reqwest::Client::new();
    for (call, token) in calls.iter().zip(tokens) {
        let node = call.body["node_run_id"].as_str().expect("an id");
        let request = http.get(process.at(&format!("/v1/node-runs/{node}"))).bearer_auth(token);
        assert_eq!(request.send().await.expect("an answer").status(), 200, "{token}");
    }
    assert!(!process.has_logged("could not commit a group"));
    process.terminate().await;
}
