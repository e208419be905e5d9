//! The writers and their group commit.
//!
//! ```text
//!   callers ──change──▶ queue ─▶ writer 1 ─ up to GROUP_MAX ─▶ BEGIN · fence · statements │ COMMIT
//!           └─own ────▶       ├▶ writer 2 ─ …                      one round trip         │ another
//!                                                                                         │
//!                    every row that should have been written was ◀──── before COMMIT ─────┘
//!                      │ no: ROLLBACK, those changes conflict, the others go again
//! ```
//!
//! A writer is a task with a connection of its own. It takes all changes that wait and
//! writes them in one transaction, with one statement for each table: many callers share
//! one flush. While it waits for the disk, the next writer takes what has come since.
//! What is not a change of a run has a transaction of its own.
//!
//! The caller's future owns nothing: if it is dropped, the change is written
//! nevertheless.
//!
//! **Invariants.**
//! - COMMIT is sent only when the number of rows of every statement is known and right.
//!   (A transaction that failed answers COMMIT with ROLLBACK, without an error.)
//! - COMMIT is never cancelled: a synchronous standby may be late. A commit that ends with
//!   a warning, with its connection, or not within COMMIT_WITHIN, is in doubt: it is
//!   answered as failed, and may be durable. Its connection stays open until it has ended,
//!   but the writer goes on with another one, because another host may be the primary by
//!   now. (If it is the same server, the next transaction waits for the fence row.)
//! - Each transaction of a worker updates its fence row first. Another that declares the
//!   worker dead deletes that row, so it comes before the transaction or after it.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use futures::FutureExt;
use slog::{Logger, debug, warn};
use tokio::{
    sync::{Mutex, mpsc, oneshot},
    time::timeout,
};

mod own;
mod refused;

use self::{
    own::{Own, OwnWork},
    refused::Refused,
};
use super::{
    batch::{self, Failure, Piece},
    error::{describe, is_repeatable},
    link::{Connector, Link, Live},
    machine::{self, pause},
    sql,
};
use crate::{
    journal::{Figures, JournalError, OutboxId, rows::ChangeRows},
    runtime::tasks::{Fatal, panic_message},
    types::WorkerId,
};

/// The maximum of changes in one transaction.
const GROUP_MAX: usize = 256;

/// The bytes of bodies and payloads after which a group takes no more.
const GROUP_BYTES: usize = 8 << 20;

/// The length of the queue. Further callers wait for a place in it.
const QUEUE_MAX: usize = 1024;

/// How long a caller waits for its answer: the outcome is in doubt then.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// How long the statements of a group may take, those of another transaction (longer than
/// the limit for each of them), a COMMIT, and a ROLLBACK, until the connection counts as
/// silent.
const GROUP_WITHIN: Duration = Duration::from_secs(10);
const OWN_WITHIN: Duration = Duration::from_secs(35);
const COMMIT_WITHIN: Duration = Duration::from_secs(10);
const ROLL_BACK_WITHIN: Duration = Duration::from_secs(3);

/// How often a transaction is repeated that the database has undone.
const REPEATS: u32 = 8;

/// The first pause before that; each further one is longer by it.
const REPEAT_AFTER: Duration = Duration::from_millis(5);

enum Request {
    Change(Piece),
    /// `fenced`: in the name of the worker.
    Own {
        work: Box<dyn Own>,
        fenced: bool,
    },
}

/// In whose name the writers write: the worker that is registered through this journal.
pub(super) type Registered = Arc<OnceLock<WorkerId>>;

/// The handle of the writers. They end, after what is queued, when it is dropped.
pub(super) struct Writers {
    queue: mpsc::Sender<Request>,
    hands: i16,
}

