//! What wake-ups, owners and counts promise.

use std::collections::HashSet;

use futures::future::{join, join_all};

use super::{Specimen, samples::*};
use crate::{
    ids::{OwnerId, RunId},
    model::NodeKind,
    record::{ChangeSet, Job, NodeHead, NodeRecord, Wake},
    store::{Counts, StoreError, Want},
};

fn me() -> OwnerId {
    "me".into()
}

fn paths(claimed: &[NodeHead]) -> Vec<&str> {
    claimed.iter().map(|node| node.path.as_str()).collect()
}

pub async fn wakes_are_claimed_when_due_in_order_and_once(specimen: Specimen) {
    let store = Probe(specimen.store);
    let mut over = ended(node("a", "1.5"));
    over.wake = Some(wake(Job::CancelExecutor, 15));
    let due = [("1.1", 30), ("1.2", 10), ("1.3", 20), ("1.4", 41)];
    let due = due.map(|(path, micros)| node_due("a", path, micros));
    store
        .commit(nodes("a", due.into_iter().chain([over, node_owned("a", "1.6", &"you".into())]).collect()))
        .await;

    assert!(store.claim(&me(), 9, 10).await.is_empty(), "nothing is due yet");
    let first = store.claim(&me(), 40, 2).await;
    assert_eq!(paths(&first), ["1.2", "1.5"]);
    for node in &first {
        assert_eq!(node.version, 2, "what was claimed has changed");
        assert_eq!(node.wake.as_ref().and_then(|wake| wake.owner.clone()), Some(me()));
        assert_eq!(store.head("a", node.path.as_str()).await.as_ref(), Some(node));
    }
    assert_eq!(paths(&store.claim(&"you".into(), 40, 10).await), ["1.3", "1.1"]);
    assert!(store.claim(&me(), 40, 10).await.is_empty());
    assert_eq!(paths(&store.claim(&me(), 41, 10).await), ["1.4"]);
}

pub async fn owned_wakes_are_named_by_job_once_they_should_be_done(specimen: Specimen) {
    let store = Probe(specimen.store);
    let mine = |path: &str, job, micros| {
        let wake = Wake { owner: Some(me()), ..wake(job, micros) };
        NodeRecord { wake: Some(wake), ..node("a", path) }
    };
    let told = NodeRecord { wake: mine("1.3", Job::CancelExecutor, 20).wake, ..ended(node("a", "1.3")) };
    let others = [node_due("a", "1.5", 5), node_owned("a", "1.6", &"you".into())];
    let ours = [mine("1.1", Job::Dispatch, 10), mine("1.2", Job::Deadline, 400), told];
    store.commit(nodes("a", ours.into_iter().chain(others).collect())).await;
    let named = async |jobs: &[Job], since| {
        let owned = store.0.wakes_owned(&me(), jobs, at(since)).await.expect("they can be listed");
        let mut named: Vec<_> = owned
            .into_iter()
            .map(|wake| (wake.run_id.to_string(), wake.node_run_id.to_string(), wake.job))
            .collect();
        named.sort();
        named
    };
    let name = |path: &str, job| ("a".to_owned(), format!("a/{path}"), job);
    assert_eq!(named(&Job::ALL, 9).await, []);
    let (first, told) = (name("1.1", Job::Dispatch), name("1.3", Job::CancelExecutor));
    assert_eq!(named(&Job::ALL, 399).await, [first.clone(), told.clone()]);
    assert_eq!(named(&Job::ALL, 400).await, [first, name("1.2", Job::Deadline), told.clone()]);
    assert_eq!(named(&[Job::CancelExecutor], 400).await, [told]);
    assert_eq!(named(&[], 400).await, []);
}

pub async fn two_owners_never_claim_the_same_wake(specimen: Specimen) {
    let store = Probe(specimen.store);
    let all = (0..200).map(|number| node("a", &format!("1.{number}")));
    store.commit(nodes("a", all.collect())).await;
    let owners: [OwnerId; 2] = ["one".into(), "two".into()];
    let claims = join_all(owners.iter().cycle().take(20).map(|owner| store.claim(owner, 1000, 15))).await;
    let mut seen = HashSet::new();
    for node in claims.iter().flatten() {
        assert!(seen.insert(node.path.to_string()), "{} was claimed twice", node.path);
    }
    assert_eq!(seen.len(), 200);
    for owner in &owners {
        store.0.owner_release(owner, at(0)).await.expect("owners can leave");
    }
    assert_eq!(store.claim(&me(), 0, 1000).await.len(), 200, "each had exactly one owner");
}

