//! The commands that show and change single runs, against a server: forms, ids from
//! stdin, confirmation, exit codes by class.

use std::fmt::Write;

use jarvis_run_coordinator::{
    time::Timestamp,
    types::{NodeRunState, RunId},
};
use serde_json::{Value, json};

use super::{LISTEN, PARK, listed, start_gated};
use crate::support::{Program, TestServer, UNREACHABLE, process::Ended};

/// A folder from which commands call this server.
fn caller(t: &TestServer) -> Program {
    Program::bare(&[]).var("JARVIS_RUN_COORDINATOR_OPERATOR_URL", &t.operator_url())
}

/// Runs a command that calls both APIs.
async fn both(t: &TestServer, program: &Program, words: &[&str]) -> Ended {
    program.command(&[words, &["--url", t.url()]].concat()).await
}

fn printed(ended: &Ended) -> &str {
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{}", ended.stdout);
    &ended.stdout
}

fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("JSON a line")).collect()
}

async fn start(t: &TestServer, node_type: &str, runs: &[&str]) {
    for run in runs {
        t.run_start_with(node_type, json!({}), json!({"run_id": run})).await;
    }
}

#[tokio::test]
async fn runs_are_canceled_by_ids_from_stdin() {
    let t = TestServer::start_with(&[LISTEN]).await;
    let program = caller(&t);
    start(&t, "composite.accept", &["a-1", "a-2", "b-1"]).await;
    let ids = program.command(&["runs", "list", "--id-prefix", "a-", "-o", "ids"]).await;
    assert_eq!(printed(&ids), "a-2\na-1\n");
    let cancel = ["runs", "cancel", "-", "--reason", "wrong input", "--wait", "0"];
    let refused = program.command_reading(&cancel, &ids.stdout).await;
    assert_eq!((refused.code, refused.stdout.as_str()), (Some(2), ""));
    assert!(
        refused.stderr.starts_with("cancel 2 runs: there is no terminal to ask on."),
        "{}",
        refused.stderr
    );
    let looked = program.command_reading(&[&cancel[..], &["--dry-run"]].concat(), &ids.stdout).await;
    assert_eq!((looked.code, looked.stderr.as_str()), (Some(0), "would cancel 2 runs:\n"));
    let states = |text: &str| -> Vec<Value> {
        json_lines(text).iter().map(|run| json!([run["run_id"], run["state"]])).collect()
    };
    assert_eq!(states(&looked.stdout), [json!(["a-2", "running"]), json!(["a-1", "running"])]);
    // An unknown id does not keep the others from being canceled.
    let input = format!("nowhere\n{}", ids.stdout);
    let done = program.command_reading(&[&cancel[..], &["--yes"]].concat(), &input).await;
    assert_eq!(done.code, Some(8), "{done:?}");
    assert!(done.stderr.contains("404 run_not_found") && done.stderr.lines().count() == 1, "{}", done.stderr);
    assert_eq!(states(&done.stdout), [json!(["a-2", "canceled"]), json!(["a-1", "canceled"])]);
    let left = program.command(&["runs", "list", "--state", "running", "-o", "ids"]).await;
    assert_eq!(printed(&left), "b-1\n");
    // JSON instead of ids is the likely mistake.
    let mistaken = program.command(&["runs", "list"]).await;
    let mistaken = program.command_reading(&[&cancel[..], &["--yes"]].concat(), &mistaken.stdout).await;
    assert_eq!(mistaken.code, Some(2));
    assert!(mistaken.stderr.contains("-o ids"), "{}", mistaken.stderr);
    t.stop().await;
}

