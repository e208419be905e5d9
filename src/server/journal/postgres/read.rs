//! The statements that read records, events and counts.

use std::{cmp::Reverse, sync::Arc};

use super::{link::Live, load::load};
use crate::{
    journal::{
        Counts, EventPage, JournalError, PageLimit, Reached,
        rows::{HeadRow, NodeRow, RunRow, natural},
    },
    record::{NodeHead, NodePath, NodeRecord, RunRecord},
    time::Timestamp,
    types::{NodeRunId, RunId},
};

/// The maximum of events examined for one page, however few belong on it.
const SCAN_MAX: i64 = 4096;

/// The events that are fetched at once.
const FETCH: i64 = 512;

/// The columns of a head: those of [`HeadRow::COLUMNS`], as a literal.
macro_rules! head_columns {
    () => {
        "node_run_id, run_id, version, path, terminal, kind, state, started_at, ended_at, attempt, astray, deadline, \
         wake_job, wake_at, wake_owner, wake_tries"
    };
}
pub(super) use head_columns;

pub(super) const RUN: &str = "SELECT run_id, version, terminal, deadline, body FROM runs WHERE run_id = $1";

/// The newest event of a run has the number that its record has as the last.
const REACHED: &str = "SELECT run_id, terminal,
           coalesce((SELECT max(seq) FROM events WHERE events.run_id = runs.run_id), 0)
    FROM runs WHERE run_id = ANY($1)";

const NODE: &str = concat!(
    "SELECT ",
    head_columns!(),
    ", body, apart, CASE WHEN apart & 1 <> 0 THEN inputs END, CASE WHEN apart & 2 <> 0 THEN outputs END
     FROM node_runs WHERE node_run_id = $1"
);

const BARE: &str = concat!("SELECT ", head_columns!(), ", body, apart FROM node_runs WHERE node_run_id = $1");

const HEAD: &str = concat!("SELECT ", head_columns!(), " FROM node_runs WHERE node_run_id = $1");

const LIVE: &str = concat!(
    "SELECT ",
    head_columns!(),
    " FROM node_runs WHERE run_id = $1 AND NOT terminal ORDER BY path LIMIT $2"
);

/// A range of the index rather than LIKE: `/` is the successor of `.`, so these are
/// exactly the paths that start with the given one and a dot.
const LIVE_BELOW: &str = concat!(
    "SELECT ",
    head_columns!(),
    " FROM node_runs WHERE run_id = $1 AND NOT terminal AND path > $2 || '.' AND path < $2 || '/'
     ORDER BY path LIMIT $3"
);

const HAS_LIVE_BELOW: &str = "SELECT EXISTS (SELECT 1 FROM node_runs
    WHERE run_id = $1 AND NOT terminal AND path > $2 || '.' AND path < $2 || '/')";

const EVENTS: &str =
    "SELECT seq, path, body FROM events WHERE run_id = $1 AND seq > $2 ORDER BY seq LIMIT $3";

/// In two parts: finished runs have an index, and the others are few.
const LATEST_COMMIT: &str = "SELECT greatest((SELECT max(over_at) FROM runs WHERE terminal),
                                             (SELECT max(changed_at) FROM runs WHERE NOT terminal))";

const OVERDUE: &str =
    "SELECT run_id FROM runs WHERE NOT terminal AND deadline <= $1 ORDER BY deadline LIMIT $2";

const COUNTS: &str = "
    SELECT (SELECT count(*) FROM runs WHERE NOT terminal),
           (SELECT count(*) FROM node_runs WHERE NOT terminal),
           (SELECT count(*) FROM node_runs WHERE wake_owner IS NULL AND wake_at IS NOT NULL AND wake_at <= $1),
           (SELECT count(*) FROM outbox),
           (SELECT count(*) FROM parked),
           (SELECT count(*) FROM node_runs WHERE wake_job = 'approval'),
           (SELECT count(*) FROM runs WHERE held),
           (SELECT count(*) FROM node_runs
            WHERE wake_owner IS NULL AND wake_at IS NOT NULL AND wake_job = 'set_aside'),
           (SELECT count(*) FROM node_runs WHERE NOT terminal AND wake_at IS NULL)
           + (SELECT count(*) FROM runs WHERE NOT terminal AND deadline IS NULL),
           (SELECT decided_at FROM outbox ORDER BY id LIMIT 1)";

pub(super) async fn run(live: Arc<Live>, run: &RunId) -> Result<Option<RunRecord>, JournalError> {
    let row = live.query_opt(RUN, &[&run.as_str()]).await?;
    row.map(|row| RunRow::read(&row)?.decode()).transpose()
}

pub(super) async fn reached(live: Arc<Live>, runs: &[RunId]) -> Result<Vec<Reached>, JournalError> {
    let runs: Vec<&str> = runs.iter().map(RunId::as_str).collect();
    let rows = live.query(REACHED, &[&runs]).await?;
    rows.iter()
        .map(|row| {
            let (run_id, last_seq) = (RunId::new(row.try_get::<_, String>(0)?), natural(row.try_get(2)?)?);
            Ok(Reached { run_id, last_seq, ended: row.try_get(1)? })
        })
        .collect()
}

