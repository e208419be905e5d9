//! Records to commit, for these and for other tests.

use std::sync::Arc;

use super::Reopen;
use crate::{
    journal::{
        AuditFilter, AuditId, AuditPage, AuditSelect, ClaimFilter, EventPage, JournalError, OutboxEntry,
        OutboxId, PageLimit, inspect::Inspect,
    },
    record::{
        AttemptOutcome, AttemptRecord, ChangeSet, EventRecord, Identity, Job, NodeHead, NodePath, NodeRecord,
        Origin, Recipient, RunRecord, Wake,
    },
    time::Timestamp,
    types::{
        NodeRun, NodeRunId, NodeRunState, NodeTypeRef, Run, RunEvent, RunEventType, RunId, RunState,
        StructuralConstraints, WorkerId,
    },
};

/// A page with everything.
pub const NO_LIMIT: PageLimit = PageLimit { entries: u32::MAX, bytes: usize::MAX };

/// `micros` after the epoch.
pub fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}

/// A live run that is not stored yet.
pub fn run(id: &str) -> RunRecord {
    RunRecord {
        run: Run {
            ended_at: None,
            extensions: None,
            root_node_run_id: NodeRunId::new(format!("{id}/1")),
            run_context: None,
            run_id: id.into(),
            started_at: Some(at(1)),
            state: RunState::Running,
        },
        version: 0,
        last_seq: 0,
        nodes: 1,
        origin: Origin::Request { digest: "digest".into() },
        owner: Some(Identity::bare("caller")),
        subject_token: None,
        deadline: Some(at(1_000_000)),
        ceilings: Some(StructuralConstraints { max_depth: Some(32), ..StructuralConstraints::default() }),
        account: None,
        hold: None,
        rerun: None,
        attempts: 0,
        changed_at: None,
        trace: None,
    }
}

/// A live node at `path` that is not stored yet and is to be dispatched at time 100.
/// Its id is run and path.
pub fn node(run: &str, path: &str) -> NodeRecord {
    let type_ref = NodeTypeRef { extensions: None, node_type_id: "type".into(), version: "1.0.0".into() };
    let id = NodeRunId::new(format!("{run}/{path}"));
    let queued = NodeRun { created_at: Some(at(1)), ..NodeRun::queued(run.into(), id, type_ref, None) };
    NodeRecord {
        deadline: Some(at(500_000)),
        wake: Some(wake(Job::Dispatch, 100)),
        ..NodeRecord::new(queued, NodePath::from(path.to_owned()))
    }
}

/// An unclaimed wake-up.
pub fn wake(job: Job, micros: i64) -> Wake {
    Wake { job, at: at(micros), claimed_by: None, tries: 0 }
}

/// A node whose wake-up is due at that time.
pub fn node_due(run: &str, path: &str, micros: i64) -> NodeRecord {
    NodeRecord { wake: Some(wake(Job::Dispatch, micros)), ..node(run, path) }
}

/// A node whose wake-up is claimed.
pub fn node_claimed(run: &str, path: &str, worker: &WorkerId) -> NodeRecord {
    let wake = Wake { claimed_by: Some(worker.clone()), ..wake(Job::Deadline, 400_000) };
    NodeRecord { wake: Some(wake), ..node(run, path) }
}

/// The node, succeeded and without a wake-up.
pub fn ended(mut node: NodeRecord) -> NodeRecord {
    node.node.state = NodeRunState::Succeeded;
    NodeRecord { wake: None, ..node }
}

/// The run, succeeded.
pub fn run_ended(mut run: RunRecord) -> RunRecord {
    run.run.state = RunState::Succeeded;
    RunRecord { deadline: None, ..run }
}

/// An event about the node at `path`, or about the run.
pub fn event(run: &str, seq: u64, path: Option<&str>) -> EventRecord {
    EventRecord {
        event: RunEvent {
            data: None,
            extensions: None,
            node_run_id: path.map(|path| NodeRunId::new(format!("{run}/{path}"))),
            run_id: run.into(),
            seq,
            time: at(1),
            type_: RunEventType::PolicyDecided,
        },
        path: path.map(|path| NodePath::from(path.to_owned())),
    }
}

/// An attempt of a node of run `a`.
pub fn attempt(node: &str, number: u32, outcome: AttemptOutcome) -> AttemptRecord {
    AttemptRecord {
        node_run_id: node.into(),
        run_id: "a".into(),
        attempt: number,
        started_at: at(1),
        ended_at: at(2),
        outcome,
        because: None,
        note: None,
    }
}

/// An empty change set.
pub fn change(run: &str) -> ChangeSet {
    ChangeSet::new(run.into(), at(1))
}

/// The first change set of a run: the run, its root and one event.
pub fn start(id: &str) -> ChangeSet {
    ChangeSet {
        run: Some(RunRecord { last_seq: 1, ..run(id) }),
        nodes: vec![node(id, "1")],
        events: vec![event(id, 1, None)],
        ..change(id)
    }
}

/// A change set with these nodes only.
pub fn nodes(run: &str, nodes: Vec<NodeRecord>) -> ChangeSet {
    ChangeSet { nodes, ..change(run) }
}

