//! What a journal promises that several processes share: each has a handle of its own.
//! A property takes two handles of one empty journal.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use futures::future::{join, join_all};

use super::samples::*;
use crate::{
    journal::{Duty, Heartbeats, JournalError, News, OutboxId, Reached, Recipient, inspect::Inspect},
    record::{ChangeSet, Job, NodeRecord, RunRecord},
    types::WorkerId,
};

/// Two handles of one empty journal.
pub type Handles = [Arc<dyn Inspect>; 2];

fn workers() -> [WorkerId; 2] {
    ["one".into(), "other".into()]
}

/// The handles, each with its worker registered.
async fn registered(handles: Handles) -> [Probe; 2] {
    let probes = handles.map(Probe);
    for (probe, worker) in probes.iter().zip(workers()) {
        assert!(probe.0.is_shared());
        probe.0.register_worker(&worker).await.expect("registered");
    }
    probes
}

pub async fn what_one_handle_commits_the_other_reads_at_once(handles: Handles) {
    let [one, other] = registered(handles).await;
    one.commit(start("a")).await;
    assert_eq!(other.run("a").await, one.run("a").await);
    for round in 2..20 {
        let [by, seen_by] = if round % 2 == 0 { [&one, &other] } else { [&other, &one] };
        // Read through both before, so that a cache would have it.
        let _before = (one.node("a", "1").await, other.node("a", "1").await);
        let node = by.node("a", "1").await.expect("stored");
        let run = RunRecord { last_seq: round, ..by.run("a").await.expect("stored") };
        by.commit(ChangeSet {
            run: Some(run),
            events: vec![event("a", round, None)],
            ..nodes("a", vec![node])
        })
        .await;
        assert_eq!(seen_by.run("a").await.map(|run| run.last_seq), Some(round));
        assert_eq!(seen_by.node("a", "1").await.map(|node| node.version), Some(round));
        assert_eq!(seen_by.seqs("a", None, NO_LIMIT).await.len() as u64, round);
    }
}

pub async fn racing_commits_of_two_handles_have_one_winner(handles: Handles) {
    let [one, other] = registered(handles).await;
    one.commit(start("a")).await;
    for round in 0..20 {
        let node = |by: &'static str, mut record: NodeRecord| {
            record.node.outputs = Some([("by", by.into())].into());
            nodes("a", vec![record])
        };
        let (mine, theirs) = (one.node("a", "1").await, other.node("a", "1").await);
        let (mine, theirs) = (node("one", mine.expect("stored")), node("other", theirs.expect("stored")));
        let (first, second) = join(one.0.commit(mine), other.0.commit(theirs)).await;
        assert!(first.is_ok() != second.is_ok(), "round {round}: {first:?} {second:?}");
        assert!([first, second].contains(&Err(JournalError::Conflict)), "round {round}");
    }
    assert_eq!(one.node("a", "1").await.map(|node| node.version), Some(21));
    // The same run, started through both.
    let (first, second) = join(one.0.commit(start("b")), other.0.commit(start("b"))).await;
    assert!(first.is_ok() != second.is_ok(), "{first:?} {second:?}");
}

pub async fn news_of_one_handle_reach_the_other_and_not_itself(handles: Handles) {
    let [one, other] = registered(handles).await;
    let about = |run: &'static str| News {
        runs: [run.into()].into(),
        ended: [format!("{run}/1").as_str().into()].into(),
        ..News::default()
    };
    let heard = async |by: &Probe, from: &Probe, wanted: News| {
        let (mut heard, began) = (News::default(), std::time::Instant::now());
        while !wanted.runs.is_subset(&heard.runs) {
            // Again and again: what is announced before the other listens is lost.
            from.0.announce(wanted.clone());
            tokio::select! {
                news = by.0.announced() => heard.runs.extend(news.runs),
                () = tokio::task::yield_now() => {}
            }
            assert!(began.elapsed() < std::time::Duration::from_secs(30), "{heard:?}");
        }
        heard
    };
    // At first, each may not know what has happened before: then it hears no names.
    heard(&one, &other, about("before")).await;
    assert_eq!(heard(&other, &one, about("a")).await.runs, about("a").runs);
    let mine = heard(&one, &other, about("b")).await;
    assert!(!mine.runs.contains(&"a".into()), "it does not hear itself: {mine:?}");
}

