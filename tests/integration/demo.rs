//! The `demo` command of the real program.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
};

use serde_json::Value;

use crate::support::{process::PROMPT, soon};

/// The command in an environment whose variables would break a server.
fn demo(words: &[&str], temp: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_jarvis-run-coordinator"));
    command.arg("demo").args(words).current_dir(temp).env_clear().env("TMPDIR", temp);
    for (name, value) in [
        ("ARP_AUTH_PROFILE", "enterprise"),
        ("JARVIS_RUN_STORE_URL", "http://127.0.0.1:1"),
        ("JARVIS_RUN_COORDINATOR_AUTO_DISPATCH", "false"),
        ("HTTP_PROXY", "http://127.0.0.1:1"),
        ("ALL_PROXY", "http://127.0.0.1:1"),
    ] {
        command.env(name, value);
    }
    command
}

fn left_in(folder: &Path) -> usize {
    std::fs::read_dir(folder).expect("the folder").count()
}

#[test]
fn demo_shows_a_run_and_leaves_no_files() {
    let temp = tempfile::tempdir().expect("a folder");
    let output = demo(&["--port", "0"], temp.path()).output().expect("the program runs");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(output.status.code(), Some(0), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stderr.is_empty() && !text.contains('\x1b'), "{text}");

    let (events, end) = text.split_once("\n\n  ✓ weekend").expect("the events, then the tree");
    for event in [
        "policy_decided           weekend    start: allow (policy_bypass)",
        "recovery_applied         trains     retry: attempt 2 of 2",
        "candidate_set_generated  lakeside   room-candidates",
        "node_evaluated           lakeside   fail (over_budget): 420 of 300 CHF",
        "recovery_applied         lakeside   remap to old_mill: ten minutes from the station",
        "atomic_executed          summary    succeeded",
        "policy_decided           booking    approval: require_approval (gate_require_approval)",
        "policy_decided           booking    approval: allow (approval_granted)",
        "node_evaluated           dinner     fail (budget_exceeded): max_cost",
        "run_completed            weekend    succeeded",
    ] {
        assert!(events.contains(event), "{event} in:\n{events}");
    }
    let nodes: Vec<Vec<&str>> = end
        .lines()
        .skip(1)
        .take_while(|line| !line.is_empty())
        .map(|line| {
            let words = line.split_whitespace().filter(|word| !["│", "├─", "└─", "2"].contains(word));
            words.take(3).collect()
        })
        .collect();
    assert_eq!(
        nodes,
        [
            ["✓", "weather", "succeeded"],
            ["✗", "trains", "failed"],
            ["✓", "trains", "succeeded"],
            ["✓", "hotel", "succeeded"],
            ["✓", "lakeside", "succeeded"],
            ["✓", "old_mill", "succeeded"],
            ["✓", "summary", "succeeded"],
            ["✓", "booking", "succeeded"],
            ["✗", "dinner", "failed"],
        ]
    );
    assert!(end.contains(" succeeded: 10 node runs, 68 events, "), "{end}");
    for shown in [
        "  The node waits for the approval node_run_",
        "  jarvis-run-coordinator approvals approve node_run_",
        "300 of 300 CHF are spent",
    ] {
        assert!(end.contains(shown), "{shown} in:\n{end}");
    }
    assert!(end.contains("demo --keep"), "{end}");
    assert_eq!(left_in(temp.path()), 0);
}

#[test]
fn demo_reports_a_port_in_use() {
    let temp = tempfile::tempdir().expect("a folder");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("its address").port().to_string();
    let output = demo(&["--port", &port], temp.path()).output().expect("the program runs");
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.starts_with(&format!("demo: cannot listen on 127.0.0.1:{port}: ")), "{error}");
    assert_eq!(left_in(temp.path()), 0);
}

#[tokio::test]
async fn printed_commands_of_a_kept_demo_work() {
    let temp = tempfile::tempdir().expect("a folder");
    let mut kept = RunningDemo::start(&["--keep", "--port", "0"], temp.path());
    let text = kept.read_until("Ctrl-C stops the server.");
    let mut answers = Vec::new();
    for command in commands(&text) {
        answers.push((command[1..].join(" "), soon("an answer", curl(&command)).await));
    }
    let answer = |end: &str| {
        let found = answers.iter().find(|(command, _)| command.ends_with(end));
        found.unwrap_or_else(|| panic!("{end} in {answers:?}")).1.as_str()
    };
    let json = |end: &str| -> Value { serde_json::from_str(answer(end)).expect("JSON") };
    assert_eq!(json("/v1/health")["status"], "ok");
    let run = text.split("/v1/runs/").nth(1).and_then(|rest| rest.lines().next()).expect("the run");
    assert_eq!(json(run)["state"], "succeeded");
    // Its budget was too small.
    let events = answer("/v1/runs/weekend-2/events?follow=1");
    let last: Value = serde_json::from_str(events.lines().last().expect("events")).expect("JSON");
    assert_eq!((&last["type"], &last["data"]["state"]), (&"run_completed".into(), &"failed".into()));
    assert_eq!(json("/v1/runs/nap-1:cancel")["state"], "canceled");
    // What waits for the reader is explained by the command that the text names.
    let (_, explain) = text.split_once("  jarvis-run-coordinator runs explain ").expect("a command");
    let explain = explain.split_once("\n\n").expect("its end").0.split_whitespace();
    let mut command = Command::new(env!("CARGO_BIN_EXE_jarvis-run-coordinator"));
    command.args(["runs", "explain"]).args(explain.filter(|word| *word != "\\")).env_clear();
    let waits = soon("the booking", async {
        loop {
            let explained = command.output().expect("the program runs");
            let explained = String::from_utf8(explained.stdout).expect("UTF-8");
            if explained.contains("approvals approve") {
                return explained;
            }
        }
    });
    assert!(waits.await.contains("The node waits for the approval"));
    assert_eq!(json("/readyz")["status"], "ok");
    assert_eq!(answers.len(), 8);

    // The example file works with the demo's server.
    let mut example = Command::new(env!("CARGO_BIN_EXE_jarvis-run-coordinator"));
    example.args(["send-request", "--request", "examples/node-runs.json", "--url"]);
    let url = text.lines().find_map(|line| Some(line[line.find("http://")?..].trim())).expect("its address");
    let sent = example.arg(url).output().expect("the program runs");
    let sent: Value = serde_json::from_slice(&sent.stdout).expect("JSON");
    assert_eq!(sent["fetched"]["node_type_ref"]["node_type_id"], "atomic.nap", "{sent}");

    kept.terminate();
    let rest = kept.read_to_end();
    assert_eq!(kept.process.wait().expect("it ends").code(), Some(0), "{rest}");
    let journal = text.lines().find_map(|line| line.strip_prefix("  journal")).expect("the journal").trim();
    assert!(Path::new(journal).is_file(), "{journal}");
}

