//! Runs and NodeRuns on their way to the Run Store.
//!
//! ```text
//!   entry ──▶ owed ──▶ ready ──▶ being saved ──accepted──▶ settled, out of the outbox
//!              ▲         ▲            │
//!              │         └── later ◀──┤ refused: after a backoff
//!              └──────────────────────┘ changed meanwhile
//! ```
//!
//! An object is sent as it is when the call starts, so one call is enough however
//! often it changed before. It is in one call at a time, so an older state cannot
//! overtake a newer one. A call that broke off may still take effect after a later
//! one, though: such an object is sent once more when that cannot happen any more,
//! and its entries stay in the outbox until then.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    panic::AssertUnwindSafe,
    sync::Arc,
    time::Duration,
};

use futures::FutureExt;
use quick_cache::unsync::Cache;
use serde::Serialize;

use super::{
    call_error::may_take_effect,
    destination::{Call, DOUBT, Destination, GATHER, PumpParts, PumpState, StoreState},
};
use crate::{
    clients::CallError,
    journal::{Journal, JournalError, OutboxEntry, OutboxId, OutboxItem, Recipient},
    runtime::tasks::panic_message,
    services::ObjectStore,
    time::Timestamp,
    traces::{Current, Traces, current},
    types::{NodeRun, NodeRunId, RunId},
};

/// Objects whose content is remembered, so that the same is not sent again.
const REMEMBERED: usize = 10_000;

/// The pump's destination for objects.
pub(super) struct Objects {
    pub(super) parts: PumpParts,
    pub(super) to: TracedStore,
    /// Events wait for their objects.
    pub(super) events: Arc<StoreState>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Key {
    Run(RunId),
    Node(NodeRunId),
}

/// What is to be sent, and what the store has.
pub(super) struct Entries {
    objects: HashMap<Key, Object>,
    /// A hash of what the store has.
    content: Cache<Key, u64>,
}

impl Default for Entries {
    fn default() -> Self {
        Self { objects: HashMap::new(), content: Cache::new(REMEMBERED) }
    }
}

struct Object {
    run: RunId,
    /// Entries that the next call settles.
    owed: Vec<OutboxId>,
    /// The next call for them is not before.
    due: Timestamp,
    /// Entries that the call under way settles, if there is one.
    sending: Option<Vec<OutboxId>>,
    /// The store does not have it yet, as far as is known.
    new: bool,
    tries: u32,
    doubt: Option<Doubt>,
}

/// A call broke off that may take effect until then.
struct Doubt {
    until: Timestamp,
    /// Settled entries that stay in the outbox.
    ids: Vec<OutboxId>,
}

/// The outcome of sending an object.
pub(super) struct Sent {
    key: Key,
    began: Timestamp,
    outcome: Outcome,
}

enum Outcome {
    /// The store has content with this hash now.
    Saved(u64),
    /// The store had it before: no call was made.
    Same,
    Refused(CallError),
    /// The journal could not be read.
    Unread(JournalError),
}

impl Destination for Objects {
    const RECIPIENT: Recipient = Recipient::RunStore;
    /// The store writes one after the other anyway, and more than a few calls
    /// get in each other's way there.
    const CALLS_MAX: usize = 4;
    type Key = Key;
    type Entries = Entries;
    type Outcome = Sent;

    fn parts(&self) -> &PumpParts {
        &self.parts
    }

