//! `tidy` finds a breach of each of its rules, and accepts correct files.

use xtask::tidy::{Finding, Source, check};

/// The findings in a file with this text, which begins with a `//!`.
fn findings(path: &str, text: &str) -> Vec<Finding> {
    let text = format!("//! A file.\n{text}");
    check(&[Source { path: path.into(), text }])
}

/// The only finding.
fn finding(path: &str, text: &str) -> Finding {
    let mut findings = findings(path, text);
    assert_eq!(findings.len(), 1, "{path}: {text}: {findings:?}");
    findings.remove(0)
}

#[test]
fn imports_against_the_table_are_found() {
    for (path, text) in [
        ("src/types/ids.rs", "use crate::record::NodePath;"),
        ("src/time.rs", "use crate::types::RunId;"),
        ("src/server/runtime/tasks.rs", "use crate::runtime::log::Metrics;"),
        ("src/types/scalar.rs", "use crate::record::NodePath;"),
        ("src/server/record.rs", "use crate::engine::Rejection;"),
        ("src/server/record.rs", "use super::engine::Rejection;"),
        ("src/server/invariants/mod.rs", "use crate::engine::lifecycle;"),
        ("src/server/engine/decide.rs", "use crate::{types::Run, journal::Journal};"),
        ("src/server/engine/decide.rs", "fn f(x: &crate::coordinator::Coordinator) {}"),
        ("src/server/journal/sqlite.rs", "use crate::engine::decide;"),
        ("src/server/journal/sqlite/rows.rs", "use super::super::super::coordinator::X;"),
        ("src/server/auth/mod.rs", "use crate::coordinator::Coordinator;"),
        ("src/server/auth/mod.rs", "use crate::journal::{self};"),
        ("src/server/config/mod.rs", "use crate::clients::Peer;"),
        ("src/clients/mod.rs", "use crate::coordinator::Coordinator;"),
        ("src/server/services/policy/mod.rs", "use crate::journal::Journal;"),
        ("src/server/events/mod.rs", "use crate::coordinator::Coordinator;"),
        ("src/server/coordinator/mod.rs", "use crate::dispatch::Dispatcher;"),
        ("src/server/coordinator/mod.rs", "use crate::auth::Verifier;"),
        ("src/server/coordinator/mod.rs", "use crate::api::errors;"),
        ("src/server/dispatch/mod.rs", "use crate::api::errors;"),
        ("src/server/dispatch/mod.rs", "use crate::engine::decide;"),
        ("src/server/http_server/mod.rs", "use crate::journal::Journal;"),
        ("src/server/http_server/mod.rs", "use crate::journal::{JournalError as E, Journal};"),
        ("src/server/api/mod.rs", "use crate::dispatch::Dispatcher;"),
        ("src/server/api/mod.rs", "use crate::app::Server;"),
        ("src/server/runtime/log/mod.rs", "use crate::app::Server;"),
        ("src/server/cli/demo/mod.rs", "use crate::journal::Journal;"),
    ] {
        let finding = finding(path, text);
        assert_eq!(finding.line, 2, "{text}");
        assert!(finding.message.contains("may not import `crate::"), "{finding:?}");
        assert!(finding.message.contains("xtask/tasks/src/tidy/rules.rs"), "{finding:?}");
    }
    assert_eq!(
        finding("src/server/engine/mod.rs", "use crate::app::Server;").message,
        "`engine` may not import `crate::app::Server`, only: record, time, types. Move what both need \
         further down, or pass it in behind a trait of `engine` (the table: xtask/tasks/src/tidy/rules.rs)"
    );
}

#[test]
fn imports_in_line_with_the_table_pass() {
    for (path, text) in [
        ("src/types/mod.rs", "use crate::time::{self, Timestamp};"),
        ("src/server/engine/decide.rs", "use crate::{engine::Rejection, types::*, record::ChangeSet};"),
        ("src/server/engine/decide.rs", "use super::Rejection;"),
        ("src/server/auth/mod.rs", "use crate::config::{Vars, vars::first};"),
        ("src/server/coordinator/mod.rs", "use crate::{auth::Principal, engine, journal::JournalError};"),
        ("src/server/http_server/mod.rs", "use crate::{auth, journal::JournalError};"),
        ("src/server/cli/demo/mod.rs", "use crate::app::Server;"),
        ("src/server/app/mod.rs", "use crate::{api, dispatch, journal::sqlite::SqliteJournal};"),
        ("src/main.rs", "use jarvis_run_coordinator::app;"),
        ("src/server/engine/mod.rs", "#[cfg(test)]\nmod tests {\n    use crate::app::Server;\n}"),
        ("src/server/engine/tests.rs", "use crate::app::Server;"),
        ("tests/integration/main.rs", "use crate::support;"),
    ] {
        assert_eq!(findings(path, text), [], "{text}");
    }
}

