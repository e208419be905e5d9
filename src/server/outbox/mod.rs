//! Brings every committed change to the JARVIS stores (contract §14, §15): at
//! least once, in order for each run, made idempotent by object ids and event
//! numbers.
//!
//! ```text
//!   commit ──▶ journal: outbox ──▶ objects ──▶ Run Store       one call an object at a time
//!      │                 │            │ first
//!      │                 └─────────▶ events ───▶ Event Stream   batches, one at a time
//!      ▼
//!   the caller's answer waits here until both have it, but not for long
//! ```
//!
//! An entry names what changed; the content is read when it is sent, so what
//! changes often is not sent often. The stores take repetitions: an object has
//! its id for a key, an event its number. So an entry may be sent again by the
//! next process, and is taken out of the outbox after it was accepted.
//!
//! | module | |
//! |---|---|
//! | `objects`, `events` | one task each, for one store |
//! | `ledger` | what is owed of each run, and waiting for it |
//! | `pace` | calls get rarer while a store accepts nothing |
//! | `acks` | takes accepted entries out of the outbox |
//! | `watch` | asks the stores whether they are there |
//!
//! What cannot be read or sent, although the store is well, is put aside: it is
//! tried again every few minutes, health counts its run, and nothing waits for
//! it but later events of the same run.
//!
//! **Architecture invariants.** One task sends to each store, so nothing
//! overtakes. Memory is bounded, however much is owed. A store that accepts
//! nothing holds up neither the other one nor any answer. What one run owes
//! holds up no other run, and no stop.

mod acks;
mod events;
mod ledger;
mod objects;
mod pace;
mod watch;

use std::{sync::Arc, time::Duration};

use serde_json::json;
use slog::{Logger, o, warn};

use self::{acks::AGAIN, events::Events, ledger::Ledger, objects::Objects, pace::Pace, watch::Watch};
use crate::{
    journal::{Counts, Journal, JournalError, OutboxEntry, OutboxId, Recipient},
    runtime::tasks::TaskSet,
    services::Stores,
    time::{Clock, within},
    types::{HealthCheck, HealthStatus, JsonObject, RunId},
};

/// What an outbox is made of.
pub struct Parts {
    pub journal: Arc<dyn Journal>,
    pub stores: Stores,
    pub clock: Arc<dyn Clock>,
    /// How long an answer waits for the stores.
    pub wait: Duration,
    /// When these are to stop, what can be sent is sent first.
    pub tasks: TaskSet,
    pub log: Logger,
}

/// The outbox, on its way to the stores.
pub struct Outbox {
    clock: Arc<dyn Clock>,
    wait: Duration,
    objects: Arc<Objects>,
    events: Arc<Events>,
    watch: Arc<Watch>,
}

impl Outbox {
    /// Begins to send: first what an earlier process has left.
    pub fn begin(parts: Parts) -> Arc<Self> {
        let Parts { journal, stores, clock, wait, tasks, log } = parts;
        let watch = Watch::begin(stores.clone(), Arc::clone(&clock), &tasks);
        let (objects, events) = (Arc::new(Objects::default()), Arc::new(Events::default()));
        let waiting = Arc::clone(&events);
        let to_run_store = objects::Lane {
            shared: Arc::clone(&objects),
            progress: Box::new(move || waiting.objects_got_on.notify_one()),
            journal: Arc::clone(&journal),
            runs: stores.runs,
            clock: Arc::clone(&clock),
            stopping: tasks.stopping().clone(),
            log: log.new(o!("to" => "run_store")),
        };
        let to_event_stream = events::Lane {
            shared: Arc::clone(&events),
            objects: Arc::clone(&objects),
            journal: Arc::clone(&journal),
            stream: stores.events,
            clock: Arc::clone(&clock),
            stopping: tasks.stopping().clone(),
            log: log.new(o!("to" => "event_stream")),
        };
        let lane = Arc::new(to_run_store);
        tasks.supervise("outbox to the Run Store", Arc::clone(&clock), move || {
            let lane = Arc::clone(&lane);
            async move { lane.run().await }
        });
        let lane = Arc::new(to_event_stream);
        tasks.supervise("outbox to the Event Stream", Arc::clone(&clock), move || {
            let lane = Arc::clone(&lane);
            async move { lane.run().await }
        });
        Arc::new(Self { clock, wait, objects, events, watch })
    }

    /// A commit has put something in, or may have.
    pub fn news(&self) {
        self.objects.news.notify_one();
        self.events.news.notify_one();
    }

    /// Waits until both stores have accepted everything of this run up to `id`,
    /// or until the answer must not wait any longer. A store that has been in
    /// trouble for so long is not waited for at all.
    pub async fn accepted(&self, run: &RunId, id: OutboxId) {
        let objects = self.accepted_by(&self.objects.ledger, &self.objects.pace, run, id);
        let events = self.accepted_by(&self.events.ledger, &self.events.pace, run, id);
        // Whether it was in time, health says.
        within(&*self.clock, self.wait, async { tokio::join!(objects, events) }).await;
    }

