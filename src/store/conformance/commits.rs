//! What a commit promises.

use futures::future::join_all;
use serde_json::json;

use super::{Specimen, samples::*};
use crate::{
    model::{Error, NodeRunState},
    record::{AttemptOutcome, AttemptRecord, ChangeSet, Job, NodeRecord, RunRecord, Wake},
    store::StoreError,
};

pub async fn a_commit_is_all_or_nothing(specimen: Specimen) {
    let store = Probe(specimen.store);
    store.commit(start("a")).await;
    let run = store.run("a").await.expect("stored");
    let attempt = attempt("a/1", 1, AttemptOutcome::Lost);

    // Everything in it is fine, except for the last node, which is there.
    let bad = ChangeSet {
        run: Some(RunRecord { last_seq: 2, ..run.clone() }),
        nodes: vec![node("a", "1.2"), node("a", "1")],
        events: vec![event("a", 2, None)],
        attempts: vec![attempt.clone()],
        ..change("a")
    };
    assert_eq!(store.refused(bad.clone()).await, StoreError::Conflict);
    assert_eq!(store.run("a").await.as_ref(), Some(&run));
    assert_eq!(store.node("a", "1.2").await, None);
    assert_eq!(store.seqs("a", None, NO_LIMIT).await, [1]);
    assert_eq!(store.0.attempts_list(&"a/1".into()).await, Ok(Vec::new()));
    assert_eq!(store.owed().await.len(), 3);

    // Everything in it is fine, except for the event, which is there.
    let bad = ChangeSet { nodes: vec![node("a", "1.2")], events: vec![event("a", 1, None)], ..bad };
    assert_eq!(store.refused(bad.clone()).await, StoreError::Conflict);
    assert_eq!((store.run("a").await, store.node("a", "1.2").await), (Some(run), None));

    let good = ChangeSet { events: vec![event("a", 2, None)], ..bad };
    store.commit(good).await;
    assert_eq!(store.run("a").await.map(|run| (run.version, run.last_seq)), Some((2, 2)));
    assert_eq!(store.node("a", "1.2").await.map(|node| node.version), Some(1));
    assert_eq!(store.seqs("a", None, NO_LIMIT).await, [1, 2]);
    assert_eq!(store.0.attempts_list(&"a/1".into()).await, Ok(vec![attempt]));
}

pub async fn a_conflict_leaves_its_neighbours_alone(specimen: Specimen) {
    let store = Probe(specimen.store);
    store.commit(start("taken")).await;
    // Sent at once, so that a store that groups commits groups these.
    let outcomes = join_all((0..40).map(|number| {
        let id = if number % 2 == 0 { format!("run-{number}") } else { "taken".into() };
        store.0.commit(start(&id))
    }))
    .await;
    for (number, outcome) in outcomes.into_iter().enumerate() {
        let stored = store.run(&format!("run-{number}")).await.is_some();
        let expected = if number % 2 == 0 { (Ok(()), true) } else { (Err(StoreError::Conflict), false) };
        assert_eq!((outcome.map(drop), stored), expected, "commit {number}");
    }
}

pub async fn versions_count_up_and_old_ones_conflict(specimen: Specimen) {
    let store = Probe(specimen.store);
    store.commit(start("a")).await;
    let (run, node) = (store.run("a").await.expect("stored"), store.node("a", "1").await.expect("stored"));
    assert_eq!((run.version, node.version), (1, 1));

    let both = ChangeSet { run: Some(run.clone()), nodes: vec![node.clone()], ..change("a") };
    store.commit(both.clone()).await;
    assert_eq!(store.run("a").await.map(|run| run.version), Some(2));
    assert_eq!(store.node("a", "1").await.map(|node| node.version), Some(2));

    assert_eq!(store.refused(both).await, StoreError::Conflict);
    let only_run = ChangeSet { run: Some(run.clone()), ..change("a") };
    assert_eq!(store.refused(only_run).await, StoreError::Conflict);
    assert_eq!(store.refused(nodes("a", vec![node])).await, StoreError::Conflict);
    let from_the_future = ChangeSet { run: Some(RunRecord { version: 3, ..run }), ..change("a") };
    assert_eq!(store.refused(from_the_future).await, StoreError::Conflict);
    assert_eq!(store.run("a").await.map(|run| run.version), Some(2));
}

