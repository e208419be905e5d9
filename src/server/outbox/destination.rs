//! What a pump and the two stores share: what a store is to a pump ([`Destination`]), and
//! what the pump has in memory of its entries ([`PumpState`]).

use std::{
    collections::{BTreeSet, VecDeque},
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use futures::{future::BoxFuture, stream::FuturesUnordered};
use slog::Logger;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{acks::Acks, backlog::Backlog, backoff::Backoff};
use crate::{
    journal::{Duties, Journal, OutboxEntry, OutboxId, Recipient},
    resilience::ServiceWatch,
    time::{Clock, Timestamp, backoff},
    types::RunId,
};

/// Entries in hand from which on new ones are only looked for when it polls: each look
/// leaves out all that is in hand.
const MANY_IN_HAND: usize = 1000;

/// How long changes of one object, and events of all runs, are gathered before they are
/// sent, if no answer waits for them. Most short runs end meanwhile.
pub(super) const GATHER: Duration = Duration::from_millis(50);

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
    /// [`GATHER`], or nothing.
    pub(super) gather: Duration,
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
    /// Keys whose next call may start at that time, in the order of these times.
    pub(super) gathered: VecDeque<(Timestamp, D::Key)>,
    /// Keys whose next call may start now.
    pub(super) ready: VecDeque<D::Key>,
    /// Keys whose next call may start at that time.
    pub(super) later: BTreeSet<(Timestamp, D::Key)>,
    /// Keys that wait for the other store.
    pub(super) held: Vec<D::Key>,
    pub(super) acks: Acks,
    /// The highest entry that was read.
    pub(super) read_to: OutboxId,
    /// For how long keys are gathered.
    pub(super) gather: Duration,
    /// The pump stops: nothing is gathered any more.
    pub(super) stopping: bool,
    /// The next reading, and the next call of a store that takes many keys in one, are
    /// not before these times.
    pub(super) read_from: Timestamp,
    pub(super) call_from: Timestamp,
    /// What is read was in the outbox when this process took over the duty to send: the
    /// last call of its predecessor may take effect until then.
    pub(super) in_doubt_until: Option<Timestamp>,
    pub(super) calls: FuturesUnordered<Call<D>>,
}

impl<D: Destination> PumpState<D> {
    pub(super) fn new(parts: &PumpParts) -> Self {
        let (journal, clock) = (Arc::clone(&parts.journal), Arc::clone(&parts.clock));
        let acks = Acks::new(journal, clock, parts.gather, parts.log.clone());
        let now = parts.clock.now();
        Self {
            entries: D::Entries::default(),
            gathered: VecDeque::new(),
            ready: VecDeque::new(),
            later: BTreeSet::new(),
            held: Vec::new(),
            acks,
            read_to: OutboxId::default(),
            gather: parts.gather,
            stopping: false,
            read_from: now,
            call_from: now,
            in_doubt_until: parts.journal.is_shared().then(|| now + DOUBT),
            calls: FuturesUnordered::new(),
        }
    }

    /// Schedules the next call for a key of which the first entry was read now. Returns
    /// the time.
    pub(super) fn gather(&mut self, key: D::Key, now: Timestamp) -> Timestamp {
        let at = now + self.gather;
        if self.gather.is_zero() {
            self.ready.push_back(key);
        } else {
            self.gathered.push_back((at, key));
        }
        at
    }

    /// No call begins for a part of the time that keys are gathered: of a store that takes
    /// all that are ready in one.
    pub(super) fn pace(&mut self, now: Timestamp, part: u32) {
        self.call_from = now + self.gather / part;
    }

    /// Schedules another call for a key after `tries` failed ones. Returns the time.
    pub(super) fn retry(
        &mut self,
        key: D::Key,
        tries: u32,
        run: &RunId,
        from: Timestamp,
        cap: Duration,
    ) -> Timestamp {
        let at = from + backoff(tries, BASE, cap, run.as_str());
        self.later.insert((at, key));
        at
    }

    /// Nothing is gathered any more.
    pub(super) fn hurry(&mut self, now: Timestamp) {
        (self.stopping, self.gather) = (true, Duration::ZERO);
        (self.read_from, self.call_from) = (now, now);
        self.ready.extend(self.gathered.drain(..).map(|(_, key)| key));
    }

    /// Moves the keys whose time has come to those that are ready.
    pub(super) fn due(&mut self, now: Timestamp) {
        while self.gathered.front().is_some_and(|(at, _)| *at <= now) {
            self.ready.extend(self.gathered.pop_front().map(|(_, key)| key));
        }
        while self.later.first().is_some_and(|(at, _)| *at <= now) {
            self.ready.extend(self.later.pop_first().map(|(_, key)| key));
        }
    }
    /// From when on the outbox may be read.
    pub(super) fn read_at(&self, poll_at: Timestamp) -> Timestamp {
        if self.acks.in_hand_count() >= MANY_IN_HAND { poll_at } else { self.read_from }
    }

    pub(super) fn may_read(&self, store: &StoreState, now: Timestamp, poll_at: Timestamp) -> bool {
        now >= self.read_at(poll_at) && store.backlog.has_room()
    }
}
