//! What was committed lately, in memory: a run that is under way is read over
//! and over, and each commit makes SQLite's readers forget their pages.
//!
//! ```text
//!   commit ──▶ forget what it changes ──▶ durable ──▶ remember what it wrote
//!   read   ──▶ remembered? ──yes──▶ done
//!                  └──no──▶ SQLite (and nothing is remembered)
//! ```
//!
//! Events are not changed but added. While some are being added, nobody is
//! told that those remembered are the last: others may be durable already.
//!
//! Only this process writes the file, so nothing else can change a row. What is
//! remembered is never newer than the disk. It might be older only if two
//! writers of one row finished out of order; a newer version is never replaced
//! by an older one, and a conflict forgets what led to it. Bounded by bytes.

use std::{collections::VecDeque, sync::Arc};

use parking_lot::Mutex;
use quick_cache::{Weighter, sync::Cache};

use crate::{
    journal::{EventPage, PageLimit},
    record::{NodeHead, NodePath, NodeRecord, RunRecord},
    types::{NodeRunId, RunId},
};

/// Bytes of JSON that may be remembered of each kind.
const RUNS_BYTES: u64 = 4 << 20;
const NODES_BYTES: u64 = 8 << 20;
const EVENTS_BYTES: u64 = 8 << 20;
/// Of one run's events the newest are remembered, so many and so much.
const TAIL_EVENTS: usize = 64;
const TAIL_BYTES: usize = 64 << 10;
/// What an entry costs besides its content.
const OVERHEAD: u64 = 256;

pub(super) struct Recent {
    runs: Cache<RunId, Remembered<RunRecord>, ByBytes>,
    nodes: Cache<NodeRunId, Remembered<NodeRecord>, ByBytes>,
    events: Cache<RunId, Arc<Mutex<Tail>>, ByBytes>,
}

#[derive(Clone)]
struct Remembered<T> {
    version: u64,
    /// `None`: nothing older than `version` is to be remembered.
    record: Option<Arc<T>>,
    bytes: u64,
}

impl<T> Remembered<T> {
    /// One of more than `most` bytes is not remembered: it would cost all others
    /// their place.
    fn of(record: T, version: u64, bytes: u64, most: u64) -> Self {
        match bytes <= most {
            true => Self { version, record: Some(Arc::new(record)), bytes },
            false => Self { version, record: None, bytes: 0 },
        }
    }
}

/// The newest events of a run, without gaps.
#[derive(Default)]
struct Tail {
    events: VecDeque<Event>,
    bytes: usize,
    /// More are being committed.
    grows: bool,
}

pub(super) struct Event {
    pub(super) seq: u64,
    pub(super) path: Option<NodePath>,
    pub(super) body: Arc<str>,
}

#[derive(Clone)]
struct ByBytes;

impl<K, T> Weighter<K, Remembered<T>> for ByBytes {
    fn weight(&self, _: &K, value: &Remembered<T>) -> u64 {
        value.bytes + OVERHEAD
    }
}

/// A tail grows while it is remembered, so it counts as what it may become.
impl Weighter<RunId, Arc<Mutex<Tail>>> for ByBytes {
    fn weight(&self, _: &RunId, _: &Arc<Mutex<Tail>>) -> u64 {
        (TAIL_BYTES / 8) as u64
    }
}

