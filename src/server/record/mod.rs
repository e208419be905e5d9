//! The vocabulary of the journal: each wire object with the coordinator's own
//! bookkeeping beside it, and the [`ChangeSet`] that one decision writes.
//!
//! ```text
//!   RunRecord  ── the Run, its counters and its deadline
//!   NodeRecord ── the NodeRun, its place in the tree, its attempts and its Wake
//!      └─ NodeHead ── what of it stands in columns: no inputs, no outputs
//!   ChangeSet  ── records + events + attempts + audit records + outbox entries, in one transaction
//! ```
//!
//! - `actor`: who causes a change.
//! - `approval`: approvals that a NodeRun waits for.
//! - `audit`: records of the audit trail.
//! - `operation`: what callers ask for.
//! - `run`: the Run's record, its owner and its origin.
//! - `node`: the NodeRun's record and its head.
//! - `wake`: wake-ups, which are the work queue.
//! - `budget`: accounts of budgets.
//! - `hold`: that a run is kept from starting work.
//! - `hosts`: the members of a pool at which earlier attempts may still run.
//! - `labels`: by which runs are found.
//! - `pause`: that dispatch is kept from nodes of all runs.
//! - `path`: a node's place in its run's tree.
//! - `rerun`: a Run that repeats another one.
//! - `bulk`: jobs that do the same to many Runs.
//! - `change_set`: the result of a decision, with events and attempts.
//! - `trace`: where a run belongs in a distributed trace.
//! - `outbox`: the entries by which the JARVIS stores hear of a change.
//! - `notice`, `webhook`: what webhooks report, and who subscribes to it.
//!
//! **Architecture invariants.** Only `engine` makes a [`ChangeSet`], and only
//! `journal` applies one. A record that is not terminal has a [`Wake`], which is
//! a constraint of the database.

mod actor;
mod approval;
mod audit;
mod bindings;
mod budget;
mod bulk;
mod change_set;
mod hold;
mod hosts;
mod labels;
mod node;
mod notice;
mod operation;
mod outbox;
mod path;
mod pause;
mod rerun;
mod retry;
mod run;
mod sealed;
mod trace;
mod wake;
mod webhook;

pub use self::{
    actor::{Actor, Identity},
    approval::{Approval, ApprovalDecision, ApprovalId, ApprovalOutcome, Demand, NoApprovalId, REASON_BYTES},
    audit::{AuditObject, AuditOutcome, AuditRecord, AuditedOperation, DETAIL_BYTES, OtherOperation},
    bindings::Bindings,
    budget::{Account, Amounts, Estimate, Kind, Limits, NodeBudget, millionths, money},
    bulk::{
        BulkAborted, BulkAction, BulkCaller, BulkChange, BulkCounts, BulkJob, BulkOutcome, BulkResult,
        BulkState,
    },
    change_set::{AttemptOutcome, AttemptRecord, ChangeSet, EventRecord},
    hold::Hold,
    hosts::Hosts,
    labels::{Labels, METADATA},
    node::{NodeHead, NodeRecord, Unread, Waits},
    notice::{ExecutorName, NoNoticeKind, Notice, NoticeKind},
    operation::{Interface, Operation},
    outbox::{OutboxItem, Recipient},
    path::NodePath,
    pause::{PAUSE_NAME_BYTES, Pause, PauseScope, PauseSubject, PausesVersion, executor_name},
    rerun::{Repetition, RerunFrom, RerunOf, SIBLINGS_MAX, Taken, Twin},
    retry::{ResultRetries, RetryRule},
    run::{Origin, RunRecord},
    sealed::SealedToken,
    trace::{AttemptNote, RunTrace},
    wake::{Job, Wake},
    webhook::{KeptSecret, Reported, Webhook, WebhookId},
};
