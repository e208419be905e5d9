//! Bulk jobs: the same done to many runs, by the server (contract §25.8).
//!
//! ```text
//!   start ──▶ authorize ──▶ job in the journal ──▶ answer
//!                                │ woken
//!                                ▼
//!   work: the live jobs, each in steps ──▶ list runs │ act on some of them ──▶ commit
//! ```
//!
//! - here: what callers ask; `work`: the task that carries jobs out; `act`: what is
//!   done to one run.
//!
//! **Invariants.** A job acts with the rights of the principal that made it, judged for
//! each run as if that principal asked. Everything about a job is in the journal: one
//! whose process died goes on in the next.

mod act;
mod work;

use tokio::sync::Notify;

use super::{
    Coordinator,
    approvals::check_reason,
    error::{CoordinatorError, FieldError, Step},
};
use crate::{
    auth::{Principal, Roles, Scope},
    engine::{self, BULK_LIVE_MAX, BULK_RUNS_MAX, BulkRuns, NewBulk, Rejection},
    journal::{BulkPlace, JournalError, RunSelect, RunsFilter},
    record::{BulkAction, BulkCaller, BulkChange, BulkJob, BulkOutcome, BulkResult, Operation},
    time::Timestamp,
    types::{BulkId, JsonObject, RunId},
};

/// The most runs that are given by their ids.
const BULK_IDS_MAX: usize = 10_000;

/// The most runs in a second.
const PER_SECOND_MAX: u32 = 1_000;

/// The most jobs or results on a page.
pub const BULK_PAGE_MAX: u32 = 500;

/// The runs that a dry run names.
const SHOWN: u32 = 100;

/// The most often that a step is decided again because the job has changed.
const CONFLICTS: u32 = 16;

/// What callers ask for.
#[derive(Clone, Debug)]
pub struct BulkRequest {
    pub action: BulkAction,
    pub reason: String,
    pub per_second: u32,
    pub runs: BulkSelection,
}

#[derive(Clone, Debug)]
pub enum BulkSelection {
    Ids(Vec<RunId>),
    Filter(RunSelect),
}

/// What a job would act on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BulkDryRun {
    pub count: u64,
    /// There are more than a job may have.
    pub is_cut: bool,
    /// The first of them.
    pub run_ids: Vec<RunId>,
}

/// What the task and callers share in memory.
#[derive(Default)]
pub(super) struct BulkTask {
    /// A job has begun or ended.
    changed: Notify,
    /// One start at a time, so that the limit of live jobs holds.
    starts: tokio::sync::Mutex<()>,
}

impl Coordinator {
    /// Begins a job.
    pub async fn bulk_start(
        &self,
        caller: &Principal,
        request: BulkRequest,
    ) -> Result<BulkJob, CoordinatorError> {
        self.bulk_authorize(caller, Operation::StartBulk, None).await?;
        check(&request)?;
        let BulkRequest { action, reason, per_second, runs } = request;
        let now = self.committer.clock.now();
        let runs = match runs {
            BulkSelection::Ids(ids) => BulkRuns::Ids(distinct(ids)),
            // What starts from now on is not acted on, above all not what the job starts.
            BulkSelection::Filter(select) => BulkRuns::Filter(JsonObject::of(&RunSelect {
                started_before: Some(select.started_before.map_or(now, |before| before.min(now))),
                ..select
            })),
        };
        let new = NewBulk {
            bulk_id: self.ids.bulk_id(),
            action,
            reason: self.committer.redactor.message(&reason).into_owned(),
            by: recorded(caller),
            actor: caller.actor().clone(),
            per_second,
            runs,
        };
        let _turn = self.bulk.starts.lock().await;
        self.committer.room_for_new_work()?;
        let live = self.committer.journal.bulk_live(BULK_LIVE_MAX).await;
        let live = live.map_err(|failure| self.committer.read_failed(failure))?;
        if live.len() >= BULK_LIVE_MAX as usize {
            return Err(CoordinatorError::Rejected(Rejection::TooManyBulkJobs));
        }
        let change = engine::bulk_start(new, now);
        let job = change.job.clone();
        self.bulk_write(change).await?;
        Ok(job)
    }

    /// What a job would act on, as far as the caller may read it now.
    pub async fn bulk_dry_run(
        &self,
        caller: &Principal,
        request: BulkRequest,
    ) -> Result<BulkDryRun, CoordinatorError> {
        self.bulk_authorize(caller, Operation::StartBulk, None).await?;
        check(&request)?;
        match request.runs {
            BulkSelection::Ids(ids) => self.bulk_dry_run_ids(caller, distinct(ids)).await,
            BulkSelection::Filter(select) => self.bulk_dry_run_filter(caller, select).await,
        }
    }