pub async fn what_is_new_must_not_exist(specimen: Specimen) {
    let store = Probe(specimen.store);
    store.commit(start("a")).await;
    assert_eq!(store.refused(start("a")).await, StoreError::Conflict);
    assert_eq!(store.refused(nodes("a", vec![node("a", "1")])).await, StoreError::Conflict);
    assert_eq!(store.refused(events("a", vec![event("a", 1, None)])).await, StoreError::Conflict);
    // And what is not new must exist.
    let ghost = NodeRecord { version: 1, ..node("a", "1.9") };
    assert_eq!(store.refused(nodes("a", vec![ghost])).await, StoreError::Conflict);
    let ghost = ChangeSet { run: Some(RunRecord { version: 1, ..run("ghost") }), ..change("ghost") };
    assert_eq!(store.refused(ghost).await, StoreError::Conflict);
}

pub async fn records_come_back_as_they_were_stored(specimen: Specimen) {
    let store = Probe(specimen.store);
    let mut root = node("a", "1");
    root.node.inputs =
        json!({"text": "ü \u{0} \" \\ 🦀", "n": 1.5, "null": null}).as_object().cloned().map(Into::into);
    root.node.state = NodeRunState::Running;
    root.attempt = 3;
    root.wake = Some(Wake { tries: 7, owner: Some("me".into()), ..wake(Job::Deadline, 12_345) });
    let mut done = ended(node("a", "1.2"));
    done.wake = Some(wake(Job::CancelExecutor, 99));
    let whole = RunRecord { nodes: 2, owner: None, ..run("a") };
    let change =
        ChangeSet { run: Some(whole.clone()), nodes: vec![root.clone(), done.clone()], ..change("a") };
    store.commit(change).await;

    assert_eq!(store.run("a").await, Some(RunRecord { version: 1, ..whole }));
    let root = NodeRecord { version: 1, ..root };
    assert_eq!(store.node("a", "1").await.as_ref(), Some(&root));
    assert_eq!(store.node("a", "1.2").await, Some(NodeRecord { version: 1, ..done }));
    assert_eq!(store.0.nodes_live(&"a".into(), None).await, Ok(vec![root]));
}

pub async fn what_does_not_exist_is_not_found(specimen: Specimen) {
    let store = Probe(specimen.store);
    assert_eq!((store.run("no").await, store.node("no", "1").await), (None, None));
    assert_eq!(store.0.attempts_list(&"no".into()).await, Ok(Vec::new()));
    assert!(store.live("no", None).await.is_empty());
    for after in [0, 5, u64::MAX] {
        let page = store.page("no", after, None, NO_LIMIT).await;
        assert_eq!((page.events.len(), page.scanned_to, page.at_end), (0, after, true));
    }
}

pub async fn attempts_are_replaced_by_number_and_listed_in_order(specimen: Specimen) {
    let store = Probe(specimen.store);
    store.commit(start("a")).await;
    let late = AttemptOutcome::Late { state: NodeRunState::Failed, error: Some(Error::new("x", "y")) };
    let second = [attempt("a/1", 2, AttemptOutcome::Lost), attempt("a/2", 1, AttemptOutcome::Lost)];
    store.commit(ChangeSet { attempts: second.into(), ..change("a") }).await;
    let first = vec![attempt("a/1", 1, AttemptOutcome::Lost)];
    store.commit(ChangeSet { attempts: first, ..change("a") }).await;
    let replaced = vec![attempt("a/1", 2, late.clone())];
    store.commit(ChangeSet { attempts: replaced, ..change("a") }).await;
    let closed = vec![attempt("a/1", 1, AttemptOutcome::Lost), attempt("a/1", 2, late)];
    assert_eq!(store.0.attempts_list(&"a/1".into()).await, Ok(closed));
}