#[test]
fn modules_without_a_row_are_found() {
    let finding = finding("src/outbound/mod.rs", "");
    assert!(finding.message.starts_with("module `outbound` has no row"), "{finding:?}");
}

#[test]
fn crates_named_in_the_wrong_module_are_found() {
    for (path, text) in [
        ("src/server/coordinator/error.rs", "use dropshot::HttpError;"),
        ("src/server/config/mod.rs", "fn f(c: dropshot::ConfigDropshot) {}"),
        ("src/server/dispatch/mod.rs", "use ::dropshot as d;"),
        ("src/server/dispatch/mod.rs", "use reqwest::Client;"),
        ("src/server/services/policy/mod.rs", "use {reqwest::Client, std::fmt};"),
        ("src/server/journal/mod.rs", "use rusqlite::Connection;"),
        ("src/server/engine/mod.rs", "use tokio::sync::Mutex;"),
        ("src/server/engine/mod.rs", "fn f(log: &slog::Logger) {}"),
        ("src/server/engine/mod.rs", "use rand::Rng;"),
        ("src/server/engine/mod.rs", "async fn f() {}"),
        ("src/server/engine/mod.rs", "fn f() { g().await }"),
    ] {
        let finding = finding(path, text);
        assert!(finding.message.contains(" may"), "{finding:?}");
    }
    for (path, text) in [
        ("src/server/api/mod.rs", "use dropshot::endpoint;"),
        ("src/server/runtime/log/logger.rs", "use dropshot::ConfigLogging;"),
        ("src/clients/mod.rs", "use reqwest::Client;"),
        ("src/server/auth/jwks.rs", "use reqwest::Client;"),
        ("src/server/journal/sqlite.rs", "use rusqlite::Connection;"),
        ("src/server/journal/sqlite/writer.rs", "use rusqlite::Connection;"),
        ("src/server/coordinator/mod.rs", "async fn f() { tokio::spawn(g()).await }"),
        ("src/server/engine/mod.rs", "/// Not in dropshot.\nfn f() { \"tokio\"; x.rand(); model::rand }"),
        ("src/server/engine/mod.rs", "#[cfg(test)] mod tests { #[tokio::test] async fn f() {} }"),
    ] {
        assert_eq!(findings(path, text), [], "{text}");
    }
}

#[test]
fn change_sets_made_outside_the_engine_are_found() {
    for (path, text) in [
        ("src/server/coordinator/mod.rs", "fn f() { commit(ChangeSet { run_id }) }"),
        ("src/server/record.rs", "fn f() -> ChangeSet { ChangeSet { run_id } }"),
        ("src/server/dispatch/mod.rs", "fn f() { ChangeSet::default() }"),
        ("src/server/journal/sqlite.rs", "fn f() { let c = record::ChangeSet { run_id }; }"),
        ("src/server/dispatch/mod.rs", "#[cfg(test)] mod tests { fn f() { g(ChangeSet { run_id }) } }"),
    ] {
        let finding = finding(path, text);
        assert!(finding.message.contains("makes a ChangeSet"), "{finding:?}");
    }
    for (path, text) in [
        ("src/server/engine/change.rs", "fn f() { ChangeSet { run_id } }"),
        ("src/server/journal/conformance.rs", "fn f() { ChangeSet { run_id } }"),
        ("src/server/journal/sqlite.rs", "#[cfg(test)] mod tests { fn f() { g(ChangeSet { run_id }) } }"),
        ("src/server/journal/sqlite.rs", "fn f(c: ChangeSet) { let ChangeSet { run_id, .. } = c; }"),
        ("src/server/record.rs", "pub struct ChangeSet { a: u8 } impl ChangeSet { fn f() {} }"),
        ("src/server/coordinator/mod.rs", "fn f(s: &str) -> ChangeSet { decide(s) }"),
    ] {
        assert_eq!(findings(path, text), [], "{text}");
    }
}