    async fn bulk_dry_run_ids(
        &self,
        caller: &Principal,
        ids: Vec<RunId>,
    ) -> Result<BulkDryRun, CoordinatorError> {
        let mut found = BulkDryRun::default();
        for id in ids {
            let run = super::approvals::readable(self.committer.run_find(&id).await)?.flatten();
            if !run.is_some_and(|run| self.may_see(caller, run.owner.as_ref())) {
                continue;
            }
            found.count += 1;
            if found.run_ids.len() < SHOWN as usize {
                found.run_ids.push(id);
            }
        }
        Ok(found)
    }

    async fn bulk_dry_run_filter(
        &self,
        caller: &Principal,
        select: RunSelect,
    ) -> Result<BulkDryRun, CoordinatorError> {
        let filter: RunsFilter = self.readable_by(caller, select);
        let journal = &self.committer.journal;
        let (mut found, mut after) = (BulkDryRun::default(), None);
        loop {
            let counts = journal.runs_count(after.as_ref(), &filter).await;
            let counts = counts.map_err(|failure| self.committer.read_failed(failure))?;
            found.count += counts.by_state.values().sum::<u64>();
            after = counts.scanned_to.filter(|_| !counts.at_end);
            if after.is_none() || found.count > BULK_RUNS_MAX {
                break;
            }
        }
        (found.is_cut, found.count) = (found.count > BULK_RUNS_MAX, found.count.min(BULK_RUNS_MAX));
        let (mut after, wanted) =
            (None, usize::try_from(found.count).unwrap_or(usize::MAX).min(SHOWN as usize));
        while found.run_ids.len() < wanted {
            let page = journal.runs_page(after.as_ref(), &filter, SHOWN).await;
            let page = page.map_err(|failure| self.committer.read_failed(failure))?;
            found.run_ids.extend(page.runs.into_iter().map(|run| run.place.run_id));
            after = page.scanned_to.filter(|_| !page.at_end);
            if after.is_none() {
                break;
            }
        }
        found.run_ids.truncate(SHOWN as usize);
        Ok(found)
    }

    pub async fn bulk_get(&self, caller: &Principal, bulk: &BulkId) -> Result<BulkJob, CoordinatorError> {
        self.bulk_find(caller, Operation::GetBulk, bulk).await
    }

    /// Jobs that the caller may see, newest first: at most `limit`, and the place behind
    /// which the next page begins.
    pub async fn bulk_list(
        &self,
        caller: &Principal,
        after: Option<&BulkPlace>,
        limit: u32,
    ) -> Result<(Vec<BulkJob>, Option<BulkPlace>), CoordinatorError> {
        self.list_authorize(caller, Operation::ListBulk).await?;
        let limit = limit.clamp(1, BULK_PAGE_MAX);
        let jobs = self.committer.journal.bulk_page(after, limit).await;
        let jobs = jobs.map_err(|failure| self.committer.read_failed(failure))?;
        let place = |job: &BulkJob| BulkPlace { created_at: job.created_at, bulk_id: job.bulk_id.clone() };
        let next = jobs.last().filter(|_| jobs.len() == limit as usize).map(place);
        let seen = jobs.into_iter().filter(|job| self.may_see(caller, Some(&job.by.identity)));
        Ok((seen.collect(), next))
    }

    /// The results of a job after a number, in order.
    pub async fn bulk_results(
        &self,
        caller: &Principal,
        bulk: &BulkId,
        after: u64,
        outcome: Option<BulkOutcome>,
        limit: u32,
    ) -> Result<Vec<BulkResult>, CoordinatorError> {
        self.bulk_find(caller, Operation::ListBulkResults, bulk).await?;
        let limit = limit.clamp(1, BULK_PAGE_MAX);
        let results = self.committer.journal.bulk_results(bulk, after, outcome, limit).await;
        results.map_err(|failure| self.committer.read_failed(failure))
    }

    /// Ends a job: what is still pending is not acted on. One that has ended is answered
    /// as it is.
    pub async fn bulk_abort(
        &self,
        caller: &Principal,
        bulk: &BulkId,
        reason: &str,
    ) -> Result<BulkJob, CoordinatorError> {
        let mut job = self.bulk_find(caller, Operation::AbortBulk, bulk).await?;
        check_reason(reason)?;
        let reason = self.committer.redactor.message(reason).into_owned();
        for _ in 0..CONFLICTS {
            let now = self.committer.clock.now();
            let Some(change) = engine::bulk_abort(job, caller.actor(), &reason, now) else { break };
            match self.bulk_write(change).await {
                Ok(()) => break,
                Err(CoordinatorError::Journal(JournalError::Conflict)) => {}
                Err(failure) => return Err(failure),
            }
            job = self.bulk_find(caller, Operation::AbortBulk, bulk).await?;
        }
        self.bulk_find(caller, Operation::GetBulk, bulk).await
    }

