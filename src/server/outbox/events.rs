//! Events on their way to the Event Stream.
//!
//! ```text
//!   outbox ─read─▶ runs, in turn ──▶ one batch ──▶ append ──accepted──▶ settled, taken out
//!                      ▲                             │
//!                      │ alone, then one by one ◀────┤ a duplicate is among them
//!                      └ in a while ◀────────────────┘ failed
//! ```
//!
//! One batch is under way at a time, of as many runs as have something; what
//! comes meanwhile goes with the next. A batch is accepted as a whole or not at
//! all, so after a duplicate its runs are sent each for itself, and then event
//! by event until one is new: the others are there.
//!
//! The events of a run wait until the Run Store has what was decided with them,
//! so that whoever reads of an event finds it done; but not while the Run Store
//! accepts nothing.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use slog::{Logger, error, info, warn};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{
    LOOK, PUT_ASIDE, Read, SLOW, UNREADABLE,
    acks::Acks,
    ledger::Ledger,
    objects::Objects,
    pace::{self, Pace, is_about_content, reason},
    read, unread_cap,
};
use crate::{
    clients::CallError,
    journal::{Journal, JournalError, OutboxId, OutboxItem, PageLimit, Recipient},
    services::{Appended, EventStream},
    time::{Clock, Timestamp, backoff},
    types::RunId,
};

/// The largest batch.
const BATCH: PageLimit = PageLimit { entries: 500, bytes: 1 << 20 };
/// Waits for a run whose events the store does not want.
const BASE: Duration = Duration::from_millis(100);

/// What the lane shares with the rest of the outbox.
#[derive(Default)]
pub(super) struct Events {
    pub(super) ledger: Ledger,
    pub(super) pace: Pace,
    /// There is something new in the outbox.
    pub(super) news: Notify,
    /// Objects that events wait for may be there now.
    pub(super) objects_got_on: Notify,
}

/// The one task that brings events to the Event Stream.
pub(super) struct Lane {
    pub(super) shared: Arc<Events>,
    pub(super) objects: Arc<Objects>,
    pub(super) journal: Arc<dyn Journal>,
    pub(super) stream: EventStream,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) stopping: CancellationToken,
    pub(super) log: Logger,
}

/// What is owed of one run, oldest first.
struct Run {
    ranges: VecDeque<Range>,
    care: Care,
    tries: u32,
}

struct Range {
    id: OutboxId,
    first: u64,
    last: u64,
}

/// In what company a run's events are sent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Care {
    Shared,
    Alone,
    /// One event at a time, because some of them are there already.
    OneByOne,
}

/// Events of some runs, to be accepted together.
#[derive(Default)]
struct Batch {
    lines: Vec<String>,
    bytes: usize,
    /// Up to which `seq` of which run.
    upto: Vec<(RunId, u64)>,
}

type UnderWay = BoxFuture<'static, (Batch, Result<Appended, CallError>)>;

/// What the task has in hand.
struct Hand {
    runs: HashMap<RunId, Run>,
    /// Those that may have their turn, each once.
    turns: VecDeque<RunId>,
    later: BTreeSet<(Timestamp, RunId)>,
    /// Those that wait for their objects.
    held: Vec<RunId>,
    under_way: Option<UnderWay>,
    acks: Acks,
}

