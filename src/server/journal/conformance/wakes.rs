//! What wake-ups, claims and counts promise.

use std::collections::HashSet;

use futures::future::{join, join_all};

use super::{JournalUnderTest, samples::*};
use crate::{
    journal::{ClaimFilter, Counts, JournalError, Load},
    record::{ChangeSet, Job, NodeHead, NodeRecord, Wake},
    types::{NodeKind, NodeRunId, NodeRunState, RunId, WorkerId},
};

fn me() -> WorkerId {
    "me".into()
}

fn paths(claimed: &[NodeHead]) -> Vec<&str> {
    claimed.iter().map(|node| node.path.as_str()).collect()
}

pub async fn due_wakes_are_claimed_in_order_and_once(subject: JournalUnderTest) {
    let journal = Probe(subject.journal);
    let mut over = ended(node("a", "1.5"));
    over.wake = Some(wake(Job::CancelExecutor, 15));
    let due = [("1.1", 30), ("1.2", 10), ("1.3", 20), ("1.4", 41)];
    let due = due.map(|(path, micros)| node_due("a", path, micros));
    journal
        .commit(nodes("a", due.into_iter().chain([over, node_claimed("a", "1.6", &"you".into())]).collect()))
        .await;

    assert!(journal.claim(&me(), 9, 10).await.is_empty(), "nothing is due yet");
    let first = journal.claim(&me(), 40, 2).await;
    assert_eq!(paths(&first), ["1.2", "1.5"]);
    for node in &first {
        assert_eq!(node.version, 2, "a claim changes the version");
        assert_eq!(node.wake.as_ref().and_then(|wake| wake.claimed_by.clone()), Some(me()));
        assert_eq!(journal.head("a", node.path.as_str()).await.as_ref(), Some(node));
    }
    assert_eq!(paths(&journal.claim(&"you".into(), 40, 10).await), ["1.3", "1.1"]);
    assert!(journal.claim(&me(), 40, 10).await.is_empty());
    assert_eq!(paths(&journal.claim(&me(), 41, 10).await), ["1.4"]);
}

pub async fn held_claims_are_listed_by_job_once_due(subject: JournalUnderTest) {
    let journal = Probe(subject.journal);
    let mine = |path: &str, job, micros| {
        let wake = Wake { claimed_by: Some(me()), ..wake(job, micros) };
        NodeRecord { wake: Some(wake), ..node("a", path) }
    };
    let notify = NodeRecord { wake: mine("1.3", Job::CancelExecutor, 20).wake, ..ended(node("a", "1.3")) };
    let others = [node_due("a", "1.5", 5), node_claimed("a", "1.6", &"you".into())];
    let ours = [mine("1.1", Job::Dispatch, 10), mine("1.2", Job::Deadline, 400), notify];
    journal.commit(nodes("a", ours.into_iter().chain(others).collect())).await;
    let named = async |jobs: &[Job], since| {
        let owned = journal.0.claims_held(&me(), jobs, at(since)).await.expect("claims can be listed");
        let mut named: Vec<_> = owned
            .into_iter()
            .map(|wake| (wake.run_id.to_string(), wake.node_run_id.to_string(), wake.job))
            .collect();
        named.sort();
        named
    };
    let name = |path: &str, job| ("a".to_owned(), format!("a/{path}"), job);
    assert_eq!(named(&Job::ALL, 9).await, []);
    let (first, notify) = (name("1.1", Job::Dispatch), name("1.3", Job::CancelExecutor));
    assert_eq!(named(&Job::ALL, 399).await, [first.clone(), notify.clone()]);
    assert_eq!(named(&Job::ALL, 400).await, [first, name("1.2", Job::Deadline), notify.clone()]);
    assert_eq!(named(&[Job::CancelExecutor], 400).await, [notify]);
    assert_eq!(named(&[], 400).await, []);
}

pub async fn two_workers_never_claim_the_same_wake(subject: JournalUnderTest) {
    let journal = Probe(subject.journal);
    let all = (0..200).map(|number| node("a", &format!("1.{number}")));
    journal.commit(nodes("a", all.collect())).await;
    let workers: [WorkerId; 2] = ["one".into(), "two".into()];
    let claims =
        join_all(workers.iter().cycle().take(20).map(|worker| journal.claim(worker, 1000, 15))).await;
    let mut seen = HashSet::new();
    for node in claims.iter().flatten() {
        assert!(seen.insert(node.path.to_string()), "{} was claimed twice", node.path);
    }
    assert_eq!(seen.len(), 200);
    for worker in &workers {
        journal.0.release_claims(worker, at(0)).await.expect("claims can be released");
    }
    assert_eq!(journal.claim(&me(), 0, 1000).await.len(), 200, "each was claimed exactly once");
}

