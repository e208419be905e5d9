//! The journal on PostgreSQL, for several coordinators: each is a replica, and any of
//! them may commit for any run.
//!
//! ```text
//!   callers ──rows──▶ queue ──▶ writers ──▶ BEGIN · fence · statements · COMMIT
//!      ▲                           │           (one flush makes a group durable)
//!      └──────── answers ──────────┘
//!   readers ──▶ shared connections ──▶ the primary, always
//!   beats ────▶ a connection of its own: no load of the others delays them
//! ```
//!
//! | module | purpose |
//! |---|---|
//! | `address`, `tls` | the URL; how connections are encrypted |
//! | `link` | a connection that is made again when it is lost |
//! | `schema` | the tables, and how they came to be |
//! | `writer`, `batch`, `sql` | group commit: the queue, the statements of a group, their text |
//! | `readers` | the connections that read |
//! | `error` | PostgreSQL's errors as the journal's |
//!
//! The other modules are those of the built-in journal, by the same names.
//!
//! **Architecture invariants.** What was answered is on the disk of the primary, and of
//! its synchronous standbys. Versions of rows decide who wins, never locks that outlive
//! a statement. See docs/adr/0045.

mod address;
mod approvals;
mod attention;
mod audit;
mod batch;
mod bulk;
mod claims;
mod debts;
mod deliveries;
mod error;
mod export;
#[cfg(any(test, feature = "test-util"))]
mod inspect;
mod journal;
mod link;
mod load;
mod names;
mod notices;
mod outbox;
mod parking;
mod prune;
mod read;
mod readers;
mod run_count;
mod run_list;
mod schema;
mod sql;
mod steering;
mod tls;
mod tree;
mod webhooks;
mod work;
mod workers;
mod writer;

use std::sync::{Arc, OnceLock};

use slog::{Logger, info};

pub use self::address::Address;
use self::{
    link::{Connector, Link},
    readers::Readers,
    webhooks::Wanted,
    writer::{Registered, Writers},
};
use super::{Figures, JournalError, OpenError};
use crate::runtime::tasks::Fatal;

/// How to open the journal.
#[derive(Clone, Debug)]
pub struct PostgresOptions {
    pub address: Address,
    /// Connections that write.
    pub writers: u8,
    /// Connections that read.
    pub readers: u8,
    /// Keep an outbox: store the entries of a change set instead of dropping them.
    pub outbox: bool,
}

/// The journal in a database. Dropping it ends its connections after what is queued.
pub struct PostgresJournal {
    connector: Arc<Connector>,
    writers: Writers,
    readers: Readers,
    /// For heartbeats alone.
    beats: Link,
    registered: Registered,
    outbox: bool,
    wanted: Arc<Wanted>,
    fatal: Fatal,
    figures: Arc<Figures>,
    log: Logger,
}

impl PostgresJournal {
    /// Connects, and creates or migrates the schema if need be.
    pub async fn open(options: PostgresOptions, log: Logger) -> Result<Self, OpenError> {
        let PostgresOptions { address, writers, readers, outbox } = options;
        let place = address.to_string();
        let tls =
            tls::connector(&address.tls).map_err(|reason| OpenError::Io { path: place.clone(), reason })?;
        let connector = Arc::new(Connector { address, tls, log: log.clone() });
        schema::open(&connector).await?;
        let wanted = Arc::<Wanted>::default();
        let seen = async {
            let live = connector.connect().await.map_err(JournalError::Failed)?;
            wanted.look(&live).await.map_err(JournalError::from)
        };
        seen.await.map_err(|e| OpenError::Io { path: place.clone(), reason: e.to_string() })?;
        let (fatal, figures, registered) =
            (Fatal::default(), Arc::<Figures>::default(), Arc::new(OnceLock::new()));
        info!(log, "journal opened"; "database" => place);
        Ok(Self {
            writers: Writers::start(&connector, i16::from(writers), &registered, &figures, &fatal),
            readers: Readers::new(&connector, usize::from(readers)),
            beats: Link::new(&connector),
            connector,
            registered,
            outbox,
            wanted,
            fatal,
            figures,
            log,
        })
    }

    /// Declared when a writer has ended unexpectedly: nothing can be written from then
    /// on, and the process has to be restarted.
    pub fn fatal(&self) -> &Fatal {
        &self.fatal
    }

    /// What its writers have done so far.
    pub fn figures(&self) -> &Arc<Figures> {
        &self.figures
    }
}
