//! Tests of what is particular to the SQLite journal, besides the conformance
//! suite, which runs here too.
//!
//! - `exports`: evidence for a reader elsewhere.
//! - `opening`: opening a file, and refusing one.
//! - `groups`: the writer, its groups, and what is durable.
//! - `room`: the size limit, and deletion of finished runs.
//! - `rows`: heads, bodies and payloads.
//! - `plans`: SQLite's query plans.

mod exports;
mod groups;
mod opening;
mod plans;
mod room;
mod rows;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use futures::{FutureExt, future::join_all};
use rusqlite::{Connection, StatementStatus};
use serde_json::json;
use slog::{Discard, o};

use super::{journal::UNREADABLE_FOR, rows::HeadRow, *};
use crate::{
    journal::{
        ClaimFilter, Journal, OutboxId, Room,
        conformance::{
            JournalUnderTest, NO_LIMIT, Probe, at, change, ended, event, events, node, node_due, nodes, run,
            run_ended, start,
        },
        inspect::Inspect,
    },
    record::{ChangeSet, NodeHead, NodeRecord},
    time::Timestamp,
    types::NodeRunState,
};

/// A directory that is deleted with its test.
pub(in crate::server::journal) struct Directory(tempfile::TempDir);

impl Directory {
    pub(in crate::server::journal) fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory for a test"))
    }
    pub(in crate::server::journal) fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

/// A journal that keeps an outbox, as the conformance suite needs it.
pub(in crate::server::journal) fn open(path: PathBuf) -> SqliteJournal {
    try_open(path).expect("the journal opens")
}

pub(super) fn try_open(path: PathBuf) -> Result<SqliteJournal, OpenError> {
    open_with(SqliteOptions { path, max_bytes: None, outbox: true })
}

fn open_with(options: SqliteOptions) -> Result<SqliteJournal, OpenError> {
    SqliteJournal::open(options, Logger::root(Discard, o!()))
}

fn probe(journal: SqliteJournal) -> Probe {
    Probe(Arc::new(journal))
}

/// The only connection to a file that no journal has open.
pub(super) fn raw(path: &Path) -> Connection {
    Connection::open(path).expect("SQLite opens it")
}

mod conforms {
    use super::*;

    crate::conformance_tests!(async || {
        let directory = Directory::new();
        let path = directory.file("j.db");
        let journal = Arc::new(open(path.clone()));
        let reopen = || async move { Arc::new(open(path)) as Arc<dyn Inspect> }.boxed();
        JournalUnderTest { journal, reopen: Some(Box::new(reopen)), guard: Box::new(directory) }
    });
}