pub async fn dispatches_of_excepted_runs_are_not_claimed(subject: JournalUnderTest) {
    let journal = Probe(subject.journal);
    // Names with characters that have a meaning in JSON.
    for (run, micros) in [("big", 10), ("big\"]", 11), ("small", 20), ("other", 30)] {
        journal.commit(nodes(run, vec![node_due(run, "1.1", micros)])).await;
    }
    let me = me();
    let claim = async |now, except: &[&str]| {
        let except: Vec<RunId> = except.iter().map(|&run| run.into()).collect();
        let want = ClaimFilter { except, limit: 10, ..ClaimFilter::default() };
        let claimed = journal.0.claim_due(&me, at(now), &want).await.expect("wake-ups can be claimed");
        claimed.into_iter().map(|node| node.run_id.to_string()).collect::<Vec<_>>()
    };
    assert!(claim(15, &["big", "big\"]", "no such run"]).await.is_empty());
    assert_eq!(claim(25, &["big", "big\"]"]).await, ["small"]);
    assert_eq!(claim(25, &["big\"]"]).await, ["big"], "it kept its place in the queue");
    assert_eq!(claim(35, &[]).await, ["big\"]", "other"]);
    // Only dispatches: cancel notifications and deadlines are claimed.
    let mut over = ended(node("big", "1.2"));
    over.wake = Some(wake(Job::CancelExecutor, 40));
    journal.commit(nodes("big", vec![over, node_due("big", "1.3", 41)])).await;
    assert_eq!(claim(45, &["big"]).await, ["big"]);
    assert!(claim(45, &["big"]).await.is_empty());
}

pub async fn wakes_are_claimed_by_job_and_kind(subject: JournalUnderTest) {
    let journal = Probe(subject.journal);
    let of = |path: &str, job, kind| {
        let mut node = node("a", path);
        if job == Job::CancelExecutor {
            node = ended(node);
        }
        node.node.kind = kind;
        node.wake = Some(wake(job, 10));
        node
    };
    let (atomic, composite) = (Some(NodeKind::Atomic), Some(NodeKind::Composite));
    let all = [
        of("1.1", Job::Dispatch, atomic),
        of("1.2", Job::Dispatch, composite),
        of("1.3", Job::Dispatch, None),
        of("1.4", Job::CancelExecutor, atomic),
        of("1.5", Job::CancelExecutor, composite),
        of("1.6", Job::Deadline, composite),
        of("1.7", Job::Deadline, None),
    ];
    journal.commit(nodes("a", all.into())).await;
    let me = me();
    let claim = async |job, kind| {
        let want = ClaimFilter { job: Some(job), kind, limit: 10, ..ClaimFilter::default() };
        let claimed = journal.0.claim_due(&me, at(10), &want).await.expect("wake-ups can be claimed");
        let mut paths: Vec<String> = claimed.iter().map(|node| node.path.to_string()).collect();
        paths.sort();
        paths
    };
    assert_eq!(claim(Job::Dispatch, composite).await, ["1.2"]);
    assert_eq!(claim(Job::Dispatch, composite).await, [""; 0], "only once, whatever else is due");
    assert_eq!(claim(Job::CancelExecutor, atomic).await, ["1.4"]);
    assert_eq!(claim(Job::Dispatch, atomic).await, ["1.1", "1.3"], "unknown kinds count as atomic");
    assert_eq!(claim(Job::Deadline, None).await, ["1.6", "1.7"]);
    assert_eq!(claim(Job::CancelExecutor, None).await, ["1.5"]);
}

pub async fn claim_makes_earlier_reads_stale(subject: JournalUnderTest) {
    let journal = Probe(subject.journal);
    journal.commit(start("a")).await;
    let before = journal.node("a", "1").await.expect("stored");
    let claimed = journal.claim(&me(), 1000, 1).await.remove(0);
    assert_eq!(journal.refused(nodes("a", vec![ended(before)])).await, JournalError::Conflict);
    // And the other way round: a commit that comes first removes the wake-up.
    let read_after = journal.node("a", "1").await.expect("stored");
    assert_eq!(read_after.head(), claimed);
    journal.commit(nodes("a", vec![ended(read_after)])).await;
    assert!(journal.claim(&me(), 1_000_000, 1).await.is_empty());
    // Concurrently: exactly one of them succeeds.
    journal.commit(start("b")).await;
    let before = journal.node("b", "1").await.expect("stored");
    let me = me();
    let (ending, claimed) =
        join(journal.0.commit(nodes("b", vec![ended(before)])), journal.claim(&me, 1000, 1)).await;
    assert_eq!(ending.is_ok(), claimed.is_empty());
}

pub async fn next_wake_is_the_earliest_unclaimed_one(subject: JournalUnderTest) {
    let journal = Probe(subject.journal);
    assert_eq!(journal.0.wake_next(at(0)).await, Ok(None));
    journal.commit(nodes("a", vec![node_due("a", "1.1", 30), node_due("a", "1.2", 20)])).await;
    journal.commit(nodes("a", vec![node_claimed("a", "1.3", &me()), ended(node("a", "1.4"))])).await;
    assert_eq!(journal.0.wake_next(at(0)).await, Ok(Some(at(20))));
    journal.claim(&me(), 20, 1).await;
    assert_eq!(journal.0.wake_next(at(0)).await, Ok(Some(at(30))));
    journal.claim(&me(), 30, 1).await;
    assert_eq!(journal.0.wake_next(at(0)).await, Ok(None));
    journal.0.release_claims(&me(), at(5)).await.expect("claims can be released");
    assert_eq!(journal.0.wake_next(at(0)).await, Ok(Some(at(5))));
    assert_eq!(journal.0.wake_next(at(5)).await, Ok(None), "only later ones");
}

