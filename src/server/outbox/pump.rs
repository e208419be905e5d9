//! The outbox pump: the one loop that brings entries to a store. Both stores have
//! a task of it; what differs between them is a [`Destination`].
//!
//! ```text
//!            read                    next_call              ended
//!   outbox ────────▶ take_in ─▶ ready ─────────▶ call ──┬──▶ accepted ─▶ acks ─▶ out of the outbox
//!                                 ▲ ▲                   │
//!                                 │ └── later ◀─────────┤ refused: after a backoff
//!                                 └──── held            └ (more than one attempt, in order)
//!                                        until the other store has what it depends on
//! ```
//!
//! **Invariants.** A key is in one call at a time, so nothing overtakes. While the
//! store accepts nothing, one call at a time finds out whether that is over.
//! Entries in memory are bounded (`backlog`); the rest stays in the journal. A
//! pump that stops first sends what can be sent.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use futures::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use slog::{Logger, warn};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{
    acks::{Acks, RETRY_JOURNAL_AFTER},
    backlog::Backlog,
    backoff::Backoff,
};
use crate::{
    journal::{Duties, Duty, Journal, OutboxEntry, OutboxId, Recipient},
    resilience::ServiceWatch,
    time::{Clock, Timestamp, backoff},
    types::RunId,
};

/// Entries read at a time.
const PAGE: u32 = 500;

/// Upper bound on the polling interval of the outbox. Mostly a pump is notified
/// of new entries; this is for those that it was not notified of.
const POLL_EVERY: Duration = Duration::from_secs(10);
/// The same where other processes add entries, too.
const POLL_SHARED_EVERY: Duration = Duration::from_millis(100);

/// Entries in hand from which on new ones are only looked for when it polls: each look
/// leaves out all that is in hand.
const MANY_IN_HAND: usize = 1000;

/// How long a call that broke off may still take effect.
pub(super) const DOUBT: Duration = Duration::from_secs(30);

/// The first backoff of a single entry.
const BASE: Duration = Duration::from_millis(100);

/// The state of one store that others may ask: answers that wait, health, and
/// the other pump.
#[derive(Default)]
pub(super) struct StoreState {
    pub(super) backlog: Backlog,
    pub(super) backoff: Backoff,
    /// The outbox has new entries.
    pub(super) new_entries: Notify,
    /// The other store has accepted something that held entries may depend on.
    pub(super) unblocked: Notify,
    /// Calls that the store accepted, and refused or did not answer.
    pub(super) accepted: AtomicU64,
    pub(super) refused: AtomicU64,
}

impl StoreState {
    /// Notifies the pump of entries that a commit has added, or may have.
    pub(super) fn entries_added(&self) {
        self.backlog.announce();
        self.new_entries.notify_one();
    }
}

/// What every pump has.
pub(super) struct PumpParts {
    pub(super) store: Arc<StoreState>,
    pub(super) journal: Arc<dyn Journal>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) duties: Arc<Duties>,
    pub(super) stopping: CancellationToken,
    pub(super) watch: ServiceWatch,
    pub(super) log: Logger,
}

/// A call to a store.
pub(super) type Call<D> = BoxFuture<'static, <D as Destination>::Outcome>;

/// What differs between the stores.
pub(super) trait Destination: Sized + Send + Sync {
    const RECIPIENT: Recipient;

    /// The maximum number of concurrent calls.
    const CALLS_MAX: usize;

    /// Entries with the same key are sent in order.
    type Key: Clone + Ord + Send;

    /// What has been read and not been accepted, by key.
    type Entries: Default + Send;

    /// The outcome of a call.
    type Outcome: Send;

    fn parts(&self) -> &PumpParts;

    /// Adds an entry that was read. Its key becomes ready unless it waits for
    /// something.
    fn take_in(&self, state: &mut PumpState<Self>, entry: OutboxEntry);

    /// A page of the outbox was read, with this number of entries.
    fn page_read(&self, entries: usize);

