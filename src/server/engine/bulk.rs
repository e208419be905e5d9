//! Bulk jobs: what each step of one changes.
//!
//! ```text
//!   start ─▶ running ─┬─ list: the next runs get pending results ──┐
//!              ▲      ├─ record: what came of them ────────────────┤
//!              └──────┴────────────────────────────────────────────┘
//!                     ├─ all listed, none pending ─▶ finished
//!                     └─ abort ───────────────────▶ aborted: what is pending stays so
//! ```
//!
//! **Invariant:** the counts of a job are those of its results.

use crate::{
    record::{
        Actor, AuditObject, AuditRecord, AuditedOperation, BulkAborted, BulkAction, BulkCaller, BulkChange,
        BulkCounts, BulkJob, BulkOutcome, BulkResult, BulkState, Operation, OtherOperation,
    },
    time::Timestamp,
    types::{BulkId, JsonObject, RunId},
};

/// The maximum of runs that a job acts on.
pub const BULK_RUNS_MAX: u64 = 1_000_000;

/// The maximum of jobs that are live at a time.
pub const BULK_LIVE_MAX: u32 = 10;

/// A job that is to begin.
#[derive(Clone, Debug)]
pub struct NewBulk {
    pub bulk_id: BulkId,
    pub action: BulkAction,
    pub reason: String,
    pub by: BulkCaller,
    pub actor: Actor,
    pub per_second: u32,
    pub runs: BulkRuns,
}

/// The runs of a job.
#[derive(Clone, Debug)]
pub enum BulkRuns {
    /// Each once.
    Ids(Vec<RunId>),
    Filter(JsonObject),
}

/// Runs that were found for a job.
#[derive(Clone, Debug, Default)]
pub struct Listed {
    /// Each with the reason to skip it, if that is known at once.
    pub runs: Vec<(RunId, Option<String>)>,
    /// Down to where the list was read.
    pub place: Option<(Timestamp, RunId)>,
    /// There are no others.
    pub at_end: bool,
}

/// Begins a job.
pub fn bulk_start(new: NewBulk, now: Timestamp) -> BulkChange {
    let NewBulk { bulk_id, action, reason, by, actor, per_second, runs } = new;
    let detail = format!("{bulk_id}: {}: {reason}", action.as_str());
    let (filter, ids) = match runs {
        BulkRuns::Filter(filter) => (Some(filter), Vec::new()),
        BulkRuns::Ids(ids) => (None, ids),
    };
    let mut job = BulkJob {
        bulk_id,
        version: 0,
        action,
        reason,
        by,
        created_at: now,
        wake_at: Some(now),
        state: BulkState::Running,
        ended_at: None,
        per_second,
        is_listed: filter.is_none(),
        filter,
        place: None,
        is_cut: false,
        counts: BulkCounts::default(),
        last_error: None,
        aborted: None,
    };
    let results = pending(&mut job, ids.into_iter().map(|id| (id, None)).collect());
    let audit = record(now, actor, AuditedOperation::Request(Operation::StartBulk), detail);
    BulkChange { job, results, audit: vec![audit] }
}

/// The results of runs that a job gets.
fn pending(job: &mut BulkJob, runs: Vec<(RunId, Option<String>)>) -> Vec<BulkResult> {
    let first = job.counts.total() + 1;
    let result = |(number, (run_id, skipped)): (u64, (RunId, Option<String>))| {
        let outcome = if skipped.is_some() { BulkOutcome::Skipped } else { BulkOutcome::Pending };
        BulkResult { number, run_id, outcome, detail: skipped }
    };
    let results: Vec<BulkResult> = (first..).zip(runs).map(result).collect();
    for result in &results {
        *count(&mut job.counts, result.outcome) += 1;
    }
    results
}

fn count(counts: &mut BulkCounts, outcome: BulkOutcome) -> &mut u64 {
    match outcome {
        BulkOutcome::Pending => &mut counts.pending,
        BulkOutcome::Done => &mut counts.done,
        BulkOutcome::Skipped => &mut counts.skipped,
        BulkOutcome::Failed => &mut counts.failed,
    }
}

/// Adds the next runs to a live job.
pub fn bulk_list(mut job: BulkJob, listed: Listed, now: Timestamp) -> Option<BulkChange> {
    if !job.is_live() || job.is_listed {
        return None;
    }
    let Listed { mut runs, place, at_end } = listed;
    let room = usize::try_from(BULK_RUNS_MAX.saturating_sub(job.counts.total())).unwrap_or(usize::MAX);
    job.is_cut = runs.len() > room || (runs.len() == room && !at_end);
    runs.truncate(room);
    job.is_listed = at_end || job.is_cut;
    job.place = place.or(job.place);
    job.wake_at = Some(now);
    let results = pending(&mut job, runs);
    let audit = end_if_over(&mut job, now).into_iter().collect();
    Some(BulkChange { job, results, audit })
}

/// Records what came of pending runs, also if the job was aborted meanwhile; it goes on
/// at `wake_at`.
pub fn bulk_record(
    mut job: BulkJob,
    results: Vec<BulkResult>,
    wake_at: Timestamp,
    now: Timestamp,
) -> BulkChange {
    for result in &results {
        job.counts.pending = job.counts.pending.saturating_sub(1);
        *count(&mut job.counts, result.outcome) += 1;
        if result.outcome == BulkOutcome::Failed {
            job.last_error.clone_from(&result.detail);
        }
    }
    if job.is_live() {
        job.wake_at = Some(wake_at);
    }
    let audit = end_if_over(&mut job, now).into_iter().collect();
    BulkChange { job, results, audit }
}

/// Aborts a job. `None`: it has ended.
pub fn bulk_abort(mut job: BulkJob, by: &Actor, reason: &str, now: Timestamp) -> Option<BulkChange> {
    if !job.is_live() {
        return None;
    }
    end(&mut job, BulkState::Aborted, now);
    job.aborted = Some(BulkAborted { by: by.clone(), reason: reason.to_owned() });
    let detail = format!("{}: {reason}; {}", job.bulk_id, summary(&job.counts));
    let audit = record(now, by.clone(), AuditedOperation::Request(Operation::AbortBulk), detail);
    Some(BulkChange { job, results: Vec::new(), audit: vec![audit] })
}

fn end(job: &mut BulkJob, state: BulkState, now: Timestamp) {
    (job.state, job.ended_at, job.wake_at) = (state, Some(now), None);
}

fn end_if_over(job: &mut BulkJob, now: Timestamp) -> Option<AuditRecord> {
    if !job.is_live() || !job.is_listed || job.counts.pending > 0 {
        return None;
    }
    end(job, BulkState::Finished, now);
    let detail = format!("{}: {}", job.bulk_id, summary(&job.counts));
    let operation = AuditedOperation::Other(OtherOperation::FinishBulk);
    Some(record(now, Actor::Coordinator, operation, detail))
}

fn summary(counts: &BulkCounts) -> String {
    let BulkCounts { pending, done, skipped, failed } = counts;
    format!("done {done}, skipped {skipped}, failed {failed}, pending {pending}")
}

fn record(now: Timestamp, actor: Actor, operation: AuditedOperation, detail: String) -> AuditRecord {
    AuditRecord::applied(now, actor, operation, AuditObject::default()).with_detail(Some(detail))
}
