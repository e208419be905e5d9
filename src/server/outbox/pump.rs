//! The outbox pump: the one loop that brings entries to a store. Both stores have
//! a task of it; what differs between them is a [`Destination`].
//!
//! ```text
//!            read                      next_call              ended
//!   outbox ────────▶ gathered ─▶ ready ─────────▶ call ──┬──▶ accepted ─▶ acks ─▶ out of the outbox
//!                                  ▲ ▲                   │
//!                                  │ └── later ◀─────────┤ refused: after a backoff
//!                                  └──── held            └ (more than one attempt, in order)
//!                                         until the other store has what it depends on
//! ```
//!
//! If no answer waits for the stores, a key stays gathered for a moment ([`GATHER`](super::destination::GATHER)):
//! what changes meanwhile costs no call of its own. For the same reason the outbox is read,
//! events are appended and entries are deleted in groups, some time apart.
//!
//! **Invariants.** A key is in one call at a time, so nothing overtakes. While the
//! store accepts nothing, one call at a time finds out whether that is over.
//! Entries in memory are bounded (`backlog`); the rest stays in the journal. A
//! pump that stops first sends what can be sent.

use std::{sync::Arc, time::Duration};

use futures::{FutureExt, StreamExt};
use slog::warn;

use super::{
    acks::RETRY_JOURNAL_AFTER,
    destination::{Destination, PumpParts, PumpState},
};
use crate::{
    journal::{Duty, OutboxId},
    time::Timestamp,
};

/// Entries read at a time.
const PAGE: u32 = 500;

/// Upper bound on the polling interval of the outbox. Mostly a pump is notified
/// of new entries; this is for those that it was not notified of.
const POLL_EVERY: Duration = Duration::from_secs(10);
/// The same where other processes add entries, too.
const POLL_SHARED_EVERY: Duration = Duration::from_millis(100);

/// The outbox is read this many times while changes are gathered.
const READS_MEANWHILE: u32 = 4;

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
    let mut unread = true;
    let poll_every = if parts.journal.is_shared() { POLL_SHARED_EVERY } else { POLL_EVERY };
    let mut poll_at = clock.now();
    loop {
        unread |= clock.now() >= poll_at;
        if unread && state.may_read(store, clock.now(), poll_at) {
            // What was committed before the reading needs no other one.
            let _notified = store.new_entries.notified().now_or_never();
            unread = read(destination, &mut state).await.is_unfinished(state.stopping);
            poll_at = clock.now() + poll_every;
        }
        start_calls(destination, &mut state).await;
        let now = clock.now();
        let to_read = unread && state.may_read(store, now, poll_at);
        let waiting = !state.ready.is_empty() || !state.held.is_empty();
        if state.stopping && !to_read && state.calls.is_empty() && (!waiting || store.backoff.is_failing()) {
            return state.acks.finish().await;
        }
        // If only room is missing, an entry that is settled makes some.
        let read_at =
            if unread { Some(state.read_at(poll_at)).filter(|&at| at > now) } else { Some(poll_at) };
        let pause = pause(parts, &state, now, read_at);
        let (is_paced, stopping) = (state.call_from > now, state.stopping);
        let PumpState { calls, acks, held, ready, .. } = &mut state;
        tokio::select! {
            // In this order, in which nothing keeps the others from their turn: the
            // deletions never end, and a notification is one.
            biased;
            () = parts.stopping.cancelled(), if !stopping => {
                unread = true;
                state.hurry(clock.now());
            }
            () = acks.work() => {}
            // Without them the notifications wait: each would wake the pump.
            () = store.unblocked.notified(), if !held.is_empty() && !is_paced => {
                ready.extend(held.drain(..));
            }
            () = store.new_entries.notified(), if !unread => unread = true,
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
            let now = clock.now();
            store.backlog.read(ids, (!is_full).then_some(began), now);
            state.acks.read(entries.iter().map(|entry| entry.id));
            state.read_to = entries.last().map_or(state.read_to, |last| last.id.max(state.read_to));
            entries.into_iter().for_each(|entry| destination.take_in(state, entry));
            destination.page_read(count);
            if is_full {
                return Read::More;
            }
            state.read_from = now + state.gather / READS_MEANWHILE;
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
    state.due(now);
    if now < state.call_from || store.backoff.paused_until(now).is_some() {
        return;
    }
    let max = if store.backoff.is_failing() { 1 } else { D::CALLS_MAX };
    while state.calls.len() < max {
        let Some(call) = destination.next_call(state).await else { return };
        state.calls.push(call);
    }
}

/// Waits until a call may start, or until the outbox is to be read.
fn pause<D: Destination>(
    parts: &PumpParts,
    state: &PumpState<D>,
    now: Timestamp,
    read_at: Option<Timestamp>,
) -> impl Future<Output = ()> + Send + use<D> {
    let waiting = !state.ready.is_empty() || !state.held.is_empty();
    let times = [
        state.gathered.front().map(|(at, _)| *at),
        state.later.first().map(|(at, _)| *at),
        Some(state.call_from).filter(|&at| waiting && at > now),
        parts.store.backoff.paused_until(now).filter(|_| !state.ready.is_empty()),
        read_at,
    ];
    let next = times.into_iter().flatten().min();
    let clock = Arc::clone(&parts.clock);
    async move {
        match next {
            Some(at) => clock.sleep(at.since(now)).await,
            None => std::future::pending().await,
        }
    }
}
