//! The one thread that writes. What arrives while it waits for the disk goes
//! into the next transaction together: one fsync for all (group commit).

use std::{io, thread};

use rusqlite::Connection;
use slog::{Logger, error};
use tokio::sync::{mpsc, oneshot};

use crate::store::StoreError;

/// So much may wait for the writer; more waits at the door.
const WAITING: usize = 4_096;
/// So much goes into one transaction.
const GROUP: usize = 256;

/// The writer's front: dropped, it lets the thread finish and waits for it.
pub(super) struct Writer {
    requests: Option<mpsc::Sender<Box<dyn Request>>>,
    thread: Option<thread::JoinHandle<()>>,
}

/// Something to be done in a transaction, and somebody who waits for it.
trait Request: Send {
    /// Does it, within the open transaction.
    fn run(&mut self, db: &Connection) -> Result<(), StoreError>;
    /// The transaction is over: tells whoever waits.
    fn reply(self: Box<Self>, outcome: Result<(), StoreError>);
}

struct Waiting<T, F> {
    work: Option<F>,
    result: Option<T>,
    waiter: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Request for Waiting<T, F>
where
    T: Send,
    F: FnOnce(&Connection) -> Result<T, StoreError> + Send,
{
    fn run(&mut self, db: &Connection) -> Result<(), StoreError> {
        if let Some(work) = self.work.take() {
            self.result = Some(work(db)?);
        }
        Ok(())
    }

    fn reply(self: Box<Self>, outcome: Result<(), StoreError>) {
        let Self { work: _, result, waiter } = *self;
        let nothing = || StoreError::Failed("the request was not carried out".into());
        // Whoever asked may have gone.
        let _ = waiter.send(outcome.and_then(|()| result.ok_or_else(nothing)));
    }
}

impl Writer {
    pub(super) fn start(db: Connection, log: Logger) -> io::Result<Self> {
        let (requests, arriving) = mpsc::channel(WAITING);
        let thread =
            thread::Builder::new().name("journal".into()).spawn(move || write_all(&db, arriving, &log))?;
        Ok(Self { requests: Some(requests), thread: Some(thread) })
    }

    /// Does `work` in a transaction; what it wrote is durable when this returns.
    pub(super) async fn submit<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let gone = || StoreError::Failed("the journal is closed".into());
        let (waiter, result) = oneshot::channel();
        let request = Box::new(Waiting { work: Some(work), result: None, waiter });
        let requests = self.requests.as_ref().ok_or_else(gone)?;
        requests.send(request).await.map_err(|_| gone())?;
        result.await.map_err(|_| gone())?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.requests = None;
        if let Some(thread) = self.thread.take() {
            // A panic in it has been reported by whoever got no reply.
            let _ = thread.join();
        }
    }
}

fn write_all(db: &Connection, mut arriving: mpsc::Receiver<Box<dyn Request>>, log: &Logger) {
    let mut group = Vec::with_capacity(GROUP);
    while arriving.blocking_recv_many(&mut group, GROUP) > 0 {
        write_group(db, &mut group, log);
    }
}

/// Carries out a group in one transaction. Each request stands for itself: one
/// that fails leaves the others alone, unless the database gave the whole
/// transaction up.
fn write_group(db: &Connection, group: &mut Vec<Box<dyn Request>>, log: &Logger) {
    let mut done: Vec<(Box<dyn Request>, Result<(), StoreError>)> = Vec::with_capacity(group.len());
    let begun = db.execute_batch("BEGIN IMMEDIATE").map_err(StoreError::from);
    let mut broken = begun.err();
    for mut request in group.drain(..) {
        let outcome = match &broken {
            Some(reason) => Err(reason.clone()),
            None => run_one(db, &mut *request),
        };
        if let (Err(reason), true) = (&outcome, broken.is_none() && db.is_autocommit()) {
            // SQLite rolled everything back, what went before as well.
            broken = Some(reason.clone());
        }
        done.push((request, outcome));
    }
    if broken.is_none() {
        broken = commit(db).err();
    }
    if let Some(reason) = &broken {
        error!(log, "transaction failed"; "requests" => done.len(), "error" => %reason);
    }
    for (request, outcome) in done {
        request.reply(match &broken {
            Some(reason) => Err(reason.clone()),
            None => outcome,
        });
    }
}

fn run_one(db: &Connection, request: &mut dyn Request) -> Result<(), StoreError> {
    let sql = |sql: &str| db.prepare_cached(sql).and_then(|mut statement| statement.execute([]));
    sql("SAVEPOINT request")?;
    match request.run(db) {
        Ok(()) => {
            sql("RELEASE request")?;
            Ok(())
        }
        Err(reason) => {
            if !db.is_autocommit() {
                sql("ROLLBACK TO request")?;
                sql("RELEASE request")?;
            }
            Err(reason)
        }
    }
}

fn commit(db: &Connection) -> Result<(), StoreError> {
    let committed = db.execute_batch("COMMIT");
    if committed.is_err() && !db.is_autocommit() {
        // So that the next group can begin.
        let _ = db.execute_batch("ROLLBACK");
    }
    committed.map_err(StoreError::from)
}
