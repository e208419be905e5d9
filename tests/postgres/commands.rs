//! The command `journal` on a database, with the real program; and the move from a file.

use std::process::{Command, Output};

use jarvis_run_coordinator::{
    journal::{
        Journal,
        conformance::{node, start},
        sqlite::{SqliteJournal, SqliteOptions},
    },
    record::ChangeSet,
};
use serde_json::json;

use crate::world::{log, open, raw, server, url_of};

const PROGRAM: &str = env!("CARGO_BIN_EXE_jarvis-run-coordinator");

fn run(arguments: &[&str]) -> Output {
    Command::new(PROGRAM).args(arguments).current_dir("/").output().expect("it starts")
}

fn printed(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The lines of a check behind the name of the journal.
fn contents(report: &str) -> &str {
    report.split_once(", ").expect("contents").1
}

#[tokio::test(flavor = "multi_thread")]
async fn journal_moves_from_a_file_to_a_database_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("journal.db").display().to_string();
    let demo = run(&["demo", "--port", "0", "--journal", &file]);
    assert!(demo.status.success(), "{}", printed(&demo));
    let before = printed(&run(&["journal", "check", "--journal", &file]));
    assert!(before.ends_with("sound\n"), "{before}");

    let database = server(&[]);
    let url = url_of(&database);
    let copied = run(&["journal", "copy", &url, "--journal", &file]);
    let report = printed(&copied);
    assert!(copied.status.success(), "{report}{}", String::from_utf8_lossy(&copied.stderr));
    assert!(report.contains("runs: 1 rows\n") && report.ends_with("sound\n"), "{report}");
    let after = printed(&run(&["journal", "check", "--journal", &url]));
    assert_eq!(contents(&after), contents(&before));
    // The audit trail is the same, record by record.
    let audit =
        |journal: &str| printed(&run(&["journal", "audit", "--output", "json", "--journal", journal]));
    assert_eq!(audit(&url), audit(&file));

    let again = run(&["journal", "copy", &url, "--journal", &file]);
    assert!(!again.status.success());
    assert!(String::from_utf8_lossy(&again.stderr).contains("not empty"), "{again:?}");
    // A second demo goes on behind the numbers of the first.
    let demo = run(&["demo", "--port", "0", "--journal", &url]);
    assert!(demo.status.success(), "{}", printed(&demo));
    let both = printed(&run(&["journal", "check", "--journal", &url]));
    assert!(both.contains("2 finished runs") && both.ends_with("sound\n"), "{both}");
}

#[tokio::test(flavor = "multi_thread")]
async fn journal_moves_from_a_database_to_a_file_whole() {
    let database = server(&[]);
    let url = url_of(&database);
    let demo = run(&["demo", "--port", "0", "--journal", &url]);
    assert!(demo.status.success(), "{}", printed(&demo));
    let before = printed(&run(&["journal", "check", "--journal", &url]));
    assert!(before.ends_with("sound\n"), "{before}");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("journal.db").display().to_string();
    let copy = || run(&["journal", "copy", &file, "--journal", &url]);
    let stderr = |output: &Output| String::from_utf8_lossy(&output.stderr).into_owned();

    // While a coordinator works on it, nothing is copied; one that has crashed is no hindrance.
    let client = raw(&url).await;
    client
        .batch_execute("INSERT INTO owners (owner_id, beats) VALUES ('crashed', 7)")
        .await
        .expect("inserted");
    let (there, here) = (file.clone(), url.clone());
    let copying = std::thread::spawn(move || run(&["journal", "copy", &there, "--journal", &here]));
    while !copying.is_finished() {
        let beat = "INSERT INTO owners (owner_id, beats) VALUES ('alive', 0)
                    ON CONFLICT (owner_id) DO UPDATE SET beats = owners.beats + 1";
        client.batch_execute(beat).await.expect("beaten");
    }
    let refused = copying.join().expect("it ended");
    assert!(stderr(&refused).contains("stop them before it is copied (alive)"), "{refused:?}");
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0, "nothing is left behind");

    let copied = copy();
    let report = printed(&copied);
    assert!(copied.status.success(), "{report}{}", stderr(&copied));
    assert!(report.contains("runs: 1 rows\n") && report.ends_with("sound\n"), "{report}");
    let after = printed(&run(&["journal", "check", "--journal", &file]));
    assert_eq!(contents(&after), contents(&before));
    let audit =
        |journal: &str| printed(&run(&["journal", "audit", "--output", "json", "--journal", journal]));
    assert_eq!(audit(&file), audit(&url));
    assert!(stderr(&copy()).contains("never replaces a file"));

    // A demo goes on in it, and all of it moves on to another database.
    let demo = run(&["demo", "--port", "0", "--journal", &file]);
    assert!(demo.status.success(), "{}", printed(&demo));
    let both = printed(&run(&["journal", "check", "--journal", &file]));
    assert!(both.contains("2 finished runs") && both.ends_with("sound\n"), "{both}");
    let next = server(&[]);
    let moved = run(&["journal", "copy", &url_of(&next), "--journal", &file]);
    assert!(moved.status.success() && printed(&moved).contains("runs: 2 rows\n"), "{moved:?}");
    let there = printed(&run(&["journal", "check", "--journal", &url_of(&next)]));
    assert_eq!(contents(&there), contents(&both));
}

