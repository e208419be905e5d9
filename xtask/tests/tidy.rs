//! `tidy` finds a breach of each of its rules, and lets pass what is right.

use xtask::tidy::{Finding, Level, Source, check};

/// What is found in a file with this text, besides that it has no `//!`.
fn findings(path: &str, text: &str) -> Vec<Finding> {
    let text = format!("//! A file.\n{text}");
    check(&[Source { path: path.into(), text }])
}

/// The one thing that is found.
fn finding(path: &str, text: &str) -> Finding {
    let mut findings = findings(path, text);
    assert_eq!(findings.len(), 1, "{path}: {text}: {findings:?}");
    findings.remove(0)
}

#[test]
fn an_import_against_the_table_is_found() {
    for (path, text) in [
        ("src/ids.rs", "use crate::time::Timestamp;"),
        ("src/time.rs", "use crate::ids::RunId;"),
        ("src/tasks.rs", "use crate::telemetry::Metrics;"),
        ("src/model/scalar.rs", "use crate::record::NodePath;"),
        ("src/record.rs", "use crate::engine::Rejection;"),
        ("src/record.rs", "use super::engine::Rejection;"),
        ("src/audit/mod.rs", "use crate::engine::lifecycle;"),
        ("src/engine/decide.rs", "use crate::{model::Run, store::Store};"),
        ("src/engine/decide.rs", "fn f(x: &crate::coordinator::Coordinator) {}"),
        ("src/store/sqlite.rs", "use crate::engine::decide;"),
        ("src/store/sqlite/rows.rs", "use super::super::super::coordinator::X;"),
        ("src/auth/mod.rs", "use crate::config::Config;"),
        ("src/auth/mod.rs", "use crate::config::{self};"),
        ("src/config/mod.rs", "use crate::clients::Peer;"),
        ("src/clients/mod.rs", "use crate::coordinator::Coordinator;"),
        ("src/policy/mod.rs", "use crate::store::Store;"),
        ("src/events/mod.rs", "use crate::coordinator::Coordinator;"),
        ("src/coordinator/mod.rs", "use crate::dispatch::Dispatcher;"),
        ("src/coordinator/mod.rs", "use crate::auth::Verifier;"),
        ("src/coordinator/mod.rs", "use crate::api::errors;"),
        ("src/dispatch/mod.rs", "use crate::api::errors;"),
        ("src/dispatch/mod.rs", "use crate::engine::decide;"),
        ("src/api/mod.rs", "use crate::store::Store;"),
        ("src/api/mod.rs", "use crate::store::{StoreError as E, Store};"),
        ("src/api/mod.rs", "use crate::dispatch::Dispatcher;"),
        ("src/api/mod.rs", "use crate::server::Server;"),
        ("src/telemetry/mod.rs", "use crate::server::Server;"),
        ("src/demo/mod.rs", "use crate::store::Store;"),
    ] {
        let finding = finding(path, text);
        assert_eq!((finding.level, finding.line), (Level::Error, 2), "{text}");
        assert!(finding.message.contains("may not import `crate::"), "{finding:?}");
        assert!(finding.message.contains("xtask/src/tidy/rules.rs"), "{finding:?}");
    }
    assert_eq!(
        finding("src/engine/mod.rs", "use crate::server::Server;").message,
        "`engine` may not import `crate::server::Server`, only: ids, model, record, time. Move what both need \
         further down, or have it passed in behind a trait of `engine` (the table: xtask/src/tidy/rules.rs)"
    );
}

#[test]
fn an_import_in_line_with_the_table_passes() {
    for (path, text) in [
        ("src/model/mod.rs", "use crate::{ids, time::Timestamp};"),
        ("src/engine/decide.rs", "use crate::{engine::Rejection, model::*, record::ChangeSet};"),
        ("src/engine/decide.rs", "use super::Rejection;"),
        ("src/auth/mod.rs", "use crate::config::{Vars, vars::first};"),
        ("src/coordinator/mod.rs", "use crate::{auth::Principal, engine, store::StoreError};"),
        ("src/api/mod.rs", "use crate::{auth, store::StoreError};"),
        ("src/demo/mod.rs", "use crate::server::Server;"),
        ("src/server.rs", "use crate::{api, dispatch, store::sqlite::SqliteStore};"),
        ("src/main.rs", "use jarvis_run_coordinator::server;"),
        ("src/engine/mod.rs", "#[cfg(test)]\nmod tests {\n    use crate::server::Server;\n}"),
        ("src/engine/tests.rs", "use crate::server::Server;"),
        ("tests/integration/main.rs", "use crate::support;"),
    ] {
        assert_eq!(findings(path, text), [], "{text}");
    }
}

