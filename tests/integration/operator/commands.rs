//! The commands `approvals …` of the real program, against a server. After an intended
//! change, rewrite the files with `EXPECTORATE=overwrite`.

use std::fmt::Write;

use serde_json::{Value, json};

use super::{LISTEN, PARK, listed, start_gated};
use crate::support::{Program, Signer, Sts, TestServer, UNREACHABLE, process::Ended, sts::claims};

/// Runs the command against this operator API.
async fn approvals(url: &str, arguments: &[&str]) -> Ended {
    let is_given = arguments.iter().any(|word| ["-o", "--output", "--help"].contains(word));
    let form: &[&str] = if is_given { &[] } else { &["-o", "table"] };
    let words = [&["approvals"], arguments, form, &["--operator-url", url]].concat();
    Program::bare(&words).run().await
}

fn printed(ended: &Ended) -> &str {
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{}", ended.stdout);
    &ended.stdout
}

/// With ids and times that are the same for each run of the test.
fn steady(text: &str, approvals: &[Value]) -> String {
    let mut text = text.to_owned();
    for (number, approval) in approvals.iter().enumerate() {
        for (member, steady) in [
            ("node_run_id", format!("node_run_0000000000000000000000000000000{number}")),
            ("requested_at", "2026-11-28T12:00:00.000000Z".to_owned()),
            ("expires_at", "2026-11-29T12:00:00.000000Z".to_owned()),
        ] {
            text = text.replace(approval[member].as_str().expect("text"), &steady);
        }
    }
    text
}

#[tokio::test]
async fn approvals_are_listed_and_decided_on_the_command_line() {
    let t = TestServer::start_with(&[LISTEN, PARK]).await;
    let url = t.operator_url();
    let mut golden = String::new();
    let mut note = |words: &[&str], waiting: &[Value], ended: &Ended| {
        let Ended { code, stdout, stderr } = ended;
        let words = steady(&words.join(" "), waiting);
        let (stdout, stderr) = (steady(stdout, waiting), steady(stderr, waiting).replace(&url, "URL"));
        let code = code.expect("a code");
        writeln!(golden, "$ jarvis-run-coordinator approvals {words}\n{stdout}{stderr}[exit {code}]\n")
            .expect("text");
    };
    note(&["list"], &[], &approvals(&url, &["list"]).await);
    start_gated(&t, "first").await;
    listed(&t, 1).await;
    start_gated(&t, "second").await;
    let waiting = listed(&t, 2).await;
    let ids: Vec<&str> =
        waiting.iter().map(|approval| approval["approval_id"].as_str().expect("an id")).collect();
    for words in [
        &["list"][..],
        &["list", "--run", "second"],
        &["list", "--limit", "1"],
        &["approve", ids[0], "--reason", "agreed with the owner"],
        &["approve", ids[0], "--reason", "once more"],
        &["deny", ids[0], "--reason", "too late"],
        &["approve", "node_run_unknown.1", "--reason", "which?"],
        &["approve", "nonsense", "--reason", "which?"],
        &["deny", ids[1], "--reason", ""],
    ] {
        note(words, &waiting, &approvals(&url, words).await);
    }
    let list = approvals(&url, &["list", "--output", "json"]).await;
    let lines: Vec<Value> =
        printed(&list).lines().map(|line| serde_json::from_str(line).expect("JSON a line")).collect();
    assert_eq!(lines, waiting[1..]);
    let denied = approvals(&url, &["deny", ids[1], "--reason", "not today", "-o", "json"]).await;
    let denied: Value = serde_json::from_str(printed(&denied)).expect("JSON");
    assert_eq!(denied["decision"]["outcome"], "denied");
    assert_eq!(printed(&approvals(&url, &["list", "-o", "json"]).await).trim(), "");
    expectorate::assert_contents("tests/output/approvals.txt", &golden);
    t.stop().await;
}

