//! The signing keys at hand, and when to ask for them again. The states are
//! drawn in the [module documentation](super).

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use slog::{Logger, info, warn};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::{
    fetch::{Fetched, fetch_keys, shown},
    keys::{KeySet, VerifyingKey},
    refusal::Refusal,
};
use crate::{
    config::KeySource,
    runtime::tasks::TaskSet,
    time::{Clock, Timestamp},
};

/// How long keys are used without asking again.
pub(super) const FRESH: Duration = Duration::from_secs(5 * 60);

/// The pause after a failure without any keys: short, callers are locked out.
pub(super) const RETRY_EMPTY: Duration = Duration::from_secs(1);

/// The pause after a failure with old keys at hand.
pub(super) const RETRY_STALE: Duration = Duration::from_secs(10);

/// The pause between fetches that an unknown `kid` asked for.
pub(super) const RETRY_UNKNOWN: Duration = Duration::from_secs(10);

/// How the signing keys are doing, for the health check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyStatus {
    /// Tokens are not looked at.
    NotNeeded,
    /// Nobody needed them yet.
    NotFetched,
    Fresh {
        keys: usize,
    },
    /// In use, although older than they should be. Without an error a refresh
    /// is due or under way.
    Stale {
        keys: usize,
        age: Duration,
        error: Option<String>,
    },
    /// There are none, and the last attempt to get some failed.
    Unavailable {
        error: String,
    },
}

pub(super) struct JwksCache {
    source: KeySource,
    http: reqwest::Client,
    clock: Arc<dyn Clock>,
    tasks: TaskSet,
    log: Logger,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    held: Option<Held>,
    /// Cancelled when the fetch under way has landed, however it ended.
    in_flight: Option<CancellationToken>,
    failure: Option<Failure>,
    /// When an unknown `kid` last started a fetch.
    unknown_at: Option<Timestamp>,
    /// What discovery said. Forgotten when a fetch fails: it may have moved.
    jwks_uri: Option<Url>,
}

struct Held {
    keys: KeySet,
    fetched_at: Timestamp,
}

/// The last attempt, if it failed.
struct Failure {
    at: Timestamp,
    error: String,
}

enum Lookup {
    Found(Arc<VerifyingKey>),
    Wait(CancellationToken),
    Refused(Refusal),
}

impl JwksCache {
    pub(super) fn new(
        source: KeySource,
        http: reqwest::Client,
        clock: Arc<dyn Clock>,
        tasks: TaskSet,
        log: Logger,
    ) -> Arc<Self> {
        Arc::new(Self { source, http, clock, tasks, log, state: Mutex::default() })
    }

    /// The key named `kid`. Waits for at most one fetch, and only if the key
    /// is not at hand.
    pub(super) async fn key(self: &Arc<Self>, kid: &str) -> Result<Arc<VerifyingKey>, Refusal> {
        match self.look_up(kid) {
            Lookup::Found(key) => Ok(key),
            Lookup::Refused(refusal) => Err(refusal),
            Lookup::Wait(landing) => {
                landing.cancelled().await;
                // Not a second time round: one fetch has answered already.
                match &self.state().held {
                    Some(held) => held.keys.get(kid).ok_or(Refusal::NoKey("unknown signing key")),
                    None => Err(Refusal::NoKey("signing keys unavailable")),
                }
            }
        }
    }

    fn look_up(self: &Arc<Self>, kid: &str) -> Lookup {
        let now = self.clock.now();
        let mut state = self.state();
        self.refresh_if_due(&mut state, now);
        if let Some(key) = state.held.as_ref().and_then(|held| held.keys.get(kid)) {
            return Lookup::Found(key);
        }
        if let Some(landing) = state.landing() {
            return Lookup::Wait(landing);
        }
        if state.held.is_none() {
            return Lookup::Refused(Refusal::NoKey("signing keys unavailable"));
        }
        if !is_over(state.unknown_at, RETRY_UNKNOWN, now) {
            return Lookup::Refused(Refusal::NoKey("unknown signing key"));
        }
        state.unknown_at = Some(now);
        Lookup::Wait(self.fetch(&mut state))
    }

