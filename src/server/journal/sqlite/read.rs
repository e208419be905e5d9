//! What is read from the database, through a pool of connections that cannot
//! write. In WAL mode they see the last commit and wait for nobody.

use std::{cmp::Reverse, path::PathBuf};

use parking_lot::Mutex;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Params, Statement, params};

use super::{
    rows::{self, HeadRow, NodeRow, RunRow, WantRow, from_json, integer, natural},
    schema,
};
use crate::{
    journal::{
        Counts, EventPage, JournalError, OutboxEntry, OutboxId, OutboxPage, Owed, OwnedWake, PageLimit,
        Recipient,
    },
    record::{AttemptRecord, NodeHead, NodePath, NodeRecord, RunRecord},
    time::Timestamp,
    types::{NodeRunId, RunId, WorkerId},
};

/// Connections kept open for the next read. More readers than this at once
/// open theirs for the occasion.
const IDLE_MAX: usize = 8;

/// Events looked at for one page, however few belong on it: a page about a
/// quiet corner of a big run stays cheap.
const SCAN_MAX: u32 = 4096;

/// The pool.
pub(super) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, idle: Mutex::default() }
    }

    /// Lends a connection to `read`. One that failed is not used again, so
    /// nothing of a failure outlives it.
    pub(super) fn with<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, JournalError>,
    ) -> Result<T, JournalError> {
        let idle = self.idle.lock().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => self.connect()?,
        };
        let result = read(&connection)?;
        let mut idle = self.idle.lock();
        if idle.len() < IDLE_MAX {
            idle.push(connection);
        }
        Ok(result)
    }

    fn connect(&self) -> Result<Connection, JournalError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        schema::set_up(&connection)?;
        connection.pragma_update(None, "query_only", true)?;
        Ok(connection)
    }
}

pub(super) fn run(connection: &Connection, run: &RunId) -> Result<Option<RunRecord>, JournalError> {
    connection
        .prepare_cached(&format!("SELECT {} FROM runs WHERE run_id = ?", RunRow::COLUMNS))?
        .query_row([run.as_str()], RunRow::read)
        .optional()?
        .map(RunRow::decode)
        .transpose()
}

pub(super) fn node(connection: &Connection, node: &NodeRunId) -> Result<Option<NodeRecord>, JournalError> {
    node_row(connection, node)?.map(|row| row.decode()).transpose()
}

pub(super) fn node_row(connection: &Connection, node: &NodeRunId) -> Result<Option<NodeRow>, JournalError> {
    let (head, content) = (HeadRow::COLUMNS, NodeRow::CONTENT);
    Ok(connection
        .prepare_cached(&format!("SELECT {head}, {content} FROM node_runs WHERE node_run_id = ?"))?
        .query_row([node.as_str()], NodeRow::read)
        .optional()?)
}

pub(super) fn node_bare(
    connection: &Connection,
    node: &NodeRunId,
) -> Result<Option<NodeRecord>, JournalError> {
    let (head, content) = (HeadRow::COLUMNS, NodeRow::BARE);
    connection
        .prepare_cached(&format!("SELECT {head}, {content} FROM node_runs WHERE node_run_id = ?"))?
        .query_row([node.as_str()], NodeRow::read_bare)
        .optional()?
        .map(|row| row.decode())
        .transpose()
}

pub(super) fn head(connection: &Connection, node: &NodeRunId) -> Result<Option<NodeHead>, JournalError> {
    connection
        .prepare_cached(&format!("SELECT {} FROM node_runs WHERE node_run_id = ?", HeadRow::COLUMNS))?
        .query_row([node.as_str()], HeadRow::read)
        .optional()?
        .map(|row| row.decode())
        .transpose()
}

pub(super) fn nodes_live(
    connection: &Connection,
    run: &RunId,
    under: Option<&NodePath>,
) -> Result<Vec<NodeHead>, JournalError> {
    // Left to choose, SQLite takes the index of all nodes of a run.
    let live = format!(
        "SELECT {} FROM node_runs INDEXED BY node_runs_live WHERE run_id = ?1 AND terminal = 0",
        HeadRow::COLUMNS
    );
    let mut nodes = match under {
        None => heads(&mut *connection.prepare_cached(&live)?, [run.as_str()])?,
        // A range of the index rather than LIKE: `/` is what follows `.`, so
        // these are the paths that begin with "<path>.", whatever is in it.
        Some(path) => heads(
            &mut *connection.prepare_cached(&format!("{live} AND path > ?2 || '.' AND path < ?2 || '/'"))?,
            [run.as_str(), path.as_str()],
        )?,
    };
    nodes.sort_by_key(|node| Reverse(node.path.depth()));
    Ok(nodes)
}