    fn take_in(&self, state: &mut PumpState<Self>, entry: OutboxEntry) {
        let OutboxEntry { id, run_id, item } = entry;
        let (key, new) = match item {
            OutboxItem::Run { new } => (Key::Run(run_id.clone()), new),
            OutboxItem::NodeRun { node_run_id, new } => (Key::Node(node_run_id), new),
            // Not for the Run Store.
            OutboxItem::Events { .. } => return,
        };
        let now = self.parts.clock.now();
        let object = state.entries.objects.entry(key.clone()).or_insert_with(|| Object {
            run: run_id,
            owed: Vec::new(),
            due: now,
            sending: None,
            new: false,
            tries: 0,
            doubt: None,
        });
        // Another entry goes with those before it. After a failure they wait for their next
        // try.
        let is_first = object.owed.is_empty() && object.tries == 0;
        object.owed.push(id);
        object.new |= new;
        if let Some(until) = state.in_doubt_until {
            object.doubt.get_or_insert(Doubt { until, ids: Vec::new() });
        }
        if is_first {
            let due = state.gather(key.clone(), now);
            if let Some(object) = state.entries.objects.get_mut(&key) {
                object.due = due;
            }
        }
    }

    /// A run without entries is settled once the outbox has been read.
    fn page_read(&self, _entries: usize) {
        self.events.unblocked.notify_one();
    }

    async fn next_call(&self, state: &mut PumpState<Self>) -> Option<Call<Self>> {
        let now = self.parts.clock.now();
        let until = if state.stopping { now + GATHER } else { now };
        loop {
            let key = state.ready.pop_front()?;
            let Entries { objects, content } = &mut state.entries;
            let Some(object) = objects.get_mut(&key).filter(|object| object.is_due(now, until)) else {
                continue;
            };
            object.sending = Some(std::mem::take(&mut object.owed));
            // After a call that broke off, it is unknown what the store has.
            let known = if object.doubt.is_some() { None } else { content.get(&key).copied() };
            let (to, new) = (self.to.clone(), object.new);
            let journal = Arc::clone(&self.parts.journal);
            let send = async move {
                let sent = AssertUnwindSafe(to.send(&*journal, &key, new, known)).catch_unwind().await;
                let outcome = match sent {
                    Ok(outcome) => outcome.unwrap_or_else(Outcome::Unread),
                    // Contained, so that one object does not end the pump again and again.
                    Err(panic) => Outcome::Unread(JournalError::Damaged(panic_message(&*panic).into())),
                };
                Sent { key, began: now, outcome }
            };
            return Some(send.boxed());
        }
    }

