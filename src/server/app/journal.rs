//! Opens the journal that the settings name, and settles what becomes of outbox entries
//! for JARVIS stores that are not configured.

use std::sync::Arc;

use slog::{Logger, warn};

use super::{BeforeJournal, StartError};
use crate::{
    config::{self, JournalPlace, Settings},
    journal::{
        Backend, Figures, Journal, Owing, WithoutStores,
        postgres::{PostgresJournal, PostgresOptions},
        sqlite::{SqliteJournal, SqliteOptions},
    },
    runtime::tasks::Fatal,
    transport::database_tls,
};

/// A journal that was opened.
pub(super) struct OpenJournal {
    pub(super) journal: Arc<dyn Journal>,
    /// What it owes stores that are not configured.
    pub(super) owing: Owing,
    pub(super) fatal: Fatal,
    pub(super) figures: Arc<Figures>,
}

impl OpenJournal {
    /// `before`: what tests put before the built-in journal.
    pub(super) async fn open(
        settings: &Settings,
        before: BeforeJournal,
        log: Logger,
    ) -> Result<Self, StartError> {
        let outbox = settings.stores.is_some();
        match &settings.journal.place {
            JournalPlace::File(path) => {
                let (path, max_bytes) = (path.clone(), settings.journal.max_bytes);
                let options = SqliteOptions { path, max_bytes, outbox };
                let journal = SqliteJournal::open(options, log.clone())?;
                Self::settle(settings, journal, before, &log).await
            }
            JournalPlace::Database(_) => {
                let journal = PostgresJournal::open(database(settings)?, log.clone()).await?;
                Self::settle(settings, journal, |journal| Arc::new(journal) as _, &log).await
            }
        }
    }

    async fn settle<B: Backend>(
        settings: &Settings,
        mut journal: B,
        before: impl FnOnce(B) -> Arc<dyn Journal>,
        log: &Logger,
    ) -> Result<Self, StartError> {
        let owing = owing(settings, &mut journal, log).await?;
        if settings.webhooks.is_none() {
            journal.without_webhooks();
        }
        let (fatal, figures) = (journal.fatal().clone(), Arc::clone(journal.figures()));
        Ok(Self { journal: before(journal), owing, fatal, figures })
    }
}

/// The database of the settings, with its password.
pub(super) fn database(settings: &Settings) -> Result<PostgresOptions, StartError> {
    let journal = &settings.journal;
    let url = match &journal.place {
        JournalPlace::Database(url) => url.clone(),
        JournalPlace::File(path) => {
            return Err(StartError::Setup(format!("{}: the journal is a file", path.display())));
        }
    };
    let url = match &journal.password {
        Some(password) => url.with_password(password.read()?.expose()),
        None => url,
    };
    let (writers, readers) = (journal.writers, journal.readers);
    let tls = database_tls(url.tls())?;
    Ok(PostgresOptions { url, tls, writers, readers, outbox: settings.stores.is_some(), news: journal.news })
}

async fn owing(settings: &Settings, journal: &mut impl Backend, log: &Logger) -> Result<Owing, StartError> {
    if settings.stores.is_some() {
        journal.with_stores().await.map_err(StartError::TakeUp)?;
        return Ok(Owing::Nothing);
    }
    let owing = journal
        .without_stores(match settings.without_stores {
            config::WithoutStores::Refuse => WithoutStores::Refuse,
            config::WithoutStores::Owe => WithoutStores::Owe,
            config::WithoutStores::Forget => WithoutStores::Forget,
        })
        .await?;
    match owing {
        Owing::Nothing | Owing::Everything => {}
        Owing::Forgotten(entries) => {
            warn!(log, "JARVIS stores are not configured: discarded outbox entries"; "entries" => entries);
        }
    }
    Ok(owing)
}