#[test]
fn a_module_without_a_row_is_found() {
    let finding = finding("src/outbound/mod.rs", "");
    assert!(finding.message.starts_with("module `outbound` has no row"), "{finding:?}");
}

#[test]
fn a_crate_named_where_it_does_not_belong_is_found() {
    for (path, text) in [
        ("src/coordinator/error.rs", "use dropshot::HttpError;"),
        ("src/config/mod.rs", "fn f(c: dropshot::ConfigDropshot) {}"),
        ("src/dispatch/mod.rs", "use ::dropshot as d;"),
        ("src/dispatch/mod.rs", "use reqwest::Client;"),
        ("src/policy/mod.rs", "use {reqwest::Client, std::fmt};"),
        ("src/store/mod.rs", "use rusqlite::Connection;"),
        ("src/engine/mod.rs", "use tokio::sync::Mutex;"),
        ("src/engine/mod.rs", "fn f(log: &slog::Logger) {}"),
        ("src/engine/mod.rs", "use rand::Rng;"),
        ("src/engine/mod.rs", "async fn f() {}"),
        ("src/engine/mod.rs", "fn f() { g().await }"),
    ] {
        let finding = finding(path, text);
        assert!(finding.message.contains(" may"), "{finding:?}");
    }
    for (path, text) in [
        ("src/api/mod.rs", "use dropshot::endpoint;"),
        ("src/telemetry/log.rs", "use dropshot::ConfigLogging;"),
        ("src/clients/mod.rs", "use reqwest::Client;"),
        ("src/auth/jwks.rs", "use reqwest::Client;"),
        ("src/store/sqlite.rs", "use rusqlite::Connection;"),
        ("src/store/sqlite/writer.rs", "use rusqlite::Connection;"),
        ("src/coordinator/mod.rs", "async fn f() { tokio::spawn(g()).await }"),
        ("src/engine/mod.rs", "/// Not in dropshot.\nfn f() { \"tokio\"; x.rand(); model::rand }"),
        ("src/engine/mod.rs", "#[cfg(test)] mod tests { #[tokio::test] async fn f() {} }"),
    ] {
        assert_eq!(findings(path, text), [], "{text}");
    }
}

#[test]
fn a_change_set_made_outside_of_the_engine_is_found() {
    for (path, text) in [
        ("src/coordinator/mod.rs", "fn f() { commit(ChangeSet { run_id }) }"),
        ("src/record.rs", "fn f() -> ChangeSet { ChangeSet { run_id } }"),
        ("src/dispatch/mod.rs", "fn f() { ChangeSet::default() }"),
        ("src/store/sqlite.rs", "fn f() { let c = record::ChangeSet { run_id }; }"),
        ("src/dispatch/mod.rs", "#[cfg(test)] mod tests { fn f() { g(ChangeSet { run_id }) } }"),
    ] {
        let finding = finding(path, text);
        assert!(finding.message.contains("makes a ChangeSet"), "{finding:?}");
    }
    for (path, text) in [
        ("src/engine/change.rs", "fn f() { ChangeSet { run_id } }"),
        ("src/store/conformance.rs", "fn f() { ChangeSet { run_id } }"),
        ("src/store/sqlite.rs", "#[cfg(test)] mod tests { fn f() { g(ChangeSet { run_id }) } }"),
        ("src/store/sqlite.rs", "fn f(c: ChangeSet) { let ChangeSet { run_id, .. } = c; }"),
        ("src/record.rs", "pub struct ChangeSet { a: u8 } impl ChangeSet { fn f() {} }"),
        ("src/coordinator/mod.rs", "fn f(s: &str) -> ChangeSet { decide(s) }"),
    ] {
        assert_eq!(findings(path, text), [], "{text}");
    }
}

