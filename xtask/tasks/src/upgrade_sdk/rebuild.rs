//! Finds the code that does not fit changed documents: by the compiler, because
//! `build.rs` generates the clients from them, and then by the tests.

use std::{
    collections::BTreeSet,
    process::{Command, Stdio},
};

use anyhow::{Context, Result};
use serde_json::Value;

use xtask_support::workspace;

/// The list of what is to do; empty if everything builds and passes.
pub(super) fn run() -> Result<Vec<String>> {
    println!("rebuilding everything");
    let errors = compile()?;
    if !errors.is_empty() {
        return Ok(errors);
    }
    println!("it compiles; testing it");
    tests()
}

/// The errors of the compiler, with their places.
fn compile() -> Result<Vec<String>> {
    let check =
        ["check", "--workspace", "--all-targets", "--all-features", "--keep-going", "--message-format"];
    let (said, succeeded) = said(workspace::cargo(check).arg("json"))?;
    let errors: BTreeSet<String> = said.lines().filter_map(compiler_error).collect();
    Ok(match (errors.is_empty(), succeeded) {
        // For example a document from which no client can be generated.
        (true, false) => vec!["cargo check fails: see above".into()],
        (_, _) => errors.into_iter().collect(),
    })
}

fn compiler_error(line: &str) -> Option<String> {
    let message: Value = serde_json::from_str(line).ok()?;
    let message = &message["message"];
    if message["level"] != "error" {
        return None;
    }
    let spans = message["spans"].as_array()?;
    let place = spans.iter().find(|span| span["is_primary"] == true)?;
    let (file, line) = (place["file_name"].as_str()?, place["line_start"].as_u64()?);
    Some(format!("{file}:{line}: {}", message["message"].as_str()?))
}

/// The tests that fail.
fn tests() -> Result<Vec<String>> {
    let test = ["test", "--workspace", "--all-features", "--no-fail-fast"];
    let (said, succeeded) = said(&mut workspace::cargo(test))?;
    let failed: BTreeSet<String> = said.lines().filter_map(failed_test).map(str::to_owned).collect();
    Ok(match (failed.is_empty(), succeeded) {
        (true, false) => vec!["cargo test fails: see above".into()],
        (_, _) => failed.into_iter().map(|name| format!("test {name} fails")).collect(),
    })
}

/// `test api::says_so ... FAILED`
fn failed_test(line: &str) -> Option<&str> {
    Some(line.strip_prefix("test ")?.strip_suffix("FAILED")?.trim_end().trim_end_matches("...").trim_end())
}

fn said(command: &mut Command) -> Result<(String, bool)> {
    let output = command.stderr(Stdio::inherit()).output().context("run cargo")?;
    Ok((String::from_utf8_lossy(&output.stdout).into_owned(), output.status.success()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compiler_errors_are_listed_with_their_place() {
        let line = r#"{"reason": "compiler-message", "message": {"level": "error", "message": "missing field `a`",
            "spans": [{"is_primary": false, "file_name": "b.rs", "line_start": 1},
                      {"is_primary": true, "file_name": "src/a.rs", "line_start": 7}]}}"#;
        assert_eq!(compiler_error(line).as_deref(), Some("src/a.rs:7: missing field `a`"));
        assert_eq!(compiler_error(&line.replace("error", "warning")), None);
        assert_eq!(compiler_error("Compiling"), None);
    }

    #[test]
    fn failing_tests_are_listed_by_name() {
        assert_eq!(failed_test("test api::says_so ... FAILED"), Some("api::says_so"));
        assert_eq!(failed_test("test [no type] valid/a           ... FAILED"), Some("[no type] valid/a"));
        assert_eq!(failed_test("test api::says_so ... ok"), None);
        assert_eq!(failed_test("test result: FAILED. 1 passed"), None);
    }
}