#[test]
fn commits_past_the_coordinator_are_found() {
    let text = "async fn f() { self.journal.commit(change).await }";
    assert!(finding("src/server/dispatch/mod.rs", text).message.starts_with("`dispatch` commits"));
    for path in ["src/server/coordinator/mod.rs", "src/server/journal/faulty.rs"] {
        assert_eq!(findings(path, text), []);
    }
}

#[test]
fn long_files_of_sources_are_found() {
    let code = |lines: usize| "fn f() {}\n".repeat(lines);
    for path in ["src/types/ids.rs", "xtask/tasks/src/ci.rs"] {
        assert_eq!(findings(path, &code(399)), []);
        assert!(finding(path, &code(400)).message.starts_with("401 lines, at most 400"));
    }
    assert_eq!(findings("tests/integration/main.rs", &code(2000)), []);
}

#[test]
fn files_without_a_module_comment_are_found() {
    let check = |path: &str, text: &str| check(&[Source { path: path.into(), text: text.into() }]);
    for text in ["", "use std::fmt;\n", "// A file.\n", "\n//! A file.\n"] {
        assert!(check("src/types/ids.rs", text)[0].message.contains("`//!`"), "{text}");
    }
    assert_eq!(check("build.rs", "fn main() {}\n"), []);
}

#[test]
fn unfinished_work_and_ignored_tests_are_found() {
    // In pieces, or this file would be found.
    for mark in [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("X", "XX")] {
        for (path, text) in
            [("src/types/ids.rs", format!("// {mark}: later")), ("README.md", format!("{mark} later"))]
        {
            let finding = finding(path, &text);
            assert_eq!(finding.line, 2);
            assert!(finding.message.starts_with(mark), "{finding:?}");
        }
        assert_eq!(findings("README.md", &format!("run_{mark}")), []);
        assert_eq!(findings("Cargo.lock", mark), []);
    }
    for text in ["#[ignore]\nfn f() {}", "#[test]\n#[ignore = \"slow\"]\nfn f() {}"] {
        for path in ["src/types/ids.rs", "tests/integration/main.rs"] {
            assert!(finding(path, text).message.starts_with("an ignored test"), "{text}");
        }
    }
    assert_eq!(findings("src/types/ids.rs", "// #[ignore]"), []);
}

#[test]
fn paths_of_one_machine_are_found() {
    let (work, root) = (concat!("/", "work"), concat!("/", "root"));
    for text in
        [format!("cd {work}/main"), format!("\"{root}/.cargo\""), format!("={work}"), format!("`{root}`")]
    {
        let finding = finding(".ci/run", &text);
        assert!(finding.message.contains("one machine only"), "{finding:?}");
    }
    for text in [
        format!("https://example.com{work}/x"),
        format!("src{root}/x"),
        format!("../..{work}/x"),
        format!("{root}_node_run_id"),
        format!("#{root}/x"),
    ] {
        assert_eq!(findings("README.md", &text), [], "{text}");
    }
}

#[test]
fn documents_that_name_missing_tests_are_found() {
    let file = |path: &str, text: &str| Source { path: path.into(), text: text.into() };
    let test = file("tests/a.rs", "fn it_works() {}");
    let row = "| it works | [it_works](tests/a.rs), [it_works_well](tests/a.rs); [it_works](tests/b.rs) |";
    let marked =
        format!("[nothing](tests)\n<!-- proofs -->\n{row}\n<!-- end of proofs -->\n[nothing](tests)");
    let other = file("tests/b.rs", "fn it_waits() {}");
    let findings = check(&[test.clone(), other.clone(), file("README.md", &marked)]);
    let found: Vec<_> = findings.iter().map(|finding| (finding.line, finding.message.as_str())).collect();
    let wrong = [
        (3, "`it_works_well` is not in tests/a.rs: name a test that exists"),
        (3, "`it_works` is not in tests/b.rs: name a test that exists"),
    ];
    assert_eq!(found, wrong);
    let nested = marked.replace("](tests", "](../tests");
    assert_eq!(check(&[test.clone(), other.clone(), file("docs/a.md", &nested)]).len(), 2, "from its folder");
    assert_eq!(check(&[test, other, file("README.md", row)]), [], "only between the marks");
}

#[test]
fn text_that_is_not_rust_is_found() {
    let finding = finding("src/types/ids.rs", "fn f( {");
    assert!(finding.message.starts_with("this is not Rust"), "{finding:?}");
}