pub async fn runs_have_reached_what_any_handle_has_written(handles: Handles) {
    let [one, other] = registered(handles).await;
    one.commit(start("a")).await;
    other.commit(start("b")).await;
    let run = RunRecord { last_seq: 2, ..one.run("a").await.expect("stored") };
    let ended = ChangeSet {
        run: Some(run_ended(run)),
        events: vec![event("a", 2, None)],
        nodes: vec![ended(one.node("a", "1").await.expect("stored"))],
        ..change("a")
    };
    one.commit(ended).await;
    let mut reached = other.0.runs_reached(&["a".into(), "b".into(), "none".into()]).await.expect("read");
    reached.sort_by(|one, other| one.run_id.cmp(&other.run_id));
    let stored = [one.run("a").await.expect("stored"), one.run("b").await.expect("stored")];
    let wanted = stored.map(|run| Reached {
        run_id: run.id().clone(),
        last_seq: run.last_seq,
        ended: run.is_terminal(),
    });
    assert_eq!(reached, wanted);
    assert_eq!(other.0.runs_reached(&[]).await, Ok(Vec::new()));
}

pub async fn handles_never_claim_the_same_wake(handles: Handles) {
    let [one, other] = registered(handles).await;
    let all = (0..200).map(|number| node("a", &format!("1.{number}")));
    one.commit(nodes("a", all.collect())).await;
    let [mine, theirs] = workers();
    let claims = join_all((0..20).map(async |turn| match turn % 2 {
        0 => one.claim(&mine, 1000, 15).await,
        _ => other.claim(&theirs, 1000, 15).await,
    }))
    .await;
    let mut seen = HashSet::new();
    for node in claims.iter().flatten() {
        assert!(seen.insert(node.path.to_string()), "{} was claimed twice", node.path);
    }
    assert_eq!(seen.len(), 200);
}

pub async fn handle_whose_worker_was_declared_dead_is_fenced(handles: Handles) {
    let [one, other] = registered(handles).await;
    let [mine, theirs] = workers();
    one.commit(start("a")).await;
    one.commit(nodes("a", vec![node_claimed("a", "1.2", &mine)])).await;
    let seen = Heartbeats { worker: mine.clone(), count: 0 };
    one.0.beat(&mine).await.expect("alive");
    assert_eq!(other.0.declare_dead(&seen).await, Ok(false), "it has beaten since");
    assert_eq!(other.0.reap_dead_workers(at(5)).await, Ok(0), "and keeps its claims");
    let seen = Heartbeats { count: 1, ..seen };
    assert_eq!(other.0.declare_dead(&seen).await, Ok(true));
    // Its claims are free, and it cannot take them back or write anything.
    assert_eq!(other.0.reap_dead_workers(at(50)).await, Ok(1));
    assert_eq!(one.0.beat(&mine).await, Err(JournalError::Fenced));
    assert_eq!(one.refused(start("b")).await, JournalError::Fenced);
    assert_eq!(other.node("a", "1.2").await.and_then(|node| node.wake), Some(wake(Job::Deadline, 50)));
    other.commit(start("b")).await;
    assert_eq!(one.run("b").await, other.run("b").await, "it can still read");
    assert_eq!(other.claim(&theirs, 2000, 10).await.len(), 3);
}