#[tokio::test]
async fn run_and_node_run_are_shown_with_their_reasons() {
    let t = TestServer::start_with(&[LISTEN, PARK]).await;
    let program = caller(&t);
    start_gated(&t, "gated").await;
    let waiting = listed(&t, 1).await;
    let node = waiting[0]["node_run_id"].as_str().expect("an id");
    let shown = both(&t, &program, &["runs", "get", "gated", "-o", "table"]).await;
    let mut words: Vec<&str> = printed(&shown).lines().collect();
    words.retain(|line| !line.starts_with("started") && !line.starts_with("root"));
    assert_eq!(
        words[..4],
        ["run      gated", "state    running", "type     atomic.echo@1.0.0", "owner    dev"]
    );
    let command = "    jarvis-run-coordinator approvals approve ";
    assert!(words.iter().any(|line| line.starts_with(command)), "{words:?}");
    let run = both(&t, &program, &["runs", "get", "gated"]).await;
    let run: Value = serde_json::from_str(printed(&run)).expect("JSON");
    assert_eq!((&run["run"]["state"], &run["root"]["node_run_id"]), (&json!("running"), &json!(node)));
    assert_eq!(run["explanation"]["nodes"][0]["reasons"][0]["acts"], "operator");
    let shown = both(&t, &program, &["nodes", "get", node, "-o", "table"]).await;
    assert!(
        printed(&shown).contains(&format!("node run  {node}\nrun       gated\nstate     queued\n")),
        "{}",
        shown.stdout
    );
    // Without the operator API, the record alone.
    let alone = program
        .command(&["runs", "get", "gated", "-o", "table", "--url", t.url(), "--operator-url", UNREACHABLE])
        .await;
    assert_eq!(alone.code, Some(0));
    assert!(alone.stdout.contains("state    running") && !alone.stdout.contains("acts"), "{}", alone.stdout);
    assert!(alone.stderr.starts_with("Why it is where it is, is not known: "), "{}", alone.stderr);
    t.stop().await;
}

#[tokio::test]
async fn events_are_printed_and_followed_to_the_end() {
    let t = TestServer::start_with(&[LISTEN]).await;
    let program = caller(&t);
    start(&t, "atomic.echo", &["one"]).await;
    t.run_ended(&RunId::new("one")).await;
    let all: Vec<Value> = t.events(&RunId::new("one")).await.iter().map(|event| json!(event)).collect();
    let events = both(&t, &program, &["runs", "events", "one"]).await;
    assert_eq!(json_lines(printed(&events)), all);
    let rest = both(&t, &program, &["runs", "events", "one", "--after", "2"]).await;
    assert_eq!(json_lines(printed(&rest)), all[2..]);
    let table = both(&t, &program, &["runs", "events", "one", "-o", "table"]).await;
    assert_eq!(printed(&table).lines().count(), all.len() + 1);
    assert!(
        table.stdout.starts_with("  SEQ  TIME") && table.stdout.contains("run_completed"),
        "{}",
        table.stdout
    );
    let node = all[1]["node_run_id"].as_str().expect("the root");
    let of_node = both(&t, &program, &["nodes", "events", node]).await;
    let expected: Vec<Value> = all.iter().filter(|event| event["node_run_id"] == node).cloned().collect();
    assert_eq!(json_lines(printed(&of_node)), expected);

    // A run that goes on: the command ends with it.
    let run = t.run_start_with("composite.accept", json!({}), json!({"run_id": "two"})).await;
    t.node_run_in(&run.root_node_run_id, NodeRunState::Running).await;
    let words = ["runs", "events", "two", "--follow"];
    let plain = ["runs", "tree", "two", "--follow"];
    let (followed, tree, _) =
        tokio::join!(both(&t, &program, &words), both(&t, &program, &plain), t.cancel(&run.run_id));
    let all: Vec<Value> = t.events(&run.run_id).await.iter().map(|event| json!(event)).collect();
    assert_eq!(json_lines(printed(&followed)), all);
    let tree = printed(&tree);
    assert!(tree.contains("run_completed") && tree.contains("\n  ⊘ accept"), "{tree}");
    assert!(tree.contains(&format!("run two canceled: 1 node run, {} events, ", all.len())), "{tree}");
    assert!(!tree.contains('\u{1b}'), "{tree}");
    t.stop().await;
}

