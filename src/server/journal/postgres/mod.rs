//! The journal on PostgreSQL, for several coordinators: each is a replica, and any of
//! them may commit for any run.
//!
//! ```text
//!   callers ──rows──▶ queue ──▶ writers ──▶ BEGIN · fence · statements · COMMIT
//!      ▲                           │           (one flush makes a group durable)
//!      └──────── answers ──────────┘
//!   readers ──▶ shared connections ──▶ the primary, always
//!   beats ────▶ a connection of its own: no load of the others delays them
//!   news ◀────▶ a connection that listens, and notifies the other replicas
//! ```
//!
//! | module | purpose |
//! |---|---|
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

mod approvals;
mod attention;
mod audit;
mod batch;
mod bulk;
mod check;
mod claims;
mod debts;
mod deliveries;
mod error;
mod export;
mod fill;
mod inbox;
#[cfg(any(test, feature = "test-util"))]
mod inspect;
mod journal;
mod keys;
mod link;
mod load;
mod look;
mod machine;
mod names;
mod news;
mod notices;
mod outbox;
mod parking;
mod prune;
mod read;
mod readers;
mod run_count;
mod run_list;
mod schema;
mod signs;
mod sql;
mod steering;
mod tables;
mod tree;
mod webhooks;
mod work;
mod workers;
mod writer;

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use slog::{Logger, info};
use tokio_postgres_rustls::MakeRustlsConnect;

use self::{
    link::{Connector, Link},
    news::NewsWire,
    readers::Readers,
    webhooks::Wanted,
    writer::{Registered, Writers},
};
pub use self::{
    look::{Look, look},
    tables::CopyError,
};
use super::{Backend, Figures, JournalError, OpenError, Owing, Recent, WithoutStores};
use crate::{config::DatabaseUrl, runtime::tasks::Fatal};

/// How to open the journal.
#[derive(Clone)]
pub struct PostgresOptions {
    pub url: DatabaseUrl,
    /// What connections are encrypted with, if the URL says so.
    pub tls: MakeRustlsConnect,
    /// Connections that write.
    pub writers: u8,
    /// Connections that read.
    pub readers: u8,
    /// Keep an outbox: store the entries of a change set instead of dropping them.
    pub outbox: bool,
    /// Announce commits to other replicas, and hear of theirs.
    pub news: bool,
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
    wants_news: bool,
    /// From the registration on.
    news: OnceLock<NewsWire>,
    wanted: Arc<Wanted>,
    recent: Recent,
    fatal: Fatal,
    figures: Arc<Figures>,
    log: Logger,
}

impl PostgresJournal {
    /// Connects, and creates or migrates the schema if need be.
    pub async fn open(options: PostgresOptions, log: Logger) -> Result<Self, OpenError> {
        Self::open_with(options, log, schema::Missing::IsMade).await
    }

    /// The same for commands: the database must have the schema of this program.
    pub async fn open_existing(options: PostgresOptions, log: Logger) -> Result<Self, OpenError> {
        Self::open_with(options, log, schema::Missing::IsAnError).await
    }

    async fn open_with(
        options: PostgresOptions,
        log: Logger,
        missing: schema::Missing,
    ) -> Result<Self, OpenError> {
        let PostgresOptions { url, tls, writers, readers, outbox, news } = options;
        let place = url.to_string();
        let connector = Arc::new(Connector::new(url, tls, log.clone()));
        schema::open(&connector, missing).await?;
        let wanted = Arc::<Wanted>::default();
        let seen = async {
            let live = connector.connect().await.map_err(JournalError::Failed)?;
            wanted.look(&live).await.map_err(JournalError::from)
        };
        seen.await.map_err(|e| OpenError::Database { url: place.clone(), reason: e.to_string() })?;
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
            wants_news: news,
            news: OnceLock::new(),
            wanted,
            recent: Recent::default(),
            fatal,
            figures,
            log,
        })
    }
}

#[async_trait]
impl Backend for PostgresJournal {
    async fn with_stores(&self) -> Result<(), JournalError> {
        debts::record(self).await
    }

    async fn without_stores(&mut self, then: WithoutStores) -> Result<Owing, OpenError> {
        let failed = |url: String| move |e: JournalError| OpenError::Database { url, reason: e.to_string() };
        let path = self.connector.url.to_string();
        let owed = self.readers.read(debts::entries).await.map_err(failed(path.clone()))?;
        let Some(entries) = owed else { return Ok(Owing::Nothing) };
        match then {
            WithoutStores::Refuse => Err(OpenError::Owes { path, entries }),
            WithoutStores::Owe => {
                self.outbox = true;
                Ok(Owing::Everything)
            }
            WithoutStores::Forget => {
                debts::forget(self).await.map_err(failed(path))?;
                Ok(Owing::Forgotten(entries))
            }
        }
    }

    fn without_webhooks(&self) {
        self.wanted.switch_off();
    }

    fn fatal(&self) -> &Fatal {
        &self.fatal
    }

    fn figures(&self) -> &Arc<Figures> {
        &self.figures
    }
}