pub async fn handles_never_hold_the_same_duty(handles: Handles) {
    let [one, other] = registered(handles).await;
    let [mine, theirs] = workers();
    let held = |probe: &Probe, duty, worker: &WorkerId| {
        let (journal, worker) = (Arc::clone(&probe.0), worker.clone());
        async move { journal.hold_duty(duty, &worker).await.expect("asked") }
    };
    for duty in Duty::ALL {
        // Both at once, and later again.
        let (first, second) = join(held(&one, duty, &mine), held(&other, duty, &theirs)).await;
        assert!(first != second, "{duty:?}");
        for _again in 0..3 {
            assert_eq!((held(&one, duty, &mine).await, held(&other, duty, &theirs).await), (first, second));
        }
    }
    let dead = if held(&one, Duty::Outbox, &mine).await { &mine } else { &theirs };
    let ([holder, heir], heirs_name) =
        if *dead == mine { ([&one, &other], &theirs) } else { ([&other, &one], &mine) };
    let seen = Heartbeats { worker: dead.clone(), count: 0 };
    assert_eq!(heir.0.declare_dead(&seen).await, Ok(true));
    assert!(held(heir, Duty::Outbox, heirs_name).await, "the duties of the dead are free");
    assert_eq!(holder.0.hold_duty(Duty::Outbox, dead).await, Err(JournalError::Fenced));
    // One that ends gives it back at once.
    heir.0.release_claims(heirs_name, at(9)).await.expect("released");
    holder.0.register_worker(&"third".into()).await.expect("registered");
    assert_eq!(holder.0.hold_duty(Duty::Outbox, &"third".into()).await, Ok(true));
}

/// An id below the highest that was seen may appear later; those of one run are in the
/// order of its commits all the same.
pub async fn owed_entries_are_found_whatever_their_ids(handles: Handles) {
    let [one, other] = registered(handles).await;
    let runs: Vec<String> = (0..12).map(|number| format!("run-{number}")).collect();
    let mut in_hand = Vec::new();
    let mut of_run: HashMap<String, OutboxId> = HashMap::new();
    for round in 0..10 {
        let commits = runs.iter().enumerate().map(async |(number, id)| {
            let by = if number % 2 == 0 { &one } else { &other };
            let change = match round {
                0 => start(id),
                _ => nodes(id, vec![by.node(id, "1").await.expect("stored")]),
            };
            let last = by.0.commit(change.owing_all()).await.expect("committed").expect("owed");
            (id.clone(), last)
        });
        for (id, last) in join_all(commits).await {
            let before = of_run.insert(id, last);
            assert!(before < Some(last), "the ids of one run are in the order of its commits");
        }
        // What is not in hand is all that is new, and whole.
        let mut new = Vec::new();
        for recipient in Recipient::ALL {
            let owed = one.0.outbox_owed(recipient, OutboxId::default(), &in_hand, u32::MAX).await;
            new.extend(owed.expect("the outbox can be read").into_iter().map(|entry| entry.id));
        }
        let of_each = if round == 0 { 3 } else { 1 };
        assert_eq!(new.len(), of_each * runs.len(), "round {round}");
        assert!(of_run.values().all(|last| new.contains(last)));
        in_hand.extend(new);
    }
    for (run, last) in &of_run {
        let run = run.as_str().into();
        assert_eq!(other.0.outbox_settled(&run, *last).await, Ok(false));
    }
    one.0.outbox_ack(&in_hand).await.expect("acknowledged");
    for (run, last) in &of_run {
        let run = run.as_str().into();
        assert_eq!(other.0.outbox_settled(&run, *last).await, Ok(true));
    }
}

/// Makes tests of the properties above, for a journal that can be shared.
///
/// ```text
/// shared_conformance_tests!(async || [MyJournal::handle().await, MyJournal::handle().await]);
/// ```
#[macro_export]
macro_rules! shared_conformance_tests {
    ($make:expr) => {
        $crate::shared_conformance_tests! { $make;
            what_one_handle_commits_the_other_reads_at_once
            racing_commits_of_two_handles_have_one_winner
            handles_never_claim_the_same_wake
            news_of_one_handle_reach_the_other_and_not_itself
            runs_have_reached_what_any_handle_has_written
            handle_whose_worker_was_declared_dead_is_fenced
            handles_never_hold_the_same_duty
            owed_entries_are_found_whatever_their_ids
        }
    };
    ($make:expr; $($property:ident)+) => {
        $(
            #[tokio::test]
            async fn $property() {
                $crate::journal::conformance::shared::$property(($make)().await).await;
            }
        )+
    };
}
