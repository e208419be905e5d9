//! The real program's command line, configuration and what it says about them.

use std::fmt::Write;

use jarvis_run_coordinator::api;
use serde_json::{Value, json};

use crate::support::{FakeExecutors, Program, process::Ended};

fn said(stdout: &str) -> Ended {
    Ended { code: Some(0), stdout: stdout.into(), stderr: String::new() }
}

#[tokio::test]
async fn help_and_version_are_printed() {
    for (word, golden) in [("--help", "help"), ("-h", "help-short")] {
        let ended = Program::bare(&[word]).run().await;
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
        expectorate::assert_contents(format!("tests/output/{golden}.txt"), &ended.stdout);
    }
    let version = concat!("jarvis-run-coordinator ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(Program::bare(&["--version"]).run().await, said(version));
}

#[tokio::test]
async fn what_is_no_command_or_flag_is_refused() {
    let mut all = String::new();
    for words in [&["--prot", "80"][..], &["--port", "80000"], &["openapi", "json"], &["dance"]] {
        let ended = Program::bare(words).run().await;
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{words:?}");
        writeln!(all, "$ jarvis-run-coordinator {}\n{}", words.join(" "), ended.stderr).expect("text");
    }
    expectorate::assert_contents("tests/output/cli-usage.txt", &all);
}

#[tokio::test]
async fn openapi_prints_the_document_of_the_library_whatever_is_configured() {
    let ended = Program::bare(&["openapi"]).var("ARP_AUTH_MODE", "nonsense").run().await;
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    let printed: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!(printed, api::openapi::document());
    assert_eq!(printed["openapi"].as_str().map(|version| &version[..2]), Some("3."));
}

#[tokio::test]
async fn check_config_says_where_values_are_from_and_hides_secrets() {
    let program = Program::bare(&["check-config", "--port", "9000"])
        .var("ARP_AUTH_PROFILE", "dev-insecure")
        .var("ARP_AUTH_CLIENT_SECRET", "hush-environment");
    program.write(
        ".env.local",
        "ARP_AUTH_CLIENT_ID=me\nARP_AUTH_TOKEN_ENDPOINT=http://u:hush-local@sts/token\n",
    );
    program.write(".env", "JARVIS_PDP_URL='http://u:hush-file@pdp'\nARP_AUTH_CLIENT_ID=somebody\n");
    let ended = program.run().await;
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    assert!(!ended.stdout.contains("hush"), "{}", ended.stdout);
    for line in [
        "--port = 9000   (source: flag)",
        "ARP_AUTH_PROFILE = dev-insecure   (source: env)",
        "ARP_AUTH_CLIENT_ID = me   (source: .env.local)",
        "ARP_AUTH_CLIENT_SECRET = ***   (source: env)",
        "ARP_AUTH_TOKEN_ENDPOINT = http://***@sts/token   (source: .env.local)",
        "JARVIS_PDP_URL = http://***@pdp   (source: .env)",
        "LOG_LEVEL = INFO   (source: default)",
    ] {
        assert!(ended.stdout.lines().any(|other| other == line), "{line} is not in\n{}", ended.stdout);
    }
    let last = ended.stdout.lines().last().expect("a summary");
    assert!(last.starts_with("configuration ok: embedded; policy by the PDP;"), "{last}");
    assert!(!program.journal().exists(), "it only looks");
}

#[tokio::test]
async fn check_config_ends_with_the_error_that_a_start_ends_with() {
    let wrong = |words: &[&str]| Program::bare(words).var("ARP_AUTH_PROFILE", "strict");
    let (checked, started) = (wrong(&["check-config"]).run().await, wrong(&["serve"]).run().await);
    assert_eq!((checked.code, started.code), (Some(1), Some(1)));
    assert_eq!(
        (started.stdout.as_str(), started.stderr.as_str()),
        ("", "Invalid ARP_AUTH_PROFILE: 'strict'\n")
    );
    assert_eq!(checked.stdout.lines().last(), Some("error: Invalid ARP_AUTH_PROFILE: 'strict'"));

    for words in [&["check-config"][..], &[]] {
        let broken = Program::bare(words);
        broken.write(".env", "A=1\nSECRET='hush\n");
        let ended = broken.run().await;
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""));
        assert!(ended.stderr.starts_with("./.env:2: not a NAME=value line"), "{}", ended.stderr);
        assert!(!ended.stderr.contains("hush"));
    }
}

