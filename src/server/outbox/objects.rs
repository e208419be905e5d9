//! Runs and NodeRuns on their way to the Run Store.
//!
//! ```text
//!   outbox ─read─▶ owed ──▶ ready ──▶ being saved ──accepted──▶ settled, taken out
//!                   ▲         ▲            │
//!                   │         └── later ◀──┘ failed: in a while
//!                   └── changed meanwhile
//! ```
//!
//! An object is sent as it is when it is sent, so however often it changed
//! before, one call will do; and it is in one call at a time, so an older state
//! cannot overtake a newer one. A call that broke off may still take effect
//! when a later one has, though: such an object is sent once more when that can
//! no longer happen, and stays in the outbox until then.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    hash::{DefaultHasher, Hash, Hasher},
    panic::AssertUnwindSafe,
    sync::Arc,
    time::Duration,
};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use quick_cache::unsync::Cache;
use serde::Serialize;
use slog::{Logger, error, info, warn};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{
    LOOK, PUT_ASIDE, Read, SLOW, UNREADABLE,
    acks::Acks,
    ledger::Ledger,
    pace::{self, Pace, is_about_content, reason},
    read, unread_cap,
};
use crate::{
    clients::CallError,
    journal::{Journal, JournalError, OutboxEntry, OutboxId, OutboxItem, Recipient},
    runtime::tasks::panic_message,
    services::RunStore,
    time::{Clock, Timestamp, backoff},
    types::{NodeRunId, RunId},
};

/// Calls at the same time. The store writes them one after the other anyway,
/// and more than a few get in each other's way there.
const AT_ONCE: usize = 4;
/// Waits for an object that the store does not want.
const BASE: Duration = Duration::from_millis(100);
/// A call that broke off has taken effect by then, or never will.
const DOUBT: Duration = Duration::from_secs(30);
/// Objects whose content is remembered, so as not to send the same again.
const REMEMBERED: usize = 10_000;

/// What the lane shares with the rest of the outbox.
#[derive(Default)]
pub(super) struct Objects {
    pub(super) ledger: Ledger,
    pub(super) pace: Pace,
    /// There is something new in the outbox.
    pub(super) news: Notify,
}

/// The one task that brings objects to the Run Store.
pub(super) struct Lane {
    pub(super) shared: Arc<Objects>,
    /// Called when something got on: events wait for their objects.
    pub(super) progress: Box<dyn Fn() + Send + Sync>,
    pub(super) journal: Arc<dyn Journal>,
    pub(super) runs: RunStore,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) stopping: CancellationToken,
    pub(super) log: Logger,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Key {
    Run(RunId),
    Node(NodeRunId),
}

struct Object {
    run: RunId,
    /// Entries to be settled by the next call.
    owed: Vec<OutboxId>,
    /// Those that the call under way settles, if there is one.
    sending: Option<Vec<OutboxId>>,
    /// The store has not been told of it, as far as we know.
    new: bool,
    tries: u32,
    doubt: Option<Doubt>,
}

/// A call broke off that may take effect until then.
struct Doubt {
    until: Timestamp,
    /// Settled, but kept in the outbox.
    ids: Vec<OutboxId>,
}

/// What came of sending an object.
enum Outcome {
    /// The store has this content now.
    Saved {
        content: u64,
    },
    /// It had it before: no call was made.
    Same,
    Refused(CallError),
    /// The journal could not be read.
    Unread(JournalError),
}

/// What the task has in hand.
struct Hand {
    objects: HashMap<Key, Object>,
    ready: VecDeque<Key>,
    later: BTreeSet<(Timestamp, Key)>,
    under_way: FuturesUnordered<BoxFuture<'static, (Key, Timestamp, Outcome)>>,
    /// What the store has, by its hash.
    content: Cache<Key, u64>,
    acks: Acks,
}

impl Lane {
    /// Begins with what is in the outbox, whatever was in hand before.
    pub(super) async fn run(&self) {
        self.shared.ledger.begin();
        let mut hand = Hand {
            objects: HashMap::new(),
            ready: VecDeque::new(),
            later: BTreeSet::new(),
            under_way: FuturesUnordered::new(),
            content: Cache::new(REMEMBERED),
            acks: Acks::new(Arc::clone(&self.journal), Arc::clone(&self.clock), self.log.clone()),
        };
        let (mut unread, mut stopping) = (true, false);
        let mut look_at = self.clock.now();
        loop {
            unread |= self.clock.now() >= look_at;
            if unread && self.shared.ledger.has_room() {
                unread = self.read(&mut hand).await.is_unfinished(stopping);
                look_at = self.clock.now() + LOOK;
            }
            self.begin(&mut hand);
            let idle = hand.under_way.is_empty() && (hand.ready.is_empty() || self.shared.pace.in_trouble());
            let to_read = unread && self.shared.ledger.has_room();
            if stopping && !to_read && idle {
                return hand.acks.finish().await;
            }
            let pause = self.pause(&hand, (!unread).then_some(look_at));
            let Hand { under_way, acks, .. } = &mut hand;
            tokio::select! {
                () = self.shared.news.notified() => unread = true,
                Some((key, began, outcome)) = under_way.next() => self.ended(&mut hand, &key, began, outcome),
                () = acks.work() => {}
                () = pause => {}
                () = std::future::ready(()), if to_read => {}
                () = self.stopping.cancelled(), if !stopping => (unread, stopping) = (true, true),
            }
        }
    }

