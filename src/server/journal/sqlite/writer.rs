//! The one thread that writes.
//!
//! Whoever wants something written queues a piece of work and waits. The
//! thread takes everything that is waiting, up to [`GROUP_MAX`], makes one
//! transaction of it and answers after the commit: many callers share one
//! fsync, and a lone caller does not wait for company.
//!
//! Each piece has a savepoint, so a conflict undoes that piece only. (A piece that
//! is alone needs none.) Some errors (no room, failing disk) make SQLite undo the
//! whole transaction: then the piece that met the error gets it, and the others
//! are done again without it. If the commit itself fails, all of them get the
//! error.
//!
//! **Architecture invariant:** a failure ends with the group that met it.
//! Nothing is remembered, the next group begins afresh. A panic does not: what
//! state the connection is in then, nothing says, so the thread ends, and has
//! the process end (`Fatal`): its successor finds what is durable.

use std::{io, panic::AssertUnwindSafe, sync::Arc, thread};

use rusqlite::Connection;
use slog::{Logger, crit, debug, error, info, warn};
use tokio::sync::{mpsc, oneshot};

use super::{
    checkpoint::{Checkpointer, LogLength},
    space::{HOW_TO_MAKE_ROOM, Space},
};
use crate::{
    journal::JournalError,
    runtime::tasks::{Fatal, panic_message},
};

/// Pieces in one transaction: more would make the first wait for the last
/// without saving much of an fsync that is shared already.
const GROUP_MAX: usize = 256;

/// Pieces that may wait; whoever comes then waits to be queued.
const QUEUE_MAX: usize = 1024;

/// One caller's part of a group.
pub(super) trait Piece: Send {
    /// May be called again if the group has to be done again.
    fn apply(&mut self, connection: &Connection) -> Result<(), JournalError>;

    /// What became of the group decides; if it was committed, what became of
    /// this piece.
    fn answer(self: Box<Self>, group: Result<(), JournalError>);
}

struct Request<T, F> {
    work: F,
    outcome: Result<T, JournalError>,
    reply: oneshot::Sender<Result<T, JournalError>>,
}

impl<T, F> Piece for Request<T, F>
where
    T: Send,
    F: FnMut(&Connection) -> Result<T, JournalError> + Send,
{
    fn apply(&mut self, connection: &Connection) -> Result<(), JournalError> {
        self.outcome = (self.work)(connection);
        self.outcome.as_ref().map(|_| ()).map_err(JournalError::clone)
    }

    fn answer(self: Box<Self>, group: Result<(), JournalError>) {
        // Whoever asked may have gone away: the work was done all the same.
        let _gone = self.reply.send(group.and(self.outcome));
    }
}

/// What the threads of the journal look after, and tell.
#[derive(Clone)]
pub(super) struct Care {
    pub(super) space: Option<Arc<Space>>,
    pub(super) fatal: Fatal,
    pub(super) log: Logger,
}

impl Care {
    /// A thread that does `work`. If that panics, it is declared.
    pub(super) fn thread(
        &self,
        name: &'static str,
        work: impl FnOnce() + Send + 'static,
    ) -> io::Result<thread::JoinHandle<()>> {
        let Self { fatal, log, .. } = self.clone();
        thread::Builder::new().name(name.into()).spawn(move || {
            let Err(panic) = std::panic::catch_unwind(AssertUnwindSafe(work)) else { return };
            let message = panic_message(&*panic);
            crit!(log, "a thread of the journal panicked: the process has to end"; "thread" => name, "panic" => message);
            fatal.declare(format!("the thread '{name}' panicked: {message}"));
        })
    }
}

/// A piece for a group, and where its answer comes.
pub(super) fn piece<T: Send + 'static>(
    work: impl FnMut(&Connection) -> Result<T, JournalError> + Send + 'static,
) -> (Box<dyn Piece>, oneshot::Receiver<Result<T, JournalError>>) {
    let (reply, answer) = oneshot::channel();
    (Box::new(Request { work, outcome: Err(ended()), reply }), answer)
}

pub(super) fn ended() -> JournalError {
    JournalError::Failed("the journal's writer has ended".into())
}

/// The way to the thread.
pub(super) struct Writer {
    /// `None` only while it is being dropped.
    queue: Option<mpsc::Sender<Box<dyn Piece>>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(writes: Connection, checkpoints: Connection, care: Care) -> io::Result<Self> {
        let (queue, waiting) = mpsc::channel(QUEUE_MAX);
        let checkpointer = Checkpointer::start(checkpoints, &care)?;
        let thread =
            care.clone().thread("journal-writer", move || serve(&writes, waiting, &checkpointer, &care))?;
        Ok(Self { queue: Some(queue), thread: Some(thread) })
    }

