//! What the view of the work of all runs promises, and evidence of one run.

use bytes::Bytes;
use futures::TryStreamExt;

use super::{
    JournalUnderTest, Probe, at, attempt, change, event, node, node_claimed, node_due, nodes, start,
};
use crate::{
    evidence,
    journal::{Backlog, DueWork, Parked, Work, WorkerClaims},
    record::{
        Actor, AttemptOutcome, AuditObject, AuditRecord, AuditedOperation, ChangeSet, Job, NodeRecord,
        Operation, Recipient, RunRecord,
    },
    types::NodeKind,
};

pub async fn work_is_counted_by_lane_worker_and_store(test: JournalUnderTest) {
    let journal = Probe(test.journal);
    let look = async |now| journal.0.work(at(now), 1).await.expect("the work can be read");
    let empty = look(0).await;
    let backlog = |recipient, entries, oldest: Option<i64>| Backlog {
        recipient,
        entries,
        oldest: oldest.map(at),
        more: false,
    };
    let none = Recipient::ALL.map(|recipient| backlog(recipient, 0, None)).to_vec();
    assert_eq!(empty, Work { backlogs: none, ..Work::default() });

    journal.0.register_worker(&"me".into()).await.expect("registered");
    journal.0.register_worker(&"idle".into()).await.expect("registered");
    journal.commit(start("a")).await;
    let composite = |mut node: NodeRecord| {
        node.node.kind = Some(NodeKind::Composite);
        node
    };
    let more = vec![
        node_due("a", "1.2", 30),
        node_due("a", "1.3", 20),
        composite(node_due("a", "1.4", 25)),
        composite(node_due("a", "1.5", 70)),
        node_claimed("a", "1.6", &"me".into()),
    ];
    journal.commit(nodes("a", more)).await;
    for (path, since) in [("1.2", 8), ("1.3", 7)] {
        let item = Parked {
            run_id: "a".into(),
            node_run_id: Some(format!("a/{path}").as_str().into()),
            job: "dispatch".into(),
            error: "it failed".into(),
            since: at(since),
            until: at(since + 20),
        };
        journal.0.park(item).await.expect("parked");
    }
    let found = look(50).await;
    let due = |kind, count, oldest| DueWork { job: "dispatch".into(), kind, count, oldest: at(oldest) };
    let mut lanes = found.due.clone();
    lanes.sort_by_key(|lane| lane.kind);
    assert_eq!(lanes, [due(None, 2, 27), due(Some(NodeKind::Composite), 1, 25)]);
    assert_eq!((found.counts.wakes_due, found.counts.parked, found.counts.runs_live), (3, 2, 1));
    let [(parked, 1)] = found.parked.as_slice() else { panic!("{:?}", found.parked) };
    assert_eq!((parked.since, parked.error.as_str()), (at(7), "it failed"), "the first that was parked");
    let claims = |worker: &str, claims| WorkerClaims { worker: worker.into(), claims };
    assert_eq!(found.workers, [claims("idle", 0), claims("me", 1)]);
    assert_eq!(
        found.backlogs,
        [backlog(Recipient::RunStore, 7, Some(1)), backlog(Recipient::EventStream, 1, Some(1))]
    );
    assert_eq!((look(10).await.due, found.approvals_oldest), (Vec::new(), None));
}

pub async fn exported_run_is_a_whole_bundle(test: JournalUnderTest) {
    let journal = Probe(test.journal);
    let export = async |run: &str| journal.0.export(&run.into(), at(9)).await.expect("it can be read");
    assert!(export("a").await.is_none());
    let audit = |run: &str| {
        AuditRecord::applied(
            at(1),
            Actor::Coordinator,
            AuditedOperation::Request(Operation::StartRun),
            AuditObject::run(&run.into()),
        )
    };
    for run in ["a", "b"] {
        journal.commit(ChangeSet { audit: vec![audit(run)], ..start(run) }).await;
    }
    // Longer than a piece, and than all pieces that wait for a reader.
    let below = |path: &str| {
        let mut child = node("a", path);
        child.node.parent_node_run_id = Some("a/1".into());
        child.node.inputs = Some([("text", serde_json::json!("x".repeat(200_000)))].into());
        child
    };
    let children: Vec<NodeRecord> = (2..12).map(|ordinal| below(&format!("1.{ordinal}"))).collect();
    let run = RunRecord { version: 1, last_seq: 2, nodes: 11, ..super::run("a") };
    journal
        .commit(ChangeSet {
            run: Some(run),
            events: vec![event("a", 2, Some("1.2"))],
            attempts: vec![attempt("a/1", 1, AttemptOutcome::Lost)],
            ..nodes("a", children)
        })
        .await;
    let pieces = export("a").await.expect("it is there");
    // What is committed from now on is not in it.
    let late = RunRecord { version: 2, last_seq: 3, nodes: 11, ..super::run("a") };
    journal.commit(ChangeSet { run: Some(late), events: vec![event("a", 3, None)], ..change("a") }).await;
    let pieces: Vec<Bytes> = pieces.try_collect().await.expect("all pieces");
    let bundle = evidence::read(pieces.concat().as_slice()).expect("a bundle that is whole");
    let counts = bundle.summary().counts;
    assert_eq!((counts.node_runs, counts.events, counts.attempts, counts.audit), (11, 2, 1, 1));
    assert_eq!((bundle.header.exported_at, bundle.header.run_id), (at(9), "a".into()));
    let job = Job::Dispatch.as_str();
    assert!(!pieces.concat().windows(job.len()).any(|window| window == job.as_bytes()), "no bookkeeping");
}
