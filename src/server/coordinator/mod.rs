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

use std::sync::Arc;

use slog::Logger;

pub(crate) use attempts::{Assignment, Telling};
pub(crate) use commit::{CLAIM_WITHIN, OWNED_FOREVER};
pub use error::{CoordinatorError, ErrorFacts, FieldError, Step};
pub use offload::Offload;
pub use queue::{Lane, Task, WorkQueue};

pub use crate::events::{EventLines, StreamOptions};
use crate::{
    auth::Principal,
    engine::Rules,
    events::Events,
    health::JournalStatus,
    journal::Journal,
    outbox::{ARTIFACT_STORE, Outbox},
    services::{Stores, node_registry::NodeTypes, policy::Policy},
    time::{Clock, Timestamp},
    types::{HealthCheck, IdSource, NodeRunId, RunId},
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
    journal_status: JournalStatus,
}

impl Coordinator {
    pub fn new(parts: Parts) -> Self {
        let (locks, adoptions) = (locks::Locks::default(), locks::Locks::default());
        let heard = heard::Heard::new(parts.rules.composite_silence, parts.clock.now());
        Self { parts, locks, adoptions, heard, journal_status: JournalStatus::default() }
    }

    /// The health check of the journal, as commits and reads find it.
    pub fn journal_check(&self, now: Timestamp) -> HealthCheck {
        self.journal_status.check(self.parts.journal.room(), now)
    }

    /// The health check of the policy point, where nodes are held during its
    /// outages.
    pub fn policy_check(&self) -> Option<HealthCheck> {
        self.parts.policy.check()
    }

    /// The health check of the Artifact Store, as offloading outputs finds it.
    pub fn offload_check(&self) -> Option<HealthCheck> {
        let trouble = self.parts.offload.as_ref()?.trouble();
        Some(HealthCheck::new(ARTIFACT_STORE, trouble.map(str::to_owned), None))
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
