//! The use cases: load records, let the engine decide, commit, and announce the
//! result.
//!
//! ```text
//!   api ───────▶ Coordinator ─┐
//!                             ├─▶ Committer ──▶ engine (pure) ──▶ commit ──▶ hub (followers)
//!   dispatch ──▶ Attempts ────┘      │  ▲                          │  ├────▶ queue (dispatch)
//!                                    │  │ again, on conflict       │  └────▶ outbox (JARVIS stores)
//!                                    ▼  │                          ▼
//!                                  journal ◀─────────────── one transaction
//! ```
//!
//! - `runs`, `nodes`, `adopt`: what callers do; `access`: what they may do;
//!   `assignment`: whether the assignment of a token still stands.
//! - `reruns`: runs that repeat others; `twins`: what of those stands for their nodes.
//! - `bulk`: jobs that do the same to many runs.
//! - `run_lists`: runs, nodes and attempts by pages; `records`: the audit trail and
//!   evidence; `work`: the work of all runs.
//! - `holds`, `pauses`: holding and releasing runs; pausing and resuming dispatch.
//! - `wakes`: trying now what waits; `cancel_reports`: what a cancel has ended.
//! - `webhooks`: subscriptions to what happens.
//! - `approvals`: what waits for an approval, and decisions about it.
//! - `attempts`: what dispatch does.
//! - `explanations`: why a run or a node does not move.
//! - `committer`, `requests`, `reads`, `commit_failures`: decide, commit, announce.
//! - `admission`: questions to the Node Registry and the PDP.
//! - `schemas`: whether inputs and outputs are as their types say.
//! - `audit_trail`: the records of refusals, and a line of the log for each record.
//! - `queue`: the jobs that this worker has claimed.
//! - `liveness`: signs of life of composite executors; `offload`: large outputs.
//!
//! Commands on one run are decided one after the other: each holds the run's
//! lock from reading until its commit is durable. Other runs do not wait.
//!
//! **Architecture invariants.** Every public method that acts for a caller takes
//! a [`Principal`], so that an unauthenticated caller cannot call it. It gets the
//! records that the caller names from `access`, which authorizes the request.
//! Nothing is answered, announced or queued before its commit is durable.

mod access;
mod admission;
mod adopt;
mod approvals;
mod assignment;
mod attempts;
mod audit_trail;
mod bulk;
mod cancel_reports;
mod commit_failures;
mod committer;
mod error;
mod explanations;
mod holds;
mod liveness;
mod nodes;
mod offload;
mod pauses;
mod queue;
mod reads;
mod records;
mod requests;
mod reruns;
mod run_lists;
mod run_log;
mod runs;
mod schemas;
mod shown;
mod traced_policy;
mod twins;
mod waiting;
mod wakes;
mod webhooks;
mod work;

use std::sync::Arc;

use slog::Logger;

pub use crate::engine::{Canceled, HeldRun};
pub use approvals::{
    APPROVALS_PAGE_MAX, ApprovalCursor, ApprovalView, ApprovalsPage, ApprovalsQuery, NoCursor,
};
pub use attempts::Attempts;
pub(crate) use attempts::{Assignment, Choice, DeferReason, Deferral, Place, Places};
pub use audit_trail::AuditTrail;
pub use bulk::{BULK_PAGE_MAX, BulkDryRun, BulkRequest, BulkSelection};
pub use cancel_reports::{CANCEL_REPORT_NODES, CancelReport, CanceledNodeRun, Fate};
pub(crate) use committer::CLAIM_WITHIN;
pub use error::{CoordinatorError, ErrorFacts, FieldError, Step};
pub use explanations::{DispatchFacts, NodeExplanation, RunExplanation};
pub use offload::Offload;
pub(crate) use pauses::Pauses;
pub use queue::{ClaimedJob, Lane, Lease, WorkQueue};
pub use reruns::RerunRequest;
pub use run_lists::LIST_PAGE_MAX;
pub use run_log::RunLog;
pub use schemas::Schemas;
pub use shown::Profile;
pub use webhooks::{NewWebhook, WEBHOOKS_MAX};
pub(crate) use work::{ExecutorView, LaneView, WorkView};

use self::{
    admission::Admission, committer::Committer, liveness::Liveness, offload::Outputs,
    traced_policy::TracedPolicy,
};
pub use crate::events::{EventLines, StreamOptions};
use crate::{
    auth::Principal,
    config::Authorization,
    delegation::Delegation,
    engine::Rules,
    events::Events,
    health::JournalStatus,
    journal::Journal,
    metrics::Metrics,
    outbox::{ARTIFACT_STORE, Outbox},
    record::Operation,
    redact::Redactor,
    resilience::KeyedLocks,
    services::{Stores, node_registry::NodeTypes, policy::Policy},
    time::{Clock, Timestamp},
    traces::Traces,
    types::{HealthCheck, HealthStatus, IdSource, NodeRunId, RunId},
    webhooks::Webhooks,
};