/// A change set with these heads only.
pub fn heads(run: &str, heads: Vec<NodeHead>) -> ChangeSet {
    ChangeSet { heads, ..change(run) }
}

/// A change set with these events only.
pub fn events(run: &str, events: Vec<EventRecord>) -> ChangeSet {
    ChangeSet { events, ..change(run) }
}

/// Shorthand for what the properties do. An unexpected result is a panic. Commits
/// have outbox entries for all that they change.
pub struct Probe(pub Arc<dyn Inspect>);

impl Probe {
    /// A page of the audit trail with all that was committed: the newest records may
    /// appear a moment later.
    pub async fn audit_page(&self, after: AuditId, filter: &AuditFilter, limit: u32) -> AuditPage {
        let all = AuditSelect { filter: AuditFilter::default(), visible: Arc::new(|_| true) };
        let newest = self.0.audit_newest(None, &all, 1).await.expect("the newest record");
        if let Some(newest) = newest.entries.first() {
            let before = AuditId(newest.id.0 - 1);
            let page = async || self.0.audit_page(before, &all.filter, 1).await.expect("a page");
            while page().await.entries.is_empty() {
                tokio::task::yield_now().await;
            }
        }
        self.0.audit_page(after, filter, limit).await.expect("the audit trail can be read")
    }

    pub async fn commit(&self, change: ChangeSet) {
        self.0.commit(change.owing_all()).await.expect("the commit goes through");
    }

    pub async fn refused(&self, change: ChangeSet) -> JournalError {
        self.0.commit(change.owing_all()).await.expect_err("the commit is refused")
    }

    pub async fn run(&self, id: &str) -> Option<RunRecord> {
        self.0.run_fetch(&RunId::from(id)).await.expect("runs can be fetched")
    }

    pub async fn node(&self, run: &str, path: &str) -> Option<NodeRecord> {
        let id = NodeRunId::new(format!("{run}/{path}"));
        self.0.node_fetch(&id).await.expect("nodes can be fetched")
    }

    pub async fn head(&self, run: &str, path: &str) -> Option<NodeHead> {
        let id = NodeRunId::new(format!("{run}/{path}"));
        self.0.head_fetch(&id).await.expect("heads can be fetched")
    }

    pub async fn live(&self, run: &str, under: Option<&str>) -> Vec<String> {
        let under = under.map(|path| NodePath::from(path.to_owned()));
        let nodes = self.0.nodes_live(&run.into(), under.as_ref()).await.expect("live nodes can be listed");
        if let Some(under) = &under {
            let any = self.0.node_has_live_below(&run.into(), under).await;
            assert_eq!(any, Ok(!nodes.is_empty()), "below {under}");
        }
        let mut by_path = nodes.clone();
        by_path.sort_by(|a, b| a.path.as_str().cmp(b.path.as_str()));
        for limit in [1, 2, 1000] {
            let first = self.0.nodes_live_first(&run.into(), under.as_ref(), limit).await;
            let expected = by_path.iter().take(limit as usize).cloned().collect();
            assert_eq!(first, Ok(expected), "the first {limit} below {under:?}");
        }
        nodes.into_iter().map(|node| node.path.to_string()).collect()
    }

    pub async fn page(&self, run: &str, after: u64, within: Option<&str>, limit: PageLimit) -> EventPage {
        let within = within.map(|path| NodePath::from(path.to_owned()));
        self.0.events_after(&run.into(), after, within.as_ref(), limit).await.expect("events can be listed")
    }

    /// The `seq` of all events, read page by page.
    pub async fn seqs(&self, run: &str, within: Option<&str>, limit: PageLimit) -> Vec<u64> {
        let (mut seqs, mut after) = (Vec::new(), 0);
        loop {
            let page = self.page(run, after, within, limit).await;
            seqs.extend(page.events.iter().map(|(seq, _)| *seq));
            if page.at_end {
                return seqs;
            }
            assert!(page.scanned_to > after, "a page that is not the last one makes progress");
            after = page.scanned_to;
        }
    }

    /// All outbox entries, in the order of their ids.
    pub async fn owed(&self) -> Vec<OutboxEntry> {
        let mut owed = Vec::new();
        for recipient in Recipient::ALL {
            let entries = self.0.outbox_owed(recipient, OutboxId::default(), &[], u32::MAX).await;
            owed.extend(entries.expect("the outbox can be read"));
        }
        owed.sort_by_key(|entry| entry.id);
        owed
    }

    pub async fn claim(&self, worker: &WorkerId, now: i64, limit: u32) -> Vec<NodeHead> {
        self.0
            .claim_due(worker, at(now), &ClaimFilter { limit, ..ClaimFilter::default() })
            .await
            .expect("wake-ups can be claimed")
    }
}

/// The journal after a restart, if it can be reopened.
pub(super) async fn reopened(journal: Probe, reopen: Option<Reopen>) -> Probe {
    match reopen {
        None => journal,
        Some(reopen) => {
            drop(journal);
            Probe(reopen().await)
        }
    }
}
