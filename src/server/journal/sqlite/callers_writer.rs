//! The groups of the writer thread, without the thread.
//!
//! ```text
//!   caller ──op──▶ queue          other callers queue theirs
//!      └─ yields once ─ ─ ─ ─ ─ ┐
//!   first to continue ──▶ BEGIN · op · … · [before] COMMIT [after] ──▶ answers
//! ```
//!
//! Transaction, savepoints and answers are those of `writer::commit_group`. A caller
//! that is dropped before its operation is executed executes it while it is dropped,
//! since the thread would have.

use std::sync::Arc;

use parking_lot::Mutex;
use rusqlite::Connection;
use slog::Logger;

use super::writer::{WriteOp, commit, commit_group, ended, write_op};
use crate::journal::JournalError;

/// The one connection of a journal in memory. Its holder has the database
/// exclusively.
#[derive(Clone)]
pub(super) struct Shared(Arc<Mutex<Connection>>);

impl Shared {
    pub(super) fn new(connection: Connection) -> Self {
        Self(Arc::new(Mutex::new(connection)))
    }

    pub(super) fn with<T>(&self, work: impl FnOnce(&Connection) -> T) -> T {
        work(&self.0.lock())
    }
}

/// Where a simulation intervenes. The database is locked around the commit: those
/// two must not use the journal.
pub trait FailPoints: Send + Sync + 'static {
    /// The process was killed: it writes nothing any more, and its queue is lost.
    fn is_dead(&self) -> bool {
        false
    }

    /// Called when a group is written and not committed. An error undoes the
    /// transaction and is the answer to all of its callers.
    fn before_commit(&self) -> Result<(), JournalError> {
        Ok(())
    }

    /// Called when a group is durable and not answered. An error is the answer to all
    /// of its callers.
    fn after_commit(&self) -> Result<(), JournalError> {
        Ok(())
    }

    /// Called when a group is answered. The journal can be used.
    fn served(&self, _operations: usize) {}
}

/// No fail points.
impl FailPoints for () {}

pub(super) struct CallersWriter {
    shared: Shared,
    queue: Mutex<Vec<Box<dyn WriteOp>>>,
    fail_points: Box<dyn FailPoints>,
    log: Logger,
}

impl CallersWriter {
    pub(super) fn new(shared: Shared, fail_points: impl FailPoints, log: Logger) -> Self {
        Self { shared, queue: Mutex::default(), fail_points: Box::new(fail_points), log }
    }

    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnMut(&Connection) -> Result<T, JournalError> + Send + 'static,
    ) -> Result<T, JournalError> {
        let (op, answer) = write_op(work);
        self.queue.lock().push(op);
        let serves = ServesWhenDropped(self);
        tokio::task::yield_now().await;
        drop(serves);
        answer.await.map_err(|_| ended())?
    }

    fn serve(&self) {
        let mut group = std::mem::take(&mut *self.queue.lock());
        if group.is_empty() || self.fail_points.is_dead() {
            return;
        }
        let operations = group.len();
        let interrupted = |connection: &Connection| {
            self.fail_points.before_commit()?;
            commit(connection)?;
            self.fail_points.after_commit()
        };
        // Without a log to be copied, a lack of room has no consequence.
        let _room =
            self.shared.with(|connection| commit_group(connection, &mut group, &interrupted, &self.log));
        self.fail_points.served(operations);
    }
}

struct ServesWhenDropped<'w>(&'w CallersWriter);

impl Drop for ServesWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.serve();
    }
}
