//! The writer thread and its group commit.
//!
//! ```text
//!   callers ──op──▶ queue ──up to GROUP_MAX──▶ BEGIN · op · … · op · COMMIT ──▶ answers
//!                                                      │ conflict: undone and repeated with
//!                                                      │   savepoints, which undo this op alone
//!                                                      └ no room, failing disk: undone and
//!                                                        repeated without this op
//! ```
//!
//! A caller queues an operation and waits. The thread takes all queued operations,
//! commits them in one transaction and answers after the commit: many callers
//! share one fsync, and a lone caller does not wait for others.
//!
//! A conflict must undo only the operation that met it, which takes a savepoint, for which
//! SQLite keeps a copy of every page that changes. Conflicts are rare: a group is tried
//! without savepoints, and only if one of its operations fails, it is executed again
//! with them. (A lone operation needs none: the transaction is all that has to be undone.)
//! After an error that makes SQLite undo the whole transaction, the operation that
//! met it gets the error, and the others are executed again without it. If the
//! commit itself fails, all of them get the error.
//!
//! **Architecture invariant:** a failure ends with the group that met it. Nothing
//! is carried over, the next group starts afresh. A panic is different: the state
//! of the connection is unknown, so the thread ends and has the process restarted
//! (`Fatal`). The next process finds what is durable.

use std::{io, thread};

use rusqlite::Connection;
use slog::{Logger, debug, error, info, warn};
use tokio::sync::{mpsc, oneshot};

use super::{
    checkpoint::{Checkpointer, LogLength},
    space::HOW_TO_MAKE_ROOM,
    threads::ThreadParts,
};
use crate::journal::JournalError;

/// The maximum of operations in one transaction: more would make the first wait
/// for the last without saving much of an fsync that is shared already.
const GROUP_MAX: usize = 256;

/// The length of the queue. Further callers wait for a place in it.
const QUEUE_MAX: usize = 1024;

/// One caller's part of a group.
pub(super) trait WriteOp: Send {
    /// Called again if the group has to be executed again.
    fn apply(&mut self, connection: &Connection) -> Result<(), JournalError>;

    /// Answers the caller: with the group's error, else with its own outcome.
    fn answer(self: Box<Self>, group: Result<(), JournalError>);
}

struct Request<T, F> {
    work: F,
    outcome: Result<T, JournalError>,
    reply: oneshot::Sender<Result<T, JournalError>>,
}

impl<T, F> WriteOp for Request<T, F>
where
    T: Send,
    F: FnMut(&Connection) -> Result<T, JournalError> + Send,
{
    fn apply(&mut self, connection: &Connection) -> Result<(), JournalError> {
        self.outcome = (self.work)(connection);
        self.outcome.as_ref().map(|_| ()).map_err(JournalError::clone)
    }

    fn answer(self: Box<Self>, group: Result<(), JournalError>) {
        // The caller may have stopped waiting: the work is done nevertheless.
        let _gone = self.reply.send(group.and(self.outcome));
    }
}

/// An operation, and where its answer arrives.
pub(super) fn write_op<T: Send + 'static>(
    work: impl FnMut(&Connection) -> Result<T, JournalError> + Send + 'static,
) -> (Box<dyn WriteOp>, oneshot::Receiver<Result<T, JournalError>>) {
    let (reply, answer) = oneshot::channel();
    (Box::new(Request { work, outcome: Err(ended()), reply }), answer)
}

pub(super) fn ended() -> JournalError {
    JournalError::Failed("the journal's writer has ended".into())
}

/// The handle of the writer thread.
pub(super) struct Writer {
    /// `None` only while it is being dropped.
    queue: Option<mpsc::Sender<Box<dyn WriteOp>>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(
        writes: Connection,
        checkpoints: Connection,
        parts: &ThreadParts,
    ) -> io::Result<Self> {
        let (queue, waiting) = mpsc::channel(QUEUE_MAX);
        let checkpointer = Checkpointer::start(checkpoints, parts)?;
        let serving = parts.clone();
        let thread =
            parts.spawn("journal-writer", move || serve(&writes, waiting, &checkpointer, &serving))?;
        Ok(Self { queue: Some(queue), thread: Some(thread) })
    }