pub async fn wakes_of_excepted_runs_are_left_alone(specimen: Specimen) {
    let store = Probe(specimen.store);
    // The names are those of other things where they are written down.
    for (run, micros) in [("big", 10), ("big\"]", 11), ("small", 20), ("other", 30)] {
        store.commit(nodes(run, vec![node_due(run, "1.1", micros)])).await;
    }
    let me = me();
    let claim = async |now, except: &[&str]| {
        let except: Vec<RunId> = except.iter().map(|&run| run.into()).collect();
        let want = Want { except, limit: 10, ..Want::default() };
        let claimed = store.0.wakes_claim(&me, at(now), &want).await.expect("wake-ups can be claimed");
        claimed.into_iter().map(|node| node.run_id.to_string()).collect::<Vec<_>>()
    };
    assert!(claim(15, &["big", "big\"]", "no such run"]).await.is_empty());
    assert_eq!(claim(25, &["big", "big\"]"]).await, ["small"]);
    assert_eq!(claim(25, &["big\"]"]).await, ["big"], "it stayed where it was in the queue");
    assert_eq!(claim(35, &[]).await, ["big\"]", "other"]);
    // Only what would be begun: executors are told, and deadlines kept.
    let mut told = ended(node("big", "1.2"));
    told.wake = Some(wake(Job::CancelExecutor, 40));
    store.commit(nodes("big", vec![told, node_due("big", "1.3", 41)])).await;
    assert_eq!(claim(45, &["big"]).await, ["big"]);
    assert!(claim(45, &["big"]).await.is_empty());
}

pub async fn wakes_are_claimed_by_job_and_kind(specimen: Specimen) {
    let store = Probe(specimen.store);
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
    store.commit(nodes("a", all.into())).await;
    let me = me();
    let claim = async |job, kind| {
        let want = Want { job: Some(job), kind, limit: 10, ..Want::default() };
        let claimed = store.0.wakes_claim(&me, at(10), &want).await.expect("wake-ups can be claimed");
        let mut paths: Vec<String> = claimed.iter().map(|node| node.path.to_string()).collect();
        paths.sort();
        paths
    };
    assert_eq!(claim(Job::Dispatch, composite).await, ["1.2"]);
    assert_eq!(claim(Job::Dispatch, composite).await, [""; 0], "only once, whatever else is due");
    assert_eq!(claim(Job::CancelExecutor, atomic).await, ["1.4"]);
    assert_eq!(claim(Job::Dispatch, atomic).await, ["1.1", "1.3"], "unknown kinds go with the atomic ones");
    assert_eq!(claim(Job::Deadline, None).await, ["1.6", "1.7"]);
    assert_eq!(claim(Job::CancelExecutor, None).await, ["1.5"]);
}

pub async fn a_claim_outdates_what_was_read_before(specimen: Specimen) {
    let store = Probe(specimen.store);
    store.commit(start("a")).await;
    let before = store.node("a", "1").await.expect("stored");
    let claimed = store.claim(&me(), 1000, 1).await.remove(0);
    assert_eq!(store.refused(nodes("a", vec![ended(before)])).await, StoreError::Conflict);
    // And the other way round: whoever commits first takes it off the queue.
    let read_after = store.node("a", "1").await.expect("stored");
    assert_eq!(read_after.head(), claimed);
    store.commit(nodes("a", vec![ended(read_after)])).await;
    assert!(store.claim(&me(), 1_000_000, 1).await.is_empty());
    // Both at once: one of them wins, whole.
    store.commit(start("b")).await;
    let before = store.node("b", "1").await.expect("stored");
    let me = me();
    let (ending, claimed) =
        join(store.0.commit(nodes("b", vec![ended(before)])), store.claim(&me, 1000, 1)).await;
    assert_eq!(ending.is_ok(), claimed.is_empty());
}

pub async fn wakes_of_dead_and_unknown_owners_become_due_at_once(specimen: Specimen) {
    let store = Probe(specimen.store);
    let [dead, alive, unknown]: [OwnerId; 3] = ["dead".into(), "alive".into(), "never heard of".into()];
    store.0.owner_renew(&dead, at(1)).await.expect("owners can be renewed");
    store.0.owner_renew(&dead, at(10)).await.expect("owners can be renewed");
    store.0.owner_renew(&alive, at(100)).await.expect("owners can be renewed");
    let owned = [("1.1", &dead), ("1.2", &alive), ("1.3", &unknown)]
        .map(|(path, owner)| node_owned("a", path, owner));
    store.commit(nodes("a", owned.into_iter().chain([node_due("a", "1.4", 700)]).collect())).await;

    assert_eq!(store.0.owners_expire(at(10)).await, Ok(1), "only the one that nobody knows");
    assert_eq!(store.0.owners_expire(at(50)).await, Ok(1), "the lease ended at 10");
    assert_eq!(store.0.owners_expire(at(50)).await, Ok(0));
    for (path, due) in [("1.3", 10), ("1.1", 50)] {
        let node = store.node("a", path).await.expect("stored");
        // The job stays: a deadline that is due before its time was lost.
        assert_eq!(node.wake, Some(wake(Job::Deadline, due)));
        assert_eq!(node.version, 2);
    }
    assert_eq!(store.node("a", "1.2").await.map(|node| node.version), Some(1));
    assert_eq!(paths(&store.claim(&alive, 50, 10).await), ["1.3", "1.1"]);

    // A renewal in time keeps everything.
    store.0.owner_renew(&alive, at(1000)).await.expect("owners can be renewed");
    assert_eq!(store.0.owners_expire(at(500)).await, Ok(0));
    assert_eq!(store.0.owners_expire(at(1001)).await, Ok(3));
}