impl Writers {
    pub(super) fn start(
        connector: &Arc<Connector>,
        hands: i16,
        registered: &Registered,
        figures: &Arc<Figures>,
        fatal: &Fatal,
    ) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE_MAX);
        let waiting = Arc::new(Mutex::new(waiting));
        for hand in 0..hands.max(1) {
            let writer = Writer {
                hand,
                link: Link::new(connector),
                registered: Arc::clone(registered),
                figures: Arc::clone(figures),
                log: connector.log.clone(),
            };
            let (waiting, fatal) = (Arc::clone(&waiting), fatal.clone());
            machine::begin(async move {
                let serving = std::panic::AssertUnwindSafe(writer.serve(&waiting));
                if let Err(panic) = serving.catch_unwind().await {
                    fatal.declare(format!("a writer of the journal panicked: {}", panic_message(&*panic)));
                }
            });
        }
        Self { queue, hands: hands.max(1) }
    }

    /// The number of writers, which are numbered from 0 on.
    pub(super) fn hands(&self) -> i16 {
        self.hands
    }

    /// Writes a change in the next group. Returns when that is durable.
    pub(super) async fn change(&self, rows: ChangeRows) -> Result<Option<OutboxId>, JournalError> {
        let (reply, answer) = oneshot::channel();
        self.ask(Request::Change(Piece { rows, reply }), answer).await
    }

    /// Executes `work` in a transaction of its own.
    pub(super) async fn own<T, W, F>(&self, work: W) -> Result<T, JournalError>
    where
        T: Send + 'static,
        W: FnMut(Arc<Live>) -> F + Send + 'static,
        F: Future<Output = Result<T, Failure>> + Send + 'static,
    {
        self.transact(work, false).await
    }

    /// The same in the name of the worker, if it is still alive.
    pub(super) async fn as_worker<T, W, F>(&self, work: W) -> Result<T, JournalError>
    where
        T: Send + 'static,
        W: FnMut(Arc<Live>) -> F + Send + 'static,
        F: Future<Output = Result<T, Failure>> + Send + 'static,
    {
        self.transact(work, true).await
    }

    async fn transact<T, W, F>(&self, work: W, fenced: bool) -> Result<T, JournalError>
    where
        T: Send + 'static,
        W: FnMut(Arc<Live>) -> F + Send + 'static,
        F: Future<Output = Result<T, Failure>> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let work = Box::new(OwnWork { work, outcome: None, reply });
        self.ask(Request::Own { work, fenced }, answer).await
    }

    async fn ask<T>(
        &self,
        request: Request,
        answer: oneshot::Receiver<Result<T, JournalError>>,
    ) -> Result<T, JournalError> {
        let late = |_| JournalError::Failed("PostgreSQL: a write was not confirmed within 5 s".into());
        let asked = async {
            self.queue.send(request).await.map_err(|_| ended())?;
            answer.await.map_err(|_| ended())?
        };
        timeout(ANSWER_WITHIN, asked).await.map_err(late)?
    }
}

fn ended() -> JournalError {
    JournalError::Failed("the journal's writers have ended".into())
}

struct Writer {
    hand: i16,
    link: Link,
    registered: Registered,
    figures: Arc<Figures>,
    log: Logger,
}

impl Writer {
    async fn serve(self, waiting: &Mutex<mpsc::Receiver<Request>>) {
        let mut requests = Vec::with_capacity(GROUP_MAX);
        loop {
            let taken = waiting.lock().await.recv_many(&mut requests, GROUP_MAX).await;
            if taken == 0 {
                return;
            }
            let mut changes = Vec::with_capacity(taken);
            let mut own = Vec::new();
            for request in requests.drain(..) {
                match request {
                    Request::Change(piece) => changes.push(piece),
                    Request::Own { work, fenced } => own.push((work, fenced)),
                }
            }
            while !changes.is_empty() {
                let group = next_group(&mut changes);
                self.figures.group(group.len());
                self.write(group).await;
            }
            for (work, fenced) in own {
                self.figures.group(1);
                self.write_own(work, fenced).await;
            }
        }
    }

    /// Writes changes until each is answered.
    async fn write(&self, mut group: Vec<Piece>) {
        let mut repeats = 0;
        while !group.is_empty() {
            match self.transact(&group).await {
                Ok(ids) => {
                    group.drain(..).zip(ids).for_each(|(piece, id)| piece.answer(Ok(id)));
                }
                Err(Refused::Conflicts(conflicts)) => {
                    // From the last on, so that the places of the others stay.
                    for place in conflicts.into_iter().rev() {
                        group.remove(place).answer(Err(JournalError::Conflict));
                    }
                }
                Err(Refused::Undone(why)) if repeats < REPEATS => {
                    repeats += 1;
                    debug!(self.log, "a transaction was undone and is repeated"; "error" => why);
                    pause(REPEAT_AFTER * repeats).await;
                }
                Err(Refused::Undone(why)) => {
                    group.drain(..).for_each(|piece| piece.answer(Err(JournalError::Failed(why.clone()))));
                }
                // One of them is at fault: each goes alone.
                Err(Refused::Failed { error, one_is_at_fault: true }) if group.len() > 1 => {
                    debug!(self.log, "a group failed and is written one by one"; "changes" => group.len(),
                        "error" => %error);
                    for piece in group.drain(..) {
                        Box::pin(self.write(vec![piece])).await;
                    }
                }
                Err(Refused::Failed { error, one_is_at_fault: _ }) => {
                    warn!(self.log, "could not commit a group"; "changes" => group.len(), "error" => %error);
                    group.drain(..).for_each(|piece| piece.answer(Err(error.clone())));
                }
            }
        }
    }