    /// Has `work` done in the next group, and returns when that is durable. If
    /// the caller stops waiting, the work may be done nevertheless.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnMut(&Connection) -> Result<T, JournalError> + Send + 'static,
    ) -> Result<T, JournalError> {
        let (piece, answer) = piece(work);
        let queue = self.queue.as_ref().ok_or_else(ended)?;
        queue.send(piece).await.map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Without a sender the thread serves what is queued, and ends.
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

fn serve(
    connection: &Connection,
    mut waiting: mpsc::Receiver<Box<dyn Piece>>,
    checkpointer: &Checkpointer,
    care: &Care,
) {
    let log = &care.log;
    let mut group = Vec::with_capacity(GROUP_MAX);
    let mut full = false;
    while waiting.blocking_recv_many(&mut group, GROUP_MAX) > 0 {
        match finish(connection, &mut group, &commit, log) {
            Fit::All if full => {
                full = false;
                info!(log, "the journal takes changes again");
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
        if let Some(space) = &care.space {
            space.look(connection);
        }
        match LogLength::of(connection) {
            Ok(length) => checkpointer.after_commit(connection, length),
            Err(e) => warn!(log, "cannot measure the write-ahead log"; "error" => %e),
        }
    }
}

/// Whether there was room for everything in a group.
pub(super) enum Fit {
    All,
    NotAll(String),
}

/// How a transaction ends.
pub(super) fn commit(connection: &Connection) -> Result<(), JournalError> {
    Ok(connection.prepare_cached("COMMIT")?.execute([]).map(|_| ())?)
}

/// Gets rid of the group: everybody in it is answered. `commit` is [`commit()`],
/// with whatever a simulation does before it and after it.
pub(super) fn finish(
    connection: &Connection,
    group: &mut Vec<Box<dyn Piece>>,
    commit: &impl Fn(&Connection) -> Result<(), JournalError>,
    log: &Logger,
) -> Fit {
    let mut fit = Fit::All;
    while !group.is_empty() {
        let Err(failure) = transact(connection, group, commit) else {
            group.drain(..).for_each(|piece| piece.answer(Ok(())));
            break;
        };
        let is_full = matches!(failure.error, JournalError::Full(_));
        if is_full {
            fit = Fit::NotAll(failure.error.to_string());
        }
        if !connection.is_autocommit()
            && let Err(e) = connection.execute_batch("ROLLBACK")
        {
            warn!(log, "cannot roll back"; "error" => %e);
        }
        // That it is full is said once.
        if is_full {
            debug!(log, "a group could not be committed"; "pieces" => group.len(), "error" => %failure.error);
        } else {
            warn!(log, "a group could not be committed"; "pieces" => group.len(), "error" => %failure.error);
        }
        match failure.culprit {
            Some(index) => group.remove(index).answer(Err(failure.error)),
            None => group.drain(..).for_each(|piece| piece.answer(Err(failure.error.clone()))),
        }
    }
    fit
}

/// Why a transaction came to nothing.
struct Failure {
    /// The piece that met the error, if it was one of them.
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
    group: &mut [Box<dyn Piece>],
    commit: &impl Fn(&Connection) -> Result<(), JournalError>,
) -> Result<(), Failure> {
    let run = |sql| connection.prepare_cached(sql)?.execute([]).map(|_| ());
    run("BEGIN IMMEDIATE")?;
    // Alone, the transaction is all that has to be undone: SQLite need not keep
    // a copy of every page that changes.
    if let [piece] = &mut *group {
        if let Err(error) = piece.apply(connection) {
            if connection.is_autocommit() {
                return Err(Failure { culprit: Some(0), error });
            }
            return Ok(run("ROLLBACK")?);
        }
        return commit(connection).map_err(|error| Failure { culprit: None, error });
    }
    for (index, piece) in group.iter_mut().enumerate() {
        run("SAVEPOINT piece")?;
        if let Err(error) = piece.apply(connection) {
            if connection.is_autocommit() {
                return Err(Failure { culprit: Some(index), error });
            }
            run("ROLLBACK TO piece")?;
        }
        run("RELEASE piece")?;
    }
    commit(connection).map_err(|error| Failure { culprit: None, error })
}
