//! What is read from the database, through a pool of connections that cannot
//! write. In WAL mode they see the last commit and wait for nobody.

use std::{
    cmp::Reverse,
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

use super::rows::{NodeRow, RunRow, WantRow, from_json, integer, natural};
use crate::{
    ids::{NodeRunId, OwnerId, RunId},
    record::{AttemptRecord, NodePath, NodeRecord, RunRecord},
    store::{Counts, EventPage, OutboxEntry, OutboxId, OutboxPage, Owed, PageLimit, Recipient, StoreError},
    time::Timestamp,
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
        read: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => self.connect()?,
        };
        let result = read(&connection)?;
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_MAX {
            idle.push(connection);
        }
        Ok(result)
    }

    fn connect(&self) -> Result<Connection, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        connection.pragma_update(None, "query_only", true)?;
        Ok(connection)
    }
}

pub(super) fn run(connection: &Connection, run: &RunId) -> Result<Option<RunRecord>, StoreError> {
    connection
        .prepare_cached(&format!("SELECT {} FROM runs WHERE run_id = ?", RunRow::COLUMNS))?
        .query_row([run.as_str()], RunRow::read)
        .optional()?
        .map(RunRow::decode)
        .transpose()
}

pub(super) fn node(connection: &Connection, node: &NodeRunId) -> Result<Option<NodeRecord>, StoreError> {
    connection
        .prepare_cached(&format!("SELECT {} FROM node_runs WHERE node_run_id = ?", NodeRow::COLUMNS))?
        .query_row([node.as_str()], NodeRow::read)
        .optional()?
        .map(|row| row.decode())
        .transpose()
}

pub(super) fn nodes_live(
    connection: &Connection,
    run: &RunId,
    under: Option<&NodePath>,
) -> Result<Vec<NodeRecord>, StoreError> {
    let columns = NodeRow::COLUMNS;
    // Left to choose, SQLite takes the index of all nodes of a run.
    let live = format!(
        "SELECT {columns} FROM node_runs INDEXED BY node_runs_live WHERE run_id = ?1 AND terminal = 0"
    );
    let rows = match under {
        None => connection
            .prepare_cached(&live)?
            .query_map([run.as_str()], NodeRow::read)?
            .collect::<Result<Vec<_>, _>>()?,
        // A range of the index rather than LIKE: `/` is what follows `.`, so
        // these are the paths that begin with "<path>.", whatever is in it.
        Some(path) => connection
            .prepare_cached(&format!("{live} AND path > ?2 || '.' AND path < ?2 || '/'"))?
            .query_map([run.as_str(), path.as_str()], NodeRow::read)?
            .collect::<Result<Vec<_>, _>>()?,
    };
    let mut nodes = rows.iter().map(NodeRow::decode).collect::<Result<Vec<_>, _>>()?;
    nodes.sort_by_key(|node| Reverse(node.path.depth()));
    Ok(nodes)
}

pub(super) fn events(
    connection: &Connection,
    run: &RunId,
    after: u64,
    within: Option<&NodePath>,
    limit: PageLimit,
) -> Result<EventPage, StoreError> {
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

pub(super) fn attempts(connection: &Connection, node: &NodeRunId) -> Result<Vec<AttemptRecord>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT body FROM attempts WHERE node_run_id = ? ORDER BY attempt")?;
    let bodies = statement.query_map([node.as_str()], |row| row.get::<_, String>(0))?;
    bodies.map(|body| from_json(node.as_str(), &body?)).collect()
}

pub(super) fn wakes_owned(
    connection: &Connection,
    owner: &OwnerId,
    since: Timestamp,
) -> Result<Vec<NodeRow>, StoreError> {
    let columns = NodeRow::COLUMNS;
    Ok(connection
        .prepare_cached(&format!("SELECT {columns} FROM node_runs WHERE wake_owner = ? AND wake_at <= ?"))?
        .query_map(params![owner.as_str(), since.as_micros()], NodeRow::read)?
        .collect::<Result<_, _>>()?)
}

pub(super) fn wake_next(connection: &Connection, after: Timestamp) -> Result<Option<Timestamp>, StoreError> {
    let at: Option<i64> = connection
        .prepare_cached(
            "SELECT min(wake_at) FROM node_runs
             WHERE wake_owner IS NULL AND wake_at IS NOT NULL AND wake_at > ?",
        )?
        .query_one([after.as_micros()], |row| row.get(0))?;
    Ok(at.map(Timestamp::from_micros))
}