/// Each mistake is reported before those after it: all are made at first, and
/// then repaired one after the other.
#[tokio::test]
async fn start_up_errors_come_in_the_order_of_the_contract() {
    let mistakes: &[(&str, Option<&str>, Option<&str>)] = &[
        // The variable, how it is wrong, how it is right.
        ("JARVIS_RUN_STORE_URL", None, Some("http://127.0.0.1:1")),
        ("JARVIS_EVENT_STREAM_URL", Some("  "), Some("http://127.0.0.1:1")),
        ("JARVIS_ARTIFACT_STORE_URL", Some("http://127.0.0.1:1"), Some("http://127.0.0.1:1")),
        ("ARP_AUTH_CLIENT_ID", None, Some("me")),
        ("ARP_AUTH_CLIENT_SECRET", Some(""), Some("hush")),
        ("ARP_AUTH_TIMEOUT_SECS", Some("soon"), Some("10")),
        ("ARP_AUTH_TOKEN_ENDPOINT", None, Some("http://127.0.0.1:1/token")),
        ("ARP_AUTH_PROFILE", Some("strict"), Some("Dev_Secure")),
        ("ARP_AUTH_MODE", Some("maybe"), Some("required")),
        ("ARP_AUTH_AUDIENCE", None, Some("arp-run-coordinator")),
        ("ARP_AUTH_ALGORITHMS", Some(" , "), Some("RS256")),
        ("ARP_AUTH_CLOCK_SKEW_SECONDS", Some("1m"), Some("60")),
        ("JARVIS_RUN_COORDINATOR_MAX_IN_FLIGHT", Some("many"), Some("1")),
    ];
    let mut all = String::new();
    for repaired in 0..=mistakes.len() {
        let mut program = Program::bare(&["--port", "0"]);
        for (place, (name, wrong, right)) in mistakes.iter().enumerate() {
            if let Some(value) = if place < repaired { right } else { wrong } {
                program = program.var(name, value);
            }
        }
        if repaired == mistakes.len() {
            // It starts, although nobody answers at the issuer (FIX G18).
            let program = program
                .var("JARVIS_ATOMIC_EXECUTOR_URL", "http://127.0.0.1:1")
                .var("JARVIS_RUN_COORDINATOR_LOG_FORMAT", "json");
            let process = program.start().await;
            assert_eq!(process.get("/v1/health").await.0, 200);
            process.terminate().await;
            continue;
        }
        let ended = program.run().await;
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{repaired} repaired");
        assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
        assert!(!program.journal().exists(), "nothing is begun");
        let last = repaired.checked_sub(1).map_or("nothing", |last| mistakes[last].0);
        writeln!(all, "{last} repaired:\n    {}", ended.stderr.trim_end()).expect("text");
    }
    // Without a profile there is one more.
    let ended = Program::bare(&[]).run().await;
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""));
    writeln!(all, "nothing set at all:\n    {}", ended.stderr.trim_end()).expect("text");
    expectorate::assert_contents("tests/output/start-errors.txt", &all);
}

#[tokio::test]
async fn env_files_of_the_working_directory_are_layers_below_the_environment() {
    const NAME: &str = "JARVIS_RUN_COORDINATOR_JOURNAL";
    let mut program = Program::server();
    for (file, journal) in [(".env", "file.db"), (".env.local", "local.db")] {
        program.write(file, format!("{NAME}={journal}\n"));
        let process = program.start().await;
        assert_eq!(process.listening(1).await.0["journal"], journal);
        process.terminate().await;
        assert!(program.path(journal).exists());
    }
    program = program.var(NAME, "environment.db");
    let process = program.start().await;
    assert_eq!(process.listening(1).await.0["journal"], "environment.db");
    process.terminate().await;
    let program = program.words(&["--port", "0", "--journal", "flag.db"]);
    let process = program.start().await;
    assert_eq!(process.listening(1).await.0["journal"], "flag.db");
    process.terminate().await;
}

