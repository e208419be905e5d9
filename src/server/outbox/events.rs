//! Events on their way to the Event Stream.
//!
//! ```text
//!   entry ──▶ ranges of a run ──▶ ready ──▶ one batch ──▶ append ──accepted──▶ settled, out of the outbox
//!                                   ▲                       │
//!                                   │ PerRun, PerEvent ◀────┤ a duplicate is in the batch, or it was rejected
//!                                   └── later ◀─────────────┘ refused: after a backoff
//! ```
//!
//! One batch is under way at a time, with the events of as many runs as have
//! some; events that arrive meanwhile go with the next. If no answer waits for them,
//! batches that are not full begin some time apart. The store accepts a batch
//! as a whole or not at all. So after a duplicate, each of its runs is sent in a
//! batch of its own, and then event by event until one of them is new: the others
//! are there.
//!
//! The events of a run are held until the Run Store has the objects that were
//! decided with them, so that the reader of an event finds what it is about; but
//! not while the Run Store accepts nothing.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use futures::FutureExt;
use slog::warn;

use super::{
    backlog::Moment,
    destination::{Call, Destination, PumpParts, PumpState, StoreState},
};
use crate::{
    clients::CallError,
    journal::{JournalError, OutboxEntry, OutboxId, OutboxItem, PageLimit, Recipient},
    services::{Appended, EventLog},
    time::Timestamp,
    types::RunId,
};

/// The largest batch.
const BATCH_MAX: PageLimit = PageLimit { entries: 500, bytes: 1 << 20 };

/// How often held events are looked at while others are gathered.
const LOOKS_MEANWHILE: u32 = 4;

/// The pump's destination for events.
pub(super) struct Events {
    pub(super) parts: PumpParts,
    pub(super) stream: Arc<dyn EventLog>,
    /// Events wait for their objects.
    pub(super) objects: Arc<StoreState>,
}

/// The ranges of events that one run owes, oldest first.
#[derive(Default)]
pub(super) struct RunEvents {
    ranges: VecDeque<Range>,
    mode: BatchMode,
    tries: u32,
}

struct Range {
    id: OutboxId,
    first: u64,
    last: u64,
    /// When it was read, as the backlog of objects counts.
    read: Moment,
}

/// How a run's events are batched.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum BatchMode {
    /// Together with those of other runs.
    #[default]
    Batched,
    /// In a batch of their own.
    PerRun,
    /// One at a time, because some of them are there already.
    PerEvent,
}

/// Events of some runs, to be accepted together.
#[derive(Default)]
pub(super) struct Batch {
    lines: Vec<String>,
    bytes: usize,
    /// For each run, the last `seq` in the batch.
    upto: Vec<(RunId, u64)>,
    /// That of its runs.
    mode: BatchMode,
}

impl Destination for Events {
    const RECIPIENT: Recipient = Recipient::EventStream;
    const CALLS_MAX: usize = 1;
    type Key = RunId;
    type Entries = HashMap<RunId, RunEvents>;
    type Outcome = (Batch, Result<Appended, CallError>);

    fn parts(&self) -> &PumpParts {
        &self.parts
    }

    fn take_in(&self, state: &mut PumpState<Self>, entry: OutboxEntry) {
        let (first, last) = match entry.item {
            OutboxItem::Events { first, last } => (first, last),
            // Not for the Event Stream.
            OutboxItem::Run { .. } | OutboxItem::NodeRun { .. } => return,
        };
        let now = self.parts.clock.now();
        if !state.entries.contains_key(&entry.run_id) {
            state.gather(entry.run_id.clone(), now);
        }
        let run = state.entries.entry(entry.run_id).or_default();
        run.ranges.push_back(Range { id: entry.id, first, last, read: self.objects.backlog.now() });
    }

    /// That nothing is owed of their objects is known once those have been read, too.
    fn page_read(&self, entries: usize) {
        if entries > 0 {
            self.objects.new_entries.notify_one();
        }
    }