pub async fn released_wakes_become_due_at_once(specimen: Specimen) {
    let store = Probe(specimen.store);
    let you: OwnerId = "you".into();
    for owner in [&me(), &you] {
        store.0.owner_renew(owner, at(1_000_000)).await.expect("owners can be renewed");
    }
    let tried = Wake { tries: 3, owner: Some(me()), ..wake(Job::Dispatch, 5000) };
    let mine = NodeRecord { wake: Some(tried.clone()), ..node("a", "1.1") };
    store.commit(nodes("a", vec![mine, node_owned("a", "1.2", &you)])).await;
    store.0.owner_release(&me(), at(7)).await.expect("owners can leave");

    let free = Wake { owner: None, at: at(7), ..tried };
    assert_eq!(store.node("a", "1.1").await.and_then(|node| node.wake), Some(free));
    assert_eq!(paths(&store.claim(&you, 7, 10).await), ["1.1"]);
    // One that left is not alive any more, whatever its lease said.
    store.commit(nodes("a", vec![node_owned("a", "1.3", &me())])).await;
    assert_eq!(store.0.owners_expire(at(8)).await, Ok(1));
    store.0.owner_release(&"stranger".into(), at(7)).await.expect("leaving without having come is fine");
}

pub async fn the_next_wake_is_the_earliest_free_one(specimen: Specimen) {
    let store = Probe(specimen.store);
    assert_eq!(store.0.wake_next(at(0)).await, Ok(None));
    store.commit(nodes("a", vec![node_due("a", "1.1", 30), node_due("a", "1.2", 20)])).await;
    store.commit(nodes("a", vec![node_owned("a", "1.3", &me()), ended(node("a", "1.4"))])).await;
    assert_eq!(store.0.wake_next(at(0)).await, Ok(Some(at(20))));
    store.claim(&me(), 20, 1).await;
    assert_eq!(store.0.wake_next(at(0)).await, Ok(Some(at(30))));
    store.claim(&me(), 30, 1).await;
    assert_eq!(store.0.wake_next(at(0)).await, Ok(None));
    store.0.owner_release(&me(), at(5)).await.expect("owners can leave");
    assert_eq!(store.0.wake_next(at(0)).await, Ok(Some(at(5))));
    assert_eq!(store.0.wake_next(at(5)).await, Ok(None), "only what is later");
}

pub async fn overdue_runs_are_listed_until_they_are_over(specimen: Specimen) {
    let store = Probe(specimen.store);
    for (id, deadline) in [("late", 20), ("later", 30), ("in time", 99)] {
        let mut first = start(id);
        first.run = first.run.map(|run| crate::record::RunRecord { deadline: Some(at(deadline)), ..run });
        store.commit(first).await;
    }
    let overdue = async |now, limit| {
        let runs = store.0.runs_overdue(at(now), limit).await.expect("overdue runs can be listed");
        runs.into_iter().map(|run| run.to_string()).collect::<Vec<_>>()
    };
    assert!(overdue(19, 10).await.is_empty());
    assert_eq!(overdue(50, 10).await, ["late", "later"]);
    assert_eq!(overdue(50, 1).await, ["late"]);
    let late = store.run("late").await.expect("stored");
    store.commit(ChangeSet { run: Some(run_ended(late)), ..change("late") }).await;
    assert_eq!(overdue(50, 10).await, ["later"]);
}

pub async fn counts_follow_what_is_stored(specimen: Specimen) {
    let store = Probe(specimen.store);
    let counts = async |now| store.0.counts(at(now)).await.expect("things can be counted");
    assert_eq!(counts(0).await, Counts::default());
    store.commit(start("a")).await;
    store.commit(start("b")).await;
    let more = vec![node_due("a", "1.2", 30), ended(node("a", "1.3")), node_owned("a", "1.4", &me())];
    store.commit(nodes("a", more)).await;
    assert_eq!(
        counts(50).await,
        Counts {
            runs_live: 2,
            nodes_live: 4,
            wakes_due: 1,
            outbox: 9,
            outbox_oldest: Some(at(1)),
            parked: 0,
            without_wake_up: 0,
        }
    );
    assert_eq!(counts(100).await.wakes_due, 3);

    store.claim(&me(), 50, 10).await;
    let run = store.run("b").await.expect("stored");
    let root = store.node("b", "1").await.expect("stored");
    store.commit(ChangeSet { run: Some(run_ended(run)), nodes: vec![ended(root)], ..change("b") }).await;
    let owed = store.owed().await;
    store.0.outbox_ack(&[owed[0].id]).await.expect("entries can be acknowledged");
    assert_eq!(
        counts(100).await,
        Counts {
            runs_live: 1,
            nodes_live: 3,
            wakes_due: 1,
            outbox: 10,
            outbox_oldest: Some(at(1)),
            parked: 0,
            without_wake_up: 0,
        }
    );
}