pub(super) fn has_live_below(
    connection: &Connection,
    run: &RunId,
    node: &NodePath,
) -> Result<bool, JournalError> {
    let mut statement = connection.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM node_runs INDEXED BY node_runs_live
                        WHERE run_id = ?1 AND terminal = 0 AND path > ?2 || '.' AND path < ?2 || '/')",
    )?;
    Ok(statement.query_one([run.as_str(), node.as_str()], |row| row.get(0))?)
}

/// One row at a time: there may be many.
fn heads(statement: &mut Statement<'_>, params: impl Params) -> Result<Vec<NodeHead>, JournalError> {
    statement.query_map(params, HeadRow::read)?.map(|row| row?.decode()).collect()
}

pub(super) fn events(
    connection: &Connection,
    run: &RunId,
    after: u64,
    within: Option<&NodePath>,
    limit: PageLimit,
) -> Result<EventPage, JournalError> {
    let mut statement = connection
        .prepare_cached("SELECT seq, path, body FROM events WHERE run_id = ? AND seq > ? ORDER BY seq")?;
    // No event has a number beyond what a column can hold.
    let mut rows = statement.query(params![run.as_str(), i64::try_from(after).unwrap_or(i64::MAX)])?;
    let mut page = EventPage { scanned_to: after, ..Default::default() };
    let (mut scanned, mut bytes) = (0, 0);
    while let Some(row) = rows.next()? {
        if scanned == SCAN_MAX || page.events.len() >= limit.entries.max(1) as usize {
            return Ok(page);
        }
        let seq = natural(row.get(0)?)?;
        if is_within(row.get_ref(1)?.as_str_or_null().map_err(rusqlite::Error::from)?, within) {
            let body = row.get_ref(2)?.as_str().map_err(rusqlite::Error::from)?;
            if !page.events.is_empty() && bytes + body.len() > limit.bytes {
                return Ok(page);
            }
            bytes += body.len();
            page.events.push((seq, body.to_owned()));
        }
        page.scanned_to = seq;
        scanned += 1;
    }
    page.at_end = true;
    Ok(page)
}

