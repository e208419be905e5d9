//! A cache of recently committed records and events. A run that is under way is
//! read again and again, and each commit makes SQLite's readers drop their pages.
//!
//! ```text
//!   commit ──▶ drop what it changes ──▶ durable ──▶ insert what it wrote
//!   read   ──▶ cached? ──yes──▶ done
//!                 └──no──▶ SQLite (and nothing is inserted)
//! ```
//!
//! - `event_tail`: the newest events of a run.
//!
//! **Invariants.** Only this process writes the file, so nothing else can change
//! a row; if others do, it holds nothing but what decisions may be made on
//! ([`Recent`]). What is cached is never newer than the disk. A newer version is never
//! replaced by an older one, in whatever order the tasks of two commits continue;
//! and a failed commit drops what it would have changed. Bounded by bytes.

mod event_tail;

use std::sync::Arc;

use parking_lot::Mutex;
use quick_cache::{Weighter, sync::Cache};

use self::event_tail::{CachedEvent, EventTail};
use super::rows::ChangeRows;
use crate::{
    journal::{EventPage, PageLimit, Recent},
    record::{ChangeSet, NodeHead, NodePath, NodeRecord, RunRecord},
    types::{NodeRunId, RunId},
};

/// The maximum of cached JSON, in bytes.
const RUNS_BYTES: u64 = 4 << 20;
const NODES_BYTES: u64 = 8 << 20;
const EVENTS_BYTES: u64 = 8 << 20;
/// The cost of an entry besides its content.
const OVERHEAD: u64 = 256;

/// What a cache holds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    Everything,
    /// Others write to the database: what they have written is unknown here. What this
    /// process has written is kept for decisions.
    #[cfg_attr(not(any(test, feature = "test-util")), allow(dead_code, reason = "for shared databases"))]
    Nothing,
}

pub(super) struct ReadCache {
    holds: Holds,
    recent: Recent,
    runs: Cache<RunId, Entry<RunRecord>, ByBytes>,
    nodes: Cache<NodeRunId, Entry<NodeRecord>, ByBytes>,
    events: Cache<RunId, Arc<Mutex<EventTail>>, ByBytes>,
}

#[derive(Clone)]
struct Entry<T> {
    version: u64,
    /// `None`: a tombstone, so that nothing older than `version` is inserted.
    record: Option<Arc<T>>,
    bytes: u64,
}

impl<T> Entry<T> {
    /// A record of more than `most` bytes is not cached: it would evict all
    /// others.
    fn of(record: T, version: u64, bytes: u64, most: u64) -> Self {
        if bytes <= most {
            Self { version, record: Some(Arc::new(record)), bytes }
        } else {
            Self::tombstone(version)
        }
    }

    fn tombstone(version: u64) -> Self {
        Self { version, record: None, bytes: 0 }
    }
}

#[derive(Clone)]
struct ByBytes;

impl<K, T> Weighter<K, Entry<T>> for ByBytes {
    fn weight(&self, _: &K, value: &Entry<T>) -> u64 {
        value.bytes + OVERHEAD
    }
}

/// A tail grows while it is cached, so it weighs what it typically grows to.
impl Weighter<RunId, Arc<Mutex<EventTail>>> for ByBytes {
    fn weight(&self, _: &RunId, _: &Arc<Mutex<EventTail>>) -> u64 {
        (event_tail::BYTES_MAX / 8) as u64
    }
}

impl ReadCache {
    pub(super) fn new(holds: Holds) -> Self {
        let items = |bytes: u64| usize::try_from(bytes / 1024).unwrap_or(usize::MAX);
        Self {
            holds,
            recent: Recent::default(),
            runs: Cache::with_weighter(items(RUNS_BYTES), RUNS_BYTES, ByBytes),
            nodes: Cache::with_weighter(items(NODES_BYTES), NODES_BYTES, ByBytes),
            events: Cache::with_weighter(items(EVENTS_BYTES) / 8, EVENTS_BYTES, ByBytes),
        }
    }

    /// What may be old, if this process is not the only one that writes.
    pub(super) fn recent(&self) -> Option<&Recent> {
        (self.holds == Holds::Nothing).then_some(&self.recent)
    }

    pub(super) fn run(&self, id: &RunId) -> Option<RunRecord> {
        self.runs.get(id)?.record.as_deref().cloned()
    }