#[test]
fn a_commit_past_the_coordinator_is_found() {
    let text = "async fn f() { self.store.commit(change).await }";
    assert!(finding("src/dispatch/mod.rs", text).message.starts_with("`dispatch` commits"));
    for path in ["src/coordinator/mod.rs", "src/store/faulty.rs"] {
        assert_eq!(findings(path, text), []);
    }
}

#[test]
fn large_files_are_found_tests_aside() {
    let code = |lines: usize| "fn f() {}\n".repeat(lines);
    assert_eq!(findings("src/ids.rs", &code(599)), []);
    let warning = finding("src/ids.rs", &code(600));
    assert_eq!(warning.level, Level::Warning);
    assert!(warning.message.starts_with("601 lines"), "{warning:?}");
    assert_eq!(finding("src/ids.rs", &code(999)).level, Level::Warning);
    assert_eq!(finding("xtask/src/ci.rs", &code(1000)).level, Level::Error);
    let tests = format!("{}#[cfg(test)]\nmod tests {{\n{}}}\n", code(500), code(900));
    assert_eq!(findings("src/ids.rs", &tests), []);
    assert_eq!(findings("tests/integration/main.rs", &code(2000)), []);
}

#[test]
fn a_file_that_does_not_say_what_it_is_for_is_found() {
    let check = |path: &str, text: &str| check(&[Source { path: path.into(), text: text.into() }]);
    for text in ["", "use std::fmt;\n", "// A file.\n", "\n//! A file.\n"] {
        assert!(check("src/ids.rs", text)[0].message.contains("`//!`"), "{text}");
    }
    assert_eq!(check("build.rs", "fn main() {}\n"), []);
}

#[test]
fn what_is_unfinished_or_ignored_is_found() {
    // In pieces, or this file would be found.
    for mark in [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("X", "XX")] {
        for (path, text) in
            [("src/ids.rs", format!("// {mark}: later")), ("README.md", format!("{mark} later"))]
        {
            let finding = finding(path, &text);
            assert_eq!(finding.line, 2);
            assert!(finding.message.starts_with(mark), "{finding:?}");
        }
        assert_eq!(findings("README.md", &format!("run_{mark}")), []);
        assert_eq!(findings("Cargo.lock", mark), []);
    }
    for text in ["#[ignore]\nfn f() {}", "#[test]\n#[ignore = \"slow\"]\nfn f() {}"] {
        for path in ["src/ids.rs", "tests/integration/main.rs"] {
            assert!(finding(path, text).message.starts_with("an ignored test"), "{text}");
        }
    }
    assert_eq!(findings("src/ids.rs", "// #[ignore]"), []);
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
fn a_document_that_names_a_test_that_is_not_there_is_found() {
    let file = |path: &str, text: &str| Source { path: path.into(), text: text.into() };
    let test = file("tests/a.rs", "fn it_works() {}");
    let row = "| it works | [it_works](tests/a.rs), [it_works_well](tests/a.rs); [it_works](tests/b.rs) |";
    let marked =
        format!("[nothing](tests)\n<!-- proofs -->\n{row}\n<!-- end of proofs -->\n[nothing](tests)");
    let other = file("tests/b.rs", "fn it_waits() {}");
    let findings = check(&[test.clone(), other.clone(), file("README.md", &marked)]);
    let found: Vec<_> = findings.iter().map(|finding| (finding.line, finding.message.as_str())).collect();
    let wrong = [
        (3, "`it_works_well` is not in tests/a.rs: name a test that is there"),
        (3, "`it_works` is not in tests/b.rs: name a test that is there"),
    ];
    assert_eq!(found, wrong);
    let nested = marked.replace("](tests", "](../tests");
    assert_eq!(check(&[test.clone(), other.clone(), file("docs/a.md", &nested)]).len(), 2, "from its folder");
    assert_eq!(check(&[test, other, file("README.md", row)]), [], "only between the marks");
}