    async fn next_call(&self, state: &mut PumpState<Self>) -> Option<Call<Self>> {
        // Those that were held go first: they must not wait for a moment without others.
        if self.parts.store.unblocked.notified().now_or_never().is_some() {
            let ready = std::mem::take(&mut state.ready);
            state.ready = state.held.drain(..).chain(ready).collect();
        }
        if state.ready.is_empty() {
            return None;
        }
        let Some(batch) = self.gather(state).await else {
            // All of them are held: they are not looked at with each object that is settled.
            state.pace(self.parts.clock.now(), LOOKS_MEANWHILE);
            return None;
        };
        if batch.mode == BatchMode::Batched && !batch.is_full() {
            state.pace(self.parts.clock.now(), 1);
        }
        let stream = Arc::clone(&self.stream);
        let append = async move {
            let appended = stream.append(&batch.lines).await;
            (batch, appended)
        };
        Some(append.boxed())
    }

    fn ended(&self, state: &mut PumpState<Self>, (batch, appended): Self::Outcome) {
        match appended {
            Ok(appended) => {
                self.parts.accepted(self.parts.clock.now());
                let (accepted, mode) = match appended {
                    Appended::All => (true, BatchMode::Batched),
                    // It is there, which is all that matters.
                    Appended::Duplicate if batch.is_single() => (true, BatchMode::PerEvent),
                    Appended::Duplicate if batch.upto.len() > 1 => (false, BatchMode::PerRun),
                    Appended::Duplicate => (false, BatchMode::PerEvent),
                };
                for (run, upto) in &batch.upto {
                    let settled = state.sent(run, accepted.then_some(*upto), mode);
                    self.parts.store.backlog.settle(run, &settled);
                    state.acks.add(settled);
                }
            }
            Err(error) => self.refused(state, &batch, &error),
        }
    }
}

impl Events {
    fn refused(&self, state: &mut PumpState<Self>, batch: &Batch, error: &CallError) {
        let now = self.parts.clock.now();
        let refusal = self.parts.refused(error, now);
        let [(run, _)] = batch.upto.as_slice() else {
            // Perhaps only one of the runs is the reason.
            batch.upto.iter().for_each(|(run, _)| drop(state.sent(run, None, BatchMode::PerRun)));
            if refusal.is_first {
                warn!(self.parts.log, "store did not accept a batch, will retry run by run";
                    "runs" => batch.upto.len(), "error" => &refusal.reason);
            }
            return;
        };
        if refusal.is_about_content && !batch.is_single() {
            // Perhaps only one of the events is the reason.
            state.sent(run, None, BatchMode::PerEvent);
            return;
        }
        self.parts.log_refused(run, "Events", state.tries(run), &refusal);
        self.parts.store.backlog.refuse(run, &refusal.reason);
        state.retry_run(run, now, refusal.cap);
    }

    /// The next batch, if there are events to send now.
    async fn gather(&self, state: &mut PumpState<Self>) -> Option<Batch> {
        let mut batch = Batch::default();
        for _ in 0..state.ready.len() {
            let Some(id) = state.ready.pop_front() else { break };
            let Some(run) = state.entries.get(&id) else { continue };
            let Some(range) = run.ranges.front() else { continue };
            if !self.objects_are_there(&id, range) {
                state.held.push(id);
                continue;
            }
            if run.mode != BatchMode::Batched && !batch.lines.is_empty() {
                state.ready.push_front(id);
                break;
            }
            let before = (batch.lines.len(), batch.bytes);
            match self.add(&mut batch, &id, run).await {
                Ok(true) => batch.mode = run.mode,
                Ok(false) => state.held.push(id.clone()),
                Err(failure) => {
                    batch.lines.truncate(before.0);
                    batch.bytes = before.1;
                    let cap = self.parts.unreadable(&id, "Events", run.tries, &failure);
                    state.retry_run(&id, self.parts.clock.now(), cap);
                    continue;
                }
            }
            if run.mode != BatchMode::Batched || batch.is_full() {
                break;
            }
        }
        (!batch.lines.is_empty()).then_some(batch)
    }

