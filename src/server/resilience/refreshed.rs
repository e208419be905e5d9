//! A value that is fetched from elsewhere, shared by all callers, and refreshed
//! in the background before it expires: signing keys, access tokens.
//!
//! ```text
//!            find                fetched               stale_at
//!   empty ──────────▶ fetching ──────────▶ fresh ──────────────▶ stale ──── expires_at ──▶ empty
//!     ▲                  │                  ▲ ▲                   │  ▲
//!     │   failed:        │                  │ │ fetched      find │  │ failed: cool-down,
//!     ├── cool-down, ◀───┘                  │ │                   ▼  │ callers get the old value
//!     │   callers get the error             │ └───────────── refreshing
//!     └── discard ──────────────────────────┘
//! ```
//!
//! **Invariants.** At most one fetch is under way (single flight). A caller waits only if the value at hand does not answer its
//! question, and for one fetch at most, which ends after
//! [`RefreshOptions::limit`]. All callers that wait for a fetch share its outcome. A
//! fetch is a task of its own: a caller that gives up does not take it away from
//! the others.
//!
//! A value may turn out to be unfit before it is stale: a key is missing from
//! the set, a token is refused. [`Refreshed::find`] and [`Refreshed::discard`]
//! then fetch another value, but not more often than [`Pauses::unfit`] allows,
//! so that a flood of such questions costs one fetch.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::CoolDown;
use crate::{
    runtime::tasks::TaskSet,
    time::{Clock, Timestamp, within},
};

/// Where a value comes from.
#[async_trait]
pub trait Source<T>: Send + Sync + 'static {
    /// Fetches the value once. `held` is the value that it replaces.
    async fn fetch(&self, held: Option<T>) -> Result<Fetched<T>, String>;
}

/// A fetched value and how long it is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched<T> {
    pub value: T,
    /// From then on it is refreshed in the background.
    pub stale_at: Timestamp,
    /// From then on it is not used; `None`: it is used until it is replaced.
    pub expires_at: Option<Timestamp>,
}

/// How long not to fetch again.
#[derive(Clone, Copy, Debug)]
pub struct Pauses {
    /// After a failure without a value at hand. Zero: each caller tries.
    pub empty: Duration,
    /// After a failure with an old value at hand.
    pub stale: Duration,
    /// Between two fetches because the value at hand was unfit.
    pub unfit: Duration,
}

/// How a value is refreshed.
#[derive(Clone, Copy, Debug)]
pub struct RefreshOptions {
    /// The name of the background task.
    pub task: &'static str,
    /// A fetch that takes longer has failed.
    pub limit: Duration,
    pub pauses: Pauses,
}

/// A shared value with single-flight refresh.
pub struct Refreshed<T> {
    options: RefreshOptions,
    source: Box<dyn Source<T>>,
    clock: Arc<dyn Clock>,
    tasks: TaskSet,
    state: Mutex<State<T>>,
}

/// The state of a value, for health.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status<T> {
    /// No value. The error is that of the last fetch, if there was one.
    Empty {
        error: Option<String>,
    },
    Fresh {
        value: T,
    },
    /// Due for a refresh. Without an error, none has failed yet.
    Stale {
        value: T,
        age: Duration,
        error: Option<String>,
    },
}

/// Each change is a single assignment, so what a panic leaves behind is sound.
struct State<T> {
    held: Option<Held<T>>,
    /// Gives the outcome of the fetch under way.
    in_flight: Option<Landing<T>>,
    failures: CoolDown,
    /// Of the last fetch, if it failed.
    error: Option<String>,
    /// When the value at hand was last unfit.
    unfit: CoolDown,
}

struct Held<T> {
    fetched: Fetched<T>,
    fetched_at: Timestamp,
}

type Outcome<T> = Result<T, String>;
type Landing<T> = watch::Receiver<Option<Outcome<T>>>;

enum Lookup<T, U> {
    Found(U),
    Wait(Landing<T>),
    /// There is a value, and `pick` finds nothing in it.
    Missing,
    Failed(String),
}