/// [`NodePath::contains`] without an allocation for each event.
fn is_within(path: Option<&str>, within: Option<&NodePath>) -> bool {
    let Some(within) = within else { return true };
    path.and_then(|path| path.strip_prefix(within.as_str()))
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

pub(super) fn attempts(
    connection: &Connection,
    node: &NodeRunId,
) -> Result<Vec<AttemptRecord>, JournalError> {
    let mut statement =
        connection.prepare_cached("SELECT body FROM attempts WHERE node_run_id = ? ORDER BY attempt")?;
    let bodies = statement.query_map([node.as_str()], |row| row.get::<_, String>(0))?;
    bodies.map(|body| from_json(node.as_str(), &body?)).collect()
}

/// `jobs` is a list of their names in JSON.
pub(super) fn wakes_owned(
    connection: &Connection,
    owner: &WorkerId,
    jobs: &str,
    since: Timestamp,
) -> Result<Vec<OwnedWake>, JournalError> {
    let mut statement = connection.prepare_cached(
        "SELECT wake_job, run_id, node_run_id FROM node_runs
         WHERE wake_owner = ? AND wake_at <= ? AND wake_job IN (SELECT value FROM json_each(?))",
    )?;
    let mut found = statement.query(params![owner.as_str(), since.as_micros(), jobs])?;
    let mut owned = Vec::new();
    while let Some(row) = found.next()? {
        let name = row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?;
        if let Some(job) = rows::job(name) {
            let (run_id, node_run_id) = (RunId::new(row.get::<_, String>(1)?), row.get::<_, String>(2)?);
            owned.push(OwnedWake { run_id, node_run_id: NodeRunId::new(node_run_id), job });
        }
    }
    Ok(owned)
}

pub(super) fn wake_next(
    connection: &Connection,
    after: Timestamp,
) -> Result<Option<Timestamp>, JournalError> {
    let at: Option<i64> =
        connection.prepare_cached(WAKE_NEXT)?.query_one([after.as_micros()], |row| row.get(0))?;
    Ok(at.map(Timestamp::from_micros))
}

/// Free wake-ups that can be found in the order of their times.
pub(super) struct Lane {
    /// As in the column, where a damaged record may have any.
    pub(super) job: String,
    pub(super) kind: Option<&'static str>,
}

/// The lanes of the free wake-ups that are wanted.
pub(super) fn lanes(connection: &Connection, want: &WantRow) -> Result<Vec<Lane>, JournalError> {
    let mut statement = connection.prepare_cached(JOBS)?;
    let jobs = statement.query_map([], |row| row.get::<_, String>(0))?;
    let mut lanes = Vec::new();
    for job in jobs {
        let job = job?;
        if want.is_for(&job) {
            lanes.extend(want.kinds.iter().map(|&kind| Lane { job: job.clone(), kind }));
        }
    }
    Ok(lanes)
}

/// The tables `job`, `kind` with one column each, `name`: what the free
/// wake-ups are for, which the first column of their index has, and what its
/// second may have. A step finds the next name there, whatever lies in between.
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

/// After `?1`.
pub(super) const WAKE_NEXT: &str = with_lanes!(
    "SELECT min((SELECT min(wake_at) FROM node_runs
                 WHERE wake_owner IS NULL AND wake_at IS NOT NULL
                   AND wake_job = job.name AND kind IS kind.name AND wake_at > ?1))
     FROM job, kind"
);

/// At `?1`.
pub(super) const WAKES_DUE: &str = with_lanes!(
    "SELECT sum((SELECT count(*) FROM node_runs
                 WHERE wake_owner IS NULL AND wake_at IS NOT NULL
                   AND wake_job = job.name AND kind IS kind.name AND wake_at <= ?1))
     FROM job, kind"
);

/// Wake-ups that are due at `?1` and nobody's, for the job `?2`, of nodes of the
/// kind `?3` (or of unknown kind, if null), and no dispatches of the runs in
/// `?4`, a list in JSON. What it asks is all in one index, in their order.
pub(super) const DUE: &str = "wake_owner IS NULL AND wake_at IS NOT NULL
    AND wake_job = ?2 AND kind IS ?3 AND wake_at <= ?1
    AND (wake_job <> 'dispatch' OR run_id NOT IN (SELECT value FROM json_each(?4)))";

pub(super) fn wake_is_due(
    connection: &Connection,
    now: Timestamp,
    want: &WantRow,
) -> Result<bool, JournalError> {
    let mut is_due =
        connection.prepare_cached(&format!("SELECT EXISTS (SELECT 1 FROM node_runs WHERE {DUE})"))?;
    for lane in lanes(connection, want)? {
        let of_lane = params![now.as_micros(), lane.job, lane.kind, want.except];
        if is_due.query_one(of_lane, |row| row.get(0))? {
            return Ok(true);
        }
    }
    Ok(false)
}

pub(super) fn time_newest(connection: &Connection) -> Result<Option<Timestamp>, JournalError> {
    // Two halves: of the finished runs an index knows, the others are few.
    let newest: Option<i64> = connection
        .prepare_cached(
            "SELECT max(newest) FROM (SELECT max(changed_at) AS newest FROM runs WHERE terminal = 1
                                      UNION ALL SELECT max(changed_at) FROM runs WHERE terminal = 0)",
        )?
        .query_one([], |row| row.get(0))?;
    Ok(newest.filter(|&newest| newest > 0).map(Timestamp::from_micros))
}