/// Wake-ups that are due at `?1`, nobody's, and wanted (see [`WantRow`]): for
/// the job `?2`, of composites or of others as `?3` says, and no dispatches of
/// the runs in `?4`, a list in JSON.
pub(super) const DUE: &str = "wake_owner IS NULL AND wake_at IS NOT NULL AND wake_at <= ?1
    AND (?2 IS NULL OR wake_job = ?2)
    AND (wake_job <> 'dispatch' OR run_id NOT IN (SELECT value FROM json_each(?4)))
    AND (?3 IS NULL OR ?3 = (CASE WHEN json_valid(body) THEN body ->> '$.node.kind' END IS 'composite'))";

pub(super) fn wake_is_due(
    connection: &Connection,
    now: Timestamp,
    want: &WantRow,
) -> Result<bool, StoreError> {
    let mut statement =
        connection.prepare_cached(&format!("SELECT EXISTS (SELECT 1 FROM node_runs WHERE {DUE})"))?;
    let WantRow { job, composite, except, limit: _ } = want;
    Ok(statement.query_one(params![now.as_micros(), job, composite, except], |row| row.get(0))?)
}

pub(super) fn time_newest(connection: &Connection) -> Result<Option<Timestamp>, StoreError> {
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
) -> Result<Vec<RunId>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT run_id FROM runs WHERE terminal = 0 AND deadline <= ? ORDER BY deadline LIMIT ?",
    )?;
    let ids = statement.query_map(params![now.as_micros(), limit], |row| row.get::<_, String>(0))?;
    Ok(ids.map(|id| id.map(RunId::new)).collect::<Result<_, _>>()?)
}

pub(super) fn counts(connection: &Connection, now: Timestamp) -> Result<Counts, StoreError> {
    let ([runs_live, nodes_live, wakes_due, outbox, parked, without_wake_up], oldest) = connection
        .prepare_cached(
            "SELECT (SELECT count(*) FROM runs WHERE terminal = 0),
                    (SELECT count(*) FROM node_runs WHERE terminal = 0),
                    (SELECT count(*) FROM node_runs
                     WHERE wake_owner IS NULL AND wake_at IS NOT NULL AND wake_at <= ?),
                    (SELECT count(*) FROM outbox),
                    (SELECT count(*) FROM parked),
                    (SELECT count(*) FROM node_runs WHERE terminal = 0 AND wake_at IS NULL)
                    + (SELECT count(*) FROM runs WHERE terminal = 0 AND deadline IS NULL),
                    (SELECT decided_at FROM outbox ORDER BY id LIMIT 1)",
        )?
        .query_one([now.as_micros()], |row| {
            let counted = [row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?];
            Ok((counted, row.get::<_, Option<i64>>(6)?))
        })?;
    Ok(Counts {
        runs_live: natural(runs_live)?,
        nodes_live: natural(nodes_live)?,
        wakes_due: natural(wakes_due)?,
        outbox: natural(outbox)?,
        outbox_oldest: oldest.map(Timestamp::from_micros),
        parked: natural(parked)?,
        without_wake_up: natural(without_wake_up)?,
    })
}

pub(super) fn secret(connection: &Connection, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT value FROM secrets WHERE name = ?")?;
    Ok(statement.query_row([name], |row| row.get(0)).optional()?)
}

/// The highest number that an entry of the outbox ever had.
pub(super) fn outbox_newest(connection: &Connection) -> Result<i64, StoreError> {
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
) -> Result<OutboxPage, StoreError> {
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
                (_, None, ..) => return Err(StoreError::Damaged(format!("outbox entry {id}"))),
            };
            Ok(OutboxEntry { id: OutboxId(natural(id)?), run_id: RunId::new(run_id), what })
        })
        .collect::<Result<Vec<_>, StoreError>>()?;
    let scanned_to = match entries.last() {
        Some(last) if entries.len() as u64 >= u64::from(limit) => last.id,
        Some(last) => last.id.max(newest),
        None => after.max(newest),
    };
    Ok(OutboxPage { entries, scanned_to })
}
