//! The audit trail as callers make it: a line of the log for each record, and the
//! records of refusals, which belong to no commit (contract §19.1, D-22).
//!
//! ```text
//!   commit ──────▶ durable with its records ──▶ a line for each
//!   refusal ─▶ budget of the caller ─▶ durable ──▶ a line ──▶ answer
//!                └─ spent: counted; the caller's next record has the number
//! ```
//!
//! **Invariants.** A refusal costs the journal at most [`BURST`] records at once
//! and then one a second for each principal, and no record while the journal keeps
//! its last room for work that is under way. Memory is bounded, however many
//! principals there are. A refusal is answered whether its record could be written
//! or not.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use slog::{KV, Key, Logger, Record, Serializer, error, info};

use super::error::CoordinatorError;
use crate::{
    auth::Principal,
    journal::{Journal, Room},
    record::{Actor, AuditObject, AuditRecord, AuditedOperation, Identity, Operation},
    time::{Clock, Timestamp},
};

/// Refusals of one principal that get a record at once.
const BURST: u32 = 20;
/// The time in which a principal may have one more, in microseconds.
const REFILL: i64 = 1_000_000;
/// Principals with a budget of their own. Further ones share one.
const PRINCIPALS_MAX: usize = 4096;

/// A refusal by a rule.
pub(super) struct Refusal {
    pub(super) operation: Operation,
    /// What the caller asked for.
    pub(super) object: AuditObject,
    /// The code of the rule.
    pub(super) reason: &'static str,
    pub(super) detail: Option<&'static str>,
}

/// Writes and logs audit records.
pub struct AuditTrail {
    journal: Arc<dyn Journal>,
    clock: Arc<dyn Clock>,
    budgets: Mutex<Budgets>,
    log: Logger,
}

impl AuditTrail {
    pub(super) fn new(journal: Arc<dyn Journal>, clock: Arc<dyn Clock>, log: Logger) -> Self {
        Self { journal, clock, budgets: Mutex::default(), log }
    }

    /// Logs the records of a commit that is durable.
    pub(super) fn committed(&self, records: &[AuditRecord]) {
        for record in records {
            info!(self.log, "audit"; Line(record));
        }
    }

    /// Records a refusal. It is durable when this returns, if it can be.
    pub(super) async fn refused(&self, caller: &Principal, refusal: Refusal) {
        let now = self.clock.now();
        let is_room = match self.journal.room() {
            Room::Enough => true,
            Room::Reserve => false,
        };
        let budget = self.budgets.lock().spend(caller.identity(), now, is_room);
        match budget {
            Spend::Granted { suppressed } => self.write(caller, refusal, now, suppressed).await,
            Spend::Suppressed { is_first: true } => {
                info!(self.log, "refusals are counted, not audited"; "operation" => %refusal.operation,
                    "actor" => caller.subject(), "reason" => refusal.reason);
            }
            Spend::Suppressed { is_first: false } => {}
        }
    }

    /// Records that a limit of the caller refused an operation, by its id.
    pub async fn rate_limited(&self, caller: &Principal, operation: &str) {
        let Some(operation) = Operation::named(operation) else { return };
        let object = AuditObject::default();
        self.refused(caller, Refusal { operation, object, reason: "rate_limited", detail: None }).await;
    }

    async fn write(&self, caller: &Principal, refusal: Refusal, now: Timestamp, suppressed: u64) {
        let Refusal { operation, object, reason, detail } = refusal;
        let operation = AuditedOperation::Request(operation);
        let record = AuditRecord::applied(now, caller.actor().clone(), operation, object);
        let record = record.refused(reason).with_detail(detail.map(str::to_owned)).after(suppressed);
        info!(self.log, "audit"; Line(&record));
        if let Err(failure) = self.journal.audit_append(vec![record]).await {
            error!(self.log, "could not write an audit record"; "actor" => caller.subject(),
                "operation" => %operation, "reason" => reason, "error" => %failure);
        }
    }

    /// Records that a rule refused a command, such as a limit.
    pub(super) async fn judged<T>(
        &self,
        caller: &Principal,
        operation: Operation,
        object: AuditObject,
        outcome: Result<T, CoordinatorError>,
    ) -> Result<T, CoordinatorError> {
        if let Some(reason) = outcome.as_ref().err().and_then(reason) {
            self.refused(caller, Refusal { operation, object, reason, detail: None }).await;
        }
        outcome
    }
}

