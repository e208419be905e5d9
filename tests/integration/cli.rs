//! The command line and the configuration of the real program, and its messages about
//! them.

use std::fmt::Write;

use jarvis_run_coordinator::api;
use serde_json::{Value, json};

use crate::support::{FakeExecutors, Program, process::Ended};

fn printed(stdout: &str) -> Ended {
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
    assert_eq!(Program::bare(&["--version"]).run().await, printed(version));
}

#[tokio::test]
async fn unknown_commands_and_flags_are_refused() {
    let mut all = String::new();
    for arguments in [&["--prot", "80"][..], &["--port", "80000"], &["openapi", "json"], &["dance"]] {
        let ended = Program::bare(arguments).run().await;
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{arguments:?}");
        writeln!(all, "$ jarvis-run-coordinator {}\n{}", arguments.join(" "), ended.stderr).expect("text");
    }
    expectorate::assert_contents("tests/output/cli-usage.txt", &all);
}

#[tokio::test]
async fn openapi_command_ignores_the_configuration() {
    let ended = Program::bare(&["openapi"]).var("ARP_AUTH_MODE", "nonsense").run().await;
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    let printed: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!(printed, api::openapi::document());
    assert_eq!(printed["openapi"].as_str().map(|version| &version[..2]), Some("3."));
}

#[tokio::test]
async fn check_config_shows_sources_and_hides_secrets() {
    let program = Program::bare(&["check-config", "--port", "9000"])
        .var("ARP_AUTH_PROFILE", "dev-insecure")
        .var("ARP_AUTH_CLIENT_SECRET", "hush-environment");
    program.write(
        ".env.local",
        "ARP_AUTH_CLIENT_ID=me\nARP_AUTH_TOKEN_ENDPOINT=http://u:hush-local@sts/token\n",
    );
    program.write(".env", "JARVIS_PDP_URL='http://u:hush-file@pdp'\nARP_AUTH_CLIENT_ID=other\n");
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
    assert!(!program.journal().exists(), "the command creates nothing");
}

#[tokio::test]
async fn check_config_fails_with_the_error_of_a_start() {
    let wrong = |arguments: &[&str]| Program::bare(arguments).var("ARP_AUTH_PROFILE", "strict");
    let (checked, started) = (wrong(&["check-config"]).run().await, wrong(&["serve"]).run().await);
    assert_eq!((checked.code, started.code), (Some(1), Some(1)));
    assert_eq!(
        (started.stdout.as_str(), started.stderr.as_str()),
        (
            "",
            "Invalid ARP_AUTH_PROFILE: 'strict'\n  Set ARP_AUTH_PROFILE to dev-insecure (no tokens), \
             dev-secure-keycloak or enterprise.\n"
        )
    );
    let error = checked.stdout.lines().find(|line| line.starts_with("error: "));
    assert_eq!(error, Some("error: Invalid ARP_AUTH_PROFILE: 'strict'"));

    for arguments in [&["check-config"][..], &[]] {
        let broken = Program::bare(arguments);
        broken.write(".env", "A=1\nSECRET='hush\n");
        let ended = broken.run().await;
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""));
        assert!(ended.stderr.starts_with("./.env:2: not a NAME=value line"), "{}", ended.stderr);
        assert!(!ended.stderr.contains("hush"));
    }
}

/// Each error is the first line, before the later ones of the table: all are made at
/// first, and then corrected one by one.
#[tokio::test]
async fn start_up_errors_follow_the_contracts_order() {
    let mistakes: &[(&str, Option<&str>, Option<&str>)] = &[
        // The variable, a wrong value, a right value.
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
            // The server starts although the issuer is unreachable (FIX G18).
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
        assert!(!program.journal().exists(), "no journal is created");
        let last = repaired.checked_sub(1).map_or("nothing", |last| mistakes[last].0);
        writeln!(all, "{last} repaired:\n    {}", first_line(&ended)).expect("text");
    }
    // With nothing set, the missing profile is the error.
    let ended = Program::bare(&[]).run().await;
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""));
    writeln!(all, "nothing set at all:\n    {}", first_line(&ended)).expect("text");
    expectorate::assert_contents("tests/output/start-errors.txt", &all);
}