    /// Executes `work` in the next group, and returns when that is durable. If
    /// the caller stops waiting, the work may be done nevertheless.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnMut(&Connection) -> Result<T, JournalError> + Send + 'static,
    ) -> Result<T, JournalError> {
        let (op, answer) = write_op(work);
        let queue = self.queue.as_ref().ok_or_else(ended)?;
        queue.send(op).await.map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Without a sender the thread executes what is queued, and ends.
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

fn serve(
    connection: &Connection,
    mut waiting: mpsc::Receiver<Box<dyn WriteOp>>,
    checkpointer: &Checkpointer,
    parts: &ThreadParts,
) {
    let log = &parts.log;
    let mut group = Vec::with_capacity(GROUP_MAX);
    let mut full = false;
    while waiting.blocking_recv_many(&mut group, GROUP_MAX) > 0 {
        parts.figures.group(group.len());
        match commit_group(connection, &mut group, &commit, log) {
            Fit::All if full => {
                full = false;
                info!(log, "the journal accepts changes again");
            }
            Fit::All => {}
            Fit::NotAll(error) => {
                if !full {
                    full = true;
                    error!(log, "the journal is full: a change did not fit"; "error" => error,
                        "path" => connection.path(), "to_make_room" => HOW_TO_MAKE_ROOM);
                }
                checkpointer.after_full(connection);
            }
        }
        if let Some(space) = &parts.space {
            space.check(connection);
        }
        match LogLength::of(connection) {
            Ok(length) => checkpointer.after_commit(connection, length),
            Err(e) => warn!(log, "could not measure the write-ahead log"; "error" => %e),
        }
    }
}

/// Whether there was room for everything in a group.
pub(super) enum Fit {
    All,
    NotAll(String),
}

/// Ends a transaction.
pub(super) fn commit(connection: &Connection) -> Result<(), JournalError> {
    Ok(connection.prepare_cached("COMMIT")?.execute([]).map(|_| ())?)
}

/// Executes and commits the group until every operation in it is answered.
/// `commit` is [`commit()`], with whatever a simulation does before and after it.
pub(super) fn commit_group(
    connection: &Connection,
    group: &mut Vec<Box<dyn WriteOp>>,
    commit: &impl Fn(&Connection) -> Result<(), JournalError>,
    log: &Logger,
) -> Fit {
    let mut fit = Fit::All;
    while !group.is_empty() {
        let Err(failure) = transact(connection, group, commit) else {
            group.drain(..).for_each(|op| op.answer(Ok(())));
            break;
        };
        let is_full = matches!(failure.error, JournalError::Full(_));
        if is_full {
            fit = Fit::NotAll(failure.error.to_string());
        }
        if !connection.is_autocommit()
            && let Err(e) = connection.execute_batch("ROLLBACK")
        {
            warn!(log, "could not roll back a transaction"; "error" => %e);
        }
        // A full journal is reported once, by the caller.
        if is_full {
            debug!(log, "could not commit a group"; "operations" => group.len(), "error" => %failure.error);
        } else {
            warn!(log, "could not commit a group"; "operations" => group.len(), "error" => %failure.error);
        }
        match failure.culprit {
            Some(index) => group.remove(index).answer(Err(failure.error)),
            None => group.drain(..).for_each(|op| op.answer(Err(failure.error.clone()))),
        }
    }
    fit
}

/// Why a transaction failed as a whole.
struct Failure {
    /// The operation that met the error, if it was one of them.
    culprit: Option<usize>,
    error: JournalError,
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self { culprit: None, error: error.into() }
    }
}

fn transact(
    connection: &Connection,
    group: &mut [Box<dyn WriteOp>],
    commit: &impl Fn(&Connection) -> Result<(), JournalError>,
) -> Result<(), Failure> {
    let run = |sql| connection.prepare_cached(sql)?.execute([]).map(|_| ());
    run("BEGIN IMMEDIATE")?;
    let is_lone = group.len() == 1;
    let failed =
        group.iter_mut().enumerate().find_map(|(index, op)| Some((index, op.apply(connection).err()?)));
    match failed {
        None => return commit(connection).map_err(|error| Failure { culprit: None, error }),
        Some((index, error)) if connection.is_autocommit() => {
            return Err(Failure { culprit: Some(index), error });
        }
        Some(_) if is_lone => return Ok(run("ROLLBACK")?),
        Some(_) => {
            run("ROLLBACK")?;
            run("BEGIN IMMEDIATE")?;
        }
    }
    for (index, op) in group.iter_mut().enumerate() {
        run("SAVEPOINT op")?;
        if let Err(error) = op.apply(connection) {
            if connection.is_autocommit() {
                return Err(Failure { culprit: Some(index), error });
            }
            run("ROLLBACK TO op")?;
        }
        run("RELEASE op")?;
    }
    commit(connection).map_err(|error| Failure { culprit: None, error })
}