    /// Reads what is new.
    async fn read(&self, hand: &mut Hand) -> Read {
        let ledger = &self.shared.ledger;
        let (entries, came) =
            read(&*self.journal, Recipient::RunStore, ledger, &*self.clock, &self.log).await;
        for entry in entries {
            hand.take_in(entry);
        }
        // A run that owes nothing is settled by having been read.
        (self.progress)();
        came
    }

    /// Begins as many calls as may be under way.
    fn begin(&self, hand: &mut Hand) {
        let now = self.clock.now();
        while hand.later.first().is_some_and(|(at, _)| *at <= now) {
            hand.ready.extend(hand.later.pop_first().map(|(_, key)| key));
        }
        if self.shared.pace.paused_until(now).is_some() {
            return;
        }
        // In trouble, one call finds out whether it is over.
        let at_once = if self.shared.pace.in_trouble() { 1 } else { AT_ONCE };
        while hand.under_way.len() < at_once {
            let Some(key) = hand.ready.pop_front() else { return };
            let Some(object) = hand.objects.get_mut(&key).filter(|object| object.is_due(now)) else {
                continue;
            };
            object.sending = Some(std::mem::take(&mut object.owed));
            // After a call that broke off, nobody knows what the store has.
            let known = if object.doubt.is_some() { None } else { hand.content.get(&key).copied() };
            let (journal, runs, new) = (Arc::clone(&self.journal), self.runs.clone(), object.new);
            let send = async move {
                let sent = AssertUnwindSafe(send(&*journal, &runs, &key, new, known)).catch_unwind().await;
                let outcome = match sent {
                    Ok(outcome) => outcome.unwrap_or_else(Outcome::Unread),
                    // Or this one object would take the lane with it, each time.
                    Err(panic) => Outcome::Unread(JournalError::Damaged(panic_message(&*panic).into())),
                };
                (key, now, outcome)
            };
            hand.under_way.push(send.boxed());
        }
    }

    fn ended(&self, hand: &mut Hand, key: &Key, began: Timestamp, outcome: Outcome) {
        let now = self.clock.now();
        let Some(object) = hand.objects.get_mut(key) else { return };
        let sent = object.sending.take().unwrap_or_default();
        match outcome {
            Outcome::Saved { content } => {
                if let Some(over) = self.shared.pace.accepted() {
                    let after = now.since(over.since).as_secs_f64();
                    info!(self.log, "the Run Store accepts changes again"; "after_seconds" => after);
                }
                hand.content.insert(key.clone(), content);
                self.settle(hand, key, sent, began);
            }
            Outcome::Same => self.settle(hand, key, sent, began),
            Outcome::Refused(error) => {
                let reason = reason(&error);
                hand.content.remove(key);
                let (first, cap) = match is_about_content(&error) {
                    true => (false, SLOW),
                    false => (self.shared.pace.failed(&error, now), pace::CAP),
                };
                if first || object.tries == 0 {
                    warn!(self.log, "the Run Store did not accept a change: it is tried again";
                        "run_id" => %object.run, "object" => ?key, "reason" => &reason);
                } else if object.tries == PUT_ASIDE && is_about_content(&error) {
                    error!(self.log, "the Run Store does not want a change: it is tried every few minutes";
                        "run_id" => %object.run, "object" => ?key, "reason" => &reason);
                }
                if may_take_effect(&error) {
                    let doubt = object.doubt.get_or_insert(Doubt { until: now, ids: Vec::new() });
                    doubt.until = now + DOUBT;
                }
                self.shared.ledger.refuse(&object.run, &reason);
                hand.again(key, sent, now, cap);
                (self.progress)();
            }
            Outcome::Unread(failure) => {
                if matches!(object.tries, 0 | PUT_ASIDE) {
                    error!(self.log, "what the Run Store is owed cannot be read: it is tried again";
                        "run_id" => %object.run, "object" => ?key, "error" => %failure, "tries" => object.tries);
                }
                // The events that wait for it go without it.
                self.shared.ledger.refuse(&object.run, UNREADABLE);
                hand.again(key, sent, now, unread_cap(&failure));
                (self.progress)();
            }
        }
    }

