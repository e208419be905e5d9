//! The connections that read.
//!
//! ```text
//!   by key ──────▶ one of SHORT, shared: statements travel one behind the other
//!   a page ──────▶ one of SHORT, too: each is a bounded number of rows
//!   a snapshot ──▶ one of LONG, alone: a transaction that sees one moment
//! ```
//!
//! Every read goes to the primary: what was answered is seen by all.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::link::{Connector, Link, Live};
use crate::journal::JournalError;

/// How long a read may take, from a caller's point of view.
const READ_WITHIN: Duration = Duration::from_secs(5);

/// How long a snapshot waits for its turn.
const TURN_WITHIN: Duration = Duration::from_secs(30);

/// Connections for snapshots.
const LONG: usize = 2;

pub(super) struct Readers {
    short: Vec<Link>,
    next: AtomicUsize,
    connector: Arc<Connector>,
    turns: Arc<Semaphore>,
}

/// A connection with a transaction that sees one moment. It is closed when it is
/// dropped.
pub(super) struct Snapshot {
    pub(super) live: Live,
    _turn: OwnedSemaphorePermit,
}

impl Readers {
    pub(super) fn new(connector: &Arc<Connector>, short: usize) -> Self {
        Self {
            short: (0..short.max(1)).map(|_| Link::new(connector)).collect(),
            next: AtomicUsize::new(0),
            connector: Arc::clone(connector),
            turns: Arc::new(Semaphore::new(LONG)),
        }
    }

    /// Reads on a shared connection.
    pub(super) async fn read<T, F>(&self, work: impl FnOnce(Arc<Live>) -> F) -> Result<T, JournalError>
    where
        F: Future<Output = Result<T, JournalError>>,
    {
        let place = self.next.fetch_add(1, Ordering::Relaxed) % self.short.len();
        let read = async { work(self.short[place].live().await?).await };
        match timeout(READ_WITHIN, read).await {
            Ok(outcome) => outcome,
            Err(_) => Err(JournalError::Failed("PostgreSQL: no answer to a read within 5 s".into())),
        }
    }

    /// A transaction that sees one moment. Snapshots are rare, so each has a connection
    /// of its own that ends with it.
    pub(super) async fn snapshot(&self) -> Result<Snapshot, JournalError> {
        let busy = || JournalError::Failed("PostgreSQL: all connections for snapshots are busy".into());
        let turn = timeout(TURN_WITHIN, Arc::clone(&self.turns).acquire_owned()).await;
        let turn = turn.map_err(|_| busy())?.map_err(|_| busy())?;
        let live = self.connector.connect().await.map_err(JournalError::Failed)?;
        live.client
            .batch_execute(
                "SET idle_in_transaction_session_timeout = '60s';
                 BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
            )
            .await?;
        Ok(Snapshot { live, _turn: turn })
    }
}