pub async fn live_nodes_come_deepest_first_and_by_subtree(specimen: Specimen) {
    let store = Probe(specimen.store);
    let live = ["1", "1.2", "1.3", "1.2.4", "1.20", "1.20.5", "1.2.4.6"];
    store.commit(nodes("a", live.map(|path| node("a", path)).into())).await;
    store.commit(nodes("a", vec![ended(node("a", "1.2.7")), ended(node("a", "1.8"))])).await;
    store.commit(nodes("b", vec![node("b", "1"), node("b", "1.2")])).await;

    let listed = store.live("a", None).await;
    let depths: Vec<_> = listed.iter().map(|path| path.matches('.').count()).collect();
    assert!(depths.is_sorted_by(|a, b| a >= b), "deepest first: {listed:?}");
    assert_eq!(sorted(listed), sorted(live.map(str::to_owned).into()));
    assert_eq!(store.live("a", Some("1.2")).await, ["1.2.4.6", "1.2.4"]);
    assert_eq!(store.live("a", Some("1")).await.len(), live.len() - 1);
    assert!(store.live("a", Some("1.3")).await.is_empty());

    let leaf = store.node("a", "1.2.4.6").await.expect("stored");
    store.commit(nodes("a", vec![ended(leaf)])).await;
    assert_eq!(store.live("a", Some("1.2")).await, ["1.2.4"]);
}

/// The rule that nothing can get stuck is the database's, not a hope.
pub async fn live_things_need_a_time_to_be_looked_at(specimen: Specimen) {
    let store = Probe(specimen.store);
    let sleeper = NodeRecord { wake: None, ..node("a", "1") };
    let error = store.refused(ChangeSet { nodes: vec![sleeper], ..start("a") }).await;
    assert!(matches!(error, StoreError::Failed(_)), "{error}");
    let endless = RunRecord { deadline: None, ..run("a") };
    let error = store.refused(ChangeSet { run: Some(endless), ..start("a") }).await;
    assert!(matches!(error, StoreError::Failed(_)), "{error}");
    assert_eq!((store.run("a").await, store.node("a", "1").await), (None, None));

    let over = ChangeSet { run: Some(run_ended(run("a"))), nodes: vec![ended(node("a", "1"))], ..start("a") };
    store.commit(over).await;
}

pub async fn odd_ids_are_just_ids(specimen: Specimen) {
    let store = Probe(specimen.store);
    let ids =
        ["'; DROP TABLE runs; --", "\"", "%", "_", "a%", "a_", "ü\u{301}🦀", "A", "a", "\\", "x\ny", ""];
    for id in ids {
        store.commit(start(id)).await;
    }
    for id in ids {
        assert_eq!(store.run(id).await.map(|run| run.run.run_id.to_string()).as_deref(), Some(id));
        assert_eq!(store.live(id, None).await, ["1"]);
        assert_eq!(store.seqs(id, None, NO_LIMIT).await, [1]);
    }
    // Nothing in a path is a wildcard.
    for (run, path, others) in
        [("%", "1.%", ["1.%.2", "1.x.3"]), ("_", "1._", ["1._.2", "1.x.3"]), ("ü", "1.ü", ["1.ü.2", "1.u.3"])]
    {
        store.commit(nodes(run, others.map(|path| node(run, path)).into())).await;
        let about = [path, others[0], others[1], "1"].map(Some);
        let told = (2..).zip(about).map(|(seq, path)| event(run, seq, path));
        store.commit(events(run, told.collect())).await;
        assert_eq!(store.live(run, Some(path)).await, [others[0]]);
        assert_eq!(store.seqs(run, Some(path), NO_LIMIT).await, [2, 3]);
    }
}

pub async fn big_bodies_come_back_whole(specimen: Specimen) {
    let store = Probe(specimen.store);
    let text: String = "0123456789abcdé".repeat(200_000);
    let mut root = node("a", "1");
    root.node.inputs = json!({ "text": text }).as_object().cloned().map(Into::into);
    let mut told = event("a", 1, Some("1"));
    told.event.data = json!({ "text": text }).as_object().cloned().map(Into::into);
    store.commit(ChangeSet { nodes: vec![root.clone()], events: vec![told], ..start("a") }).await;
    assert_eq!(store.node("a", "1").await, Some(NodeRecord { version: 1, ..root }));
    let page = store.page("a", 0, None, NO_LIMIT).await;
    assert!(page.events[0].1.contains(&text));
}