/// What is stored apart from its node run, in either store.
#[tokio::test(flavor = "multi_thread")]
async fn large_inputs_and_outputs_move_to_a_file() {
    let database = server(&[]);
    let url = url_of(&database);
    let large = |of: &str| Some([("text", json!(of.repeat(200_000)))].into());
    let mut whole = node("a", "1");
    (whole.node.inputs, whole.node.outputs) = (large("in"), large("out"));
    let stored = {
        let journal = open(&url).await;
        journal.commit(ChangeSet { nodes: vec![whole], ..start("a") }).await.expect("committed");
        journal.node_fetch(&"a/1".into()).await.expect("read").expect("stored")
    };
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("journal.db");
    // (The check of the copy finds that the sample is no run of a coordinator.)
    let copied = run(&["journal", "copy", &file.display().to_string(), "--journal", &url]);
    assert!(printed(&copied).contains("node_runs: 1 rows\n"), "{copied:?}");
    let options = SqliteOptions { path: file, max_bytes: None, outbox: false };
    let journal = SqliteJournal::open(options, log()).expect("a journal");
    assert_eq!(journal.node_fetch(&"a/1".into()).await, Ok(Some(stored)));
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_in_a_database_is_found() {
    let database = server(&[]);
    let url = url_of(&database);
    let demo = run(&["demo", "--port", "0", "--journal", &url]);
    assert!(demo.status.success(), "{}", printed(&demo));
    let client = raw(&url).await;
    let run_id: String = client.query_one("SELECT run_id FROM runs", &[]).await.expect("a run").get(0);
    let file = tempfile::tempdir().expect("a folder");
    let file = file.path().join("run.jsonl").display().to_string();
    let exported = run(&["journal", "export", &run_id, &file, "--journal", &url]);
    assert!(exported.status.success(), "{exported:?}");
    let verified = run(&["runs", "verify", &file]);
    assert!(verified.status.success(), "{verified:?}");

    client
        .batch_execute("DELETE FROM events WHERE seq = 5; UPDATE run_counts SET runs = 7")
        .await
        .expect("damaged");
    let check = run(&["journal", "check", "--journal", &url]);
    let report = printed(&check);
    assert!(!check.status.success() && report.contains("runs counted wrongly"), "{report}");
    assert!(report.contains(&format!("problem: run {run_id}: ")) && report.contains("not sound"), "{report}");
    for (command, instead) in [("backup", "pg_basebackup"), ("compact", "VACUUM")] {
        let mut arguments = vec!["journal", command, "--journal", &url];
        if command == "backup" {
            arguments.insert(2, "copy.db");
        }
        let refused = run(&arguments);
        assert!(String::from_utf8_lossy(&refused.stderr).contains(instead), "{refused:?}");
    }
}
