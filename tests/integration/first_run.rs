//! What a person meets who starts the real program for the first time, with mistakes:
//! what is wrong is said at once, with what to set; `init` writes a file that works.

use std::{fs, os::unix::fs::PermissionsExt};

use serde_json::json;

use crate::support::{FakeExecutors, Program, process::Ended};

/// Everything that is wrong, in a golden file.
#[tokio::test]
async fn all_mistakes_are_reported_at_once_with_what_to_set() {
    let program = Program::bare(&["--port", "0"])
        .var("JARVIS_RUN_STORE_URL", "http://127.0.0.1:1")
        .var("ARP_AUTH_PROFIL", "dev-insecure")
        .var("ARP_AUTH_TIMEOUT_SECS", "soon")
        .var("ARP_AUTH_CLOCK_SKEW_SECONDS", "1m")
        .var("JARVIS_PDP_URL", "pdp:8086")
        .var("JARVIS_POLICY_FILE", "of-the-pdp.yaml")
        .var("LOG_LEVEL", "loud");
    program.write(".env.local", "# Of this machine\nJARVIS_ATOMIC_EXECUTR_URL=http://127.0.0.1:8082\n");
    let started = program.run().await;
    assert_eq!((started.code, started.stdout.as_str()), (Some(1), ""));
    expectorate::assert_contents("tests/output/start-errors-at-once.txt", &started.stderr);
    assert!(!program.journal().exists(), "no journal is created");

    // `check-config` says the same, and doctor as well.
    let checked = program.command(&["check-config"]).await;
    assert_eq!(checked.code, Some(1));
    assert!(
        checked.stdout.contains("\nnote: not read by this program: JARVIS_POLICY_FILE\n"),
        "{}",
        checked.stdout
    );
    let doctor = program.command(&["doctor", "-o", "table"]).await;
    assert_eq!(doctor.code, Some(1));
    for line in started.stderr.lines().filter(|line| !line.starts_with(' ')) {
        assert!(checked.stdout.contains(line), "{line} in:\n{}", checked.stdout);
        assert!(doctor.stdout.contains(line), "{line} in:\n{}", doctor.stdout);
    }
}

#[tokio::test]
async fn bare_first_start_names_the_profile_for_development() {
    let ended = Program::bare(&[]).run().await;
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""));
    let lines: Vec<&str> = ended.stderr.lines().collect();
    assert!(lines[0].starts_with("JWT auth requires ARP_AUTH_JWKS_URI or "), "{}", ended.stderr);
    assert!(
        lines[1].contains("ARP_AUTH_PROFILE=dev-insecure") && lines[1].contains("init"),
        "{}",
        ended.stderr
    );
    assert_eq!(lines.len(), 2);
}

/// A variable that is set to no effect is named after the line that says where the
/// server listens.
#[tokio::test]
async fn misspelled_variable_is_in_the_log_after_the_address() {
    let program = Program::server().var("JARVIS_ATOMIC_EXECUTR_URL", "http://127.0.0.1:1");
    let process = program.start().await;
    let warning = process.logged("configuration warning", 1).await;
    assert!(warning["warning"].is_string(), "{warning}");
    let ended = process.terminate().await;
    let place =
        |text: &str| ended.stdout.find(text).unwrap_or_else(|| panic!("{text} in:\n{}", ended.stdout));
    let named = place("is JARVIS_ATOMIC_EXECUTOR_URL meant?");
    assert!(place("\"listening\"") < place("configuration warning") && place("\"listening\"") < named);
}

#[tokio::test]
async fn flags_say_how_much_is_logged() {
    for (flags, debug) in [(&["-v"][..], true), (&["--log-level", "debug"], true), (&[], false)] {
        let arguments = [&["--port", "0"], flags].concat();
        let program = Program::server().without("JARVIS_RUN_COORDINATOR_LOG_FORMAT");
        let program = program.with_arguments(&arguments);
        let process = program.start_in_text().await;
        let ended = process.terminate().await;
        assert_eq!(ended.stdout.contains(" DEBUG "), debug, "{flags:?}:\n{}", ended.stdout);
    }
    let quiet = ["--port", "0", "--log-level", "WARNING"];
    let ended = Program::server().with_arguments(&quiet).command(&["check-config", "-v"]).await;
    assert!(ended.stdout.contains("LOG_LEVEL = DEBUG   (source: flag -v)"), "{}", ended.stdout);
    for wrong in [&["--log-level", "loud"][..], &["-v", "--log-level", "info"]] {
        let ended = Program::bare(wrong).run().await;
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{wrong:?}: {}", ended.stderr);
    }
}

