//! The cache of signing keys: fetched from the STS when first needed, refreshed
//! in the background. Its states are those of [`Refreshed`], with the times that
//! the [module documentation](super) draws.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use parking_lot::Mutex;
use slog::{Logger, info, warn};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::{
    fetch::{FETCH_LIMIT, FoundKeys, fetch_keys, shown},
    keys::{KeySet, VerifyingKey},
    refusal::Refusal,
};
use crate::{
    config::KeySource,
    resilience::{Fetched, Pauses, RefreshOptions, Refreshed, Source, Status},
    runtime::tasks::TaskSet,
    time::Clock,
};

/// How long keys are used before they are refreshed.
pub(super) const FRESH: Duration = Duration::from_secs(5 * 60);

/// The pause after a failure without keys: short, because callers are refused
/// meanwhile.
pub(super) const RETRY_EMPTY: Duration = Duration::from_secs(1);

/// The pause after a failure with old keys at hand.
pub(super) const RETRY_STALE: Duration = Duration::from_secs(10);

/// The pause between fetches that an unknown `kid` causes.
pub(super) const RETRY_UNKNOWN: Duration = Duration::from_secs(10);

/// The state of the signing keys, for the health check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyStatus {
    /// Tokens are not verified.
    NotNeeded,
    /// No token has been verified yet.
    NotFetched,
    Fresh {
        keys: usize,
    },
    /// In use, although a refresh is due. Without an error, none has failed yet.
    Stale {
        keys: usize,
        age: Duration,
        error: Option<String>,
    },
    /// There are none, and the last fetch failed.
    Unavailable {
        error: String,
    },
}

pub(super) struct JwksCache(Arc<Refreshed<Arc<KeySet>>>);

/// The STS, as a source of keys.
struct Sts {
    source: KeySource,
    http: reqwest::Client,
    clock: Arc<dyn Clock>,
    stopping: CancellationToken,
    log: Logger,
    /// Where discovery found the keys. Dropped when a fetch fails: they may have
    /// moved.
    jwks_uri: Mutex<Option<Url>>,
}

impl JwksCache {
    pub(super) fn new(
        source: KeySource,
        http: reqwest::Client,
        clock: Arc<dyn Clock>,
        tasks: TaskSet,
        log: Logger,
    ) -> Self {
        let sts = Sts {
            source,
            http,
            clock: Arc::clone(&clock),
            stopping: tasks.stopping().clone(),
            log,
            jwks_uri: Mutex::default(),
        };
        let pauses = Pauses { empty: RETRY_EMPTY, stale: RETRY_STALE, unfit: RETRY_UNKNOWN };
        let options = RefreshOptions { task: "jwks_fetch", limit: FETCH_LIMIT, pauses };
        Self(Refreshed::new(options, sts, clock, tasks))
    }

    /// The key named `kid`. Waits for at most one fetch, and only if the key is
    /// not at hand.
    pub(super) async fn key(&self, kid: &str) -> Result<Arc<VerifyingKey>, Refusal> {
        match self.0.find(|keys| keys.get(kid)).await {
            Ok(Some(key)) => Ok(key),
            Ok(None) => Err(Refusal::NoKey("unknown signing key")),
            Err(_) => Err(Refusal::NoKey("signing keys unavailable")),
        }
    }

    /// Starts a refresh in the background if one is due; never waits.
    pub(super) fn revalidate(&self) {
        self.0.revalidate();
    }

    pub(super) fn status(&self) -> KeyStatus {
        match self.0.status() {
            Status::Empty { error: None } => KeyStatus::NotFetched,
            Status::Empty { error: Some(error) } => KeyStatus::Unavailable { error },
            Status::Fresh { value } => KeyStatus::Fresh { keys: value.len() },
            Status::Stale { value, age, error } => KeyStatus::Stale { keys: value.len(), age, error },
        }
    }

    /// Waits until no fetch is under way.
    #[cfg(test)]
    pub(super) async fn landed(&self) {
        self.0.landed().await;
    }
}

#[async_trait]
impl Source<Arc<KeySet>> for Sts {
    async fn fetch(&self, held: Option<Arc<KeySet>>) -> Result<Fetched<Arc<KeySet>>, String> {
        let known = self.jwks_uri.lock().clone();
        let found = tokio::select! {
            () = self.stopping.cancelled() => return Err("the server is stopping".to_owned()),
            found = fetch_keys(&self.http, &self.source, known) => found,
        };
        match found {
            Ok(FoundKeys { keys, jwks_uri }) => {
                let keys = match &held {
                    Some(old) => keys.replacing(old),
                    None => keys,
                };
                info!(self.log, "signing keys fetched"; "keys" => keys.len(), "from" => shown(&jwks_uri));
                *self.jwks_uri.lock() = Some(jwks_uri);
                let stale_at = self.clock.now() + FRESH;
                Ok(Fetched { value: Arc::new(keys), stale_at, expires_at: None })
            }
            Err(error) => {
                let old_keys = held.map_or(0, |keys| keys.len());
                warn!(self.log, "could not fetch signing keys"; "error" => &error, "old_keys" => old_keys);
                *self.jwks_uri.lock() = None;
                Err(error)
            }
        }
    }
}