impl<T: Clone + Send + Sync + 'static> Refreshed<T> {
    pub fn new(
        options: RefreshOptions,
        source: impl Source<T>,
        clock: Arc<dyn Clock>,
        tasks: TaskSet,
    ) -> Arc<Self> {
        let state = State {
            held: None,
            in_flight: None,
            failures: CoolDown::default(),
            error: None,
            unfit: CoolDown::default(),
        };
        Arc::new(Self { options, source: Box::new(source), clock, tasks, state: Mutex::new(state) })
    }

    /// What `pick` finds in the value: at once if it is at hand, else after one
    /// fetch. `None` if the value does not have it. The error says why there is
    /// no value.
    pub async fn find<U>(
        self: &Arc<Self>,
        pick: impl Fn(&T) -> Option<U> + Send,
    ) -> Result<Option<U>, String> {
        let landing = match self.look_up(&pick) {
            Lookup::Found(found) => return Ok(Some(found)),
            Lookup::Missing => return Ok(None),
            Lookup::Failed(error) => return Err(error),
            Lookup::Wait(landing) => landing,
        };
        match landed(landing).await {
            // As it was fetched: it may have expired by now, and is still the
            // best there is.
            Ok(value) => Ok(pick(&value)),
            Err(error) => match self.state.lock().usable(self.clock.now()) {
                Some(value) => Ok(pick(value)),
                None => Err(error),
            },
        }
    }

    fn look_up<U>(self: &Arc<Self>, pick: &impl Fn(&T) -> Option<U>) -> Lookup<T, U> {
        let now = self.clock.now();
        let mut state = self.state.lock();
        self.refresh_if_due(&mut state, now);
        let usable = state.usable(now);
        if let Some(found) = usable.and_then(pick) {
            return Lookup::Found(found);
        }
        let is_empty = usable.is_none();
        if let Some(landing) = state.landing() {
            return Lookup::Wait(landing);
        }
        if is_empty {
            return Lookup::Failed(state.error.clone().unwrap_or_default());
        }
        if !state.unfit.is_over(self.options.pauses.unfit, now) {
            return Lookup::Missing;
        }
        state.unfit.failed(now);
        Lookup::Wait(self.fetch(&mut state))
    }

    /// Starts a fetch in the background if one is due. Never waits.
    pub fn revalidate(self: &Arc<Self>) {
        let now = self.clock.now();
        self.refresh_if_due(&mut self.state.lock(), now);
    }

    /// Drops the value at hand if it is unfit. False if that was done a moment
    /// ago with another value: the next one would not be better.
    pub fn discard(&self, is_unfit: impl Fn(&T) -> bool) -> bool {
        let now = self.clock.now();
        let mut state = self.state.lock();
        if !state.held.as_ref().is_some_and(|held| is_unfit(&held.fetched.value)) {
            return true;
        }
        if !state.unfit.is_over(self.options.pauses.unfit, now) {
            return false;
        }
        state.unfit.failed(now);
        state.held = None;
        true
    }

    pub fn status(&self) -> Status<T> {
        let now = self.clock.now();
        let state = self.state.lock();
        let error = state.error.clone();
        match &state.held {
            None => Status::Empty { error },
            Some(Held { fetched, fetched_at }) => {
                let value = fetched.value.clone();
                if fetched.stale_at <= now {
                    Status::Stale { value, age: now.since(*fetched_at), error }
                } else {
                    Status::Fresh { value }
                }
            }
        }
    }

    fn refresh_if_due(self: &Arc<Self>, state: &mut State<T>, now: Timestamp) {
        let Pauses { empty, stale, unfit: _ } = self.options.pauses;
        let is_due = match &state.held {
            Some(held) if held.is_usable(now) => held.is_stale(now) && state.failures.is_over(stale, now),
            Some(_) | None => state.failures.is_over(empty, now),
        };
        if is_due && state.landing().is_none() {
            self.fetch(state);
        }
    }

    fn fetch(self: &Arc<Self>, state: &mut State<T>) -> Landing<T> {
        let (sender, landing) = watch::channel(None);
        state.in_flight = Some(landing.clone());
        let held = state.held.as_ref().map(|held| held.fetched.value.clone());
        let this = Arc::clone(self);
        self.tasks.spawn(self.options.task, async move {
            let fetched = within(&*this.clock, this.options.limit, this.source.fetch(held)).await;
            let outcome = this.land(fetched.unwrap_or_else(|| Err("no answer in time".to_owned())));
            sender.send_replace(Some(outcome));
        });
        landing
    }

    fn land(&self, fetched: Result<Fetched<T>, String>) -> Outcome<T> {
        let now = self.clock.now();
        let mut state = self.state.lock();
        state.in_flight = None;
        match fetched {
            Ok(fetched) => {
                let value = fetched.value.clone();
                state.held = Some(Held { fetched, fetched_at: now });
                state.failures.succeeded();
                state.error = None;
                Ok(value)
            }
            Err(error) => {
                state.failures.failed(now);
                state.error = Some(error.clone());
                Err(error)
            }
        }
    }

    /// Waits until no fetch is under way.
    #[cfg(test)]
    pub(crate) async fn landed(&self) {
        let landing = self.state.lock().landing();
        if let Some(landing) = landing {
            let _outcome = landed(landing).await;
        }
    }
}

impl<T> State<T> {
    fn usable(&self, now: Timestamp) -> Option<&T> {
        self.held.as_ref().filter(|held| held.is_usable(now)).map(|held| &held.fetched.value)
    }

    /// The fetch under way. One whose task is gone is not under way.
    fn landing(&self) -> Option<Landing<T>> {
        self.in_flight.clone().filter(|landing| landing.has_changed().is_ok())
    }
}

impl<T> Held<T> {
    fn is_usable(&self, now: Timestamp) -> bool {
        self.fetched.expires_at.is_none_or(|expires_at| now < expires_at)
    }

    /// Also after the clock was set back: its age is unknown then.
    fn is_stale(&self, now: Timestamp) -> bool {
        self.fetched.stale_at <= now || now < self.fetched_at
    }
}

async fn landed<T: Clone>(mut landing: Landing<T>) -> Outcome<T> {
    let abandoned = || Err("the fetch was abandoned".to_owned());
    match landing.wait_for(Option::is_some).await {
        Ok(outcome) => outcome.clone().unwrap_or_else(abandoned),
        Err(_) => abandoned(),
    }
}

#[cfg(test)]
mod tests;