pub(super) async fn node(live: Arc<Live>, node: &NodeRunId) -> Result<Option<NodeRecord>, JournalError> {
    let row = live.query_opt(NODE, &[&node.as_str()]).await?;
    row.map(|row| NodeRow::read(&row)?.decode()).transpose()
}

pub(super) async fn node_bare(live: Arc<Live>, node: &NodeRunId) -> Result<Option<NodeRecord>, JournalError> {
    let row = live.query_opt(BARE, &[&node.as_str()]).await?;
    row.map(|row| NodeRow::read_bare(&row)?.decode()).transpose()
}

pub(super) async fn head(live: Arc<Live>, node: &NodeRunId) -> Result<Option<NodeHead>, JournalError> {
    let row = live.query_opt(HEAD, &[&node.as_str()]).await?;
    row.map(|row| HeadRow::read(&row)?.decode()).transpose()
}

pub(super) async fn nodes_live(
    live: Arc<Live>,
    run: &RunId,
    under: Option<&NodePath>,
) -> Result<Vec<NodeHead>, JournalError> {
    let mut nodes = nodes_live_first(live, run, under, None).await?;
    nodes.sort_by_key(|node| Reverse(node.path.depth()));
    Ok(nodes)
}

/// `limit`: none is all that there are.
pub(super) async fn nodes_live_first(
    live: Arc<Live>,
    run: &RunId,
    under: Option<&NodePath>,
    limit: Option<u32>,
) -> Result<Vec<NodeHead>, JournalError> {
    let limit = limit.map(i64::from);
    let rows = match under {
        None => live.query(LIVE, &[&run.as_str(), &limit]).await?,
        Some(path) => live.query(LIVE_BELOW, &[&run.as_str(), &path.as_str(), &limit]).await?,
    };
    rows.iter().map(|row| HeadRow::read(row)?.decode()).collect()
}

pub(super) async fn has_live_below(
    live: Arc<Live>,
    run: &RunId,
    node: &NodePath,
) -> Result<bool, JournalError> {
    Ok(live.query_one(HAS_LIVE_BELOW, &[&run.as_str(), &node.as_str()]).await?.try_get(0)?)
}

pub(super) async fn events(
    live: Arc<Live>,
    run: &RunId,
    after: u64,
    within: Option<&NodePath>,
    limit: PageLimit,
) -> Result<EventPage, JournalError> {
    let mut page = EventPage { scanned_to: after, ..EventPage::default() };
    let (mut scanned, mut bytes) = (0, 0);
    while scanned < SCAN_MAX {
        // One more than the page may have: it says whether there is more.
        let fetch = FETCH.min(i64::from(limit.entries.max(1)) + 1);
        // No event has a number that a column cannot hold.
        let from = i64::try_from(page.scanned_to).unwrap_or(i64::MAX);
        let rows = live.query(EVENTS, &[&run.as_str(), &from, &fetch]).await?;
        for row in &rows {
            if scanned == SCAN_MAX || page.events.len() >= limit.entries.max(1) as usize {
                return Ok(page);
            }
            let seq = natural(row.try_get(0)?)?;
            if is_within(row.try_get(1)?, within) {
                let body: &str = row.try_get(2)?;
                if !page.events.is_empty() && bytes + body.len() > limit.bytes {
                    return Ok(page);
                }
                bytes += body.len();
                page.events.push((seq, body.to_owned()));
            }
            page.scanned_to = seq;
            scanned += 1;
        }
        if (rows.len() as u64) < fetch.unsigned_abs() {
            page.at_end = true;
            return Ok(page);
        }
    }
    Ok(page)
}

/// [`NodePath::contains`] without an allocation for each event.
fn is_within(path: Option<&str>, within: Option<&NodePath>) -> bool {
    let Some(within) = within else { return true };
    path.and_then(|path| path.strip_prefix(within.as_str()))
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

pub(super) async fn latest_commit_time(live: Arc<Live>) -> Result<Option<Timestamp>, JournalError> {
    let newest: Option<i64> = live.query_one(LATEST_COMMIT, &[]).await?.try_get(0)?;
    Ok(newest.filter(|&newest| newest > 0).map(Timestamp::from_micros))
}

pub(super) async fn runs_overdue(
    live: Arc<Live>,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<RunId>, JournalError> {
    let rows = live.query(OVERDUE, &[&now.as_micros(), &i64::from(limit)]).await?;
    rows.iter().map(|row| Ok(RunId::new(row.try_get::<_, String>(0)?))).collect()
}

pub(super) async fn counts(live: Arc<Live>, now: Timestamp) -> Result<Counts, JournalError> {
    let row = live.query_one(COUNTS, &[&now.as_micros()]).await?;
    let count = |column: usize| -> Result<u64, JournalError> { natural(row.try_get(column)?) };
    Ok(Counts {
        runs_live: count(0)?,
        nodes_live: count(1)?,
        wakes_due: count(2)?,
        outbox: count(3)?,
        outbox_oldest: row.try_get::<_, Option<i64>>(9)?.map(Timestamp::from_micros),
        parked: count(4)?,
        approvals: count(5)?,
        held: count(6)?,
        set_aside: count(7)?,
        without_wake_up: count(8)?,
        load: load(&live).await?,
    })
}