    /// The next call, if any key is ready for one.
    fn next_call(&self, state: &mut PumpState<Self>) -> impl Future<Output = Option<Call<Self>>> + Send;

    /// Settles or retries what a call was about.
    fn ended(&self, state: &mut PumpState<Self>, outcome: Self::Outcome);
}

/// What a pump has in memory.
pub(super) struct PumpState<D: Destination> {
    pub(super) entries: D::Entries,
    /// Keys whose next call may start now.
    pub(super) ready: VecDeque<D::Key>,
    /// Keys whose next call may start at that time.
    pub(super) later: BTreeSet<(Timestamp, D::Key)>,
    /// Keys that wait for the other store.
    pub(super) held: Vec<D::Key>,
    pub(super) acks: Acks,
    /// The highest entry that was read.
    read_to: OutboxId,
    /// What is read was in the outbox when this process took over the duty to send: the
    /// last call of its predecessor may take effect until then.
    pub(super) in_doubt_until: Option<Timestamp>,
    calls: FuturesUnordered<Call<D>>,
}

impl<D: Destination> PumpState<D> {
    fn new(parts: &PumpParts) -> Self {
        let acks = Acks::new(Arc::clone(&parts.journal), Arc::clone(&parts.clock), parts.log.clone());
        Self {
            entries: D::Entries::default(),
            ready: VecDeque::new(),
            later: BTreeSet::new(),
            held: Vec::new(),
            acks,
            read_to: OutboxId::default(),
            in_doubt_until: parts.journal.is_shared().then(|| parts.clock.now() + DOUBT),
            calls: FuturesUnordered::new(),
        }
    }

    /// Schedules another call for a key after `tries` failed ones.
    pub(super) fn retry(&mut self, key: D::Key, tries: u32, run: &RunId, from: Timestamp, cap: Duration) {
        self.later.insert((from + backoff(tries, BASE, cap, run.as_str()), key));
    }
}

/// Runs a pump until it is stopped, whenever this worker has the duty to send. Calls that
/// are under way when it is lost are dropped: the next sender doubts them.
pub(super) async fn run_on_duty<D: Destination>(destination: &D) {
    let PumpParts { store, clock, duties, stopping, .. } = destination.parts();
    loop {
        tokio::select! {
            biased;
            () = duties.held(Duty::Outbox, &**clock) => {}
            () = stopping.cancelled() => return,
        }
        tokio::select! {
            biased;
            () = duties.lost(Duty::Outbox, &**clock) => {}
            () = run(destination) => return,
        }
        store.backlog.reset();
    }
}

/// Runs a pump until it is stopped. It starts with what is in the outbox,
/// whatever a previous run had in memory.
async fn run<D: Destination>(destination: &D) {
    let parts = destination.parts();
    let PumpParts { store, clock, .. } = parts;
    store.backlog.reset();
    let mut state = PumpState::new(parts);
    let (mut unread, mut stopping) = (true, false);
    let poll_every = if parts.journal.is_shared() { POLL_SHARED_EVERY } else { POLL_EVERY };
    let mut poll_at = clock.now();
    loop {
        unread |= clock.now() >= poll_at;
        let is_later = state.acks.in_hand_count() >= MANY_IN_HAND && clock.now() < poll_at;
        if unread && !is_later && store.backlog.has_room() {
            unread = read(destination, &mut state).await.is_unfinished(stopping);
            poll_at = clock.now() + poll_every;
        }
        start_calls(destination, &mut state).await;
        let is_later = state.acks.in_hand_count() >= MANY_IN_HAND && clock.now() < poll_at;
        let to_read = unread && !is_later && store.backlog.has_room();
        let waiting = !state.ready.is_empty() || !state.held.is_empty();
        if stopping && !to_read && state.calls.is_empty() && (!waiting || store.backoff.is_failing()) {
            return state.acks.finish().await;
        }
        let pause = pause(parts, &state, (!unread || is_later).then_some(poll_at));
        let PumpState { calls, acks, .. } = &mut state;
        tokio::select! {
            // In this order, in which nothing keeps the others from their turn: the
            // deletions never end, and a notification is one.
            biased;
            () = parts.stopping.cancelled(), if !stopping => (unread, stopping) = (true, true),
            () = acks.work() => {}
            () = store.unblocked.notified() => state.ready.extend(state.held.drain(..)),
            () = store.new_entries.notified() => unread = true,
            Some(outcome) = calls.next() => destination.ended(&mut state, outcome),
            () = std::future::ready(()), if to_read => {}
            () = pause => {}
        }
    }
}

