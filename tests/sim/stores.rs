//! The Run Store and the Event Stream: calls are slow, break off, and may take effect long
//! after that. At the end they must have what the journal has.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use jarvis_run_coordinator::{
    clients::{CallError, Service},
    journal::sqlite::memory::Snapshot,
    services::{Appended, EventLog, ObjectStore},
    time::Clock,
    types::{NodeRun, Run, WorkerId},
};
use serde_json::Value;

use crate::{
    life::Life,
    scenario::Sabotage,
    world::{World, lock},
};

/// What the stores have.
#[derive(Default)]
pub struct Stored {
    /// Runs and NodeRuns by their ids, as they were last saved.
    objects: BTreeMap<String, Value>,
    /// Events by run and number.
    events: BTreeMap<(String, u64), String>,
    /// The workers that have the duty to send, as the journal has last said to each.
    senders: BTreeSet<WorkerId>,
}

/// The stores, as one process reaches them.
pub struct SimStores {
    world: Arc<World>,
    life: Arc<Life>,
    worker: WorkerId,
}

/// What becomes of a call.
enum Course {
    Arrives,
    Lost,
    /// It breaks off, and takes effect later.
    Late(Duration),
}

impl SimStores {
    pub fn new(world: &Arc<World>, life: &Arc<Life>, worker: &WorkerId) -> Self {
        Self { world: Arc::clone(world), life: Arc::clone(life), worker: worker.clone() }
    }

    /// Lets a call arrive, or not.
    async fn call(
        &self,
        service: Service,
        effect: impl FnOnce(&mut Stored) + Send + 'static,
    ) -> Result<(), CallError> {
        let world = &self.world;
        self.life.gate().await;
        if !lock(&world.stored).senders.contains(&self.worker) && !self.life.was_frozen() {
            world.violated("only the process with the duty sends the outbox", &self.worker);
        }
        world.count("call to a store");
        world.lag().await;
        // It is on its way, whatever becomes of the process.
        let course = match world.is_calm() {
            true => Course::Arrives,
            false if world.one_in(12) => Course::Late(Duration::from_millis(world.below(25_000))),
            false if world.one_in(12) => Course::Lost,
            false => Course::Arrives,
        };
        let broken = || CallError::no_response(service, "injected");
        match course {
            Course::Arrives => effect(&mut lock(&world.stored)),
            Course::Lost => {
                world.count("call to a store lost");
                return Err(broken());
            }
            Course::Late(time) => {
                world.count("call to a store takes effect late");
                let late = Arc::clone(world);
                world.tasks.spawn("late call to a store", async move {
                    late.clock.sleep(time).await;
                    effect(&mut lock(&late.stored));
                });
                return Err(broken());
            }
        }
        world.lag().await;
        self.life.gate().await;
        Ok(())
    }
}

#[async_trait]
impl ObjectStore for SimStores {
    async fn reach(&self) -> Result<(), CallError> {
        Ok(())
    }

    async fn run_save(&self, run: &Run, _new: bool) -> Result<(), CallError> {
        let (id, object) = (run.run_id.to_string(), serde_json::to_value(run).expect("JSON"));
        self.call(Service::RunStore, move |stored| drop(stored.objects.insert(id, object))).await
    }

    async fn node_run_save(&self, node: &NodeRun, _new: bool) -> Result<(), CallError> {
        let (id, object) = (node.node_run_id.to_string(), serde_json::to_value(node).expect("JSON"));
        self.call(Service::RunStore, move |stored| drop(stored.objects.insert(id, object))).await
    }
}

#[async_trait]
impl EventLog for SimStores {
    async fn reach(&self) -> Result<(), CallError> {
        Ok(())
    }

    async fn append(&self, events: &[String]) -> Result<Appended, CallError> {
        let key = |line: &String| {
            let event: Value = serde_json::from_str(line).expect("JSON");
            let seq = event["seq"].as_u64().expect("a number");
            ((event["run_id"].as_str().expect("a run").to_owned(), seq), line.clone())
        };
        let batch: Vec<_> = events.iter().map(key).collect();
        let appended = Arc::new(Mutex::new(Appended::All));
        let outcome = Arc::clone(&appended);
        self.call(Service::EventStream, move |stored| {
            if batch.iter().any(|(key, _)| stored.events.contains_key(key)) {
                *lock(&outcome) = Appended::Duplicate;
            } else {
                stored.events.extend(batch);
            }
        })
        .await?;
        let appended = *lock(&appended);
        Ok(appended)
    }
}

impl World {
    /// What the journal has answered a worker about the duty to send.
    pub fn has_duty_to_send(&self, worker: &WorkerId, has: bool) {
        let mut stored = lock(&self.stored);
        if !has {
            stored.senders.remove(worker);
        } else if stored.senders.insert(worker.clone()) && stored.senders.len() > 1 {
            self.count("sender took over");
        }
    }

    /// Checks that the stores have what the journal has.
    pub fn check_stores(&self, journal: &Snapshot) {
        if self.scenario.replicas == 1 {
            return;
        }
        let stored = lock(&self.stored);
        for whole in journal.runs() {
            let run = serde_json::to_value(&whole.run.run).expect("JSON");
            let nodes = whole
                .nodes
                .iter()
                .map(|node| (node.id().to_string(), serde_json::to_value(&node.node).expect("JSON")));
            for (id, object) in nodes.chain([(whole.run.id().to_string(), run)]) {
                if stored.objects.get(&id) != Some(&object) {
                    let what = format!("{id} is {:?}, not {object}", stored.objects.get(&id));
                    self.violated("the Run Store has what the journal has", what);
                }
            }
            let id = whole.run.id().to_string();
            let events: Vec<&String> =
                stored.events.range((id.clone(), 0)..=(id.clone(), u64::MAX)).map(|(_, line)| line).collect();
            if events != whole.lines.iter().collect::<Vec<_>>() {
                self.violated("the Event Stream has each event once", format!("{id}: {}", events.len()));
            }
        }
    }

    /// Whether a sabotage makes every process send.
    pub fn sends_anyway(&self) -> bool {
        self.is_sabotaged(Sabotage::SendsWithoutTheDuty)
    }
}
