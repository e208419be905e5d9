//! The groups of the writer thread, without the thread.
//!
//! ```text
//!   caller ──piece──▶ queue      others queue theirs
//!      └─ yields once ─ ─ ─ ─ ─ ─ ─ ─ ┐
//!   whoever is first back ──▶ BEGIN · piece · … · [before] COMMIT [after] ──▶ answers
//! ```
//!
//! Transaction, savepoints and answers are those of `writer::finish`. A caller
//! that goes away before its piece is served serves it as it goes, since the
//! thread would have.

use parking_lot::Mutex;
use rusqlite::Connection;
use slog::Logger;

use super::Shared;
use crate::journal::{
    JournalError,
    sqlite::writer::{WriteOp, commit, commit_group, ended, write_op},
};

/// Where a simulation gets in. Those around the commit have the database
/// locked: they must not use the journal.
pub trait FailPoints: Send + Sync + 'static {
    /// A process that was killed writes nothing any more; what it has queued is
    /// lost.
    fn is_dead(&self) -> bool {
        false
    }

    /// All of a group is written, and nothing is committed. With an error the
    /// transaction is undone, and all of them have it for an answer.
    fn before_commit(&self) -> Result<(), JournalError> {
        Ok(())
    }

    /// All of it is durable, and nothing is answered. With an error, that is
    /// what all of them have for an answer.
    fn after_commit(&self) -> Result<(), JournalError> {
        Ok(())
    }

    /// A group of so many pieces is done with. The journal can be used.
    fn served(&self, _pieces: usize) {}
}

/// None.
impl FailPoints for () {}

pub(in crate::server::journal::sqlite) struct CallersWriter {
    shared: Shared,
    queue: Mutex<Vec<Box<dyn WriteOp>>>,
    fail_points: Box<dyn FailPoints>,
    log: Logger,
}

impl CallersWriter {
    pub(super) fn new(shared: Shared, fail_points: impl FailPoints, log: Logger) -> Self {
        Self { shared, queue: Mutex::default(), fail_points: Box::new(fail_points), log }
    }

    pub(in crate::server::journal::sqlite) async fn run<T: Send + 'static>(
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
        let pieces = group.len();
        let interrupted = |connection: &Connection| {
            self.fail_points.before_commit()?;
            commit(connection)?;
            self.fail_points.after_commit()
        };
        // There is no log to be copied, so being short of room changes nothing.
        let _room =
            self.shared.with(|connection| commit_group(connection, &mut group, &interrupted, &self.log));
        self.fail_points.served(pieces);
    }
}

struct ServesWhenDropped<'w>(&'w CallersWriter);

impl Drop for ServesWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.serve();
    }
}