#[test]
fn interrupted_demo_ends_at_once_and_leaves_no_files() {
    let temp = tempfile::tempdir().expect("a folder");
    let mut demo = RunningDemo::start(&["--port", "0"], temp.path());
    demo.read_until("execute: allow");
    demo.terminate();
    let rest = demo.read_to_end();
    assert_eq!(demo.process.wait().expect("it ends").code(), Some(1), "{rest}");
    assert!(!rest.contains("run_completed"), "{rest}");
    assert_eq!(left_in(temp.path()), 0);
}

/// A running demo. It is killed when dropped.
struct RunningDemo {
    process: Child,
    /// The lines of its output, which end with it. A thread reads them: a demo that says
    /// nothing must fail its test, not hold it up.
    lines: mpsc::Receiver<String>,
}

impl RunningDemo {
    fn start(words: &[&str], temp: &Path) -> Self {
        let mut command = demo(words, temp);
        let mut process =
            command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the program starts");
        let output = BufReader::new(process.stdout.take().expect("its output"));
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in output.lines() {
                // The test may have ended.
                let _sent = sender.send(line.expect("its output") + "\n");
            }
        });
        Self { process, lines }
    }

    fn read_until(&mut self, end: &str) -> String {
        let mut text = String::new();
        while !text.contains(end) {
            match self.lines.recv_timeout(PROMPT) {
                Ok(line) => text += &line,
                Err(error) => panic!("{end}: {error} after:\n{text}"),
            }
        }
        text
    }

    fn read_to_end(&mut self) -> String {
        let mut text = String::new();
        loop {
            match self.lines.recv_timeout(PROMPT) {
                Ok(line) => text += &line,
                Err(mpsc::RecvTimeoutError::Disconnected) => return text,
                Err(mpsc::RecvTimeoutError::Timeout) => panic!("it does not end, after:\n{text}"),
            }
        }
    }

    fn terminate(&self) {
        let killed = Command::new("kill").arg(self.process.id().to_string()).status();
        assert!(killed.expect("there is kill").success());
    }
}

impl Drop for RunningDemo {
    fn drop(&mut self) {
        // It has usually ended by itself.
        let _killed = self.process.kill();
        let _reaped = self.process.wait();
    }
}

/// The arguments of each `curl …` command in a text, split as a shell does.
fn commands(text: &str) -> Vec<Vec<String>> {
    let mut commands: Vec<Vec<String>> = Vec::new();
    for part in text.split("\n  curl ").skip(1) {
        let mut words = vec!["curl".to_owned()];
        for (at, piece) in part.split('\'').enumerate() {
            match at % 2 {
                1 => words.push(piece.to_owned()),
                // The rest of the command, up to the end of its line.
                _ => {
                    let line = piece.lines().next().unwrap_or_default();
                    words.extend(line.split_whitespace().map(str::to_owned));
                    if piece.contains('\n') {
                        break;
                    }
                }
            }
        }
        commands.push(words);
    }
    commands
}

/// Sends the request that `curl` would send for these arguments.
async fn curl(words: &[String]) -> String {
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let (mut url, mut method, mut content_type, mut body) = (None, None, None, None);
    let mut words = words[1..].iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().cloned().expect("a value");
        match word.as_str() {
            "-N" => {}
            "-X" => method = Some(value()),
            "-H" => content_type = Some(value()),
            "-d" => body = Some(value()),
            address => url = Some(address.to_owned()),
        }
    }
    let method = method.unwrap_or_else(|| if body.is_some() { "POST" } else { "GET" }.into());
    let mut request = http.request(method.parse().expect("a method"), url.expect("a URL"));
    if let Some((name, value)) = content_type.as_deref().and_then(|header| header.split_once(": ")) {
        request = request.header(name, value);
    }
    if let Some(body) = body {
        request = request.body(body);
    }
    let answer = request.send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    answer.text().await.expect("its body")
}