    /// One attempt to write a group. Returns the last outbox id of each change.
    async fn transact(&self, group: &[Piece]) -> Result<Vec<Option<OutboxId>>, Refused> {
        let live = self.link.live().await.map_err(Refused::whole)?;
        let _earlier = live.has_warned();
        let Ok(written) = timeout(GROUP_WITHIN, batch::write(&live, group, self.fence())).await else {
            // COMMIT was not sent: when the connection ends, nothing was written.
            self.link.forget(&live).await;
            return Err(Refused::whole(silent()));
        };
        match written {
            Ok(ids) => {
                self.commit(&live).await.map_err(Refused::whole)?;
                Ok(ids)
            }
            Err(failure) => {
                self.roll_back(&live).await;
                Err(failure.into())
            }
        }
    }

    async fn write_own(&self, mut work: Box<dyn Own>, fenced: bool) {
        for repeats in 1.. {
            match self.transact_own(&mut *work, fenced).await {
                Ok(()) => return work.answer(None),
                Err(Failure::Database(undone)) if is_repeatable(&undone) && repeats <= REPEATS => {
                    debug!(self.log, "a transaction was undone and is repeated"; "error" => describe(&undone));
                    pause(REPEAT_AFTER * repeats).await;
                }
                Err(failure) => return work.answer(Some(failure.into())),
            }
        }
    }

    async fn transact_own(&self, work: &mut dyn Own, fenced: bool) -> Result<(), Failure> {
        let live = self.link.live().await?;
        let _earlier = live.has_warned();
        let fence = self.fence().filter(|_| fenced);
        let done = async {
            live.client.batch_execute("BEGIN").await?;
            if let Some((worker, hand)) = fence
                && live.execute(sql::FENCE, &[&worker.as_str(), &hand]).await? != 1
            {
                return Err(JournalError::Fenced.into());
            }
            work.apply(Arc::clone(&live)).await
        };
        let Ok(done) = timeout(OWN_WITHIN, done).await else {
            self.link.forget(&live).await;
            return Err(silent().into());
        };
        match done {
            Ok(()) => Ok(self.commit(&live).await?),
            Err(failure) => {
                self.roll_back(&live).await;
                Err(failure)
            }
        }
    }

    /// Ends a transaction. Not to be called unless all of its statements succeeded.
    async fn commit(&self, live: &Arc<Live>) -> Result<(), JournalError> {
        // What was sent is not cancelled by a caller that stops to wait.
        let Ok(committed) = timeout(COMMIT_WITHIN, live.client.batch_execute("COMMIT")).await else {
            self.link.forget(live).await;
            return Err(silent());
        };
        committed?;
        if live.has_warned() {
            return Err(JournalError::Failed(
                "PostgreSQL: a commit ended with a warning: it is in doubt".into(),
            ));
        }
        Ok(())
    }

    async fn roll_back(&self, live: &Arc<Live>) {
        match timeout(ROLL_BACK_WITHIN, live.client.batch_execute("ROLLBACK")).await {
            Ok(Ok(())) => {}
            // Without a connection the database has done it.
            Ok(Err(failed)) => {
                debug!(self.log, "could not roll back a transaction"; "error" => describe(&failed));
            }
            Err(_) => self.link.forget(live).await,
        }
    }

    fn fence(&self) -> Option<(&WorkerId, i16)> {
        self.registered.get().map(|worker| (worker, self.hand))
    }
}

/// The changes of the next transaction, in the order of their runs: those that would
/// write the same rows twice wait for another, and what is too much.
fn next_group(changes: &mut Vec<Piece>) -> Vec<Piece> {
    let (mut group, mut later) = (Vec::with_capacity(changes.len()), Vec::new());
    let mut touched = batch::Touched::default();
    let mut bytes = 0;
    for piece in changes.drain(..) {
        if bytes < GROUP_BYTES && touched.take(&piece.rows) {
            bytes += piece.rows.bytes();
            group.push(piece);
        } else {
            later.push(piece);
        }
    }
    *changes = later;
    // Transactions that wait for each other's rows take them in the same order.
    group.sort_by(|a, b| a.rows.run_id.cmp(&b.rows.run_id));
    group
}

fn silent() -> JournalError {
    JournalError::Failed("PostgreSQL: no answer to a transaction".into())
}