#[tokio::test]
async fn reload_becomes_the_new_configuration_in_the_same_process() {
    let executors = FakeExecutors::start();
    let program = Program::with_executors(&executors).words(&["--port", "0", "--reload"]);
    let limit =
        |bytes: u32| program.write(".env.local", format!("JARVIS_RUN_COORDINATOR_MAX_BODY_BYTES={bytes}\n"));
    limit(400);
    let process = program.start().await;
    let (pid, first) = (process.id(), process.listening(1).await.1);
    let long = json!({
        "run_id": "long",
        "root_node_type_ref": {"node_type_id": "atomic.echo", "version": "1.0.0"},
        "input": {"ballast": "x".repeat(500)},
    });
    assert_eq!(process.post("/v1/runs", &long).await.0, 413);
    let short = process.run_start("short", "atomic.echo").await;
    assert_eq!(process.run_ended(&short.id).await, "succeeded");

    limit(40_000);
    let process = process.listening_again(2).await;
    assert_ne!(process.url(), first);
    assert_eq!(process.id(), pid);
    assert!(process.has_logged("restarting: a file changed"));
    assert_eq!(process.post("/v1/runs", &long).await.0, 200);
    assert_eq!(process.run_ended("long").await, "succeeded");
    assert_eq!(process.run_get("short").await["state"], "succeeded", "the journal is the same");
    assert_eq!(executors.executions(&short.root), 1);

    // A configuration that cannot be used ends it, and says so.
    program.write(".env.local", "JARVIS_RUN_COORDINATOR_MAX_BODY_BYTES=plenty\n");
    let ended = process.ended().await;
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.starts_with("JARVIS_RUN_COORDINATOR_MAX_BODY_BYTES must be"), "{}", ended.stderr);
}

#[tokio::test]
async fn without_reload_a_changed_file_changes_nothing() {
    let program = Program::server();
    let process = program.start().await;
    program.write(".env.local", "JARVIS_RUN_COORDINATOR_MAX_BODY_BYTES=1\n");
    assert_eq!(process.get("/v1/health").await.0, 200);
    let ended = process.terminate().await;
    assert!(!ended.stdout.contains("restarting: a file changed"));
}

/// As its first lines say: copied, under either name.
#[tokio::test]
async fn the_env_example_starts_a_server_when_it_is_copied() {
    const EXAMPLE: &str = include_str!("../../.env.example");
    for name in [".env", ".env.local"] {
        let program = Program::bare(&["--port", "0"]).var("JARVIS_RUN_COORDINATOR_LOG_FORMAT", "json");
        program.write(name, EXAMPLE);
        let process = program.start().await;
        let (status, health) = process.get("/v1/health").await;
        assert_eq!((status, &health["status"]), (200, &json!("ok")), "{health}");
        let run = process.run_start("first", "atomic.echo").await;
        assert_eq!(process.run_get(&run.id).await["run_id"], "first", "nobody asks for a token or a PDP");
        process.terminate().await;
    }
}

/// A path with a mistake in it must not become another, empty journal.
#[tokio::test]
async fn a_folder_that_is_not_there_is_not_made_for_the_journal() {
    let program = Program::server().words(&["--port", "0", "--journal", "no/such/j.db"]);
    let started = program.run().await;
    assert_eq!(started.code, Some(3), "{started:?}");
    let message = "no/such/j.db: the folder no/such does not exist: make it, or correct --journal or \
                   JARVIS_RUN_COORDINATOR_JOURNAL";
    assert_eq!(started.stderr, format!("{message}\n"));
    assert!(!program.path("no").exists());
    for words in [&["journal", "check"][..], &["journal", "compact"]] {
        let words: Vec<_> = words.iter().chain(&["--journal", "no/such/j.db"]).copied().collect();
        let ended = program.command(&words).await;
        assert_eq!(ended.code, Some(3), "{ended:?}");
        assert!(!program.path("no").exists(), "{words:?}");
    }
    let checked = program.command(&["check-config", "--journal", "no/such/j.db"]).await;
    assert_eq!(checked.code, Some(3), "{checked:?}");
    assert_eq!(checked.stdout.lines().last(), Some(format!("error: {message}").as_str()));

    std::fs::create_dir_all(program.path("no/such")).expect("a folder");
    let process = program.start().await;
    process.terminate().await;
    assert!(program.path("no/such/j.db").exists());
}