#[tokio::test]
async fn init_writes_a_file_that_starts_a_server() {
    let program = Program::bare(&["--port", "0", "--log-level", "info"])
        .var("JARVIS_RUN_COORDINATOR_LOG_FORMAT", "json")
        .var("JARVIS_RUN_COORDINATOR_OPERATOR_LISTEN", "127.0.0.1:0");
    let written = program.command(&["init"]).await;
    assert_eq!((written.code, written.stderr.as_str()), (Some(0), ""));
    assert!(
        written.stdout.starts_with("wrote .env.local for the profile dev-insecure."),
        "{}",
        written.stdout
    );
    let precedes = "the environment sets JARVIS_RUN_COORDINATOR_OPERATOR_LISTEN, which precedes the file";
    assert!(written.stdout.contains(precedes), "{}", written.stdout);
    let file = program.path(".env.local");
    let mode = fs::metadata(&file).expect("the file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "secrets will be in it");
    let process = program.start().await;
    let run = process.run_start("first", "atomic.echo").await;
    assert_eq!(process.run_get(&run.id).await["run_id"], "first", "neither a token nor a PDP is needed");
    process.terminate().await;

    // What a person has written is not lost by a second command.
    program.write(".env.local", "LOG_LEVEL=DEBUG\n");
    let again = program.command(&["init"]).await;
    let message = ".env.local exists, and was not changed. --force replaces it.\n";
    assert_eq!((again.code, again.stdout.as_str(), again.stderr.as_str()), (Some(1), "", message));
    assert_eq!(fs::read_to_string(&file).expect("the file"), "LOG_LEVEL=DEBUG\n");
    for profile in ["dev-secure-keycloak", "enterprise"] {
        let forced = program.command(&["init", "--profile", profile, "--force"]).await;
        assert_eq!((forced.code, forced.stderr.as_str()), (Some(0), ""));
        let text = fs::read_to_string(&file).expect("the file");
        assert!(text.contains(&format!("\nARP_AUTH_PROFILE={profile}\n")), "{text}");
        let checked = program.command(&["check-config", "--journal", "j.db"]).await;
        let is_sound = checked.code == Some(0) || checked.stdout.contains("/run/secrets/client-secret");
        assert!(is_sound, "{}", checked.stdout);
    }
    let mut left: Vec<String> = fs::read_dir(file.parent().expect("its folder"))
        .expect("the folder")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with(".env"))
        .collect();
    left.sort();
    assert_eq!(left, [".env.local"]);
}

#[tokio::test]
async fn verb_after_a_slash_has_a_hint() {
    let program = Program::server();
    let process = program.start().await;
    process.run_start("x", "atomic.echo").await;
    let (status, answer) = process.post("/v1/runs/x/cancel", &json!({})).await;
    assert_eq!((status, &answer["error"]["message"]), (404, &json!("Not Found")), "{answer}");
    let hint = "A verb follows the id after a colon, with POST: …/{id}:cancel";
    assert_eq!(answer["error"]["details"]["hint"], hint);
    assert_eq!(process.post("/v1/runs/x:cancel", &json!({})).await.0, 200);
    process.terminate().await;
}

/// Who reads a demo may have seen enough.
#[test]
fn demo_without_a_reader_is_no_failure() {
    let temp = tempfile::tempdir().expect("a folder");
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_jarvis-run-coordinator"));
    command.args(["demo", "--port", "0"]).env_clear().env("TMPDIR", temp.path());
    let ended = command.stdout(writer).output().expect("the program runs");
    assert_eq!((ended.status.code(), String::from_utf8_lossy(&ended.stderr).as_ref()), (Some(0), ""));
    assert_eq!(fs::read_dir(temp.path()).expect("the folder").count(), 0, "no file is left");
}

/// What a script goes by: a command that has followed a run, or has sent one, fails with
/// it.
#[tokio::test]
async fn commands_fail_with_the_run_that_they_follow() {
    let executors = FakeExecutors::start();
    let program =
        Program::with_executors(&executors).var("JARVIS_RUN_COORDINATOR_OPERATOR_LISTEN", "127.0.0.1:0");
    let process = program.start().await;
    let operator = process.logged("listening for operators", 1).await;
    let operator = format!("http://{}", operator["address"].as_str().expect("an address"));
    for (run, node_type, state) in [("good", "atomic.echo", "succeeded"), ("bad", "atomic.fail", "failed")] {
        process.run_start(run, node_type).await;
        assert_eq!(process.run_ended(run).await, state);
        for words in [&["runs", "tree", run, "--follow"][..], &["runs", "events", run, "--follow"]] {
            let of_server = ["--url", process.url(), "--operator-url", &operator];
            let Ended { code, stdout, stderr } = program.command(&[words, &of_server].concat()).await;
            assert!(stdout.contains("run_completed"), "{stdout}");
            if state == "failed" {
                assert!(stderr.starts_with("run bad failed: ") && stderr.lines().count() == 1, "{stderr}");
            } else {
                assert_eq!(stderr, "");
            }
            assert_eq!(code, Some(i32::from(state == "failed")), "{words:?}");
        }
        // What only looks is no failure.
        let of_server = ["--url", process.url(), "--operator-url", &operator];
        let looked = program.command(&[&["runs", "events", run][..], &of_server].concat()).await;
        assert_eq!((looked.code, looked.stderr.as_str()), (Some(0), ""));
    }
    process.terminate().await;
}
