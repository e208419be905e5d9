//! What the executors have been asked and have done. The ledger outlives the
//! coordinator's processes and restarts of executors.
//!
//! ```text
//!   asked ──▶ (worked) ──▶ answered | broken off | canceled | forgotten (the executor was restarted)
//! ```
//!
//! Each process of the coordinator gets addresses of the executors with its
//! number in the path, so that each call shows which process made it.

use std::{
    collections::BTreeSet,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use scripted_executor::Behaviour;
use serde_json::Value;

use super::node_types::Kind;

/// A call to execute or begin a NodeRun.
#[derive(Clone, Debug)]
pub(super) struct Execution {
    pub(super) kind: Kind,
    pub(super) node: String,
    pub(super) run: String,
    pub(super) node_type: String,
    /// The number of the process that called.
    pub(super) by: usize,
    /// When the call arrived.
    pub(super) at: Instant,
    pub(super) behaviour: Behaviour,
    /// The work was done, so its effect exists. For a composite: its plan was
    /// started.
    pub(super) worked: bool,
    pub(super) ended: Option<Ended>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// The executor answered or broke off.
    ByItself,
    Canceled,
    /// The executor was restarted.
    Forgotten,
}

/// A call to cancel a NodeRun.
#[derive(Clone, Debug)]
pub(super) struct CancelCall {
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
    pub(super) cancel_calls: Vec<CancelCall>,
    /// The NodeRuns of the cancel calls; they are not started any more.
    canceled: BTreeSet<String>,
    /// How often each executor was restarted.
    restarts: [u64; 2],
    over: bool,
}

impl Ledger {
    pub(super) fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a call; returns the number of its entry.
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

    pub(super) fn canceled(&self, node: &str) {
        let mut book = self.book();
        book.cancel_calls.push(CancelCall { node: node.to_owned(), at: Instant::now() });
        book.canceled.insert(node.to_owned());
        drop(book);
        self.changed.notify_all();
    }

    /// An executor forgets everything that it was doing.
    pub(super) fn restarted(&self, kind: Kind) {
        self.book().restarts[kind as usize] += 1;
        self.changed.notify_all();
    }

    /// Ends all waiting.
    pub(super) fn over(&self) {
        self.book().over = true;
        self.changed.notify_all();
    }

    /// The number of restarts of an executor so far.
    pub(super) fn life(&self, kind: Kind) -> u64 {
        self.book().restarts[kind as usize]
    }

    /// Waits until the NodeRun is canceled or the executor is restarted; returns
    /// which, or `None` if the time is up.
    pub(super) fn stops(&self, kind: Kind, life: u64, node: &str, time: Duration) -> Option<Ended> {
        let why = |book: &Book| match () {
            () if book.over || book.restarts[kind as usize] != life => Some(Ended::Forgotten),
            () if book.canceled.contains(node) => Some(Ended::Canceled),
            () => None,
        };
        let waited = self.changed.wait_timeout_while(self.book(), time, |book| why(book).is_none());
        why(&waited.unwrap_or_else(PoisonError::into_inner).0)
    }

    /// Waits until the condition holds for the book; returns whether it does.
    pub(super) fn until(&self, time: Duration, so: impl Fn(&Book) -> bool) -> bool {
        let waited = self.changed.wait_timeout_while(self.book(), time, |book| !so(book));
        so(&waited.unwrap_or_else(PoisonError::into_inner).0)
    }
}

impl Book {
    /// The executions that last until they are canceled. An execution that a lost
    /// attempt left behind does not count if a later one was answered: the
    /// executor has answered for that NodeRun.
    pub(super) fn at_work(&self) -> impl Iterator<Item = &Execution> {
        let mut answered = BTreeSet::new();
        let newest_first = self.executions.iter().rev();
        newest_first.filter(move |execution| {
            if execution.ended == Some(Ended::ByItself) {
                answered.insert(&*execution.node);
            }
            execution.ended.is_none() && !answered.contains(&*execution.node)
        })
    }
}
