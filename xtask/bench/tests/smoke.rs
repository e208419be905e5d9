//! The whole command, for a second, on a build for development: it measures, divides, and
//! writes its files.

use std::{fs, process::Command};

use serde_json::Value;
use xtask_support::workspace;

#[test]
fn a_second_of_one_node_is_measured_and_written() {
    let program = workspace::build_program(false).expect("our program");
    let folder = tempfile::tempdir().expect("a folder");
    let output = Command::new(env!("CARGO_BIN_EXE_jarvis-bench"))
        .args(["one-node", "--seconds", "1", "--clients", "2", "--binary"])
        .arg(program)
        .arg("--out")
        .arg(folder.path())
        .output()
        .expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let json = fs::read(folder.path().join("results.json")).expect("results");
    let json: Value = serde_json::from_slice(&json).expect("JSON");
    let rows = json["rows"].as_array().expect("rows");
    let figure = |subject: &str, name: &str| {
        let row = rows.iter().find(|row| row["subject"] == subject && row["workload"] == "one-node");
        let figures = row.expect(subject)["figures"].as_array().expect("figures");
        let figure = figures.iter().find(|figure| figure["name"] == name).expect(name);
        figure["values"][0].as_f64().expect("a number")
    };
    for subject in ["ours", "a bare hyper server", "a bare dropshot server"] {
        for name in ["runs/s", "p50 ms", "p99 ms", "fdatasync/s"] {
            assert!(figure(subject, name) > 0.0, "{subject}: {name}");
        }
    }
    let table = fs::read_to_string(folder.path().join("table.md")).expect("a table");
    assert!(table.contains("| ours / a bare hyper server | 2 |"), "{table}");
    assert_eq!(
        String::from_utf8_lossy(&output.stdout).split("written: ").next(),
        Some(&*format!("{table}\n"))
    );
}
