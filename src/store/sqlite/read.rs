//! Queries, on a few connections that cannot write.

use std::{
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use rusqlite::{Connection, OpenFlags, params};

use super::rows::{self, NODE_COLUMNS, RUN_COLUMNS};
use crate::{
    ids::{NodeRunId, OwnerId, RunId},
    record::{AttemptRecord, NodePath, NodeRecord, RunRecord},
    store::{Counts, EventPage, OpenError, OutboxEntry, Owed, PageLimit, StoreError},
    time::Timestamp,
};

const CONNECTIONS: usize = 4;
/// So many events are looked at for one page, however few of them match.
const SCAN: u32 = 4_096;

pub(super) struct Readers {
    connections: Vec<Mutex<Connection>>,
}

impl Readers {
    pub(super) fn open(path: &Path) -> Result<Self, OpenError> {
        let open = || -> rusqlite::Result<Mutex<Connection>> {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let db = Connection::open_with_flags(path, flags)?;
            db.busy_timeout(std::time::Duration::from_secs(5))?;
            db.set_prepared_statement_cache_capacity(32);
            Ok(Mutex::new(db))
        };
        let connections = (0..CONNECTIONS).map(|_| open()).collect::<Result<_, _>>();
        let connections = connections
            .map_err(|error| OpenError::Io { path: path.display().to_string(), reason: error.to_string() })?;
        Ok(Self { connections })
    }

    /// A connection that is free, or else the first one's turn.
    fn db(&self) -> MutexGuard<'_, Connection> {
        let free = self.connections.iter().find_map(|connection| connection.try_lock().ok());
        free.unwrap_or_else(|| self.connections[0].lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn run_fetch(&self, run: &RunId) -> Result<Option<RunRecord>, StoreError> {
        let db = self.db();
        let mut query = db.prepare_cached(&format!("SELECT {RUN_COLUMNS} FROM runs WHERE run_id = ?1"))?;
        let mut found = query.query([run.as_str()])?;
        found.next()?.map(rows::run).transpose()
    }

    pub(super) fn node_fetch(&self, node: &NodeRunId) -> Result<Option<NodeRecord>, StoreError> {
        let db = self.db();
        let sql = format!("SELECT {NODE_COLUMNS} FROM node_runs WHERE node_run_id = ?1");
        let mut query = db.prepare_cached(&sql)?;
        let mut found = query.query([node.as_str()])?;
        found.next()?.map(rows::node).transpose()
    }

    pub(super) fn nodes_live(
        &self,
        run: &RunId,
        under: Option<&NodePath>,
    ) -> Result<Vec<NodeRecord>, StoreError> {
        let db = self.db();
        // A descendant's path goes on with a dot; the slash comes right after
        // the dot.
        let sql = format!(
            "SELECT {NODE_COLUMNS} FROM node_runs
             WHERE run_id = ?1 AND NOT terminal
               AND (?2 IS NULL OR (path > ?2 || '.' AND path < ?2 || '/'))"
        );
        let mut nodes = nodes(&db, &sql, params![run.as_str(), under.map(NodePath::as_str)])?;
        nodes.sort_by_key(|node| std::cmp::Reverse(node.path.depth()));
        Ok(nodes)
    }

    pub(super) fn wakes_owned(
        &self,
        owner: &OwnerId,
        since: Timestamp,
    ) -> Result<Vec<NodeRecord>, StoreError> {
        let sql = format!("SELECT {NODE_COLUMNS} FROM node_runs WHERE wake_owner = ?1 AND wake_at <= ?2");
        nodes(&self.db(), &sql, params![owner.as_str(), since.as_micros()])
    }

    pub(super) fn events_after(
        &self,
        run: &RunId,
        after: u64,
        within: Option<&NodePath>,
        limit: PageLimit,
    ) -> Result<EventPage, StoreError> {
        let db = self.db();
        let mut query = db.prepare_cached(
            "SELECT seq, path, body FROM events WHERE run_id = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3",
        )?;
        let scan = if within.is_some() { SCAN } else { limit.entries.max(1) };
        let mut found = query.query(params![run.as_str(), rows::signed(after), scan])?;
        let mut page = EventPage { scanned_to: after, ..EventPage::default() };
        let (mut looked_at, mut bytes) = (0, 0);
        while let Some(row) = found.next()? {
            let seq = rows::unsigned(row.get(0)?);
            if matches(row.get_ref(1)?.as_str_or_null().ok().flatten(), within) {
                let body =
                    row.get_ref(2)?.as_str().map_err(|error| StoreError::Damaged(error.to_string()))?;
                let full =
                    page.events.len() >= limit.entries.max(1) as usize || bytes + body.len() > limit.bytes;
                if full && !page.events.is_empty() {
                    return Ok(page);
                }
                bytes += body.len();
                page.events.push((seq, body.to_owned()));
            }
            page.scanned_to = seq;
            looked_at += 1;
        }
        page.at_end = looked_at < scan;
        Ok(page)
    }

    pub(super) fn attempts_list(&self, node: &NodeRunId) -> Result<Vec<AttemptRecord>, StoreError> {
        let db = self.db();
        let mut query =
            db.prepare_cached("SELECT body FROM attempts WHERE node_run_id = ?1 ORDER BY attempt")?;
        let bodies = query.query_map([node.as_str()], |row| row.get::<_, String>(0))?;
        bodies.map(|body| rows::parse(&body?)).collect()
    }

    pub(super) fn wake_next(&self) -> Result<Option<Timestamp>, StoreError> {
        let db = self.db();
        let mut query = db.prepare_cached(
            "SELECT min(wake_at) FROM node_runs WHERE wake_at IS NOT NULL AND wake_owner IS NULL",
        )?;
        let at: Option<i64> = query.query_row([], |row| row.get(0))?;
        Ok(at.map(Timestamp::from_micros))
    }

    pub(super) fn runs_overdue(&self, now: Timestamp, limit: u32) -> Result<Vec<RunId>, StoreError> {
        let db = self.db();
        let mut query = db.prepare_cached(
            "SELECT run_id FROM runs WHERE NOT terminal AND deadline <= ?1 ORDER BY deadline LIMIT ?2",
        )?;
        let ids = query.query_map(params![now.as_micros(), limit], |row| row.get::<_, String>(0))?;
        ids.map(|id| Ok(RunId::new(id?))).collect()
    }

    pub(super) fn counts(&self, now: Timestamp) -> Result<Counts, StoreError> {
        let db = self.db();
        let mut query = db.prepare_cached(
            "SELECT (SELECT count(*) FROM runs WHERE NOT terminal),
                    (SELECT count(*) FROM node_runs WHERE NOT terminal),
                    (SELECT count(*) FROM node_runs
                     WHERE wake_at IS NOT NULL AND wake_owner IS NULL AND wake_at <= ?1),
                    (SELECT count(*) FROM outbox)",
        )?;
        Ok(query.query_row([now.as_micros()], |row| {
            Ok(Counts {
                runs_live: rows::unsigned(row.get(0)?),
                nodes_live: rows::unsigned(row.get(1)?),
                wakes_due: rows::unsigned(row.get(2)?),
                outbox: rows::unsigned(row.get(3)?),
            })
        })?)
    }

    pub(super) fn outbox_page(&self, limit: u32) -> Result<Vec<OutboxEntry>, StoreError> {
        let db = self.db();
        let mut query = db.prepare_cached("SELECT id, run_id, what, key FROM outbox ORDER BY id LIMIT ?1")?;
        let mut found = query.query([limit])?;
        let mut page = Vec::new();
        while let Some(row) = found.next()? {
            let (what, key): (String, String) = (row.get(2)?, row.get(3)?);
            let unknown = || StoreError::Damaged(format!("the outbox has {what:?} {key:?}"));
            let owed = match what.as_str() {
                "run" => Owed::Run,
                "node_run" => Owed::NodeRun(NodeRunId::new(key.as_str())),
                "event" => Owed::Event(key.parse().map_err(|_| unknown())?),
                _ => return Err(unknown()),
            };
            page.push(OutboxEntry {
                id: rows::unsigned(row.get(0)?),
                run_id: RunId::new(row.get::<_, String>(1)?),
                what: owed,
            });
        }
        Ok(page)
    }
}

fn nodes(db: &Connection, sql: &str, given: impl rusqlite::Params) -> Result<Vec<NodeRecord>, StoreError> {
    let mut query = db.prepare_cached(sql)?;
    let mut found = query.query(given)?;
    let mut nodes = Vec::new();
    while let Some(row) = found.next()? {
        nodes.push(rows::node(row)?);
    }
    Ok(nodes)
}

/// Whether an event at `path` belongs to what is asked for.
fn matches(path: Option<&str>, within: Option<&NodePath>) -> bool {
    match (path, within) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(path), Some(within)) => within.contains(&NodePath::from(path.to_owned())),
    }
}