fn first_line(ended: &Ended) -> &str {
    ended.stderr.lines().next().expect("an error")
}

#[tokio::test]
async fn env_files_are_overridden_by_the_environment() {
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
    let program = program.with_arguments(&["--port", "0", "--journal", "flag.db"]);
    let process = program.start().await;
    assert_eq!(process.listening(1).await.0["journal"], "flag.db");
    process.terminate().await;
}

#[tokio::test]
async fn reload_applies_the_new_configuration_in_place() {
    let executors = FakeExecutors::start();
    let program = Program::with_executors(&executors).with_arguments(&["--port", "0", "--reload"]);
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

    // An invalid configuration ends the process with an error.
    program.write(".env.local", "JARVIS_RUN_COORDINATOR_MAX_BODY_BYTES=plenty\n");
    let ended = process.ended().await;
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.starts_with("JARVIS_RUN_COORDINATOR_MAX_BODY_BYTES must be"), "{}", ended.stderr);
}

#[tokio::test]
async fn changed_env_file_is_ignored_without_reload() {
    let program = Program::server();
    let process = program.start().await;
    program.write(".env.local", "JARVIS_RUN_COORDINATOR_MAX_BODY_BYTES=1\n");
    assert_eq!(process.get("/v1/health").await.0, 200);
    let ended = process.terminate().await;
    assert!(!ended.stdout.contains("restarting: a file changed"));
}

/// Its first lines promise this for both names.
#[tokio::test]
async fn copied_env_example_starts_a_server() {
    const EXAMPLE: &str = include_str!("../../.env.example");
    for name in [".env", ".env.local"] {
        let program = Program::bare(&["--port", "0"]).var("JARVIS_RUN_COORDINATOR_LOG_FORMAT", "json");
        program.write(name, EXAMPLE);
        let process = program.start().await;
        let (status, health) = process.get("/v1/health").await;
        assert_eq!((status, &health["status"]), (200, &json!("ok")), "{health}");
        let run = process.run_start("first", "atomic.echo").await;
        assert_eq!(process.run_get(&run.id).await["run_id"], "first", "neither a token nor a PDP is needed");
        process.terminate().await;
    }
}

/// A mistyped path must not create a new, empty journal.
#[tokio::test]
async fn missing_journal_folder_is_an_error_and_not_created() {
    let program = Program::server().with_arguments(&["--port", "0", "--journal", "no/such/j.db"]);
    let started = program.run().await;
    assert_eq!(started.code, Some(3), "{started:?}");
    let message = "no/such/j.db: the folder no/such does not exist: create it, or correct --journal or \
                   JARVIS_RUN_COORDINATOR_JOURNAL";
    assert_eq!(started.stderr, format!("{message}\n"));
    assert!(!program.path("no").exists());
    for arguments in [&["journal", "check"][..], &["journal", "compact"]] {
        let arguments: Vec<_> = arguments.iter().chain(&["--journal", "no/such/j.db"]).copied().collect();
        let ended = program.command(&arguments).await;
        assert_eq!(ended.code, Some(3), "{ended:?}");
        assert!(!program.path("no").exists(), "{arguments:?}");
    }
    let checked = program.command(&["check-config", "--journal", "no/such/j.db"]).await;
    assert_eq!(checked.code, Some(3), "{checked:?}");
    assert_eq!(checked.stdout.lines().last(), Some(format!("error: {message}").as_str()));

    std::fs::create_dir_all(program.path("no/such")).expect("a folder");
    let process = program.start().await;
    process.terminate().await;
    assert!(program.path("no/such/j.db").exists());
}