pub(super) fn runs_overdue(
    connection: &Connection,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<RunId>, JournalError> {
    let mut statement = connection.prepare_cached(
        "SELECT run_id FROM runs WHERE terminal = 0 AND deadline <= ? ORDER BY deadline LIMIT ?",
    )?;
    let ids = statement.query_map(params![now.as_micros(), limit], |row| row.get::<_, String>(0))?;
    Ok(ids.map(|id| id.map(RunId::new)).collect::<Result<_, _>>()?)
}

pub(super) fn counts(connection: &Connection, now: Timestamp) -> Result<Counts, JournalError> {
    let wakes_due: Option<i64> =
        connection.prepare_cached(WAKES_DUE)?.query_one([now.as_micros()], |row| row.get(0))?;
    let ([runs_live, nodes_live, outbox, parked, without_wake_up], oldest) = connection
        .prepare_cached(
            "SELECT (SELECT count(*) FROM runs WHERE terminal = 0),
                    (SELECT count(*) FROM node_runs WHERE terminal = 0),
                    (SELECT count(*) FROM outbox),
                    (SELECT count(*) FROM parked),
                    (SELECT count(*) FROM node_runs WHERE terminal = 0 AND wake_at IS NULL)
                    + (SELECT count(*) FROM runs WHERE terminal = 0 AND deadline IS NULL),
                    (SELECT decided_at FROM outbox ORDER BY id LIMIT 1)",
        )?
        .query_one([], |row| {
            let counted = [row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?];
            Ok((counted, row.get::<_, Option<i64>>(5)?))
        })?;
    Ok(Counts {
        runs_live: natural(runs_live)?,
        nodes_live: natural(nodes_live)?,
        wakes_due: natural(wakes_due.unwrap_or_default())?,
        outbox: natural(outbox)?,
        outbox_oldest: oldest.map(Timestamp::from_micros),
        parked: natural(parked)?,
        without_wake_up: natural(without_wake_up)?,
    })
}

pub(super) fn secret(connection: &Connection, name: &str) -> Result<Option<Vec<u8>>, JournalError> {
    let mut statement = connection.prepare_cached("SELECT value FROM secrets WHERE name = ?")?;
    Ok(statement.query_row([name], |row| row.get(0)).optional()?)
}

/// The highest number that an entry of the outbox ever had.
pub(super) fn outbox_newest(connection: &Connection) -> Result<i64, JournalError> {
    let newest = connection
        .prepare_cached("SELECT seq FROM sqlite_sequence WHERE name = 'outbox'")?
        .query_row([], |row| row.get(0))
        .optional()?;
    Ok(newest.unwrap_or(0))
}

pub(super) fn outbox(
    connection: &Connection,
    recipient: Recipient,
    after: OutboxId,
    limit: u32,
) -> Result<OutboxPage, JournalError> {
    // Before the entries: those that are committed meanwhile may be missing in
    // between, but not below it.
    let newest = OutboxId(natural(outbox_newest(connection)?)?);
    let whose = match recipient {
        Recipient::RunStore => "new IS NOT NULL",
        Recipient::EventStream => "first_seq IS NOT NULL",
    };
    let mut statement = connection.prepare_cached(&format!(
        "SELECT id, run_id, node_run_id, new, first_seq, last_seq FROM outbox
         WHERE id > ? AND {whose} ORDER BY id LIMIT ?"
    ))?;
    let rows = statement.query_map(params![integer(after.0)?, limit], |row| {
        let owed: (Option<String>, Option<bool>, Option<i64>, Option<i64>) =
            (row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?);
        Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, owed))
    })?;
    let entries = rows
        .map(|row| {
            let (id, run_id, owed) = row?;
            let what = match owed {
                (None, Some(new), ..) => Owed::Run { new },
                (Some(node), Some(new), ..) => Owed::NodeRun { node_run_id: NodeRunId::new(node), new },
                (_, None, Some(first), Some(last)) => {
                    Owed::Events { first: natural(first)?, last: natural(last)? }
                }
                (_, None, ..) => return Err(JournalError::Damaged(format!("outbox entry {id}"))),
            };
            Ok(OutboxEntry { id: OutboxId(natural(id)?), run_id: RunId::new(run_id), what })
        })
        .collect::<Result<Vec<_>, JournalError>>()?;
    let scanned_to = match entries.last() {
        Some(last) if entries.len() as u64 >= u64::from(limit) => last.id,
        Some(last) => last.id.max(newest),
        None => after.max(newest),
    };
    Ok(OutboxPage { entries, scanned_to })
}
