//! Sends every committed change to the JARVIS stores (contract §14, §15):
//! at-least-once, ordered per run, and idempotent by object id and event `seq`.
//!
//! ```text
//!   commit ──▶ journal: outbox ──▶ pump to the Run Store      Runs and NodeRuns, one call each
//!      │                 │            │ objects first
//!      │                 └─────────▶ pump to the Event Stream events, in batches
//!      ▼
//!   the caller's answer waits for both while they lag behind, up to a limit
//! ```
//!
//! An entry names what changed; the content is read when it is sent, so what
//! changes often is not sent often. While no answer waits for it, it is gathered for a
//! moment, so that a short run costs one call for each of its objects. The stores tolerate repetitions, because an
//! object has its id as key and an event its `seq`. So an entry is deleted from
//! the outbox after it was accepted, and may be sent again by the next process.
//!
//! | module | purpose |
//! |---|---|
//! | `pump` | the loop that both stores have a task of |
//! | `destination` | what a store is to a pump, and what the pump has in memory |
//! | `objects`, `events` | the destinations: what differs between the stores |
//! | `backlog` | the entries in memory by run, and waiting for them |
//! | `backoff` | the pause while a store accepts nothing |
//! | `refusal` | what follows from a refused call |
//! | `call_error` | what a failed call says |
//! | `acks` | deletes accepted entries from the outbox |
//! | `answers` | whether an answer waits, and until when |
//! | `probe` | asks the stores whether they are reachable |
//! | `health` | the health checks of the stores and of the outbox |
//!
//! An entry that cannot be read, or that a healthy store rejects, is retried every
//! few minutes. Health counts its run, and only later events of the same run wait
//! for it.
//!
//! If several processes share the journal, one of them has the duty to send. The answers
//! of the others wait until the journal says that nothing is owed any more.
//!
//! **Architecture invariants.** One task sends to each store, so nothing overtakes.
//! Memory is bounded, however much is owed. A store that accepts nothing delays
//! neither the other store nor any answer by more than the limit. An entry of one
//! run delays no other run, and no stop.

mod acks;
mod answers;
mod backlog;
mod backoff;
mod call_error;
mod destination;
mod events;
mod health;
mod objects;
mod probe;
mod pump;
mod refusal;
#[cfg(test)]
mod tests;

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use parking_lot::Mutex;
use slog::{Logger, o};

pub use self::{answers::Patience, health::ARTIFACT_STORE};
use self::{
    answers::Sample,
    destination::{GATHER, PumpParts, StoreState},
    events::Events,
    objects::{Objects, TracedStore},
    probe::Probe,
};
use crate::{
    journal::{Duties, Duty, Journal},
    resilience::ServiceWatch,
    runtime::tasks::TaskSet,
    services::{ArtifactStore, EventLog, ObjectStore, Stores},
    time::Clock,
    traces::Traces,
};

/// Where the outbox goes.
#[derive(Clone)]
pub struct Receivers {
    pub runs: Arc<dyn ObjectStore>,
    pub events: Arc<dyn EventLog>,
    /// Only asked whether it answers.
    pub artifacts: Option<ArtifactStore>,
}

impl From<Stores> for Receivers {
    fn from(Stores { runs, events, artifacts }: Stores) -> Self {
        Self { runs: Arc::new(runs), events: Arc::new(events), artifacts: Some(artifacts) }
    }
}

/// What an outbox is made of.
pub struct Parts {
    pub journal: Arc<dyn Journal>,
    pub stores: Receivers,
    pub clock: Arc<dyn Clock>,
    /// Sending the outbox is one of them.
    pub duties: Arc<Duties>,
    /// When an answer waits for the stores.
    pub patience: Patience,
    /// Host and port of the Run Store and of the Event Stream, for the log.
    pub hosts: (String, String),
    /// The pumps are among these tasks. When they are to stop, they first send
    /// what can be sent.
    pub tasks: TaskSet,
    /// Calls of the Run Store belong to those of their runs.
    pub traces: Traces,
    pub log: Logger,
}

/// The pumps, and what others ask them.
pub struct Outbox {
    journal: Arc<dyn Journal>,
    duties: Arc<Duties>,
    clock: Arc<dyn Clock>,
    patience: Patience,
    /// If another process sends, an entry of this one that tells how far it is.
    sample: Mutex<Option<Sample>>,
    objects: Arc<StoreState>,
    events: Arc<StoreState>,
    probe: Arc<Probe>,
}

impl Outbox {
    /// Starts the pumps. They begin with what an earlier process has left.
    pub fn begin(parts: Parts) -> Arc<Self> {
        let Parts { journal, stores, clock, duties, patience, hosts, tasks, traces, log } = parts;
        duties.want(Duty::Outbox);
        let probe = Probe::start(stores.clone(), Arc::clone(&clock), &tasks);
        let (objects, events) = (Arc::<StoreState>::default(), Arc::<StoreState>::default());
        let pump_parts = |store: &Arc<StoreState>, to: &'static str, host: String| PumpParts {
            store: Arc::clone(store),
            journal: Arc::clone(&journal),
            clock: Arc::clone(&clock),
            duties: Arc::clone(&duties),
            stopping: tasks.stopping().clone(),
            gather: if patience.waits_always() { Duration::ZERO } else { GATHER },
            watch: ServiceWatch::new(to, host, 1, log.clone()),
            log: log.new(o!("to" => to)),
        };
        let to_run_store = Arc::new(Objects {
            parts: pump_parts(&objects, "run_store", hosts.0),
            to: TracedStore { runs: stores.runs, traces },
            events: Arc::clone(&events),
        });
        let to_event_stream = Arc::new(Events {
            parts: pump_parts(&events, "event_stream", hosts.1),
            stream: stores.events,
            objects: Arc::clone(&objects),
        });
        tasks.supervise("outbox pump to the Run Store", Arc::clone(&clock), move || {
            let destination = Arc::clone(&to_run_store);
            async move { pump::run_on_duty(&*destination).await }
        });
        tasks.supervise("outbox pump to the Event Stream", Arc::clone(&clock), move || {
            let destination = Arc::clone(&to_event_stream);
            async move { pump::run_on_duty(&*destination).await }
        });
        let sample = Mutex::default();
        Arc::new(Self { journal, duties, clock, patience, sample, objects, events, probe })
    }

    /// Calls to each store so far: its name, those that it accepted, and the others.
    pub fn deliveries(&self) -> [(&'static str, u64, u64); 2] {
        let of = |name, store: &StoreState| {
            (name, store.accepted.load(Ordering::Relaxed), store.refused.load(Ordering::Relaxed))
        };
        [of("run_store", &self.objects), of("event_stream", &self.events)]
    }

    /// Notifies the pumps that a commit has added entries, or may have.
    pub fn entries_added(&self) {
        self.objects.entries_added();
        self.events.entries_added();
    }
}