#[tokio::test]
async fn runs_are_listed_counted_and_shown_on_the_command_line() {
    let t = TestServer::start_with(&[LISTEN]).await;
    for (run, node_type) in [("first", "atomic.echo"), ("second", "composite.accept")] {
        t.run_start_with(node_type, json!({}), json!({"run_id": run})).await;
    }
    t.run_ended(&"first".into()).await;
    let url = t.operator_url();
    let ask = async |words: &[&str]| {
        let form: &[&str] = if words.contains(&"-o") { &[] } else { &["-o", "table"] };
        Program::bare(&[words, form, &["--operator-url", &url]].concat()).run().await
    };
    let columns = |text: &str| -> Vec<Vec<String>> {
        text.lines().map(|line| line.split_whitespace().take(3).map(str::to_owned).collect()).collect()
    };
    let row = |words: [&str; 3]| words.map(str::to_owned).to_vec();
    assert_eq!(
        columns(printed(&ask(&["runs", "list"]).await)),
        [
            row(["RUN", "STATE", "NODE"]),
            row(["second", "running", "composite.accept@1.0.0"]),
            row(["first", "succeeded", "atomic.echo@1.0.0"]),
        ]
    );
    let one = ask(&["runs", "list", "--state", "succeeded", "--since", "1h", "-o", "json"]).await;
    let one: Value = serde_json::from_str(printed(&one)).expect("JSON");
    assert_eq!(one["run_id"], "first");
    let more = ask(&["runs", "list", "--limit", "1"]).await;
    assert!(printed(&more).ends_with("\n(more: raise --limit)\n"), "{}", more.stdout);
    assert_eq!(printed(&ask(&["runs", "count"]).await), "STATE      RUNS\nrunning    1\nsucceeded  1\n");
    let tree = ask(&["runs", "tree", "first"]).await;
    assert!(
        printed(&tree).starts_with("NODE RUN ") && tree.stdout.contains("atomic.echo@1.0.0"),
        "{}",
        tree.stdout
    );
    let unknown = ask(&["runs", "tree", "nowhere"]).await;
    assert_eq!((unknown.code, unknown.stdout.as_str()), (Some(8), ""));
    let wrong = ask(&["runs", "list", "--state", "lost"]).await;
    assert_eq!(wrong.code, Some(2), "{}", wrong.stderr);
    let stuck = ask(&["runs", "explain", "second"]).await;
    let sentence = "Attempt 1 is at the executor arp-jarvis-composite-executor, which has not reported yet";
    assert!(
        printed(&stuck).starts_with("run second: running; live node runs: 1 running\nnode run "),
        "{}",
        stuck.stdout
    );
    assert!(stuck.stdout.contains(sentence) && stuck.stdout.contains("acts: executor"), "{}", stuck.stdout);
    let over = ask(&["runs", "explain", "first", "-o", "json"]).await;
    let over: Value = serde_json::from_str(printed(&over)).expect("JSON");
    assert_eq!(over["nodes"][0]["reasons"][0]["cause"], json!({"code": "over", "state": "succeeded"}));
    let root = over["nodes"][0]["node_run_id"].as_str().expect("an id");
    assert!(printed(&ask(&["nodes", "explain", root]).await).contains("The node has ended: succeeded"));
    let attempts = ask(&["nodes", "attempts", "nowhere"]).await;
    assert_eq!(attempts.code, Some(8), "{}", attempts.stderr);
    t.stop().await;
}

#[tokio::test]
async fn failures_of_approval_commands_have_exit_codes_by_class() {
    let sts = Sts::start();
    let owner = ("JARVIS_RUN_COORDINATOR_AUTHORIZATION", "owner");
    let t = crate::bearer::guarded(&sts, &[LISTEN, PARK, owner]).await;
    let url = t.operator_url();
    // Refused: no token, and one that may not.
    let bare = approvals(&url, &["list"]).await;
    assert_eq!((bare.code, bare.stdout.as_str()), (Some(6), ""));
    assert!(
        bare.stderr.contains("Provide a token with JARVIS_RUN_COORDINATOR_TOKEN or --token."),
        "{}",
        bare.stderr
    );
    let late = approvals(UNREACHABLE, &["list"]).await;
    assert_eq!((late.code, late.stdout.as_str()), (Some(5), ""));
    assert!(late.stderr.contains("--operator-url, JARVIS_RUN_COORDINATOR_OPERATOR_URL"), "{}", late.stderr);
    let wrong = Program::bare(&["approvals", "list", "--operator-url", "nonsense"]).run().await;
    assert_eq!(wrong.code, Some(2));
    // From the environment: the URL or the address that the server listens on, and the token.
    let token = Signer::known().sign(&claims(&json!({})));
    let address = url.trim_start_matches("http://");
    for (name, value) in [
        ("JARVIS_RUN_COORDINATOR_OPERATOR_URL", url.as_str()),
        ("JARVIS_RUN_COORDINATOR_OPERATOR_LISTEN", address),
    ] {
        let program = Program::bare(&["approvals", "list", "-o", "table"]).var(name, value);
        let ended = program.var("JARVIS_RUN_COORDINATOR_TOKEN", &token).run().await;
        assert!(printed(&ended).starts_with("APPROVAL "), "{}", ended.stdout);
    }
    t.stop().await;
}

#[tokio::test]
async fn help_of_approval_commands_is_the_golden_file() {
    let mut golden = String::new();
    for words in
        [&["approvals", "--help"][..], &["approvals", "list", "--help"], &["approvals", "approve", "--help"]]
    {
        let ended = Program::bare(words).run().await;
        writeln!(golden, "$ jarvis-run-coordinator {}\n{}", words.join(" "), printed(&ended)).expect("text");
    }
    expectorate::assert_contents("tests/output/approvals-help.txt", &golden);
}