    /// The store has an object as it was when the call began.
    fn settle(&self, hand: &mut Hand, key: &Key, sent: Vec<OutboxId>, began: Timestamp) {
        let Some(object) = hand.objects.get_mut(key) else { return };
        object.new = false;
        object.tries = 0;
        self.shared.ledger.settle(&object.run, &sent);
        (self.progress)();
        match &mut object.doubt {
            Some(doubt) if began < doubt.until => {
                doubt.ids.extend(sent);
                hand.later.insert((doubt.until, key.clone()));
            }
            doubt => {
                hand.acks.add(doubt.take().map_or(Vec::new(), |doubt| doubt.ids).into_iter().chain(sent))
            }
        }
        if !object.owed.is_empty() {
            hand.ready.push_back(key.clone());
        } else if object.doubt.is_none() {
            hand.objects.remove(key);
        }
    }

    /// Until a call is due that is not under way, or the outbox is looked at.
    fn pause(&self, hand: &Hand, look_at: Option<Timestamp>) -> impl Future<Output = ()> + Send + use<> {
        let now = self.clock.now();
        let later = hand.later.first().map(|(at, _)| *at);
        let paused = self.shared.pace.paused_until(now).filter(|_| !hand.ready.is_empty());
        let next = later.into_iter().chain(paused).chain(look_at).min();
        let clock = Arc::clone(&self.clock);
        async move {
            match next {
                Some(at) => clock.sleep(at.since(now)).await,
                None => std::future::pending().await,
            }
        }
    }
}

impl Object {
    fn is_due(&self, now: Timestamp) -> bool {
        let doubt_is_over = self.doubt.as_ref().is_some_and(|doubt| doubt.until <= now);
        self.sending.is_none() && (!self.owed.is_empty() || doubt_is_over)
    }
}

impl Hand {
    fn take_in(&mut self, entry: OutboxEntry) {
        let OutboxEntry { id, run_id, item } = entry;
        let (key, is_new) = match item {
            OutboxItem::Run { new } => (Key::Run(run_id.clone()), new),
            OutboxItem::NodeRun { node_run_id, new } => (Key::Node(node_run_id), new),
            // Not for the Run Store.
            OutboxItem::Events { .. } => return,
        };
        let object = self.objects.entry(key.clone()).or_insert_with(|| Object {
            run: run_id,
            owed: Vec::new(),
            sending: None,
            new: false,
            tries: 0,
            doubt: None,
        });
        object.owed.push(id);
        object.new |= is_new;
        // One that failed waits for its turn.
        if object.tries == 0 {
            self.ready.push_back(key);
        }
    }

    /// Puts back what a call did not settle.
    fn again(&mut self, key: &Key, sent: Vec<OutboxId>, now: Timestamp, cap: Duration) {
        let Some(object) = self.objects.get_mut(key) else { return };
        if let Some(doubt) = object.doubt.as_mut().filter(|_| sent.is_empty()) {
            // It was to make sure. What is owed by now does not wait for that.
            doubt.until = now + DOUBT;
            self.later.insert((doubt.until, key.clone()));
            if !object.owed.is_empty() {
                self.ready.push_back(key.clone());
            }
            return;
        }
        object.owed.splice(0..0, sent);
        let salt = object.run.as_str();
        self.later.insert((now + backoff(object.tries, BASE, cap, salt), key.clone()));
        object.tries = object.tries.saturating_add(1);
    }
}

/// Brings an object to the store as it is now.
async fn send(
    journal: &dyn Journal,
    runs: &RunStore,
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
            (content, runs.run_save(&record.run, new).await)
        }
        Key::Node(id) => {
            let Some(record) = journal.node_fetch(id).await? else { return Ok(Outcome::Same) };
            let content = hash(&record.node);
            if known == Some(content) {
                return Ok(Outcome::Same);
            }
            (content, runs.node_run_save(&record.node, new).await)
        }
    };
    Ok(saved.map_or_else(Outcome::Refused, |()| Outcome::Saved { content }))
}

/// Of what is sent.
fn hash(object: &impl Serialize) -> u64 {
    let mut hasher = DefaultHasher::new();
    // What cannot be written as JSON cannot be sent either.
    serde_json::to_string(object).unwrap_or_default().hash(&mut hasher);
    hasher.finish()
}

/// The call may be at the store still, or at a proxy before it.
fn may_take_effect(error: &CallError) -> bool {
    !error.never_sent && matches!(error.status, None | Some(502 | 504))
}