impl Lane {
    /// Begins with what is in the outbox, whatever was in hand before.
    pub(super) async fn run(&self) {
        self.shared.ledger.begin();
        let mut hand = Hand {
            runs: HashMap::new(),
            turns: VecDeque::new(),
            later: BTreeSet::new(),
            held: Vec::new(),
            under_way: None,
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
            if hand.under_way.is_none()
                && let Some(batch) = self.gather(&mut hand).await
            {
                let stream = self.stream.clone();
                hand.under_way = Some(
                    async move {
                        let appended = stream.append(&batch.lines).await;
                        (batch, appended)
                    }
                    .boxed(),
                );
            }
            let nothing = hand.turns.is_empty() && hand.held.is_empty();
            let to_read = unread && self.shared.ledger.has_room();
            if stopping && !to_read && hand.under_way.is_none() && (nothing || self.shared.pace.in_trouble())
            {
                return hand.acks.finish().await;
            }
            let pause = self.pause(&hand, (!unread).then_some(look_at));
            let Hand { under_way, acks, .. } = &mut hand;
            let appended = async {
                match under_way {
                    Some(call) => call.await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.shared.news.notified() => unread = true,
                () = self.shared.objects_got_on.notified() => hand.turns.extend(hand.held.drain(..)),
                (batch, appended) = appended => {
                    hand.under_way = None;
                    self.ended(&mut hand, &batch, appended);
                }
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
            read(&*self.journal, Recipient::EventStream, ledger, &*self.clock, &self.log).await;
        for entry in entries {
            match entry.item {
                OutboxItem::Events { first, last } => {
                    hand.take_in(entry.run_id, Range { id: entry.id, first, last });
                }
                // Not for the Event Stream.
                OutboxItem::Run { .. } | OutboxItem::NodeRun { .. } => {}
            }
        }
        came
    }

    /// The next batch, if there is anything to send now.
    async fn gather(&self, hand: &mut Hand) -> Option<Batch> {
        let now = self.clock.now();
        while hand.later.first().is_some_and(|(at, _)| *at <= now) {
            hand.turns.extend(hand.later.pop_first().map(|(_, run)| run));
        }
        if self.shared.pace.paused_until(now).is_some() {
            return None;
        }
        let mut batch = Batch::default();
        for _ in 0..hand.turns.len() {
            let Some(id) = hand.turns.pop_front() else { break };
            let Some(run) = hand.runs.get_mut(&id) else { continue };
            let Some(range) = run.ranges.front() else { continue };
            if !self.objects_are_there(&id, range.id) {
                hand.held.push(id);
                continue;
            }
            if run.care != Care::Shared && !batch.lines.is_empty() {
                hand.turns.push_front(id);
                break;
            }
            let before = (batch.lines.len(), batch.bytes);
            match self.add(&mut batch, &id, run).await {
                Ok(true) => {}
                Ok(false) => hand.held.push(id.clone()),
                Err(failure) => {
                    batch.lines.truncate(before.0);
                    batch.bytes = before.1;
                    let tries = hand.tries(&id);
                    if matches!(tries, 0 | PUT_ASIDE) {
                        error!(self.log, "events for the Event Stream cannot be read: they are tried again";
                            "run_id" => %id, "error" => %failure, "tries" => tries);
                    }
                    self.shared.ledger.refuse(&id, UNREADABLE);
                    hand.again(&id, now, unread_cap(&failure));
                    continue;
                }
            }
            if run.care != Care::Shared || batch.is_full() {
                break;
            }
        }
        (!batch.lines.is_empty()).then_some(batch)
    }

    /// What was decided with this entry is in the Run Store, or will not be for
    /// a while.
    fn objects_are_there(&self, run: &RunId, id: OutboxId) -> bool {
        let objects = &self.objects;
        objects.ledger.is_settled(run, id) || objects.pace.in_trouble() || objects.ledger.is_refused(run)
    }

    /// Puts as much of a run's events into a batch as there is room for, up to
    /// the first entry that has to wait. False if that is none.
    async fn add(&self, batch: &mut Batch, id: &RunId, run: &Run) -> Result<bool, JournalError> {
        let mut upto = None;
        for range in &run.ranges {
            if batch.is_full() || !self.objects_are_there(id, range.id) {
                break;
            }
            let (mut after, last) = match run.care {
                Care::Shared | Care::Alone => (range.first - 1, range.last),
                Care::OneByOne => (range.first - 1, range.first),
            };
            while after < last && !batch.is_full() {
                let wanted = u32::try_from(last - after).unwrap_or(u32::MAX);
                let limit =
                    PageLimit { entries: batch.room().entries.min(wanted), bytes: batch.room().bytes };
                let page = self.journal.events_after(id, after, None, limit).await?;
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
            if run.care == Care::OneByOne {
                break;
            }
        }
        batch.upto.extend(upto.map(|seq| (id.clone(), seq)));
        Ok(upto.is_some())
    }

    fn ended(&self, hand: &mut Hand, batch: &Batch, appended: Result<Appended, CallError>) {
        let now = self.clock.now();
        let single = batch.lines.len() == 1;
        match appended {
            Ok(appended) => {
                if let Some(over) = self.shared.pace.accepted() {
                    let after = now.since(over.since).as_secs_f64();
                    info!(self.log, "the Event Stream accepts events again"; "after_seconds" => after);
                }
                let (accepted, care) = match appended {
                    Appended::All => (true, Care::Shared),
                    // It is there: that is all we want.
                    Appended::Duplicate if single => (true, Care::OneByOne),
                    Appended::Duplicate if batch.upto.len() > 1 => (false, Care::Alone),
                    Appended::Duplicate => (false, Care::OneByOne),
                };
                for (run, upto) in &batch.upto {
                    let settled = hand.sent(run, accepted.then_some(*upto), care);
                    self.shared.ledger.settle(run, &settled);
                    hand.acks.add(settled);
                }
            }
            Err(error) => {
                let (reason, unwanted) = (reason(&error), is_about_content(&error));
                let (first, cap) = match unwanted {
                    true => (false, SLOW),
                    false => (self.shared.pace.failed(&error, now), pace::CAP),
                };
                let alone = batch.upto.len() == 1;
                for (run, _) in &batch.upto {
                    if alone && unwanted && !single {
                        // Perhaps only one of its events is the reason.
                        hand.sent(run, None, Care::OneByOne);
                    } else if alone {
                        if unwanted && hand.tries(run) == PUT_ASIDE {
                            error!(self.log, "the Event Stream does not want an event: it is tried every few minutes";
                                "run_id" => %run, "reason" => &reason);
                        } else if first || hand.tries(run) == 0 {
                            warn!(self.log, "the Event Stream did not accept events: they are sent again";
                                "run_id" => %run, "reason" => &reason);
                        }
                        self.shared.ledger.refuse(run, &reason);
                        hand.again(run, now, cap);
                    } else {
                        // Perhaps only one of them is the reason.
                        hand.sent(run, None, Care::Alone);
                    }
                }
                if first && !alone {
                    warn!(self.log, "the Event Stream did not accept events: they are sent again";
                        "runs" => batch.upto.len(), "reason" => &reason);
                }
            }
        }
    }

    /// Until a batch is due that is not under way, or the outbox is looked at.
    fn pause(&self, hand: &Hand, look_at: Option<Timestamp>) -> impl Future<Output = ()> + Send + use<> {
        let now = self.clock.now();
        let later = hand.later.first().map(|(at, _)| *at);
        let paused = self.shared.pace.paused_until(now).filter(|_| !hand.turns.is_empty());
        let work = if hand.under_way.is_some() { None } else { later.into_iter().chain(paused).min() };
        let next = work.into_iter().chain(look_at).min();
        let clock = Arc::clone(&self.clock);
        async move {
            match next {
                Some(at) => clock.sleep(at.since(now)).await,
                None => std::future::pending().await,
            }
        }
    }
}

impl Batch {
    fn room(&self) -> PageLimit {
        let lines = u32::try_from(self.lines.len()).unwrap_or(u32::MAX);
        PageLimit {
            entries: BATCH.entries.saturating_sub(lines),
            bytes: BATCH.bytes.saturating_sub(self.bytes),
        }
    }

    fn is_full(&self) -> bool {
        let PageLimit { entries, bytes } = self.room();
        entries == 0 || bytes == 0
    }
}

impl Hand {
    fn take_in(&mut self, id: RunId, range: Range) {
        let run = self.runs.entry(id.clone()).or_insert_with(|| {
            self.turns.push_back(id);
            Run { ranges: VecDeque::new(), care: Care::Shared, tries: 0 }
        });
        run.ranges.push_back(range);
    }

    fn tries(&self, run: &RunId) -> u32 {
        self.runs.get(run).map_or(0, |run| run.tries)
    }

    /// A run had its turn, and what it sent up to this `seq` was accepted, if
    /// anything was. The entries that are settled with it.
    fn sent(&mut self, id: &RunId, accepted: Option<u64>, care: Care) -> Vec<OutboxId> {
        let Some(run) = self.runs.get_mut(id) else { return Vec::new() };
        run.care = care;
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
            self.runs.remove(id);
        } else {
            self.turns.push_back(id.clone());
        }
        settled
    }

    /// A run's turn came to nothing: another one in a while.
    fn again(&mut self, id: &RunId, now: Timestamp, cap: Duration) {
        let Some(run) = self.runs.get_mut(id) else { return };
        let at = now + backoff(run.tries, BASE, cap, id.as_str());
        run.tries = run.tries.saturating_add(1);
        self.later.insert((at, id.clone()));
    }
}