/// The reason, if an error is the refusal of a rule. Those of `access` it records
/// itself.
fn reason(error: &CoordinatorError) -> Option<&'static str> {
    match error {
        CoordinatorError::Rejected(rejection) => rejection.is_by_rule().then(|| rejection.code()),
        CoordinatorError::OutsideAssignment(_) => Some("forbidden"),
        CoordinatorError::AssignmentEnded => Some("assignment_ended"),
        CoordinatorError::LacksRole(_)
        | CoordinatorError::TenantMismatch
        | CoordinatorError::WebhookTenant
        | CoordinatorError::Unauthenticated
        | CoordinatorError::Invalid(_)
        | CoordinatorError::InputSchema(_)
        | CoordinatorError::SchemaUnusable(_)
        | CoordinatorError::BulkNotFound(_)
        | CoordinatorError::RunNotFound(_)
        | CoordinatorError::NodeRunNotFound(_)
        | CoordinatorError::ParentNotFound(_)
        | CoordinatorError::ApprovalNotFound(_)
        | CoordinatorError::StarterMayNotDecide
        | CoordinatorError::NotWaiting(_)
        | CoordinatorError::TooManyPauses(_)
        | CoordinatorError::NotCanceled(_)
        | CoordinatorError::WebhookNotFound(_)
        | CoordinatorError::DeliveryNotFound(_)
        | CoordinatorError::WebhooksOff
        | CoordinatorError::TooManyWebhooks(_)
        | CoordinatorError::NodeRegistryUnavailable { .. }
        | CoordinatorError::NodeRegistryForbidden { .. }
        | CoordinatorError::PdpUnavailable { .. }
        | CoordinatorError::RunStoreUnavailable { .. }
        | CoordinatorError::EventStreamUnavailable { .. }
        | CoordinatorError::Journal(_)
        | CoordinatorError::ShuttingDown => None,
    }
}

/// The budgets of the principals, by issuer and subject.
#[derive(Default)]
struct Budgets {
    of: HashMap<(Option<String>, String), Budget>,
    of_others: Budget,
}

/// What a principal may still have recorded.
#[derive(Default)]
struct Budget {
    spent: u32,
    /// When `spent` was last reduced, in microseconds.
    since: i64,
    suppressed: u64,
}

/// Whether a refusal gets a record.
#[derive(Debug, PartialEq, Eq)]
enum Spend {
    /// Yes, with the number of those before it that got none.
    Granted { suppressed: u64 },
    /// No, and whether the one before it got one.
    Suppressed { is_first: bool },
}

impl Budgets {
    /// Takes a record from the budget of a principal, unless there is no room for
    /// it.
    fn spend(&mut self, principal: &Identity, now: Timestamp, is_room: bool) -> Spend {
        let key = (principal.issuer.clone(), principal.subject.clone());
        if self.of.len() >= PRINCIPALS_MAX && !self.of.contains_key(&key) {
            self.of.retain(|_, budget| !budget.is_whole(now));
        }
        let budget = if self.of.len() >= PRINCIPALS_MAX && !self.of.contains_key(&key) {
            &mut self.of_others
        } else {
            self.of.entry(key).or_default()
        };
        budget.spend(now, is_room)
    }
}

impl Budget {
    /// What was spent, less what has been refilled since.
    fn refill(&mut self, now: Timestamp) {
        let now = now.as_micros();
        let passed = now.saturating_sub(self.since).max(0) / REFILL;
        self.spent = self.spent.saturating_sub(u32::try_from(passed).unwrap_or(u32::MAX));
        self.since = if self.spent == 0 { now } else { self.since + passed * REFILL };
    }

    /// Whether it can be forgotten.
    fn is_whole(&mut self, now: Timestamp) -> bool {
        self.refill(now);
        self.spent == 0 && self.suppressed == 0
    }

    fn spend(&mut self, now: Timestamp, is_room: bool) -> Spend {
        self.refill(now);
        if self.spent < BURST && is_room {
            self.spent += 1;
            return Spend::Granted { suppressed: std::mem::take(&mut self.suppressed) };
        }
        self.suppressed += 1;
        Spend::Suppressed { is_first: self.suppressed == 1 }
    }
}

/// A record as the key-values of its line.
struct Line<'r>(&'r AuditRecord);

impl KV for Line<'_> {
    fn serialize(&self, _record: &Record<'_>, serializer: &mut dyn Serializer) -> slog::Result {
        let Self(record) = self;
        let mut text = |key: &'static str, value: Option<&str>| match value {
            Some(value) => serializer.emit_str(Key::from(key), value),
            None => Ok(()),
        };
        text("outcome", Some(record.outcome.as_str()))?;
        text("operation", Some(record.operation.as_str()))?;
        text("actor", Some(record.actor.name()))?;
        match &record.actor {
            Actor::Caller(Identity { issuer, subject: _, client, tenant }) => {
                text("issuer", issuer.as_deref())?;
                text("client", client.as_deref())?;
                text("tenant", tenant.as_deref())?;
            }
            Actor::Executor { .. } | Actor::Coordinator | Actor::CommandLine => {}
        }
        text("run_id", record.object.run_id.as_ref().map(|id| id.as_str()))?;
        text("node_run_id", record.object.node_run_id.as_ref().map(|id| id.as_str()))?;
        text("reason", record.reason.as_deref())?;
        text("detail", record.detail())?;
        match record.suppressed {
            0 => Ok(()),
            suppressed => serializer.emit_u64(Key::from("suppressed"), suppressed),
        }
    }
}

#[cfg(test)]
mod tests;
