//! The work queue: unclaimed wake-ups and the claims of workers. (`workers` frees them.)
//!
//! ```text
//!   claim_due: lanes ─▶ the first due of each ─▶ the earliest of all ─▶ claimed, if still free
//!              └──────────── reads ───────────┘                        └─ one transaction ─┘
//! ```
//!
//! A lane is a job and a kind of node: its wake-ups are found in the order of their
//! times, from one index alone. Two replicas may find the same: a wake-up goes to the
//! one that gets its row, and the other goes without it.

use std::{sync::Arc, time::Duration};

use futures::future::try_join_all;

use super::{PostgresJournal, link::Live, machine::pause};
use crate::{
    journal::{
        ClaimFilter, ClaimedWake, JournalError,
        rows::{HeadRow, job_named},
    },
    record::Job,
    time::Timestamp,
    types::{NodeKind, NodeRunId, RunId, WorkerId},
};

/// Defines the tables `job` and `kind` with one column each, `name`: the jobs of the
/// unclaimed wake-ups, which are the first column of their index, and the values that
/// its second column can have. Each step finds the next name in the index, whatever lies
/// in between.
macro_rules! with_lanes {
    ($select:literal) => {
        concat!(
            "WITH RECURSIVE job (name) AS (
                 SELECT min(wake_job) FROM node_runs WHERE wake_owner IS NULL AND wake_at IS NOT NULL
                 UNION ALL
                 SELECT (SELECT min(wake_job) FROM node_runs
                         WHERE wake_owner IS NULL AND wake_at IS NOT NULL AND wake_job > job.name)
                 FROM job WHERE job.name IS NOT NULL)
             ",
            $select
        )
    };
}
pub(super) use with_lanes;

const JOBS: &str = with_lanes!("SELECT name FROM job WHERE name IS NOT NULL");

/// When the first unclaimed wake-up after `$1` is due.
const WAKE_NEXT: &str = with_lanes!(
    "SELECT min(least(
         (SELECT min(wake_at) FROM node_runs WHERE wake_owner IS NULL AND wake_at IS NOT NULL
            AND wake_job = job.name AND kind IS NULL AND wake_at > $1),
         (SELECT min(wake_at) FROM node_runs WHERE wake_owner IS NULL AND wake_at IS NOT NULL
            AND wake_job = job.name AND kind = 'atomic' AND wake_at > $1),
         (SELECT min(wake_at) FROM node_runs WHERE wake_owner IS NULL AND wake_at IS NOT NULL
            AND wake_job = job.name AND kind = 'composite' AND wake_at > $1)))
     FROM job"
);

/// The first unclaimed wake-ups that are due at `$1`, for the job `$2`, of nodes of one
/// kind, without dispatches of the runs in `$3`.
macro_rules! due {
    ($kind:literal) => {
        concat!(
            "SELECT node_run_id, version, wake_at FROM node_runs
             WHERE wake_owner IS NULL AND wake_at IS NOT NULL AND wake_job = $2 AND ",
            $kind,
            " AND wake_at <= $1 AND (wake_job <> 'dispatch' OR run_id <> ALL ($3))
             ORDER BY wake_at LIMIT $4"
        )
    };
}

const DUE_UNKNOWN: &str = due!("kind IS NULL");
const DUE_ATOMIC: &str = due!("kind = 'atomic'");
const DUE_COMPOSITE: &str = due!("kind = 'composite'");

/// Claims those that nothing else has changed or is changing.
const CLAIM: &str = "
    WITH free AS (
        SELECT node_runs.node_run_id FROM node_runs
        JOIN unnest($1::text[], $2::bigint[]) AS u (node_run_id, version)
          ON node_runs.node_run_id = u.node_run_id AND node_runs.version = u.version
        ORDER BY node_runs.node_run_id
        FOR UPDATE OF node_runs SKIP LOCKED)
    UPDATE node_runs SET wake_owner = $3, version = version + 1
    WHERE node_run_id IN (SELECT node_run_id FROM free)
    RETURNING node_run_id, run_id, version, path, terminal, kind, state, started_at, ended_at, attempt, astray,
              deadline, wake_job, wake_at, wake_owner, wake_tries";

const HELD: &str = "SELECT wake_job, run_id, node_run_id FROM node_runs
    WHERE wake_owner = $1 AND wake_at <= $2 AND wake_job = ANY ($3)";

/// How often it is looked for due wake-ups before others get all of the rest.
const LOOKS: u32 = 20;

/// The pause after the first look; each further one is longer by it.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

enum Claimed {
    Some(Vec<HeadRow>),
    NothingDue,
    /// Another was faster with each of them.
    AllLost,
}

/// A wake-up that may be claimed.
struct Candidate {
    node_run_id: String,
    version: i64,
    at: i64,
}