#[tokio::test]
async fn run_is_held_explained_and_released() {
    let t = TestServer::start_with(&[LISTEN]).await;
    let program = caller(&t);
    start(&t, "composite.accept", &["one", "two"]).await;
    let until = ["runs", "hold", "one", "two", "--yes", "--until", "12h"];
    let held = program.command(&[&until[..], &["--reason", "looking"]].concat()).await;
    let held = json_lines(printed(&held));
    assert_eq!((&held[0]["run_id"], &held[1]["run_id"]), (&json!("one"), &json!("two")));
    let time =
        |member: &str| held[0]["hold"][member].as_str().and_then(|time| time.parse::<Timestamp>().ok());
    let (since, until) = time("since").zip(time("until")).expect("both times");
    let hours = until.since(since).as_secs_f64() / 3600.0;
    assert!((11.9..=12.1).contains(&hours), "{held:?}");
    let listed = program.command(&["runs", "list", "--held", "-o", "ids"]).await;
    assert_eq!(printed(&listed), "two\none\n");
    let why = program.command(&["runs", "explain", "one", "-o", "table"]).await;
    let release = "    jarvis-run-coordinator runs release one --reason TEXT";
    assert!(printed(&why).lines().any(|line| line == release), "{}", why.stdout);
    // The command as it is printed, with a reason.
    let words: Vec<&str> = release.split_whitespace().skip(1).collect();
    let released = program.command(&words).await;
    assert_eq!(json_lines(printed(&released)), [json!({"run_id": "one", "state": "running"})]);
    let table = program.command(&["runs", "release", "two", "--reason", "done", "-o", "table"]).await;
    assert_eq!(
        printed(&table),
        "RUN  STATE    HELD SINCE  UNTIL  BY  REASON\ntwo  running  -           -      -   -\n"
    );
    let reason = program.command(&["runs", "hold", "one", "--reason", ""]).await;
    assert_eq!(reason.code, Some(7), "{}", reason.stderr);
    t.stop().await;
}

#[tokio::test]
async fn dispatch_is_paused_listed_and_resumed() {
    let t = TestServer::start_with(&[LISTEN]).await;
    let program = caller(&t);
    for scope in [&["--all"][..], &["--node-type", "atomic.echo"], &["--tenant", "acme"]] {
        let paused = program.command(&[&["dispatch", "pause", "--reason", "incident"], scope].concat()).await;
        assert_eq!(json_lines(printed(&paused))[0]["reason"], "incident");
    }
    let listed = program.command(&["dispatch", "list", "-o", "table"]).await;
    let paused: Vec<&str> =
        printed(&listed).lines().skip(1).filter_map(|line| line.split("  ").next()).collect();
    assert_eq!(paused, ["all", "node_type atomic.echo", "tenant acme"]);
    let resumed = program.command(&["dispatch", "resume", "--all", "--reason", "over"]).await;
    assert_eq!(json_lines(printed(&resumed)), [json!({"scope": {"kind": "all"}, "was_paused": true})]);
    for wrong in [
        &["dispatch", "pause", "--reason", "x"][..],
        &["dispatch", "pause", "--reason", "x", "--all", "--tenant", "t"],
    ] {
        assert_eq!(program.command(wrong).await.code, Some(2), "{wrong:?}");
    }
    t.stop().await;
}

/// The class of a failure is the exit code, of every command that calls a server.
#[tokio::test]
async fn exit_codes_tell_the_class_of_a_failure() {
    let t = TestServer::start_with(&[LISTEN]).await;
    start(&t, "atomic.echo", &["over"]).await;
    t.run_ended(&RunId::new("over")).await;
    let mut golden = String::new();
    for words in [
        "runs list",
        "runs count",
        "runs get ID",
        "runs tree ID",
        "runs tree ID --follow",
        "runs events ID",
        "runs explain ID",
        "runs cancel ID --reason why --yes",
        "runs hold ID --reason why",
        "runs release ID --reason why",
        "nodes get ID",
        "nodes events ID",
        "nodes attempts ID",
        "nodes explain ID",
        "audit",
        "work",
        "webhooks list",
        "webhooks get ID",
        "webhooks deliveries ID",
        "webhooks delete ID --reason why",
        "nodes wake ID --reason why",
        "dispatch list",
        "approvals list",
        "approvals approve ID --reason why",
        "approvals deny ID --reason why",
    ] {
        write!(golden, "{words:<36}").expect("text");
        for (what, id, operator) in [
            ("unknown", "node_run_unknown.1", t.operator_url()),
            ("no answer", "over", UNREACHABLE.to_owned()),
        ] {
            let url = if operator == UNREACHABLE { UNREACHABLE } else { t.url() };
            let words = words.replace("ID", id);
            let words: Vec<&str> = words.split(' ').collect();
            let is_dual =
                words[0] == "nodes" || words[0] == "runs" && ["get", "tree", "events"].contains(&words[1]);
            let url = ["--url", url];
            let url: &[&str] = if is_dual { &url } else { &[] };
            let ended =
                Program::bare(&[&words[..], &["--operator-url", &operator], url].concat()).run().await;
            write!(golden, "  {what} {}", ended.code.expect("a code")).expect("text");
            assert!(ended.code == Some(0) || !ended.stderr.is_empty(), "{words:?}");
        }
        golden.push('\n');
    }
    expectorate::assert_contents("tests/output/exit-codes.txt", &golden);
    t.stop().await;
}