    /// Authorizes an operation on a job, and reads it.
    async fn bulk_find(
        &self,
        caller: &Principal,
        operation: Operation,
        bulk: &BulkId,
    ) -> Result<BulkJob, CoordinatorError> {
        self.list_authorize(caller, operation).await?;
        let not_found = || CoordinatorError::BulkNotFound(bulk.clone());
        let job = self.committer.journal.bulk_fetch(bulk).await;
        let job = job.map_err(|failure| self.committer.read_failed(failure))?.ok_or_else(not_found)?;
        self.bulk_authorize(caller, operation, Some(&job)).await?;
        Ok(job)
    }

    /// Commits a step of a job, and says so.
    async fn bulk_write(&self, change: BulkChange) -> Result<(), CoordinatorError> {
        let audit = change.audit.clone();
        match self.committer.journal.bulk_commit(change).await {
            Ok(()) => {
                self.committer.audit.committed(&audit);
                self.bulk.changed.notify_one();
                Ok(())
            }
            Err(JournalError::Conflict) => Err(JournalError::Conflict.into()),
            Err(failure) => Err(self.committer.commit_failed(failure, Vec::new())),
        }
    }
}

/// Checks what the schema cannot express about a request.
fn check(request: &BulkRequest) -> Result<(), CoordinatorError> {
    check_reason(&request.reason)?;
    let field = |kind, member: &str, message: String| {
        let location: Vec<Step> = vec!["body".into(), member.into()];
        Err(CoordinatorError::Invalid(vec![FieldError { kind, location, message }]))
    };
    if !(1..=PER_SECOND_MAX).contains(&request.per_second) {
        return field("value_error", "per_second", format!("a rate is between 1 and {PER_SECOND_MAX}"));
    }
    match &request.runs {
        BulkSelection::Ids(ids) if ids.is_empty() => field("too_short", "ids", "no ids are given".into()),
        BulkSelection::Ids(ids) if ids.len() > BULK_IDS_MAX => {
            field("too_long", "ids", format!("at most {BULK_IDS_MAX} ids are given"))
        }
        BulkSelection::Ids(ids) if ids.iter().any(|id| id.as_str().is_empty() || id.as_str().len() > 500) => {
            field("string_too_long", "ids", "an id has 1 to 500 bytes".into())
        }
        BulkSelection::Filter(select) if *select == RunSelect::default() => {
            field("missing", "filter", "a filter that selects every run is refused".into())
        }
        BulkSelection::Ids(_) | BulkSelection::Filter(_) => Ok(()),
    }
}

/// Each id once, in the order given.
fn distinct(ids: Vec<RunId>) -> Vec<RunId> {
    let mut seen = std::collections::HashSet::with_capacity(ids.len());
    ids.into_iter().filter(|id| seen.insert(id.clone())).collect()
}

/// A caller as a job keeps it.
fn recorded(caller: &Principal) -> BulkCaller {
    let Roles { read, operate, admin } = caller.roles();
    let is_anonymous = match caller.scope() {
        Scope::Anonymous => true,
        Scope::Identity | Scope::Subtree(_) => false,
    };
    BulkCaller {
        identity: caller.identity().clone(),
        is_anonymous,
        may_read: read,
        may_operate: operate,
        is_admin: admin,
    }
}

/// The principal that made a job, with the rights that it had then, and without a token.
fn principal(job: &BulkJob) -> Principal {
    let BulkCaller { identity, is_anonymous, may_read, may_operate, is_admin } = job.by.clone();
    let roles = Roles { read: may_read, operate: may_operate, admin: is_admin };
    Principal::recorded(identity, roles, is_anonymous)
}

/// When a job may act on the run of this number in a batch.
fn slot(began: Timestamp, number: usize, per_second: u32) -> Timestamp {
    let micros = number as u64 * 1_000_000 / u64::from(per_second.max(1));
    began + std::time::Duration::from_micros(micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_a_batch_are_spread_over_its_time() {
        let began = Timestamp::from_micros(1_000);
        let at = |number, per_second| slot(began, number, per_second).as_micros() - 1_000;
        assert_eq!([at(0, 50), at(1, 50), at(50, 50)], [0, 20_000, 1_000_000]);
        assert_eq!([at(1, 1), at(1_000, 1_000)], [1_000_000, 1_000_000]);
    }

    #[test]
    fn ids_are_taken_once_and_in_order() {
        let ids = ["b", "a", "b", "c", "a"].map(RunId::from).to_vec();
        assert_eq!(distinct(ids), ["b", "a", "c"].map(RunId::from).to_vec());
    }
}