/// The parts of a coordinator.
pub struct Parts {
    pub journal: Arc<dyn Journal>,
    /// Where to look for what the journal does not know.
    pub stores: Option<Stores>,
    pub clock: Arc<dyn Clock>,
    pub ids: Arc<dyn IdSource>,
    pub events: Events,
    pub policy: Policy,
    pub node_types: NodeTypes,
    /// `None`: embedded, the journal is the only record.
    pub outbox: Option<Arc<Outbox>>,
    pub queue: Arc<WorkQueue>,
    pub rules: Rules,
    pub authorization: Authorization,
    /// `None`: outputs are kept whole, however large.
    pub offload: Option<Offload>,
    /// For what services and executors say, before it becomes a record.
    pub redactor: Redactor,
    /// If calls for a run are made on behalf of its starter.
    pub delegation: Option<Delegation>,
    pub metrics: Metrics,
    pub traces: Traces,
    /// What dispatch says of itself, to explain what waits for it.
    pub dispatch: DispatchFacts,
    /// `None`: they are off.
    pub webhooks: Option<Arc<Webhooks>>,
    /// `None`: no value is judged by the schema of its node type.
    pub schemas: Option<Schemas>,
    /// Whether the log has lines about runs.
    pub run_log: RunLog,
    pub log: Logger,
}

/// The run authority: the use cases of its callers.
pub struct Coordinator {
    authority: Arc<access::Authority>,
    committer: Arc<Committer>,
    admission: Arc<Admission>,
    outputs: Arc<Outputs>,
    attempts: Arc<Attempts>,
    dispatch: DispatchFacts,
    /// Where to look for what the journal does not know.
    stores: Option<Stores>,
    ids: Arc<dyn IdSource>,
    /// One adoption of a run at a time. Never locked by a holder of the run's own
    /// lock.
    adoptions: KeyedLocks<RunId>,
    siblings: twins::SiblingsCache,
    bulk: bulk::BulkTask,
}

impl Coordinator {
    pub fn new(parts: Parts) -> Self {
        let Parts { journal, stores, clock, ids, events, policy, node_types, .. } = parts;
        let Parts {
            outbox,
            queue,
            rules,
            authorization,
            offload,
            redactor,
            delegation,
            metrics,
            traces,
            dispatch,
            webhooks,
            schemas,
            run_log,
            log,
            ..
        } = parts;
        let authority = Arc::new(access::Authority::new(authorization));
        let audit = Arc::new(AuditTrail::new(Arc::clone(&journal), Arc::clone(&clock), log.clone()));
        let committer = Arc::new(Committer {
            audit,
            liveness: Liveness::new(rules.composite_silence, clock.now(), journal.is_shared()),
            health: JournalStatus::default(),
            locks: KeyedLocks::default(),
            pauses: Pauses::new(),
            journal,
            clock,
            queue,
            outbox,
            events,
            rules,
            redactor: redactor.clone(),
            metrics,
            run_log,
            traces: traces.clone(),
            webhooks,
            log: log.clone(),
        });
        let admission = Arc::new(Admission {
            node_types,
            policy: TracedPolicy { policy, traces },
            authority: Arc::clone(&authority),
            redactor,
            delegation,
            gates: committer.rules.gates,
            schemas,
            log,
        });
        let outputs = Arc::new(Outputs { offload, committer: Arc::clone(&committer) });
        let (committers, asks, reports) =
            (Arc::clone(&committer), Arc::clone(&admission), Arc::clone(&outputs));
        let attempts = Arc::new(Attempts::new(committers, asks, reports));
        let adoptions = KeyedLocks::default();
        let (siblings, bulk) = (twins::SiblingsCache::default(), bulk::BulkTask::default());
        Self {
            dispatch,
            authority,
            committer,
            admission,
            outputs,
            attempts,
            stores,
            ids,
            adoptions,
            siblings,
            bulk,
        }
    }

    /// For dispatch: the attempts to execute this coordinator's nodes.
    pub fn attempts(&self) -> Arc<Attempts> {
        Arc::clone(&self.attempts)
    }

    /// The audit trail, for refusals that the coordinator does not see.
    pub fn audit_trail(&self) -> &AuditTrail {
        &self.committer.audit
    }

    /// The health check of the journal, as commits and reads find it.
    pub fn journal_check(&self, now: Timestamp) -> HealthCheck {
        let Committer { journal, health, queue, .. } = &*self.committer;
        let check = health.check(journal.room(), now);
        // Without a heartbeat nothing is begun here, and others may take over.
        if check.status == HealthStatus::Down || !journal.is_shared() || queue.lease().holds(now) {
            return check;
        }
        let message = "The journal cannot be written: no heartbeat of this process has succeeded for seconds";
        HealthCheck { status: HealthStatus::Down, message: Some(message.to_owned()), ..check }
    }

    /// The health check of the Artifact Store, as offloading outputs finds it.
    pub fn offload_check(&self) -> Option<HealthCheck> {
        let trouble = self.outputs.offload.as_ref()?.trouble();
        Some(HealthCheck::new(ARTIFACT_STORE, trouble.map(str::to_owned), None))
    }

    /// The events of a run (contract §13).
    pub async fn run_events(
        &self,
        caller: &Principal,
        run: &RunId,
        options: StreamOptions,
    ) -> Result<EventLines, CoordinatorError> {
        self.run_authorize(caller, Operation::StreamRunEvents, run).await?;
        Ok(self.committer.events.stream(run.clone(), None, options))
    }

    /// The events of a NodeRun and its descendants.
    pub async fn node_run_events(
        &self,
        caller: &Principal,
        node: &NodeRunId,
        mut options: StreamOptions,
    ) -> Result<EventLines, CoordinatorError> {
        let node = self.node_authorize(caller, Operation::StreamNodeRunEvents, node).await?;
        options.until_end_of = assignment::of(caller).map(|own| own.node.clone());
        Ok(self.committer.events.stream(node.node.run_id, Some(node.path), options))
    }
}
