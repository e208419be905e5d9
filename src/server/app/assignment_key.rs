//! The signing keys of assignment tokens, kept in the journal.
//!
//! ```text
//!   journal ──read──▶ AssignmentTokens: issue, verify
//!      ▲  ▲
//!      │  └─ `journal rotate-key`: a new key, also while the server runs
//!      └──── Expiry: deletes keys whose last token has expired
//! ```

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use slog::{Logger, error, info};

use super::StartError;
use crate::{
    auth::{AssignmentTokens, KeySource, Keyring},
    config::{Mode, Settings},
    journal::{ASSIGNMENT_KEYS, Journal, JournalError},
    runtime::tasks::TaskSet,
    time::{Clock, Timestamp},
    types::IdSource,
};

/// The interval at which expired keys are looked for.
const EXPIRE_EVERY: Duration = Duration::from_secs(60);

/// Makes the issuer of assignment tokens, if callers must authenticate. Its keys
/// are kept in the journal, so that tokens survive a restart as their runs do.
pub(super) async fn assignment_tokens(
    settings: &Settings,
    journal: &Arc<dyn Journal>,
    ids: &dyn IdSource,
    now: Timestamp,
    log: Logger,
) -> Result<Option<Arc<AssignmentTokens>>, StartError> {
    match settings.inbound.mode {
        Mode::Disabled => return Ok(None),
        Mode::Required | Mode::Optional => {}
    }
    let fresh = Keyring::fresh(ids, now).encode();
    let stored = journal.secret(ASSIGNMENT_KEYS, fresh).await.map_err(StartError::AssignmentKey)?;
    let keyring = Keyring::decode(&stored)
        .map_err(|unreadable| StartError::AssignmentKey(JournalError::Damaged(unreadable.to_string())))?;
    let source = Arc::new(JournalKeys { journal: Arc::clone(journal), log });
    Ok(Some(Arc::new(AssignmentTokens::new(keyring, source, settings.inbound.clock_skew))))
}

/// The keys as the journal has them.
struct JournalKeys {
    journal: Arc<dyn Journal>,
    log: Logger,
}

#[async_trait]
impl KeySource for JournalKeys {
    async fn read(&self) -> Option<Keyring> {
        let failure = match self.journal.secret_find(ASSIGNMENT_KEYS).await {
            Ok(Some(stored)) => match Keyring::decode(&stored) {
                Ok(keyring) => return Some(keyring),
                Err(unreadable) => unreadable.to_string(),
            },
            Ok(None) => "the journal has none".to_owned(),
            Err(failure) => failure.to_string(),
        };
        error!(self.log, "could not read the keys of assignment tokens"; "error" => failure);
        None
    }
}

/// Deletes keys whose last token has expired.
pub(super) struct Expiry {
    pub(super) journal: Arc<dyn Journal>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) clock_skew: Duration,
    pub(super) log: Logger,
}

impl Expiry {
    /// Starts a background task that works until the tasks are to stop.
    pub(super) fn begin(self, tasks: &TaskSet) {
        let (clock, stopping) = (Arc::clone(&self.clock), tasks.stopping().clone());
        let expiry = Arc::new(self);
        tasks.supervise("expiry of assignment keys", clock, move || {
            let (expiry, stopping) = (Arc::clone(&expiry), stopping.clone());
            async move { _ = stopping.run_until_cancelled(expiry.work()).await }
        });
    }

    async fn work(&self) {
        loop {
            match self.expire().await {
                Ok(0) => {}
                Ok(keys) => info!(self.log, "expired keys of assignment tokens deleted"; "keys" => keys),
                // A rotation came between: next time.
                Err(JournalError::Conflict) => {}
                Err(failure) => {
                    error!(self.log, "could not delete expired keys of assignment tokens"; "error" => %failure);
                }
            }
            self.clock.sleep(EXPIRE_EVERY).await;
        }
    }

    /// Deletes the keys that are not needed any more. Returns how many.
    async fn expire(&self) -> Result<usize, JournalError> {
        let Some(stored) = self.journal.secret_find(ASSIGNMENT_KEYS).await? else { return Ok(0) };
        // Keys that cannot be read are reported when they are used.
        let Ok(mut keyring) = Keyring::decode(&stored) else { return Ok(0) };
        let expired = keyring.expire(self.clock.now(), self.clock_skew);
        if expired > 0 {
            self.journal.secret_replace(ASSIGNMENT_KEYS, stored, keyring.encode()).await?;
        }
        Ok(expired)
    }
}
