//! The outbox on a journal in memory, with stores that note each call, and a clock that
//! moves when the test moves it.
//!
//! - `calls`: what is gathered, what goes together, what is in order.
//! - `answers`: which answers wait, and until when.

mod answers;
mod calls;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use parking_lot::Mutex;
use serde_json::Value;
use slog::{Discard, Logger, o};
use tokio::sync::Notify;

use super::{Outbox, Parts, Patience, Receivers};
use crate::{
    clients::{CallError, Failure, Service},
    journal::{
        Duties, Journal, OutboxId,
        conformance::{event, node, nodes, run, run_ended, start},
        sqlite::memory::MemoryJournal,
    },
    record::{ChangeSet, NodeRecord, RunRecord},
    runtime::tasks::TaskSet,
    services::{Appended, EventLog, ObjectStore},
    time::{Clock, Timestamp},
    traces::Traces,
    types::{NodeRun, NodeRunState, Run, RunId},
};

/// The default settings.
const PATIENCE: Patience = Patience { lag: Duration::from_secs(1), wait: Duration::from_secs(2) };
/// Each answer waits.
const NO_LAG: Patience = Patience { lag: Duration::ZERO, wait: Duration::from_secs(2) };
/// Longer than anything is gathered, in both pumps.
const A_MOMENT: Duration = Duration::from_millis(250);

/// A clock that moves when the test moves it.
#[derive(Default)]
struct ManualClock {
    micros: AtomicI64,
    moved: Notify,
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(1_000_000 + self.micros.load(Ordering::SeqCst))
    }
    async fn sleep(&self, time: Duration) {
        let until = self.now() + time;
        loop {
            let moved = self.moved.notified();
            tokio::pin!(moved);
            moved.as_mut().enable();
            if self.now() >= until {
                return;
            }
            moved.await;
        }
    }
}

impl ManualClock {
    /// Lets this time pass, and everything happen that is due meanwhile.
    async fn pass(&self, time: Duration) {
        let step = Duration::from_millis(5);
        let mut left = time;
        loop {
            // The runtime of a test has one thread: the others have their turns.
            for _ in 0..200 {
                tokio::task::yield_now().await;
            }
            if left.is_zero() {
                return;
            }
            let now = left.min(step);
            left -= now;
            self.micros.fetch_add(i64::try_from(now.as_micros()).expect("a time"), Ordering::SeqCst);
            self.moved.notify_waiters();
        }
    }
}

/// Stores that note what arrives.
struct Stores {
    clock: Arc<ManualClock>,
    /// How long a call takes.
    latency: Mutex<Duration>,
    /// Answers calls about these ids, and `events`, with a status.
    refuses: Mutex<BTreeMap<String, u16>>,
    /// Each accepted call: `POST a running`, `PUT a/1 succeeded`, `events a1 a2 b1`.
    calls: Mutex<Vec<String>>,
    under_way: AtomicUsize,
    most: AtomicUsize,
}

impl Stores {
    async fn call(&self, id: &str, call: String) -> Result<(), CallError> {
        let now = self.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        let latency = *self.latency.lock();
        if !latency.is_zero() {
            self.clock.sleep(latency).await;
        }
        self.under_way.fetch_sub(1, Ordering::SeqCst);
        if let Some(&status) = self.refuses.lock().get(id) {
            let failure = Failure::HttpStatus { status, reason: "a test".into(), retry_after: None };
            return Err(CallError::new(Service::RunStore, failure));
        }
        self.calls.lock().push(call);
        Ok(())
    }

    fn calls(&self) -> Vec<String> {
        std::mem::take(&mut *self.calls.lock())
    }
}

fn method(new: bool) -> &'static str {
    if new { "POST" } else { "PUT" }
}

#[async_trait]
impl ObjectStore for Stores {
    async fn reach(&self) -> Result<(), CallError> {
        Ok(())
    }
    async fn run_save(&self, run: &Run, new: bool) -> Result<(), CallError> {
        let id = run.run_id.as_str();
        self.call(id, format!("{} {id} {}", method(new), run.state)).await
    }
    async fn node_run_save(&self, node: &NodeRun, new: bool) -> Result<(), CallError> {
        let id = node.node_run_id.as_str();
        self.call(id, format!("{} {id} {}", method(new), node.state)).await
    }
}