    /// Starts a refresh in the background if one is due; never waits.
    pub(super) fn revalidate(self: &Arc<Self>) {
        let now = self.clock.now();
        self.refresh_if_due(&mut self.state(), now);
    }

    fn refresh_if_due(self: &Arc<Self>, state: &mut State, now: Timestamp) {
        let failed_at = state.failure.as_ref().map(|failure| failure.at);
        let due = match &state.held {
            None => is_over(failed_at, RETRY_EMPTY, now),
            Some(held) => is_over(Some(held.fetched_at), FRESH, now) && is_over(failed_at, RETRY_STALE, now),
        };
        if due && state.landing().is_none() {
            self.fetch(state);
        }
    }

    /// Starts a fetch in a task of its own, so that a caller who hangs up does
    /// not take it away from the others who wait.
    fn fetch(self: &Arc<Self>, state: &mut State) -> CancellationToken {
        let landing = CancellationToken::new();
        state.in_flight = Some(landing.clone());
        let known = state.jwks_uri.clone();
        let cache = Arc::clone(self);
        // Wakes the waiters last, and also if the task panics or is dropped.
        let landed = landing.clone().drop_guard();
        self.tasks.spawn("jwks_fetch", async move {
            let _landed = landed;
            tokio::select! {
                () = cache.tasks.stopping().cancelled() => {}
                fetched = fetch_keys(&cache.http, &cache.source, known) => cache.land(fetched),
            }
        });
        landing
    }

    fn land(&self, fetched: Result<Fetched, String>) {
        let now = self.clock.now();
        let mut state = self.state();
        state.in_flight = None;
        match fetched {
            Ok(Fetched { keys, jwks_uri }) => {
                let keys = match &state.held {
                    Some(held) => keys.replacing(&held.keys),
                    None => keys,
                };
                info!(self.log, "signing keys fetched"; "keys" => keys.len(), "from" => shown(&jwks_uri));
                state.held = Some(Held { keys, fetched_at: now });
                state.jwks_uri = Some(jwks_uri);
                state.failure = None;
            }
            Err(error) => {
                let held = state.held.as_ref().map_or(0, |held| held.keys.len());
                warn!(self.log, "signing keys could not be fetched"; "error" => &error, "old_keys" => held);
                state.jwks_uri = None;
                state.failure = Some(Failure { at: now, error });
            }
        }
    }

    pub(super) fn status(&self) -> KeyStatus {
        let now = self.clock.now();
        let state = self.state();
        let error = state.failure.as_ref().map(|failure| failure.error.clone());
        match (&state.held, error) {
            (None, None) => KeyStatus::NotFetched,
            (None, Some(error)) => KeyStatus::Unavailable { error },
            (Some(held), error) => {
                let (keys, age) = (held.keys.len(), now.since(held.fetched_at));
                if age < FRESH { KeyStatus::Fresh { keys } } else { KeyStatus::Stale { keys, age, error } }
            }
        }
    }

    /// Every change of the state is a single assignment, so what a panic left
    /// behind is still sound.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until no fetch is under way.
    #[cfg(test)]
    pub(super) async fn landed(&self) {
        let landing = self.state().landing();
        if let Some(landing) = landing {
            landing.cancelled().await;
        }
    }
}

impl State {
    fn landing(&self) -> Option<CancellationToken> {
        self.in_flight.clone().filter(|landing| !landing.is_cancelled())
    }
}

/// Whether the `pause` since `last` is over. So it is if the clock was set
/// back: otherwise a wrong clock, once corrected, could lock everyone out for
/// as long as it was wrong.
fn is_over(last: Option<Timestamp>, pause: Duration, now: Timestamp) -> bool {
    last.is_none_or(|last| now < last || now.since(last) >= pause)
}
