//! What the executors have seen and done: theirs, so it outlives the
//! coordinator's death and their own.
//!
//! ```text
//!   asked ──▶ (worked) ──▶ answered | broken off | told to stop | forgotten (the executor was restarted)
//! ```
//!
//! Each process of the coordinator is given another address of the executors,
//! with its number in the path: so each call says who made it.

use std::{
    collections::BTreeSet,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use scripted_executor::Behaviour;
use serde_json::Value;

use super::node_types::Kind;

/// A NodeRun that was handed to an executor.
#[derive(Clone, Debug)]
pub(super) struct Execution {
    pub(super) kind: Kind,
    pub(super) node: String,
    pub(super) run: String,
    pub(super) node_type: String,
    /// The number of the process that asked.
    pub(super) by: usize,
    /// When the call arrived.
    pub(super) at: Instant,
    pub(super) behaviour: Behaviour,
    /// The work was done: the effect is in the world. For a composite: its plan
    /// was begun.
    pub(super) worked: bool,
    pub(super) ended: Option<Ended>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// With an answer, or by breaking off.
    Itself,
    Told,
    /// The executor was restarted.
    Forgotten,
}

/// An executor was told that a NodeRun is over.
#[derive(Clone, Debug)]
pub(super) struct Tell {
    pub(super) node: String,
    pub(super) at: Instant,
}

#[derive(Default)]
pub(super) struct Ledger {
    book: Mutex<Book>,
    changed: Condvar,
}

#[derive(Clone, Default)]
pub(super) struct Book {
    pub(super) executions: Vec<Execution>,
    pub(super) tells: Vec<Tell>,
    /// The NodeRuns of the tells: one that comes late is not begun any more.
    told: BTreeSet<String>,
    /// How often each executor was restarted.
    restarts: [u64; 2],
    over: bool,
}

impl Ledger {
    pub(super) fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A NodeRun is asked for: the number of its entry.
    pub(super) fn asked(
        &self,
        kind: Kind,
        by: usize,
        body: &Value,
        behaviour: Behaviour,
        at: Instant,
    ) -> usize {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut book = self.book();
        book.executions.push(Execution {
            kind,
            node: text(&body["node_run_id"]),
            run: text(&body["run_id"]),
            node_type: text(&body["node_type_ref"]["node_type_id"]),
            by,
            at,
            behaviour,
            worked: false,
            ended: None,
        });
        let entry = book.executions.len() - 1;
        drop(book);
        self.changed.notify_all();
        entry
    }

    pub(super) fn worked(&self, entry: usize) {
        self.book().executions[entry].worked = true;
    }

    pub(super) fn ended(&self, entry: usize, how: Ended) {
        self.book().executions[entry].ended = Some(how);
        self.changed.notify_all();
    }

    pub(super) fn told(&self, node: &str) {
        let mut book = self.book();
        book.tells.push(Tell { node: node.to_owned(), at: Instant::now() });
        book.told.insert(node.to_owned());
        drop(book);
        self.changed.notify_all();
    }

    /// An executor forgets everything that it was doing.
    pub(super) fn restarted(&self, kind: Kind) {
        self.book().restarts[kind as usize] += 1;
        self.changed.notify_all();
    }

    /// Nobody need wait for anything any more.
    pub(super) fn over(&self) {
        self.book().over = true;
        self.changed.notify_all();
    }

    /// Which life of an executor this is.
    pub(super) fn life(&self, kind: Kind) -> u64 {
        self.book().restarts[kind as usize]
    }

    /// Waits until the executor is told to leave this NodeRun alone, or its
    /// life is over: why. `None`: the time is up.
    pub(super) fn stops(&self, kind: Kind, life: u64, node: &str, time: Duration) -> Option<Ended> {
        let why = |book: &Book| match () {
            () if book.over || book.restarts[kind as usize] != life => Some(Ended::Forgotten),
            () if book.told.contains(node) => Some(Ended::Told),
            () => None,
        };
        let waited = self.changed.wait_timeout_while(self.book(), time, |book| why(book).is_none());
        why(&waited.unwrap_or_else(PoisonError::into_inner).0)
    }

    /// Waits until the book says so: whether it does.
    pub(super) fn says(&self, time: Duration, so: impl Fn(&Book) -> bool) -> bool {
        let waited = self.changed.wait_timeout_while(self.book(), time, |book| !so(book));
        so(&waited.unwrap_or_else(PoisonError::into_inner).0)
    }
}

impl Book {
    /// What executors are at, and will be until they are told. Not what a lost
    /// attempt left behind, if a later one has been answered: the executor has
    /// spoken for that NodeRun.
    pub(super) fn at_work(&self) -> impl Iterator<Item = &Execution> {
        let mut answered = BTreeSet::new();
        let newest_first = self.executions.iter().rev();
        newest_first.filter(move |execution| {
            if execution.ended == Some(Ended::Itself) {
                answered.insert(&*execution.node);
            }
            execution.ended.is_none() && !answered.contains(&*execution.node)
        })
    }
}
