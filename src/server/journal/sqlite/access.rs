//! Where the reads and writes of a journal run.
//!
//! | | a file | in memory |
//! |---|---|---|
//! | read by key | in the caller, on a connection of the pool | in the caller, on the one connection |
//! | longer read | in a blocking thread, on a connection of the pool | in the caller, on the one connection |
//! | write | in the writer thread, in its next group | in a caller, in the next group |
//!
//! The journal in memory is for simulations. It has no threads, so the same calls
//! in the same order get the same answers.

use std::sync::Arc;

use rusqlite::Connection;
use tokio::sync::Semaphore;

#[cfg(any(test, feature = "test-util"))]
use super::callers_writer::{CallersWriter, Shared};
use super::{readers::Readers, writer::Writer};
use crate::journal::JournalError;

/// The maximum number of concurrent longer reads: each has a connection, which is
/// two or three open files, and a thread.
pub(super) const LONG_READS: usize = 16;

pub(super) enum Reads {
    Pool {
        readers: Arc<Readers>,
        /// One permit for each longer read.
        turns: Arc<Semaphore>,
    },
    #[cfg(any(test, feature = "test-util"))]
    Shared(Shared),
}

impl Reads {
    /// Reads in the caller's task, which must be short.
    pub(super) fn here<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, JournalError>,
    ) -> Result<T, JournalError> {
        match self {
            Self::Pool { readers, turns: _ } => readers.with(read),
            #[cfg(any(test, feature = "test-util"))]
            Self::Shared(shared) => shared.with(read),
        }
    }

    /// Reads where it holds up no other task of this runtime thread and takes no
    /// connection from short reads. (Those hold theirs without waiting for
    /// anything, so they are at most as many as the runtime has threads.)
    pub(super) async fn aside<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, JournalError> + Send + 'static,
    ) -> Result<T, JournalError> {
        let ended = |why: String| JournalError::Failed(format!("a read was cancelled: {why}"));
        let (readers, turns) = match self {
            Self::Pool { readers, turns } => (Arc::clone(readers), Arc::clone(turns)),
            #[cfg(any(test, feature = "test-util"))]
            Self::Shared(shared) => return shared.with(read),
        };
        let turn = turns.acquire_owned().await.map_err(|e| ended(e.to_string()))?;
        let work = move || {
            let _turn = turn;
            readers.with(read)
        };
        tokio::task::spawn_blocking(work).await.map_err(|e| ended(e.to_string()))?
    }
}

pub(super) enum Writes {
    Thread(Writer),
    #[cfg(any(test, feature = "test-util"))]
    Callers(CallersWriter),
}

impl Writes {
    /// Executes `work` in the next group, and returns when that is durable. If
    /// the caller stops waiting, the work may be done nevertheless.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnMut(&Connection) -> Result<T, JournalError> + Send + 'static,
    ) -> Result<T, JournalError> {
        match self {
            Self::Thread(writer) => writer.run(work).await,
            #[cfg(any(test, feature = "test-util"))]
            Self::Callers(writer) => writer.run(work).await,
        }
    }
}