/// The result of reading the outbox.
#[derive(Clone, Copy)]
enum Read {
    /// There may be more entries.
    More,
    All,
    Failed,
}

impl Read {
    /// Whether to read again. A pump that stops does not wait for a journal that
    /// fails: the next process finds the entries.
    fn is_unfinished(self, stopping: bool) -> bool {
        match self {
            Self::More => true,
            Self::All => false,
            Self::Failed => !stopping,
        }
    }
}

/// Reads new entries. Where other processes write too, one may appear below those that
/// were read, so everything that is not in hand is new.
async fn read<D: Destination>(destination: &D, state: &mut PumpState<D>) -> Read {
    let PumpParts { store, journal, clock, log, .. } = destination.parts();
    let (after, in_hand) = match journal.is_shared() {
        false => (state.read_to, Vec::new()),
        true => (OutboxId::default(), state.acks.in_hand()),
    };
    let began = store.backlog.begin_reading();
    match journal.outbox_owed(D::RECIPIENT, after, &in_hand, PAGE).await {
        Ok(entries) => {
            let (count, is_full) = (entries.len(), entries.len() >= PAGE as usize);
            let ids = entries.iter().map(|entry| (&entry.run_id, entry.id));
            store.backlog.read(ids, (!is_full).then_some(began));
            state.acks.read(entries.iter().map(|entry| entry.id));
            state.read_to = entries.last().map_or(state.read_to, |last| last.id.max(state.read_to));
            entries.into_iter().for_each(|entry| destination.take_in(state, entry));
            destination.page_read(count);
            if is_full {
                return Read::More;
            }
            // What follows was committed later, and nothing was sent of it.
            state.in_doubt_until = None;
            Read::All
        }
        Err(failure) => {
            warn!(log, "could not read the outbox"; "error" => %failure);
            clock.sleep(RETRY_JOURNAL_AFTER).await;
            Read::Failed
        }
    }
}

/// Starts the calls that may start now.
async fn start_calls<D: Destination>(destination: &D, state: &mut PumpState<D>) {
    let PumpParts { store, clock, duties, .. } = destination.parts();
    let now = clock.now();
    if !duties.holds(Duty::Outbox, now) {
        return;
    }
    while state.later.first().is_some_and(|(at, _)| *at <= now) {
        state.ready.extend(state.later.pop_first().map(|(_, key)| key));
    }
    if store.backoff.paused_until(now).is_some() {
        return;
    }
    let max = if store.backoff.is_failing() { 1 } else { D::CALLS_MAX };
    while state.calls.len() < max {
        let Some(call) = destination.next_call(state).await else { return };
        state.calls.push(call);
    }
}

/// Waits until a call may start, or the outbox is to be polled.
fn pause<D: Destination>(
    parts: &PumpParts,
    state: &PumpState<D>,
    poll_at: Option<Timestamp>,
) -> impl Future<Output = ()> + Send + use<D> {
    let now = parts.clock.now();
    let later = state.later.first().map(|(at, _)| *at);
    let paused = parts.store.backoff.paused_until(now).filter(|_| !state.ready.is_empty());
    let next = later.into_iter().chain(paused).chain(poll_at).min();
    let clock = Arc::clone(&parts.clock);
    async move {
        match next {
            Some(at) => clock.sleep(at.since(now)).await,
            None => std::future::pending().await,
        }
    }
}
