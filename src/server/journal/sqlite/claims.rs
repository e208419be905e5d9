//! The work queue: unclaimed wake-ups and the claims of workers. (`workers` frees them.)
//!
//! ```text
//!                claim_due(W)
//!   unclaimed ────────────────▶ claimed by W ──commit──▶ another wake-up, or none
//!       ▲                            │
//!       ├────── release_claims(W) ───┤  due immediately
//!       └────── reap_dead_workers ───┘  due immediately, once W is dead
//! ```
//!
//! Unclaimed wake-ups are found lane by lane: one lane for each job and kind of
//! node, in the order of their times, from one index alone. Wake-ups that wait
//! for a busy executor are not read through to find others.

use rusqlite::{Connection, params};

use super::{
    encoding::to_json,
    rows::{HeadRow, job_named},
};
use crate::{
    journal::{ClaimFilter, ClaimedWake, JournalError},
    record::Job,
    time::Timestamp,
    types::{NodeKind, NodeRunId, RunId, WorkerId},
};

/// A [`ClaimFilter`] as SQL needs it.
pub(super) struct FilterRow {
    job: Option<Job>,
    /// Kinds as in the column; `None`: unknown.
    kinds: &'static [Option<&'static str>],
    /// The excepted runs, as a list in JSON.
    except: String,
    limit: u32,
}

impl FilterRow {
    /// All values that the column can have.
    const ALL: [Option<&'static str>; 3] = [None, Some("atomic"), Some("composite")];

    pub(super) fn encode(filter: &ClaimFilter) -> Result<Self, JournalError> {
        let kinds: &[_] = match filter.kind {
            None => &Self::ALL,
            Some(NodeKind::Atomic) => &[None, Some("atomic")],
            Some(NodeKind::Composite) => &[Some("composite")],
        };
        Ok(Self { job: filter.job, kinds, except: to_json(&filter.except)?, limit: filter.limit })
    }

    /// Whether wake-ups for the job of that name pass. A name that is no job
    /// comes from a damaged record: it counts as a deadline, whose handler finds
    /// the damage.
    fn passes(&self, name: &str) -> bool {
        self.job.is_none_or(|wanted| job_named(name).unwrap_or(Job::Deadline) == wanted)
    }
}

/// A lane of unclaimed wake-ups.
struct Lane {
    /// As in the column, where a damaged record may have any text.
    job: String,
    kind: Option<&'static str>,
}

/// The lanes that pass the filter.
fn lanes(connection: &Connection, filter: &FilterRow) -> Result<Vec<Lane>, JournalError> {
    let mut statement = connection.prepare_cached(JOBS)?;
    let jobs = statement.query_map([], |row| row.get::<_, String>(0))?;
    let mut lanes = Vec::new();
    for job in jobs {
        let job = job?;
        if filter.passes(&job) {
            lanes.extend(filter.kinds.iter().map(|&kind| Lane { job: job.clone(), kind }));
        }
    }
    Ok(lanes)
}

/// Defines the tables `job` and `kind` with one column each, `name`: the jobs of
/// the unclaimed wake-ups, which are the first column of their index, and the
/// values that its second column can have. Each step finds the next name in the
/// index, whatever lies in between.
macro_rules! with_lanes {
    ($select:literal) => {
        concat!(
            "WITH RECURSIVE job (name) AS (
                 SELECT min(wake_job) FROM node_runs WHERE wake_owner IS NULL AND wake_at IS NOT NULL
                 UNION ALL
                 SELECT (SELECT min(wake_job) FROM node_runs
                         WHERE wake_owner IS NULL AND wake_at IS NOT NULL AND wake_job > job.name)
                 FROM job WHERE job.name IS NOT NULL),
             kind (name) AS (VALUES (NULL), ('atomic'), ('composite'))
             ",
            $select
        )
    };
}

pub(super) const JOBS: &str = with_lanes!("SELECT name FROM job WHERE name IS NOT NULL");

/// When the first unclaimed wake-up after `?1` is due.
pub(super) const WAKE_NEXT: &str = with_lanes!(
    "SELECT min((SELECT min(wake_at) FROM node_runs
                 WHERE wake_owner IS NULL AND wake_at IS NOT NULL
                   AND wake_job = job.name AND kind IS kind.name AND wake_at > ?1))
     FROM job, kind"
);

/// The number of unclaimed wake-ups that are due at `?1`.
pub(super) const WAKES_DUE: &str = with_lanes!(
    "SELECT sum((SELECT count(*) FROM node_runs
                 WHERE wake_owner IS NULL AND wake_at IS NOT NULL
                   AND wake_job = job.name AND kind IS kind.name AND wake_at <= ?1))
     FROM job, kind"
);