    fn ended(&self, state: &mut PumpState<Self>, sent: Sent) {
        let now = self.parts.clock.now();
        let Sent { key, began, outcome } = sent;
        let Some(object) = state.entries.objects.get_mut(&key) else { return };
        let ids = object.sending.take().unwrap_or_default();
        let (run, tries) = (&object.run, object.tries);
        match outcome {
            Outcome::Saved(content) => {
                self.parts.accepted(now);
                state.entries.content.insert(key.clone(), content);
                self.settle(state, key, ids, began);
            }
            Outcome::Same => self.settle(state, key, ids, began),
            Outcome::Refused(error) => {
                state.entries.content.remove(&key);
                let refusal = self.parts.refused(&error, now);
                self.parts.log_refused(run, &format!("{key:?}"), tries, &refusal);
                self.parts.store.backlog.refuse(run, &refusal.reason);
                if may_take_effect(&error) {
                    let doubt = object.doubt.get_or_insert(Doubt { until: now, ids: Vec::new() });
                    doubt.until = now + DOUBT;
                }
                retry(state, key, ids, now, refusal.cap);
                self.events.unblocked.notify_one();
            }
            Outcome::Unread(failure) => {
                // The events that wait for it are sent without it.
                let cap = self.parts.unreadable(run, &format!("{key:?}"), tries, &failure);
                retry(state, key, ids, now, cap);
                self.events.unblocked.notify_one();
            }
        }
    }
}

impl Objects {
    /// The store has an object as it was when the call began.
    fn settle(&self, state: &mut PumpState<Self>, key: Key, sent: Vec<OutboxId>, began: Timestamp) {
        let Some(object) = state.entries.objects.get_mut(&key) else { return };
        object.new = false;
        object.tries = 0;
        self.parts.store.backlog.settle(&object.run, &sent);
        self.events.unblocked.notify_one();
        match &mut object.doubt {
            Some(doubt) if began < doubt.until => {
                doubt.ids.extend(sent);
                state.later.insert((doubt.until, key.clone()));
            }
            doubt => {
                let kept = doubt.take().map_or(Vec::new(), |doubt| doubt.ids);
                state.acks.add(kept.into_iter().chain(sent));
            }
        }
        if !object.owed.is_empty() {
            // Or it is gathered still.
            if object.due <= self.parts.clock.now() || state.stopping {
                state.ready.push_back(key);
            }
        } else if object.doubt.is_none() {
            state.entries.objects.remove(&key);
        }
    }
}

impl Object {
    /// Whether a call may start now, with entries that are due `until` then.
    fn is_due(&self, now: Timestamp, until: Timestamp) -> bool {
        let doubt_is_over = self.doubt.as_ref().is_some_and(|doubt| doubt.until <= now);
        let owes = !self.owed.is_empty() && self.due <= until;
        self.sending.is_none() && (owes || doubt_is_over)
    }
}

/// Puts back the entries that a call did not settle.
fn retry(state: &mut PumpState<Objects>, key: Key, sent: Vec<OutboxId>, now: Timestamp, cap: Duration) {
    let Some(object) = state.entries.objects.get_mut(&key) else { return };
    if let Some(doubt) = object.doubt.as_mut().filter(|_| sent.is_empty()) {
        // The call was only to end the doubt. New entries do not wait for that.
        doubt.until = now + DOUBT;
        state.later.insert((doubt.until, key.clone()));
        if !object.owed.is_empty() && object.due <= now {
            state.ready.push_back(key);
        }
        return;
    }
    object.owed.splice(0..0, sent);
    let (run, tries) = (object.run.clone(), object.tries);
    object.tries = tries.saturating_add(1);
    let due = state.retry(key.clone(), tries, &run, now, cap);
    if let Some(object) = state.entries.objects.get_mut(&key) {
        object.due = due;
    }
}

/// The Run Store, and the traces that calls of it belong to.
#[derive(Clone)]
pub(super) struct TracedStore {
    pub(super) runs: Arc<dyn ObjectStore>,
    pub(super) traces: Traces,
}

impl TracedStore {
    /// Sends an object as it is now.
    async fn send(
        &self,
        journal: &dyn Journal,
        key: &Key,
        new: bool,
        known: Option<u64>,
    ) -> Result<Outcome, JournalError> {
        let (content, saved) = match key {
            Key::Run(id) => {
                let Some(record) = journal.run_fetch(id).await? else { return Ok(Outcome::Same) };
                let content = hash(&record.run);
                if known == Some(content) {
                    return Ok(Outcome::Same);
                }
                let current = self.traces.of_run(id, record.trace.as_deref());
                (content, current::scope(current, self.runs.run_save(&record.run, new)).await)
            }
            Key::Node(id) => {
                let Some(record) = journal.node_fetch(id).await? else { return Ok(Outcome::Same) };
                let content = hash(&record.node);
                if known == Some(content) {
                    return Ok(Outcome::Same);
                }
                let current = self.of_node(journal, &record.node).await?;
                (content, current::scope(current, self.runs.node_run_save(&record.node, new)).await)
            }
        };
        Ok(saved.map_or_else(Outcome::Refused, |()| Outcome::Saved(content)))
    }

    /// Without traces, the run is not read for this.
    async fn of_node(&self, journal: &dyn Journal, node: &NodeRun) -> Result<Option<Current>, JournalError> {
        if !self.traces.is_on() {
            return Ok(None);
        }
        let run = journal.run_fetch(&node.run_id).await?;
        Ok(run.and_then(|run| self.traces.of_run(&node.run_id, run.trace.as_deref())))
    }
}

/// A hash of the JSON that is sent.
fn hash(object: &impl Serialize) -> u64 {
    let mut hasher = DefaultHasher::new();
    // An object that cannot be encoded cannot be sent either.
    serde_json::to_string(object).unwrap_or_default().hash(&mut hasher);
    hasher.finish()
}