impl Recent {
    pub(super) fn new() -> Self {
        let items = |bytes: u64| usize::try_from(bytes / 1024).unwrap_or(usize::MAX);
        Self {
            runs: Cache::with_weighter(items(RUNS_BYTES), RUNS_BYTES, ByBytes),
            nodes: Cache::with_weighter(items(NODES_BYTES), NODES_BYTES, ByBytes),
            events: Cache::with_weighter(items(EVENTS_BYTES) / 8, EVENTS_BYTES, ByBytes),
        }
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

    /// A row was written: `record` has its new version.
    pub(super) fn remember_run(&self, record: RunRecord, bytes: usize) {
        let id = record.id().clone();
        let (version, bytes) = (record.version, bytes as u64);
        if self.runs.peek(&id).is_none_or(|known| known.version < version) {
            self.runs.insert(id, Remembered::of(record, version, bytes, RUNS_BYTES / 2));
        }
    }

    pub(super) fn remember_node(&self, record: NodeRecord, bytes: usize) {
        let id = record.id().clone();
        let (version, bytes) = (record.version, bytes as u64);
        if self.nodes.peek(&id).is_none_or(|known| known.version < version) {
            self.nodes.insert(id, Remembered::of(record, version, bytes, NODES_BYTES / 2));
        }
    }

    /// A row was changed without its record: it has this version now. A commit
    /// that came before, and whose task goes on only now, must not bring back
    /// what it wrote.
    pub(super) fn surpass_node(&self, id: &NodeRunId, version: u64) {
        if self.nodes.peek(id).is_none_or(|known| known.version <= version) {
            self.nodes.insert(id.clone(), Remembered { version, record: None, bytes: 0 });
        }
    }

    /// Before events of this run are committed.
    pub(super) fn expect_events(&self, run: &RunId) {
        if let Some(tail) = self.events.peek(run) {
            tail.lock().grows = true;
        }
    }

    pub(super) fn remember_events(&self, run: &RunId, events: Vec<Event>) {
        let Some(first) = events.first().map(|event| event.seq) else { return };
        let tail = match self.events.get(run) {
            Some(tail) => tail,
            None => {
                let tail = Arc::<Mutex<Tail>>::default();
                self.events.insert(run.clone(), Arc::clone(&tail));
                tail
            }
        };
        let mut tail = tail.lock();
        let next = tail.events.back().map(|newest| newest.seq + 1);
        if next.is_some_and(|next| next != first) {
            *tail = Tail::default();
        }
        tail.grows = false;
        for event in events {
            tail.bytes += event.body.len();
            tail.events.push_back(event);
        }
        while tail.events.len() > TAIL_EVENTS || tail.bytes > TAIL_BYTES {
            match tail.events.pop_front() {
                Some(oldest) => tail.bytes -= oldest.body.len(),
                None => break,
            }
        }
    }

    /// The events after `after`, if all of them are remembered.
    pub(super) fn events_after(
        &self,
        run: &RunId,
        after: u64,
        within: Option<&NodePath>,
        limit: PageLimit,
    ) -> Option<EventPage> {
        let tail = self.events.get(run)?;
        let tail = tail.lock();
        if tail.events.front()?.seq > after.saturating_add(1) {
            return None;
        }
        let mut page = EventPage { scanned_to: after, ..EventPage::default() };
        let mut bytes = 0;
        for event in tail.events.iter().filter(|event| event.seq > after) {
            if page.events.len() >= limit.entries.max(1) as usize {
                return Some(page);
            }
            let is_within = |within: &NodePath| event.path.as_ref().is_some_and(|path| within.contains(path));
            if within.is_none_or(is_within) {
                if !page.events.is_empty() && bytes + event.body.len() > limit.bytes {
                    return Some(page);
                }
                bytes += event.body.len();
                page.events.push((event.seq, event.body.to_string()));
            }
            page.scanned_to = event.seq;
        }
        page.at_end = true;
        (!tail.grows).then_some(page)
    }

    pub(super) fn forget_run(&self, id: &RunId) {
        self.runs.remove(id);
    }

    pub(super) fn forget_node(&self, id: &NodeRunId) {
        self.nodes.remove(id);
    }

    /// A commit of this run ended in a way that is not understood.
    pub(super) fn forget_events(&self, id: &RunId) {
        self.events.remove(id);
    }

    /// Many rows were changed at once.
    pub(super) fn forget_nodes(&self) {
        self.nodes.clear();
    }
}
