//! The use cases: load what is stored, let the engine decide, commit, tell
//! whoever waits.
//!
//! ```text
//!   api, dispatch ──▶ Coordinator ──▶ engine (pure) ──▶ commit ──▶ hub (followers)
//!                        │  ▲                             │  ├────▶ queue (dispatch)
//!                        │  │                             │  └────▶ outbox (JARVIS stores)
//!                        ▼  │ again, on conflict          ▼
//!                       store ◀──────────────────── one transaction
//! ```
//!
//! Commands on one run are decided one after the other: each holds the run's
//! lock from reading until its commit is durable. Other runs do not wait.
//!
//! **Architecture invariants.** Every public method that acts for a caller asks
//! for a [`Principal`]: what is not authenticated cannot be called. It gets the
//! records that the caller names from `access`, which knows who may do what.
//! Nothing is answered, announced or queued before its commit is durable.

mod access;
mod adopt;
mod attempts;
mod commit;
mod error;
mod heard;
mod locks;
mod nodes;
mod offload;
mod queue;
mod runs;
mod store_health;
mod vitals;

use std::sync::Arc;

use slog::Logger;

pub(crate) use attempts::{Assignment, Telling};
pub(crate) use commit::{CLAIM_WITHIN, OWNED_FOREVER};
pub use error::{CoordinatorError, ErrorFacts, FieldError, Step};
pub use offload::Offload;
pub use queue::{Lane, Task, WorkQueue};
pub use store_health::StoreHealth;
pub(crate) use vitals::Room;
pub use vitals::Vitals;

pub use crate::events::{EventLines, StreamOptions};
use crate::{
    auth::Principal,
    engine::Rules,
    events::Events,
    journal::Journal,
    outbox::{ARTIFACT_STORE, Outbox},
    services::{Stores, node_registry::NodeTypes, policy::Policy},
    time::Clock,
    types::{Health, HealthStatus, IdSource, NodeRunId, RunId},
};

/// What a coordinator is made of.
pub struct Parts {
    pub journal: Arc<dyn Journal>,
    /// Where to look for what the journal does not know.
    pub stores: Option<Stores>,
    pub clock: Arc<dyn Clock>,
    pub ids: Arc<dyn IdSource>,
    pub events: Events,
    pub policy: Policy,
    pub node_types: NodeTypes,
    /// None: embedded, the journal is the record.
    pub outbox: Option<Arc<Outbox>>,
    pub queue: Arc<WorkQueue>,
    pub vitals: Arc<Vitals>,
    pub rules: Rules,
    /// `None`: outputs are kept whole, however large.
    pub offload: Option<Offload>,
    pub log: Logger,
}

/// The run authority.
pub struct Coordinator {
    parts: Parts,
    locks: locks::Locks<RunId>,
    /// Of those who look for a run in other stores. Never wanted by one who
    /// holds the run's lock.
    adoptions: locks::Locks<RunId>,
    heard: heard::Heard,
    store_health: StoreHealth,
}

impl Coordinator {
    pub fn new(parts: Parts) -> Self {
        let (locks, adoptions) = (locks::Locks::default(), locks::Locks::default());
        let heard = heard::Heard::new(parts.rules.composite_silence, parts.clock.now());
        Self { parts, locks, adoptions, heard, store_health: StoreHealth::default() }
    }

    /// How the coordinator and what it depends on are doing. Never fails, and
    /// never waits for anybody else.
    pub fn health(&self) -> Health {
        let now = self.parts.clock.now();
        let mut checks = vec![self.store_health.check(self.parts.journal.room(), now)];
        checks.extend(self.parts.vitals.checks(now));
        checks.extend(self.parts.policy.check());
        if let Some(outbox) = &self.parts.outbox {
            checks.extend(outbox.checks(self.parts.vitals.counts().as_ref()));
        }
        let artifacts = checks.iter_mut().find(|check| check.name == ARTIFACT_STORE);
        if let (Some(check), Some(offload)) = (artifacts, &self.parts.offload)
            && let (HealthStatus::Ok, Some(trouble)) = (check.status, offload.trouble())
        {
            check.status = HealthStatus::Degraded;
            check.message = Some(trouble.into());
        }
        let status = checks.iter().map(|check| check.status).max().unwrap_or(HealthStatus::Ok);
        Health { status, time: now, checks: Some(checks), extensions: None }
    }

    /// The events of a run (contract §13).
    pub async fn run_events(
        &self,
        caller: &Principal,
        run: &RunId,
        options: StreamOptions,
    ) -> Result<EventLines, CoordinatorError> {
        self.whole_run_for(caller, run).await?;
        Ok(self.parts.events.stream(run.clone(), None, options))
    }

    /// The events of a NodeRun and its descendants.
    pub async fn node_run_events(
        &self,
        caller: &Principal,
        node: &NodeRunId,
        options: StreamOptions,
    ) -> Result<EventLines, CoordinatorError> {
        let node = self.node_for(caller, node, heard::To::Ask).await?;
        Ok(self.parts.events.stream(node.node.run_id, Some(node.path), options))
    }
}
