//! News by LISTEN and NOTIFY, on a connection of their own.
//!
//! ```text
//!   announce ──▶ outgoing, merged ──▶ NOTIFY, then a pause ──▶ PostgreSQL
//!   announced ◀── incoming, merged ◀── the connection's task ◀─────┘
//!                     ▲
//!                     └── anything: the connection was made (again), and did not hear
//! ```
//!
//! **Invariant:** no transaction of the journal notifies. One that does takes a lock, for
//! all of the server, until its commit is on the disk: commits could not share a flush. So
//! this connection does not wait for the disk, and sends at most one message each
//! [`GATHER`]; and none while this process is the only one.

use std::{
    panic::AssertUnwindSafe,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::FutureExt;
use slog::{Logger, error, info, warn};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    error::describe,
    inbox::{Inbox, Message},
    link::{Connector, Link, Live},
    machine::{self, pause},
};
use crate::{
    journal::{JournalError, News, NewsBox},
    runtime::tasks::panic_message,
    types::WorkerId,
};

/// The least time between two messages.
const GATHER: Duration = Duration::from_millis(5);
/// How often it is made sure that the connection stands, and the pause after a failure.
const LOOK: Duration = Duration::from_secs(1);
/// How long a statement on it may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

const LISTEN: &str = "LISTEN jarvis_run_coordinator";

/// The setting is that of this statement's transaction, which has nothing to lose.
const NOTIFY: &str =
    "SELECT set_config('synchronous_commit', 'off', true), pg_notify('jarvis_run_coordinator', $1)";

/// News to and from the other processes, until it is dropped.
pub(super) struct NewsWire {
    outgoing: Arc<NewsBox>,
    incoming: Arc<Inbox>,
    /// Whether other processes are registered.
    has_others: AtomicBool,
    _end: DropGuard,
}

impl NewsWire {
    /// Begins to listen in the name of this worker.
    pub(super) fn start(connector: &Arc<Connector>, me: &WorkerId) -> Self {
        let (outgoing, incoming) = (Arc::<NewsBox>::default(), Arc::clone(&connector.inbox));
        incoming.belongs_to(me);
        let wire = Wire {
            me: me.clone(),
            outgoing: Arc::clone(&outgoing),
            incoming: Arc::clone(&incoming),
            link: Link::new(connector),
            listens_on: Weak::new(),
            is_failing: false,
            log: connector.log.clone(),
        };
        let end = CancellationToken::new();
        let (ended, log) = (end.clone(), connector.log.clone());
        machine::begin(async move {
            let serving = AssertUnwindSafe(wire.serve()).catch_unwind();
            if let Some(Err(panic)) = ended.run_until_cancelled_owned(serving).await {
                error!(log, "news of other processes have ended: what they do is found by polling";
                    "panic" => panic_message(&*panic));
            }
        });
        Self { outgoing, incoming, has_others: AtomicBool::new(true), _end: end.drop_guard() }
    }

    /// Takes note of how many processes are registered.
    pub(super) fn registered(&self, workers: usize) {
        self.has_others.store(workers > 1, Ordering::Relaxed);
    }

    pub(super) fn announce(&self, news: News) {
        if self.has_others.load(Ordering::Relaxed) {
            self.outgoing.add(news);
        }
    }

    pub(super) async fn announced(&self) -> News {
        self.incoming.next().await
    }
}

/// The connection, and what it is for.
struct Wire {
    me: WorkerId,
    outgoing: Arc<NewsBox>,
    incoming: Arc<Inbox>,
    link: Link,
    /// The connection on which it has said LISTEN.
    listens_on: Weak<Live>,
    /// Whether the last exchange failed.
    is_failing: bool,
    log: Logger,
}

impl Wire {
    async fn serve(mut self) {
        loop {
            let done = match timeout(LOOK, self.outgoing.next()).await {
                Ok(news) => self.send(news).await,
                Err(_) => self.look().await,
            };
            let failed = done.is_err();
            match done {
                Ok(()) if self.is_failing => info!(self.log, "news are exchanged with other processes again"),
                Ok(()) => {}
                // What was to be said is found by looking.
                Err(failure) if !self.is_failing => {
                    warn!(self.log, "could not exchange news with other processes: they are late";
                        "error" => %failure);
                }
                Err(_) => {}
            }
            self.is_failing = failed;
            if failed {
                pause(LOOK).await;
            }
            pause(GATHER).await;
        }
    }

    async fn send(&mut self, news: News) -> Result<(), JournalError> {
        let message = serde_json::to_string(&Message { by: self.me.clone(), news });
        let message = message.map_err(|e| JournalError::Failed(format!("news: {e}")))?;
        let live = self.listening().await?;
        self.answered(&live, live.query(NOTIFY, &[&message])).await?;
        Ok(())
    }

    /// Finds out whether the connection stands.
    async fn look(&mut self) -> Result<(), JournalError> {
        let live = self.listening().await?;
        self.answered(&live, live.query("SELECT 1", &[])).await?;
        Ok(())
    }

    /// The connection, which listens.
    async fn listening(&mut self) -> Result<Arc<Live>, JournalError> {
        let live = self.link.live().await?;
        if !std::ptr::eq(self.listens_on.as_ptr(), &raw const *live) {
            self.answered(&live, live.client.batch_execute(LISTEN)).await?;
            self.listens_on = Arc::downgrade(&live);
            self.incoming.add(News::anything());
        }
        Ok(live)
    }

    /// Waits for an answer, but not on a connection that is silent.
    async fn answered<T>(
        &self,
        live: &Arc<Live>,
        answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, JournalError> {
        match timeout(ANSWER_WITHIN, answer).await {
            Ok(answer) => answer.map_err(|e| JournalError::Failed(describe(&e))),
            Err(_) => {
                self.link.forget(live).await;
                Err(JournalError::Failed("PostgreSQL: no answer on the connection for news".into()))
            }
        }
    }
}