    pub(super) fn node(&self, id: &NodeRunId) -> Option<NodeRecord> {
        self.nodes.get(id)?.record.as_deref().cloned()
    }

    pub(super) fn head(&self, id: &NodeRunId) -> Option<NodeHead> {
        self.nodes.get(id)?.record.as_deref().map(NodeRecord::head)
    }

    /// The events after `after`, if all of them are cached.
    pub(super) fn events_after(
        &self,
        run: &RunId,
        after: u64,
        within: Option<&NodePath>,
        limit: PageLimit,
    ) -> Option<EventPage> {
        self.events.get(run)?.lock().events_after(after, within, limit)
    }

    /// Drops what a commit changes: it is not cached while the commit is under
    /// way.
    pub(super) fn before_commit(&self, change: &ChangeSet) {
        if change.run.is_some() {
            self.drop_run(&change.run_id);
        }
        for node in &change.nodes {
            self.drop_node(node.id());
        }
        for head in &change.heads {
            self.drop_node(&head.node_run_id);
        }
        if !change.events.is_empty()
            && let Some(tail) = self.events.peek(&change.run_id)
        {
            tail.lock().expect_more();
        }
    }

    /// Inserts what a commit wrote.
    pub(super) fn committed(&self, change: ChangeSet, rows: &ChangeRows) {
        if self.holds == Holds::Nothing {
            return self.recent.committed(&change);
        }
        let ChangeSet { run_id, run, nodes, heads, events, .. } = change;
        if let (Some(mut run), Some(row)) = (run, &rows.run) {
            run.version += 1;
            self.insert_run(run, row.body.bytes());
        }
        for (mut node, row) in nodes.into_iter().zip(&rows.nodes) {
            if node.unread.any() {
                self.drop_node(node.id());
                continue;
            }
            node.version += 1;
            self.insert_node(node, row.body.bytes() + row.payloads.bytes());
        }
        // Only the heads of these are known.
        for head in heads {
            self.drop_node(&head.node_run_id);
        }
        let events = events.into_iter().zip(&rows.events).map(|(event, row)| CachedEvent {
            seq: event.event.seq,
            path: event.path,
            body: Arc::clone(&row.body),
        });
        self.append_events(&run_id, events.collect());
    }

    /// Drops what a failed commit was based on, or may have written.
    pub(super) fn commit_failed(&self, change: &ChangeSet) {
        self.recent.forget(&change.run_id);
        self.before_commit(change);
        self.drop_events(&change.run_id);
    }

    /// A row changed without its record, and has this version now. An earlier
    /// commit whose task continues only now must not insert what it wrote.
    pub(super) fn outdate_node(&self, run: &RunId, id: &NodeRunId, version: u64) {
        self.recent.forget_node(run, id);
        if self.nodes.peek(id).is_none_or(|known| known.version <= version) {
            self.nodes.insert(id.clone(), Entry::tombstone(version));
        }
    }

    pub(super) fn drop_run(&self, id: &RunId) {
        self.runs.remove(id);
    }

    pub(super) fn drop_node(&self, id: &NodeRunId) {
        self.nodes.remove(id);
    }

    pub(super) fn drop_events(&self, id: &RunId) {
        self.events.remove(id);
    }

    /// Many rows changed at once.
    pub(super) fn drop_all_nodes(&self) {
        self.nodes.clear();
    }

    fn insert_run(&self, record: RunRecord, bytes: usize) {
        let (id, version) = (record.id().clone(), record.version);
        if self.runs.peek(&id).is_none_or(|known| known.version < version) {
            self.runs.insert(id, Entry::of(record, version, bytes as u64, RUNS_BYTES / 2));
        }
    }

    fn insert_node(&self, record: NodeRecord, bytes: usize) {
        let (id, version) = (record.id().clone(), record.version);
        if self.nodes.peek(&id).is_none_or(|known| known.version < version) {
            self.nodes.insert(id, Entry::of(record, version, bytes as u64, NODES_BYTES / 2));
        }
    }

    fn append_events(&self, run: &RunId, events: Vec<CachedEvent>) {
        if events.is_empty() {
            return;
        }
        let tail = match self.events.get(run) {
            Some(tail) => tail,
            None => {
                let tail = Arc::<Mutex<EventTail>>::default();
                self.events.insert(run.clone(), Arc::clone(&tail));
                tail
            }
        };
        tail.lock().append(events);
    }
}