impl PostgresJournal {
    /// Claims due wake-ups, in the order in which they became due. What another claims
    /// first is not all that there is: then it looks again.
    pub(super) async fn claim(
        &self,
        worker: &WorkerId,
        now: Timestamp,
        filter: &ClaimFilter,
    ) -> Result<Vec<HeadRow>, JournalError> {
        for look in 1..=LOOKS {
            match self.claim_once(worker, now, filter).await? {
                Claimed::Some(heads) => return Ok(heads),
                Claimed::NothingDue => return Ok(Vec::new()),
                // Another has their rows, and is about to commit.
                Claimed::AllLost => pause(LOOK_AGAIN * look).await,
            }
        }
        Ok(Vec::new())
    }

    async fn claim_once(
        &self,
        worker: &WorkerId,
        now: Timestamp,
        filter: &ClaimFilter,
    ) -> Result<Claimed, JournalError> {
        let found = self.readers.read(|live| candidates(live, now, filter)).await?;
        if found.is_empty() {
            return Ok(Claimed::NothingDue);
        }
        let ids: Vec<String> = found.iter().map(|candidate| candidate.node_run_id.clone()).collect();
        let versions: Vec<i64> = found.iter().map(|candidate| candidate.version).collect();
        let worker = worker.to_string();
        let mut claimed = self
            .writers
            .as_worker(move |live| {
                let (ids, versions, worker) = (ids.clone(), versions.clone(), worker.clone());
                async move {
                    let rows = live.query(CLAIM, &[&ids, &versions, &worker]).await?;
                    Ok(rows.iter().map(HeadRow::read).collect::<Result<Vec<_>, _>>()?)
                }
            })
            .await?;
        claimed.sort_by_key(HeadRow::wake_at);
        Ok(if claimed.is_empty() { Claimed::AllLost } else { Claimed::Some(claimed) })
    }
}

/// The earliest due wake-ups of all lanes that pass the filter.
async fn candidates(
    live: Arc<Live>,
    now: Timestamp,
    filter: &ClaimFilter,
) -> Result<Vec<Candidate>, JournalError> {
    let kinds: &[&'static str] = match filter.kind {
        None => &[DUE_UNKNOWN, DUE_ATOMIC, DUE_COMPOSITE],
        Some(NodeKind::Atomic) => &[DUE_UNKNOWN, DUE_ATOMIC],
        Some(NodeKind::Composite) => &[DUE_COMPOSITE],
    };
    let except: Vec<&str> = filter.except.iter().map(RunId::as_str).collect();
    let (at, limit) = (now.as_micros(), i64::from(filter.limit));
    let jobs = live.query(JOBS, &[]).await?;
    let jobs = jobs.iter().map(|row| row.try_get(0)).collect::<Result<Vec<String>, _>>()?;
    // A name that is no job comes from a damaged record: it counts as a deadline, whose
    // handler finds the damage.
    let passes = |name: &str| filter.job.is_none_or(|job| job_named(name).unwrap_or(Job::Deadline) == job);
    let lanes =
        jobs.iter().filter(|job| passes(job)).flat_map(|job| kinds.iter().map(move |sql| (job, *sql)));
    let of_lane = |(job, sql): (&String, &'static str)| {
        let (live, except, job) = (&live, &except, job.clone());
        async move { live.query(sql, &[&at, &job, except, &limit]).await }
    };
    let rows = try_join_all(lanes.map(of_lane)).await?;
    let mut found = Vec::new();
    for row in rows.iter().flatten() {
        found.push(Candidate { node_run_id: row.try_get(0)?, version: row.try_get(1)?, at: row.try_get(2)? });
    }
    found.sort_by_key(|candidate| candidate.at);
    found.truncate(filter.limit as usize);
    Ok(found)
}

pub(super) async fn claims_held(
    live: Arc<Live>,
    worker: &WorkerId,
    jobs: &[Job],
    since: Timestamp,
) -> Result<Vec<ClaimedWake>, JournalError> {
    let jobs: Vec<&str> = jobs.iter().map(|job| job.as_str()).collect();
    let mut claims = Vec::new();
    for row in live.query(HELD, &[&worker.as_str(), &since.as_micros(), &jobs]).await? {
        if let Some(job) = job_named(row.try_get(0)?) {
            let (run_id, node_run_id) =
                (RunId::new(row.try_get::<_, String>(1)?), row.try_get::<_, String>(2)?);
            claims.push(ClaimedWake { run_id, node_run_id: NodeRunId::new(node_run_id), job });
        }
    }
    Ok(claims)
}

pub(super) async fn wake_next(live: Arc<Live>, after: Timestamp) -> Result<Option<Timestamp>, JournalError> {
    let at: Option<i64> = live.query_one(WAKE_NEXT, &[&after.as_micros()]).await?.try_get(0)?;
    Ok(at.map(Timestamp::from_micros))
}