pub async fn sixty_four_committers_at_once_are_all_durable(specimen: Specimen) {
    let store = Probe(specimen.store);
    join_all((0..64).map(|number| {
        let (store, id) = (&store, format!("run-{number}"));
        async move {
            store.commit(start(&id)).await;
            for seq in 2..=10 {
                // One who was answered sees what was answered.
                let run = store.run(&id).await.expect("stored");
                assert_eq!((run.version, run.last_seq), (seq - 1, seq - 1));
                let run = Some(RunRecord { last_seq: seq, ..run });
                store.commit(ChangeSet { run, events: vec![event(&id, seq, None)], ..change(&id) }).await;
            }
        }
    }))
    .await;
    let store = reopened(store, specimen.reopen).await;
    for number in 0..64 {
        let id = format!("run-{number}");
        assert_eq!(store.run(&id).await.map(|run| run.last_seq), Some(10));
        assert_eq!(store.seqs(&id, None, NO_LIMIT).await, (1..=10).collect::<Vec<_>>());
    }
}

pub async fn racing_commits_have_one_winner(specimen: Specimen) {
    let store = Probe(specimen.store);
    store.commit(start("a")).await;
    for round in 1..=10 {
        let run = store.run("a").await.expect("stored");
        let bid = ChangeSet { run: Some(run), ..change("a") };
        let outcomes = join_all((0..8).map(|_| store.0.commit(bid.clone()))).await;
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "round {round}");
        assert_eq!(outcomes.iter().filter(|outcome| **outcome == Err(StoreError::Conflict)).count(), 7);
    }
    assert_eq!(store.run("a").await.map(|run| run.version), Some(11));
}

pub async fn everything_is_there_after_reopening(specimen: Specimen) {
    let store = Probe(specimen.store);
    store.commit(start("a")).await;
    let attempts = vec![attempt("a/1", 1, AttemptOutcome::Lost)];
    store.commit(ChangeSet { attempts: attempts.clone(), ..change("a") }).await;
    store.0.owner_renew(&"me".into(), at(2000)).await.expect("owners can be renewed");
    let claimed = store.claim(&"me".into(), 1000, 10).await;
    let (run, owed) = (store.run("a").await, store.owed().await);

    let store = reopened(store, specimen.reopen).await;
    assert_eq!((store.run("a").await, store.owed().await), (run, owed));
    assert_eq!(store.node("a", "1").await.as_ref(), claimed.first());
    assert_eq!(store.seqs("a", None, NO_LIMIT).await, [1]);
    assert_eq!(store.0.attempts_list(&"a/1".into()).await, Ok(attempts));
    // A store that one process has at a time may end leases earlier.
    assert_eq!(store.0.owners_expire(at(2001)).await, Ok(1), "leases end, reopened or not");
}

pub async fn a_secret_is_whatever_was_kept_first(specimen: Specimen) {
    let store = Probe(specimen.store);
    let odd = vec![0, 255, b'\'', 0];
    assert_eq!(store.0.secret("one", odd.clone()).await, Ok(odd.clone()));
    assert_eq!(store.0.secret("one", vec![7]).await, Ok(odd.clone()));
    assert_eq!(store.0.secret("One", vec![7]).await, Ok(vec![7]), "each name has its own");
    // All at once: one of them wins, and everybody hears of that one.
    let answers = join_all((0..20).map(|number| store.0.secret("raced", vec![number; 32]))).await;
    let winner = answers[0].clone().expect("a secret");
    assert!(answers.iter().all(|answer| answer.as_ref() == Ok(&winner)), "{answers:?}");

    let store = reopened(store, specimen.reopen).await;
    assert_eq!(store.0.secret("one", vec![8]).await, Ok(odd));
    assert_eq!(store.0.secret("raced", vec![8]).await, Ok(winner));
}

/// The same store after a restart, if it can do that.
async fn reopened(store: Probe, reopen: Option<super::Reopen>) -> Probe {
    match reopen {
        None => store,
        Some(reopen) => {
            drop(store);
            Probe(reopen().await)
        }
    }
}

fn attempt(node: &str, number: u32, outcome: AttemptOutcome) -> AttemptRecord {
    AttemptRecord {
        node_run_id: node.into(),
        run_id: "a".into(),
        attempt: number,
        started_at: at(1),
        ended_at: at(2),
        outcome,
    }
}

fn sorted(mut texts: Vec<String>) -> Vec<String> {
    texts.sort();
    texts
}
