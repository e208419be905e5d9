//! What is promised about workers: who lives, and what becomes of the claims of the dead.

use super::{JournalUnderTest, samples::*};
use crate::{
    journal::{ClaimFilter, Duty, Heartbeats, JournalError, Parked, SignOfLife},
    record::{Job, NodeHead, NodeRecord, Wake},
    types::WorkerId,
};

fn me() -> WorkerId {
    "me".into()
}

fn paths(claimed: &[NodeHead]) -> Vec<&str> {
    claimed.iter().map(|node| node.path.as_str()).collect()
}

pub async fn claims_of_dead_workers_become_due_immediately(subject: JournalUnderTest) {
    let journal = Probe(subject.journal);
    let [dead, alive, unknown]: [WorkerId; 3] = ["dead".into(), "alive".into(), "unknown".into()];
    for worker in [&alive, &dead] {
        journal.0.register_worker(worker).await.expect("registered");
    }
    let claims = [("1.1", &dead), ("1.2", &alive), ("1.3", &unknown)]
        .map(|(path, worker)| node_claimed("a", path, worker));
    journal.commit(nodes("a", claims.into_iter().chain([node_due("a", "1.4", 700)]).collect())).await;

    assert_eq!(journal.0.reap_dead_workers(at(10)).await, Ok(1), "only that of the unknown worker");
    let seen = Heartbeats { worker: dead.clone(), count: 0 };
    assert_eq!(journal.0.declare_dead(&seen).await, Ok(true));
    assert_eq!(journal.0.reap_dead_workers(at(50)).await, Ok(1));
    assert_eq!(journal.0.reap_dead_workers(at(50)).await, Ok(0));
    for (path, due) in [("1.3", 10), ("1.1", 50)] {
        let node = journal.node("a", path).await.expect("stored");
        // The job stays: a deadline that is due before its time means a lost attempt.
        assert_eq!(node.wake, Some(wake(Job::Deadline, due)));
        assert_eq!(node.version, 2);
    }
    assert_eq!(journal.node("a", "1.2").await.map(|node| node.version), Some(1));
    assert_eq!(paths(&journal.claim(&alive, 50, 10).await), ["1.3", "1.1"]);
}

/// A worker is declared dead by the count of its heartbeats: one that has beaten since
/// lives on, and no clock is asked.
pub async fn worker_that_has_beaten_is_not_declared_dead(subject: JournalUnderTest) {
    let journal = Probe(subject.journal);
    let [one, other]: [WorkerId; 2] = ["one".into(), "other".into()];
    for worker in [&one, &other] {
        assert_eq!(journal.0.beat(worker).await, Err(JournalError::Fenced), "it is not registered");
        journal.0.register_worker(worker).await.expect("registered");
        journal.0.register_worker(worker).await.expect("registering again changes nothing");
    }
    let beats = async || journal.0.heartbeats().await.expect("heartbeats can be read");
    let of = |worker: &WorkerId, count| Heartbeats { worker: worker.clone(), count };
    assert_eq!(beats().await, [of(&one, 0), of(&other, 0)]);
    journal.0.beat(&other).await.expect("alive");
    assert_eq!(beats().await, [of(&one, 0), of(&other, 1)]);
    assert_eq!(journal.0.declare_dead(&of(&other, 0)).await, Ok(false), "it has beaten since");
    assert_eq!(journal.0.declare_dead(&of(&other, 2)).await, Ok(false));
    assert_eq!(journal.0.declare_dead(&of(&"stranger".into(), 0)).await, Ok(false));
    journal.0.beat(&other).await.expect("still alive");
    assert_eq!(journal.0.declare_dead(&of(&other, 2)).await, Ok(true));
    assert_eq!(journal.0.declare_dead(&of(&other, 2)).await, Ok(false), "it is dead already");
    assert_eq!(journal.0.beat(&other).await, Err(JournalError::Fenced));
    assert_eq!(beats().await, [of(&one, 0)]);
}

/// After a worker was declared dead, nothing is written in its name.
pub async fn fenced_worker_writes_nothing(subject: JournalUnderTest) {
    let journal = Probe(subject.journal);
    journal.0.register_worker(&me()).await.expect("registered");
    journal.commit(start("a")).await;
    journal.commit(nodes("a", vec![node_due("a", "1.1", 10)])).await;
    let before = journal.node("a", "1.1").await.expect("stored");
    let seen = Heartbeats { worker: me(), count: 0 };
    assert_eq!(journal.0.declare_dead(&seen).await, Ok(true));
    assert_eq!(journal.refused(start("b")).await, JournalError::Fenced);
    assert_eq!(journal.refused(nodes("a", vec![ended(before.clone())])).await, JournalError::Fenced);
    let want = ClaimFilter { limit: 10, ..ClaimFilter::default() };
    assert_eq!(journal.0.claim_due(&me(), at(1000), &want).await, Err(JournalError::Fenced));
    let item = Parked {
        run_id: "a".into(),
        node_run_id: Some("a/1.1".into()),
        job: "dispatch".into(),
        error: "it failed".into(),
        since: at(1),
        until: at(20),
    };
    assert_eq!(journal.0.park(item).await, Err(JournalError::Fenced));
    assert_eq!((journal.run("b").await, journal.node("a", "1.1").await), (None, Some(before)));
}