#[tokio::test]
async fn reader_that_has_read_enough_is_no_failure() {
    let t = TestServer::start_with(&[LISTEN]).await;
    start(&t, "atomic.echo", &["one"]).await;
    t.run_ended(&RunId::new("one")).await;
    for words in [
        &["runs", "events", "one", "--url", t.url()][..],
        &["runs", "list"],
        &["openapi"],
        &["check-config"],
        &["man"],
    ] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_jarvis-run-coordinator"));
        command.args(words).env_clear().env("JARVIS_RUN_COORDINATOR_OPERATOR_URL", t.operator_url());
        command.env("ARP_AUTH_PROFILE", "dev-insecure").env("JARVIS_POLICY_PROFILE", "dev-allow");
        let child = command.stdout(writer).stderr(std::process::Stdio::piped()).spawn().expect("started");
        let ended = tokio::task::spawn_blocking(|| child.wait_with_output()).await.expect("joined");
        let ended = ended.expect("ended");
        let stderr = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!((ended.status.code(), stderr.as_str()), (Some(0), ""), "{words:?}");
    }
    t.stop().await;
}

#[tokio::test]
async fn lists_have_three_forms() {
    let t = TestServer::start_with(&[LISTEN]).await;
    let program = caller(&t);
    start(&t, "atomic.echo", &["one", "two"]).await;
    let cut = program.command(&["runs", "list", "--limit", "1"]).await;
    assert_eq!((cut.code, cut.stderr.as_str()), (Some(0), "(more: raise --limit)\n"));
    assert_eq!(json_lines(&cut.stdout)[0]["run_id"], "two");
    let tree = program.command(&["runs", "tree", "one", "-o", "ids"]).await;
    let root = t.run(&RunId::new("one")).await.root_node_run_id;
    assert_eq!(printed(&tree), format!("{root}\n"));
    for run in ["one", "two"] {
        t.run_ended(&RunId::new(run)).await;
    }
    let count = program.command(&["runs", "count"]).await;
    assert_eq!(json_lines(printed(&count)), [json!({"runs": {"succeeded": 2}})]);
    let attempts = program.command(&["nodes", "attempts", root.as_str()]).await;
    assert_eq!(printed(&attempts), "");
    let tree = program.command(&["runs", "tree", "one"]).await;
    assert_eq!(json_lines(printed(&tree))[0]["state"], "succeeded");
    t.stop().await;
}

#[tokio::test]
async fn exported_run_is_verified_and_a_failure_leaves_no_file() {
    let t = TestServer::start_with(&[LISTEN]).await;
    let program = caller(&t);
    start(&t, "atomic.echo", &["one"]).await;
    t.run_ended(&RunId::new("one")).await;
    let exported = program.command(&["runs", "export", "one", "-O", "one.ndjson"]).await;
    let exported = json_lines(printed(&exported)).remove(0);
    assert_eq!((&exported["run_id"], &exported["file"]), (&json!("one"), &json!("one.ndjson")));
    let hash = exported["hash"].as_str().expect("a hash");
    // Offline: without any variable.
    let offline = program.without("JARVIS_RUN_COORDINATOR_OPERATOR_URL");
    let verified = offline.command(&["runs", "verify", "one.ndjson", "--hash", hash]).await;
    assert!(printed(&verified).contains(&format!("whole and unchanged, hash {hash}")), "{}", verified.stdout);
    let program = offline.var("JARVIS_RUN_COORDINATOR_OPERATOR_URL", &t.operator_url());
    let bundle = std::fs::read_to_string(program.path("one.ndjson")).expect("the file");
    let again = program.command(&["runs", "export", "one", "-O", "one.ndjson"]).await;
    assert_eq!(again.code, Some(1), "{again:?}");
    assert_eq!(std::fs::read_to_string(program.path("one.ndjson")).expect("the file"), bundle);
    let unknown = program.command(&["runs", "export", "nowhere", "-O", "nowhere.ndjson"]).await;
    assert_eq!(unknown.code, Some(8), "{unknown:?}");
    assert!(!program.path("nowhere.ndjson").exists());
    // To stdout: the same lines but for the time of the export and the hashes after it.
    let piped = program.command(&["runs", "export", "one"]).await;
    assert_eq!(json_lines(printed(&piped)).len(), bundle.lines().count());
    t.stop().await;
}