    /// What was decided with this entry is in the Run Store, or will not be for
    /// a while.
    fn objects_are_there(&self, run: &RunId, range: &Range) -> bool {
        let StoreState { backlog, backoff, .. } = &*self.objects;
        backlog.is_settled(run, range.id, range.read) || backoff.is_failing() || backlog.is_refused(run)
    }

    /// Adds as many of a run's events as there is room for, up to the first entry
    /// that has to wait. Returns false if there are none.
    async fn add(&self, batch: &mut Batch, id: &RunId, run: &RunEvents) -> Result<bool, JournalError> {
        let mut upto = None;
        for range in &run.ranges {
            if batch.is_full() || !self.objects_are_there(id, range) {
                break;
            }
            let (mut after, last) = match run.mode {
                BatchMode::Batched | BatchMode::PerRun => (range.first - 1, range.last),
                BatchMode::PerEvent => (range.first - 1, range.first),
            };
            while after < last && !batch.is_full() {
                let wanted = u32::try_from(last - after).unwrap_or(u32::MAX);
                let PageLimit { entries, bytes } = batch.room();
                let limit = PageLimit { entries: entries.min(wanted), bytes };
                let page = self.parts.journal.events_after(id, after, None, limit).await?;
                for (seq, line) in page.events {
                    batch.bytes += line.len();
                    batch.lines.push(line);
                    upto = Some(seq);
                }
                if page.scanned_to <= after || page.at_end && page.scanned_to < last {
                    return Err(JournalError::Damaged(format!("no event {} of {last}", after + 1)));
                }
                after = page.scanned_to;
            }
            if run.mode == BatchMode::PerEvent {
                break;
            }
        }
        batch.upto.extend(upto.map(|seq| (id.clone(), seq)));
        Ok(upto.is_some())
    }
}

impl Batch {
    fn room(&self) -> PageLimit {
        let lines = u32::try_from(self.lines.len()).unwrap_or(u32::MAX);
        PageLimit {
            entries: BATCH_MAX.entries.saturating_sub(lines),
            bytes: BATCH_MAX.bytes.saturating_sub(self.bytes),
        }
    }

    fn is_full(&self) -> bool {
        let PageLimit { entries, bytes } = self.room();
        entries == 0 || bytes == 0
    }

    fn is_single(&self) -> bool {
        self.lines.len() == 1
    }
}

impl PumpState<Events> {
    fn tries(&self, run: &RunId) -> u32 {
        self.entries.get(run).map_or(0, |run| run.tries)
    }

    /// Ends a run's turn: `accepted` is the last `seq` that the store accepted, if
    /// it accepted any. Returns the entries that are settled by that.
    fn sent(&mut self, id: &RunId, accepted: Option<u64>, mode: BatchMode) -> Vec<OutboxId> {
        let Some(run) = self.entries.get_mut(id) else { return Vec::new() };
        run.mode = mode;
        let mut settled = Vec::new();
        if let Some(upto) = accepted {
            run.tries = 0;
            let whole = run.ranges.iter().take_while(|range| range.last <= upto).count();
            settled.extend(run.ranges.drain(..whole).map(|range| range.id));
            if let Some(range) = run.ranges.front_mut() {
                range.first = range.first.max(upto + 1);
            }
        }
        if run.ranges.is_empty() {
            self.entries.remove(id);
        } else {
            self.ready.push_back(id.clone());
        }
        settled
    }

    /// Schedules another turn for a run whose turn failed.
    fn retry_run(&mut self, id: &RunId, now: Timestamp, cap: Duration) {
        let Some(run) = self.entries.get_mut(id) else { return };
        let tries = run.tries;
        run.tries = tries.saturating_add(1);
        self.retry(id.clone(), tries, id, now, cap);
    }
}