    async fn accepted_by(&self, ledger: &Ledger, pace: &Pace, run: &RunId, id: OutboxId) {
        let now = self.clock.now();
        if pace.trouble().is_none_or(|trouble| now.since(trouble.since) < self.wait) {
            ledger.settled(run, id).await;
        }
    }

    /// How the stores are doing, and how much they were owed when that was last
    /// counted, if it was yet.
    pub fn checks(&self, counts: Option<&Counts>) -> Vec<HealthCheck> {
        let found = self.watch.found();
        vec![
            store_check("run_store", lane_trouble(&self.objects.ledger, &self.objects.pace), found.run_store),
            store_check(
                "event_stream",
                lane_trouble(&self.events.ledger, &self.events.pace),
                found.event_stream,
            ),
            store_check(ARTIFACT_STORE, None, found.artifact_store),
            self.backlog_check(counts),
        ]
    }

    fn backlog_check(&self, counts: Option<&Counts>) -> HealthCheck {
        let now = self.clock.now();
        let name = "outbox".into();
        let Some(counts) = counts else {
            return HealthCheck { name, status: HealthStatus::Ok, message: None, details: None };
        };
        let age = counts.outbox_oldest.map_or(Duration::ZERO, |oldest| now.since(oldest));
        // What is kept in doubt (see `objects`) is old, but not owed.
        let owed = self.objects.ledger.entries() + self.events.ledger.entries();
        let lags = owed > 0 && age > self.wait.max(LAG);
        let status = if lags { HealthStatus::Degraded } else { HealthStatus::Ok };
        let message =
            lags.then(|| "The stores lag behind; meanwhile the journal has all runs and events".into());
        // Since they were counted there may have come more.
        let entries = counts.outbox.max(owed as u64);
        let details = json!({"entries": entries, "oldest_age_seconds": age.as_secs_f64()});
        HealthCheck { name, status, message, details: Some(JsonObject::of(&details)) }
    }
}

/// The name of a check that others know something about, too.
pub const ARTIFACT_STORE: &str = "artifact_store";

/// What is younger is on its way.
const LAG: Duration = Duration::from_secs(1);

/// Entries read at a time.
const PAGE: u32 = 500;

/// The longest time between two looks into the outbox. Mostly a lane hears of
/// what is new; this is for what is there without a word.
const LOOK: Duration = Duration::from_secs(10);

/// Tries after which something is put aside, which is said once: from there on
/// it is tried every few minutes ([`SLOW`]).
const PUT_ASIDE: u32 = 8;

/// Between two tries of what a store does not want, or the journal cannot give.
const SLOW: Duration = Duration::from_secs(300);

/// Why something is not sent that is damaged; more is for the log.
const UNREADABLE: &str = "it cannot be read from the journal";

/// What came of reading the outbox.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Read {
    /// There may be more.
    More,
    All,
    Failed,
}

impl Read {
    /// Whether to read on. One who is leaving does not wait for a journal that
    /// fails: the next process finds what is there.
    fn is_unfinished(self, stopping: bool) -> bool {
        match self {
            Self::More => true,
            Self::All => false,
            Self::Failed => !stopping,
        }
    }
}

/// How long to wait before what cannot be read is tried again.
fn unread_cap(failure: &JournalError) -> Duration {
    match failure {
        // It will not mend by itself.
        JournalError::Damaged(_) | JournalError::TooBig(_) => SLOW,
        JournalError::Conflict | JournalError::Full(_) | JournalError::Reserved | JournalError::Failed(_) => {
            pace::CAP
        }
    }
}

/// Reads what is new for one store.
async fn read(
    journal: &dyn Journal,
    recipient: Recipient,
    ledger: &Ledger,
    clock: &dyn Clock,
    log: &Logger,
) -> (Vec<OutboxEntry>, Read) {
    match journal.outbox_after(recipient, ledger.read_to(), PAGE).await {
        Ok(page) => {
            ledger.read(page.entries.iter().map(|entry| (&entry.run_id, entry.id)), page.scanned_to);
            let read = if page.entries.len() >= PAGE as usize { Read::More } else { Read::All };
            (page.entries, read)
        }
        Err(failure) => {
            warn!(log, "the outbox cannot be read"; "error" => %failure);
            clock.sleep(AGAIN).await;
            (Vec::new(), Read::Failed)
        }
    }
}

/// What a store does not accept, if anything.
fn lane_trouble(ledger: &Ledger, pace: &Pace) -> Option<String> {
    match (pace.trouble(), ledger.refused()) {
        (Some(trouble), _) => {
            Some(format!("It has accepted nothing since {}: {}", trouble.since, trouble.reason))
        }
        (None, Some((runs, reason))) => {
            Some(format!("Something of {runs} runs did not get there, and is tried again: {reason}"))
        }
        (None, None) => None,
    }
}

fn store_check(name: &str, refused: Option<String>, unreached: Option<String>) -> HealthCheck {
    let message =
        refused.or_else(|| unreached.map(|reason| format!("It does not answer as it should: {reason}")));
    let status = if message.is_some() { HealthStatus::Degraded } else { HealthStatus::Ok };
    HealthCheck { name: name.into(), status, message, details: None }
}