#[tokio::test]
async fn work_audit_and_webhooks_are_shown() {
    let allowed = ("JARVIS_RUN_COORDINATOR_OPERATOR_LISTEN", "127.0.0.1:0");
    let t = TestServer::start_with(&[allowed]).await;
    let program = caller(&t);
    start(&t, "composite.accept", &["one"]).await;
    t.cancel(&RunId::new("one")).await;
    let work = program.command(&["work"]).await;
    assert_eq!(json_lines(printed(&work))[0]["without_wake_up"], 0);
    let work = program.command(&["work", "-o", "table"]).await;
    assert!(printed(&work).contains("live             0 runs, 0 node runs"), "{}", work.stdout);
    assert!(work.stdout.contains("EXECUTOR  "), "{}", work.stdout);
    let audit = program.command(&["audit", "--run", "one", "--operation", "cancel_run"]).await;
    let audit = json_lines(printed(&audit));
    assert_eq!((audit.len(), &audit[0]["outcome"]), (1, &json!("applied")));
    let table = program.command(&["audit", "--outcome", "refused", "-o", "table"]).await;
    assert_eq!(printed(&table), "TIME  OUTCOME  OPERATION  ACTOR  RUN  NODE RUN  REASON  DETAIL\n");
    let none = program.command(&["webhooks", "list", "-o", "ids"]).await;
    assert_eq!(printed(&none), "");
    let refused = ["webhooks", "create", "https://hooks.example.com/x", "--event", "run.completed"];
    let refused = program.command(&refused).await;
    assert!(matches!(refused.code, Some(6 | 7)), "no target is permitted: {refused:?}");
    let wrong = program.command(&["webhooks", "create", "https://h/", "--event", "run.begun"]).await;
    assert_eq!(wrong.code, Some(2), "{wrong:?}");
    t.stop().await;
}

#[tokio::test]
async fn runs_are_listed_by_label_and_attention() {
    let t = TestServer::start_with(&[LISTEN, PARK]).await;
    let program = caller(&t);
    for (run, team) in [("one", "red"), ("two", "blue")] {
        let more = json!({"run_id": run, "metadata": {"labels": {"team": team}}});
        t.run_start_with("atomic.echo", json!({}), more).await;
    }
    start_gated(&t, "gated").await;
    listed(&t, 1).await;
    let red = program.command(&["runs", "list", "--label", "team=red", "-o", "ids"]).await;
    assert_eq!(printed(&red), "one\n");
    let both = ["runs", "count", "--label", "team=red", "--label", "team=blue"];
    let both = program.command(&both).await;
    assert_eq!((both.code, both.stdout.as_str()), (Some(2), ""), "a run has one team: {both:?}");
    let none = ["runs", "count", "--label", "team=red", "--label", "env=prod"];
    assert_eq!(json_lines(printed(&program.command(&none).await)), [json!({"runs": {}})]);
    let attention = program.command(&["runs", "list", "--attention"]).await;
    let attention = json_lines(printed(&attention));
    assert_eq!((&attention[0]["run_id"], &attention[0]["attention"]), (&json!("gated"), &json!("approval")));
    let wrong = program.command(&["runs", "list", "--label", "team"]).await;
    assert_eq!(wrong.code, Some(2), "{wrong:?}");
    t.stop().await;
}
