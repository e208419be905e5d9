//! The outbox, which sends every change to the JARVIS Run Store and Event Stream at
//! least once and in order (contract §14, §15), and callers, who wait for the
//! stores only for a bounded time.
//!
//! ```text
//!   caller ──▶ TestServer ──▶ journal ──▶ outbox pump ──▶ FakeStores (both stores on one address)
//!                                                             ▲
//!                                              faults() ──────┘ a status, no answer, a stall
//! ```
//!
//! | module | |
//! |---|---|
//! | `delivery` | what arrives while nothing fails, and what health reports |
//! | `faults` | stores that refuse, do not answer, or apply a call late |
//! | `outbox` | entries that the pump finds by itself, and entries that it cannot read or send |
//! | `without_stores` | a journal with outbox entries, and no stores configured |

mod delivery;
mod faults;
mod outbox;
mod without_stores;

use std::time::Duration;

use async_trait::async_trait;
use jarvis_run_coordinator::{
    time::{Clock, MachineClock, SystemClock, Timestamp},
    types::{Run, RunId},
};
use serde_json::{Value, json};

use crate::support::{FakeExecutors, FakeStores, StoreFault, TestServer};

async fn start(stores: &FakeStores, more: &[(&str, &str)]) -> TestServer {
    let mut vars = stores.vars().to_vec();
    vars.extend(more);
    TestServer::start_with(&vars).await
}

/// A clock on which ten seconds pass in one.
pub(crate) struct FastClock(pub(crate) Timestamp);

#[async_trait]
impl Clock for FastClock {
    fn now(&self) -> Timestamp {
        self.0 + SystemClock.now().since(self.0) * 10
    }
    async fn sleep(&self, time: Duration) {
        SystemClock.sleep(time / 10).await;
    }
}

impl MachineClock for FastClock {
    fn monotonic(&self) -> Duration {
        SystemClock.monotonic() * 10
    }
}

/// The events of a run, as the coordinator answers them.
async fn events(t: &TestServer, run: &RunId) -> Vec<Value> {
    t.events(run).await.iter().map(|event| serde_json::to_value(event).expect("JSON")).collect()
}

/// The health check of this name.
async fn check(t: &TestServer, name: &str) -> Value {
    let health: Value = t.get("/v1/health").await.ok();
    let checks = health["checks"].as_array().expect("checks");
    let check = checks.iter().find(|check| check["name"] == name);
    check.unwrap_or_else(|| panic!("no check {name} in {health}")).clone()
}

/// Runs two runs to their ends on a server whose stores refuse everything; returns the
/// runs, and the journal with their outbox entries.
async fn two_unsent_runs(stores: &FakeStores) -> ([Run; 2], tempfile::TempDir, FakeExecutors) {
    stores.faults(|_| Some(StoreFault::Status(503)));
    let t = start(stores, &[("JARVIS_RUN_COORDINATOR_STORE_WAIT_SECS", "0.05")]).await;
    let mut runs = Vec::new();
    for number in 0..2 {
        let run = t.run_start("atomic.echo", json!({"number": number})).await;
        runs.push(t.run_ended(&run.run_id).await);
    }
    let (journal, executors) = t.stop().await;
    stores.no_faults();
    (runs.try_into().expect("two"), journal, executors)
}