pub async fn overdue_runs_are_listed_until_they_end(subject: JournalUnderTest) {
    let journal = Probe(subject.journal);
    for (id, deadline) in [("late", 20), ("later", 30), ("in time", 99)] {
        let mut first = start(id);
        first.run = first.run.map(|run| crate::record::RunRecord { deadline: Some(at(deadline)), ..run });
        journal.commit(first).await;
    }
    let overdue = async |now, limit| {
        let runs = journal.0.runs_overdue(at(now), limit).await.expect("overdue runs can be listed");
        runs.into_iter().map(|run| run.to_string()).collect::<Vec<_>>()
    };
    assert!(overdue(19, 10).await.is_empty());
    assert_eq!(overdue(50, 10).await, ["late", "later"]);
    assert_eq!(overdue(50, 1).await, ["late"]);
    let late = journal.run("late").await.expect("stored");
    journal.commit(ChangeSet { run: Some(run_ended(late)), ..change("late") }).await;
    assert_eq!(overdue(50, 10).await, ["later"]);
}

pub async fn counts_follow_the_stored_records(subject: JournalUnderTest) {
    let journal = Probe(subject.journal);
    let counts = async |now| journal.0.counts(at(now)).await.expect("counts can be read");
    assert_eq!(counts(0).await, Counts::default());
    journal.commit(start("a")).await;
    journal.commit(start("b")).await;
    let more = vec![node_due("a", "1.2", 30), ended(node("a", "1.3")), node_claimed("a", "1.4", &me())];
    journal.commit(nodes("a", more)).await;
    assert_eq!(
        counts(50).await,
        Counts {
            runs_live: 2,
            nodes_live: 4,
            wakes_due: 1,
            outbox: 9,
            outbox_oldest: Some(at(1)),
            parked: 0,
            approvals: 0,
            held: 0,
            set_aside: 0,
            without_wake_up: 0,
            load: load(3, &["a/1", "b/1", "a/1.2"], 1, None),
        }
    );
    assert_eq!(counts(100).await.wakes_due, 3);

    journal.claim(&me(), 50, 10).await;
    let run = journal.run("b").await.expect("stored");
    let root = journal.node("b", "1").await.expect("stored");
    journal.commit(ChangeSet { run: Some(run_ended(run)), nodes: vec![ended(root)], ..change("b") }).await;
    let owed = journal.owed().await;
    journal.0.outbox_ack(&[owed[0].id]).await.expect("entries can be acknowledged");
    assert_eq!(
        counts(100).await,
        Counts {
            runs_live: 1,
            nodes_live: 3,
            wakes_due: 1,
            outbox: 10,
            outbox_oldest: Some(at(1)),
            parked: 0,
            approvals: 0,
            held: 0,
            set_aside: 0,
            without_wake_up: 0,
            // One of them is claimed.
            load: load(2, &["a/1", "a/1.2"], 1, None),
        }
    );
}

fn load(waiting: u64, first: &[&str], executing: u64, executing_since: Option<i64>) -> Load {
    let waiting_first = first.iter().copied().map(NodeRunId::from).collect();
    Load { waiting, waiting_first, executing, executing_since: executing_since.map(at) }
}

/// In the order of their creation, whatever their wake-ups are, claimed or not.
pub async fn load_names_the_oldest_first(subject: JournalUnderTest) {
    let journal = Probe(subject.journal);
    journal.commit(start("a")).await;
    let running = |path: &str, since: i64, claimed: bool| {
        let mut node = node("a", path);
        node.node.started_at = Some(at(since));
        node.node.state = NodeRunState::Running;
        let claimed_by = claimed.then(me);
        NodeRecord { wake: Some(Wake { claimed_by, ..wake(Job::Deadline, 400_000) }), ..node }
    };
    let late = Wake { claimed_by: Some(me()), ..wake(Job::Dispatch, 10) };
    let late = NodeRecord { wake: Some(late), ..node("a", "1.4") };
    let more = vec![running("1.2", 30, true), running("1.3", 20, false), late, node_due("a", "1.5", 5)];
    journal.commit(nodes("a", more)).await;
    let counts = async || journal.0.counts(at(50)).await.expect("counts can be read").load;
    assert_eq!(counts().await, load(3, &["a/1", "a/1.4", "a/1.5"], 2, Some(20)));
    for number in 6..50 {
        journal.commit(nodes("a", vec![node_due("a", &format!("1.{number}"), 1)])).await;
    }
    let crowded = counts().await;
    assert_eq!((crowded.waiting, crowded.waiting_first.len()), (47, 16));
    assert_eq!(crowded.waiting_first[..3], ["a/1", "a/1.4", "a/1.5"].map(NodeRunId::from));
}