/// The lanes with the number of unclaimed wake-ups that are due at `?1`, and when the
/// first of them was; null without any.
pub(super) const DUE_BY_LANE: &str = with_lanes!(
    "SELECT job.name, kind.name,
            (SELECT count(*) FROM node_runs
             WHERE wake_owner IS NULL AND wake_at IS NOT NULL
               AND wake_job = job.name AND kind IS kind.name AND wake_at <= ?1),
            (SELECT min(wake_at) FROM node_runs
             WHERE wake_owner IS NULL AND wake_at IS NOT NULL
               AND wake_job = job.name AND kind IS kind.name AND wake_at <= ?1)
     FROM job, kind WHERE job.name IS NOT NULL"
);

/// Unclaimed wake-ups that are due at `?1`, for the job `?2`, of nodes of the kind
/// `?3` (or of unknown kind, if null), without dispatches of the runs in `?4`, a
/// list in JSON. All of it is in one index, in the order of their times.
pub(super) const DUE: &str = "wake_owner IS NULL AND wake_at IS NOT NULL
    AND wake_job = ?2 AND kind IS ?3 AND wake_at <= ?1
    AND (wake_job <> 'dispatch' OR run_id NOT IN (SELECT value FROM json_each(?4)))";

/// Whether there is anything to claim. Asked of a reader, so that the writer is
/// only asked if there is.
pub(super) fn any_due(
    connection: &Connection,
    now: Timestamp,
    filter: &FilterRow,
) -> Result<bool, JournalError> {
    let mut any =
        connection.prepare_cached(&format!("SELECT EXISTS (SELECT 1 FROM node_runs WHERE {DUE})"))?;
    for lane in lanes(connection, filter)? {
        let of_lane = params![now.as_micros(), lane.job, lane.kind, filter.except];
        if any.query_one(of_lane, |row| row.get(0))? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Runs in the writer thread.
pub(super) fn claim_due(
    connection: &Connection,
    worker: &WorkerId,
    now: Timestamp,
    filter: &FilterRow,
) -> Result<Vec<HeadRow>, JournalError> {
    let columns = HeadRow::COLUMNS;
    let mut select = connection
        .prepare_cached(&format!("SELECT {columns} FROM node_runs WHERE {DUE} ORDER BY wake_at LIMIT ?5"))?;
    let mut due = Vec::new();
    for lane in lanes(connection, filter)? {
        let of_lane = params![now.as_micros(), lane.job, lane.kind, filter.except, filter.limit];
        for row in select.query_map(of_lane, |row| HeadRow::read(row))? {
            due.push(row?);
        }
    }
    due.sort_by_key(HeadRow::wake_at);
    due.truncate(filter.limit as usize);
    let mut claim = connection.prepare_cached(
        "UPDATE node_runs SET wake_owner = ?1, version = version + 1 WHERE node_run_id = ?2 RETURNING version",
    )?;
    for row in &mut due {
        row.version =
            claim.query_one(params![worker.as_str(), row.node_run_id.as_str()], |row| row.get(0))?;
        if let Some(wake) = &mut row.wake {
            wake.claimed_by = Some(worker.as_str().to_owned());
        }
    }
    Ok(due)
}

pub(super) fn claims_held(
    connection: &Connection,
    worker: &WorkerId,
    jobs: &[Job],
    since: Timestamp,
) -> Result<Vec<ClaimedWake>, JournalError> {
    let names = to_json(&jobs.iter().map(|job| job.as_str()).collect::<Vec<_>>())?;
    let mut statement = connection.prepare_cached(
        "SELECT wake_job, run_id, node_run_id FROM node_runs
         WHERE wake_owner = ? AND wake_at <= ? AND wake_job IN (SELECT value FROM json_each(?))",
    )?;
    let mut found = statement.query(params![worker.as_str(), since.as_micros(), names])?;
    let mut claims = Vec::new();
    while let Some(row) = found.next()? {
        let name = row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?;
        if let Some(job) = job_named(name) {
            let (run_id, node_run_id) = (RunId::new(row.get::<_, String>(1)?), row.get::<_, String>(2)?);
            claims.push(ClaimedWake { run_id, node_run_id: NodeRunId::new(node_run_id), job });
        }
    }
    Ok(claims)
}

pub(super) fn wake_next(
    connection: &Connection,
    after: Timestamp,
) -> Result<Option<Timestamp>, JournalError> {
    let at: Option<i64> =
        connection.prepare_cached(WAKE_NEXT)?.query_one([after.as_micros()], |row| row.get(0))?;
    Ok(at.map(Timestamp::from_micros))
}