#[async_trait]
impl EventLog for Stores {
    async fn reach(&self) -> Result<(), CallError> {
        Ok(())
    }
    async fn append(&self, events: &[String]) -> Result<Appended, CallError> {
        let mut call = "events".to_owned();
        for event in events {
            let event: Value = serde_json::from_str(event).expect("JSON");
            call += &format!(" {}{}", event["run_id"].as_str().expect("a run"), event["seq"]);
        }
        self.call("events", call).await?;
        Ok(Appended::All)
    }
}

struct World {
    memory: MemoryJournal,
    journal: Arc<dyn Journal>,
    clock: Arc<ManualClock>,
    stores: Arc<Stores>,
    tasks: TaskSet,
    outbox: Arc<Outbox>,
}

impl World {
    fn new(patience: Patience) -> Self {
        let memory = MemoryJournal::new().expect("memory");
        let journal = Arc::new(memory.open(true, (), &log()).expect("it opens"));
        Self::on(memory, journal, patience)
    }

    /// One of several processes. It does not have the duty to send.
    fn shared(patience: Patience) -> Self {
        let memory = MemoryJournal::new().expect("memory");
        let journal = Arc::new(memory.open_shared(true, (), &log()).expect("it opens"));
        Self::on(memory, journal, patience)
    }

    fn on(memory: MemoryJournal, journal: Arc<dyn Journal>, patience: Patience) -> Self {
        let clock = Arc::<ManualClock>::default();
        let stores = Arc::new(Stores {
            clock: Arc::clone(&clock),
            latency: Mutex::default(),
            refuses: Mutex::default(),
            calls: Mutex::default(),
            under_way: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
        });
        let tasks = TaskSet::new(log());
        let outbox = Outbox::begin(Parts {
            journal: Arc::clone(&journal),
            stores: Receivers {
                runs: Arc::clone(&stores) as _,
                events: Arc::clone(&stores) as _,
                artifacts: None,
            },
            clock: Arc::clone(&clock) as _,
            duties: Arc::new(Duties::new(&*journal)),
            patience,
            hosts: ("run-store.test".into(), "event-stream.test".into()),
            tasks: tasks.clone(),
            traces: Traces::off(),
            log: log(),
        });
        Self { memory, journal, clock, stores, tasks, outbox }
    }

    async fn commit(&self, change: ChangeSet) -> OutboxId {
        let owed = self.journal.commit(change.owing_all()).await.expect("committed").expect("entries");
        self.outbox.entries_added();
        owed
    }

    /// Ends a run of one node that was just started, with one more event.
    async fn end(&self, id: &str) -> OutboxId {
        let run_record = RunRecord { version: 1, last_seq: 2, ..run_ended(run(id)) };
        let mut change = nodes(id, vec![node_in(id, NodeRunState::Succeeded, 1)]);
        (change.run, change.events) = (Some(run_record), vec![event(id, 2, None)]);
        self.commit(change).await
    }

    async fn pass(&self, time: Duration) {
        self.clock.pass(time).await;
    }

    fn refuse(&self, id: &str, status: u16) {
        self.stores.refuses.lock().insert(id.to_owned(), status);
    }

    fn refuse_nothing(&self) {
        self.stores.refuses.lock().clear();
    }

    /// The entries in the outbox.
    fn owed(&self) -> u64 {
        self.memory.outbox_entries().expect("readable")
    }
}

/// The root of a run, in this state and version.
fn node_in(run: &str, state: NodeRunState, version: u64) -> NodeRecord {
    let mut record = node(run, "1");
    record.node.state = state;
    let wake = if state == NodeRunState::Succeeded { None } else { record.wake.clone() };
    NodeRecord { version, wake, ..record }
}

fn log() -> Logger {
    Logger::root(Discard, o!())
}

fn id(run: &str) -> RunId {
    RunId::from(run)
}
