//! What the journal keeps of webhooks: notices that are not looked at yet, the
//! subscriptions, and the deliveries that their targets have yet to accept.
//!
//! ```text
//!   commit, park ──▶ notices ── fan out, one transaction ──▶ deliveries ──accepted──▶ deleted
//!                                  │ backlog full: counted      │ too old
//!                                  └ wanted by none: deleted    └──▶ given up: listed, then pruned
//! ```
//!
//! **Invariants.** A notice is deleted in the transaction that stores its deliveries:
//! none is lost, and none is fanned out twice. What is stored is bounded for each
//! subscription.

use async_trait::async_trait;

use super::JournalError;
use crate::{
    record::{AuditRecord, ExecutorName, Notice, NoticeKind, Webhook, WebhookId},
    time::Timestamp,
};

/// Orders notices: by commit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct NoticeId(pub u64);

/// A notice that is not looked at yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredNotice {
    pub id: NoticeId,
    pub at: Timestamp,
    /// `None`: it cannot be read.
    pub notice: Option<Notice>,
}

/// Identifies a delivery, and orders them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryId(pub u64);

/// A report on its way to one subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDelivery {
    pub webhook_id: WebhookId,
    /// The id of the event, by which the receiver recognises a repetition.
    pub event_id: String,
    pub kind: NoticeKind,
    /// The body of the request.
    pub body: String,
}

/// The deliveries of notices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FanOut {
    /// The notices, which are deleted.
    pub of: Vec<NoticeId>,
    pub deliveries: Vec<NewDelivery>,
    pub now: Timestamp,
    /// A subscription with this number of deliveries gets no more.
    pub backlog_max: u64,
}

/// A delivery that was not accepted yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    pub id: DeliveryId,
    pub event_id: String,
    /// `None`: another program has written it.
    pub kind: Option<NoticeKind>,
    pub body: String,
    pub created_at: Timestamp,
    /// How often it was sent.
    pub tries: u32,
    /// When it is sent next; `None`: it was given up.
    pub next_at: Option<Timestamp>,
    pub last_error: Option<String>,
}

/// Deliveries that are due, and when the next one is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DueDeliveries {
    pub due: Vec<Delivery>,
    pub next_at: Option<Timestamp>,
}

/// What came of sending a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    pub webhook_id: WebhookId,
    pub id: DeliveryId,
    pub at: Timestamp,
    pub outcome: DeliveryOutcome,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeliveryOutcome {
    /// The delivery is deleted. If the target failed before, all that waits is due.
    Accepted,
    Refused {
        error: String,
        /// When it is sent again; `None`: it is given up.
        next_at: Option<Timestamp>,
        /// The target as a whole gets nothing before.
        pause_until: Option<Timestamp>,
    },
    /// The target wants no more: the subscription is disabled.
    Gone { error: String },
}

/// How the deliveries of a subscription go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebhookStatus {
    pub last_success_at: Option<Timestamp>,
    /// When the failures began, if the last delivery failed.
    pub failing_since: Option<Timestamp>,
    /// The number of failures since the last success.
    pub failures: u32,
    pub last_error: Option<String>,
    /// The target as a whole gets nothing before.
    pub paused_until: Option<Timestamp>,
    /// When the target has said that it wants no more.
    pub disabled_at: Option<Timestamp>,
    /// Reports that were not stored, because the backlog was full.
    pub dropped: u64,
    /// Deliveries that wait.
    pub backlog: u64,
    pub oldest: Option<Timestamp>,
    /// Deliveries that were given up and are still listed.
    pub given_up: u64,
}

/// A subscription and how it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredWebhook {
    pub webhook: Webhook,
    pub status: WebhookStatus,
}

/// What becomes of old deliveries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeliveryUpkeep {
    /// Those that wait since before this are given up.
    pub expired_before: Timestamp,
    /// Those that were made before this and given up are deleted.
    pub keep_since: Timestamp,
    /// The maximum that is kept of those that were given up, of each subscription.
    pub keep_max: u32,
}

/// Whether an executor is down, as was last reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecutorReport {
    pub name: ExecutorName,
    pub is_down: bool,
    pub at: Timestamp,
}

/// The journal as webhooks use it. Every implementation must pass `conformance`.
#[async_trait]
pub trait WebhookJournal: Send + Sync + 'static {
    /// Whether there is any subscription that deliveries are made for. If there is
    /// none, no notice needs to be made.
    fn wants_notices(&self) -> bool {
        false
    }

    /// The oldest notices.
    async fn notices_first(&self, limit: u32) -> Result<Vec<StoredNotice>, JournalError>;

    /// Stores the deliveries of notices and deletes these, in one transaction.
    /// Deliveries of a subscription that is gone or disabled are left out; those
    /// beyond its backlog are counted.
    async fn notices_fan_out(&self, fan_out: FanOut) -> Result<(), JournalError>;

    /// What was last reported of executors.
    async fn executors_reported(&self) -> Result<Vec<ExecutorReport>, JournalError>;

    /// Stores what is reported of an executor, and its notice, in one transaction.
    async fn executor_report(&self, report: ExecutorReport) -> Result<(), JournalError>;

    /// All subscriptions, in the order of their creation.
    async fn webhooks_list(&self) -> Result<Vec<StoredWebhook>, JournalError>;

    /// Stores a new subscription with its audit record, unless there are `max`
    /// already. Returns whether it did.
    async fn webhook_create(
        &self,
        webhook: Webhook,
        max: u32,
        audit: AuditRecord,
    ) -> Result<bool, JournalError>;

    /// Deletes a subscription and its deliveries. Returns whether there was one.
    async fn webhook_delete(&self, id: &WebhookId, audit: AuditRecord) -> Result<bool, JournalError>;

    /// The deliveries of a subscription that are due, those first that are due
    /// longest.
    async fn deliveries_due(
        &self,
        id: &WebhookId,
        now: Timestamp,
        limit: u32,
    ) -> Result<DueDeliveries, JournalError>;

    /// Records what came of sending a delivery. Nothing happens if it is gone.
    async fn delivery_settle(&self, settled: Settled) -> Result<(), JournalError>;

    /// The deliveries of a subscription that failed at least once, newest first,
    /// before the delivery `before`.
    async fn deliveries_failed(
        &self,
        id: &WebhookId,
        before: Option<DeliveryId>,
        limit: u32,
    ) -> Result<Vec<Delivery>, JournalError>;

    /// Makes a delivery due, also one that was given up: it counts as new. Returns
    /// whether there is one.
    async fn delivery_retry(
        &self,
        webhook: &WebhookId,
        id: DeliveryId,
        now: Timestamp,
        audit: AuditRecord,
    ) -> Result<bool, JournalError>;

    /// Gives up and deletes old deliveries of a subscription, a bounded number of
    /// them. Returns how many were given up.
    async fn deliveries_upkeep(&self, id: &WebhookId, upkeep: DeliveryUpkeep) -> Result<u64, JournalError>;
}