/// One living worker at most holds a duty. It goes with its worker.
pub async fn duty_is_held_by_one_living_worker(subject: JournalUnderTest) {
    let journal = Probe(subject.journal);
    let you: WorkerId = "you".into();
    let hold = async |duty, worker: &WorkerId| journal.0.hold_duty(duty, worker).await;
    let [first, second] = Duty::ALL;
    assert_eq!(hold(first, &me()).await, Err(JournalError::Fenced), "it is not registered");
    for worker in [&you, &me()] {
        journal.0.register_worker(worker).await.expect("registered");
    }
    for _again in 0..2 {
        assert_eq!(hold(first, &me()).await, Ok(true));
        assert_eq!(hold(first, &you).await, Ok(false), "it is held");
        assert_eq!(hold(second, &you).await, Ok(true), "that is another one");
        assert_eq!(hold(second, &me()).await, Ok(false));
    }
    // Of a worker that has released its claims, and of one that is dead.
    journal.0.release_claims(&you, at(7)).await.expect("released");
    assert_eq!(hold(second, &you).await, Err(JournalError::Fenced));
    assert_eq!(hold(second, &me()).await, Ok(true));
    journal.0.register_worker(&you).await.expect("registered");
    assert_eq!(hold(second, &you).await, Ok(false));
    let seen = Heartbeats { worker: me(), count: 0 };
    assert_eq!(journal.0.declare_dead(&seen).await, Ok(true));
    for duty in Duty::ALL {
        assert_eq!(hold(duty, &me()).await, Err(JournalError::Fenced));
        assert_eq!(hold(duty, &you).await, Ok(true));
        assert_eq!(hold(duty, &me()).await, Err(JournalError::Fenced));
    }
}

/// What one worker has heard, all know, and until when each of them has said so.
pub async fn signs_of_life_are_those_of_all_workers(subject: JournalUnderTest) {
    let journal = Probe(subject.journal);
    let you: WorkerId = "you".into();
    let sign =
        |path: &str, second| SignOfLife { run_id: "a".into(), path: path.to_owned().into(), at: at(second) };
    let note = async |worker: &WorkerId, signs: &[SignOfLife], known_to| {
        journal.0.note_signs(worker, signs, at(known_to), at(3)).await
    };
    let heard = async |path: &str| {
        let heard = journal.0.last_heard(&"a".into(), &path.to_owned().into()).await.expect("heard");
        (heard.last.map(|at| at.as_micros()), heard.known_to.map(|at| at.as_micros()))
    };
    assert_eq!(note(&me(), &[], 5).await, Err(JournalError::Fenced), "it is not registered");
    for worker in [&you, &me()] {
        journal.0.register_worker(worker).await.expect("registered");
    }
    assert_eq!(note(&me(), &[sign("1", 4), sign("1.2", 5)], 6).await, Ok(()));
    assert_eq!(heard("1").await, (Some(4), None), "the other has not said anything");
    assert_eq!(note(&you, &[sign("1", 7)], 8).await, Ok(()));
    assert_eq!(heard("1").await, (Some(7), Some(6)));
    assert_eq!(note(&me(), &[sign("1", 6)], 9).await, Ok(()));
    assert_eq!(heard("1").await, (Some(7), Some(8)), "times only grow");
    assert_eq!(heard("1.2").await, (Some(5), Some(8)));
    assert_eq!(heard("1.3").await, (None, Some(8)));
    // Those of other runs are others, and old ones may be forgotten.
    let other = journal.0.last_heard(&"b".into(), &"1".to_owned().into()).await.expect("heard");
    assert_eq!(other.last, None);
    assert_eq!(note(&me(), &[sign("1.4", 1)], 10).await, Ok(()));
    assert!([None, Some(1)].contains(&heard("1.4").await.0));
    // Of a worker that is dead, nothing more is expected.
    let seen = Heartbeats { worker: you.clone(), count: 0 };
    assert_eq!(journal.0.declare_dead(&seen).await, Ok(true));
    assert_eq!(heard("1").await, (Some(7), Some(10)));
    assert_eq!(note(&you, &[], 11).await, Err(JournalError::Fenced));
}

pub async fn released_claims_become_due_immediately(subject: JournalUnderTest) {
    let journal = Probe(subject.journal);
    let you: WorkerId = "you".into();
    for worker in [&you, &me()] {
        journal.0.register_worker(worker).await.expect("registered");
    }
    let tried = Wake { tries: 3, claimed_by: Some(me()), ..wake(Job::Dispatch, 5000) };
    let mine = NodeRecord { wake: Some(tried.clone()), ..node("a", "1.1") };
    journal.commit(nodes("a", vec![mine, node_claimed("a", "1.2", &you)])).await;
    journal.0.release_claims(&me(), at(7)).await.expect("claims can be released");

    let free = Wake { claimed_by: None, at: at(7), ..tried };
    assert_eq!(journal.node("a", "1.1").await.and_then(|node| node.wake), Some(free));
    assert_eq!(paths(&journal.claim(&you, 7, 10).await), ["1.1"]);
    // A worker that released its claims is not alive any more.
    journal.commit(nodes("a", vec![node_claimed("a", "1.3", &me())])).await;
    assert_eq!(journal.0.reap_dead_workers(at(8)).await, Ok(1));
    journal
        .0
        .release_claims(&"stranger".into(), at(7))
        .await
        .expect("an unknown worker can release its claims");
}
