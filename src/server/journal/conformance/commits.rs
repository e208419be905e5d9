//! What a commit promises.

use futures::future::join_all;
use serde_json::json;

use super::{JournalUnderTest, samples::*};
use crate::{
    journal::JournalError,
    record::{AttemptOutcome, ChangeSet, Job, NodeHead, NodeRecord, RunRecord, Wake},
    types::{Error, NodeRunState},
};

pub async fn commit_is_all_or_nothing(subject: JournalUnderTest) {
    let journal = Probe(subject.journal);
    journal.commit(start("a")).await;
    let run = journal.run("a").await.expect("stored");
    let attempt = attempt("a/1", 1, AttemptOutcome::Lost);

    // Everything in it is valid except the last node, which exists.
    let bad = ChangeSet {
        run: Some(RunRecord { last_seq: 2, ..run.clone() }),
        nodes: vec![node("a", "1.2"), node("a", "1")],
        events: vec![event("a", 2, None)],
        attempts: vec![attempt.clone()],
        ..change("a")
    };
    assert_eq!(journal.refused(bad.clone()).await, JournalError::Conflict);
    assert_eq!(journal.run("a").await.as_ref(), Some(&run));
    assert_eq!(journal.node("a", "1.2").await, None);
    assert_eq!(journal.seqs("a", None, NO_LIMIT).await, [1]);
    assert_eq!(journal.0.attempts_list(&"a/1".into()).await, Ok(Vec::new()));
    assert_eq!(journal.owed().await.len(), 3);

    // Everything in it is valid except the event, which exists.
    let bad = ChangeSet { nodes: vec![node("a", "1.2")], events: vec![event("a", 1, None)], ..bad };
    assert_eq!(journal.refused(bad.clone()).await, JournalError::Conflict);
    assert_eq!((journal.run("a").await, journal.node("a", "1.2").await), (Some(run), None));

    let good = ChangeSet { events: vec![event("a", 2, None)], ..bad };
    journal.commit(good).await;
    assert_eq!(journal.run("a").await.map(|run| (run.version, run.last_seq)), Some((2, 2)));
    assert_eq!(journal.node("a", "1.2").await.map(|node| node.version), Some(1));
    assert_eq!(journal.seqs("a", None, NO_LIMIT).await, [1, 2]);
    assert_eq!(journal.0.attempts_list(&"a/1".into()).await, Ok(vec![attempt]));
}

pub async fn conflict_does_not_affect_other_commits(subject: JournalUnderTest) {
    let journal = Probe(subject.journal);
    journal.commit(start("taken")).await;
    // Sent at once, so that a journal with group commit groups them.
    let outcomes = join_all((0..40).map(|number| {
        let id = if number % 2 == 0 { format!("run-{number}") } else { "taken".into() };
        journal.0.commit(start(&id))
    }))
    .await;
    for (number, outcome) in outcomes.into_iter().enumerate() {
        let stored = journal.run(&format!("run-{number}")).await.is_some();
        let expected = if number % 2 == 0 { (Ok(()), true) } else { (Err(JournalError::Conflict), false) };
        assert_eq!((outcome.map(drop), stored), expected, "commit {number}");
    }
}

pub async fn versions_count_up_and_stale_ones_conflict(subject: JournalUnderTest) {
    let journal = Probe(subject.journal);
    journal.commit(start("a")).await;
    let (run, node) =
        (journal.run("a").await.expect("stored"), journal.node("a", "1").await.expect("stored"));
    assert_eq!((run.version, node.version), (1, 1));

    let both = ChangeSet { run: Some(run.clone()), nodes: vec![node.clone()], ..change("a") };
    journal.commit(both.clone()).await;
    assert_eq!(journal.run("a").await.map(|run| run.version), Some(2));
    assert_eq!(journal.node("a", "1").await.map(|node| node.version), Some(2));

    assert_eq!(journal.refused(both).await, JournalError::Conflict);
    let only_run = ChangeSet { run: Some(run.clone()), ..change("a") };
    assert_eq!(journal.refused(only_run).await, JournalError::Conflict);
    assert_eq!(journal.refused(nodes("a", vec![node])).await, JournalError::Conflict);
    let from_the_future = ChangeSet { run: Some(RunRecord { version: 3, ..run }), ..change("a") };
    assert_eq!(journal.refused(from_the_future).await, JournalError::Conflict);
    assert_eq!(journal.run("a").await.map(|run| run.version), Some(2));
}

pub async fn new_record_must_not_exist(subject: JournalUnderTest) {
    let journal = Probe(subject.journal);
    journal.commit(start("a")).await;
    assert_eq!(journal.refused(start("a")).await, JournalError::Conflict);
    assert_eq!(journal.refused(nodes("a", vec![node("a", "1")])).await, JournalError::Conflict);
    assert_eq!(journal.refused(events("a", vec![event("a", 1, None)])).await, JournalError::Conflict);
    // A record that is not new must exist.
    let ghost = NodeRecord { version: 1, ..node("a", "1.9") };
    assert_eq!(journal.refused(nodes("a", vec![ghost])).await, JournalError::Conflict);
    let ghost = ChangeSet { run: Some(RunRecord { version: 1, ..run("ghost") }), ..change("ghost") };
    assert_eq!(journal.refused(ghost).await, JournalError::Conflict);
}

pub async fn records_are_read_as_they_were_stored(subject: JournalUnderTest) {
    let journal = Probe(subject.journal);
    let mut root = node("a", "1");
    root.node.inputs =
        json!({"text": "ü \u{0} \" \\ 🦀", "n": 1.5, "null": null}).as_object().cloned().map(Into::into);
    root.node.state = NodeRunState::Running;
    root.attempt = 3;
    root.wake = Some(Wake { tries: 7, claimed_by: Some("me".into()), ..wake(Job::Deadline, 12_345) });
    let mut done = ended(node("a", "1.2"));
    done.wake = Some(wake(Job::CancelExecutor, 99));
    let whole = RunRecord { nodes: 2, owner: None, ..run("a") };
    let change =
        ChangeSet { run: Some(whole.clone()), nodes: vec![root.clone(), done.clone()], ..change("a") };
    journal.commit(change).await;

    assert_eq!(journal.run("a").await, Some(RunRecord { version: 1, ..whole }));
    let root = NodeRecord { version: 1, ..root };
    assert_eq!(journal.node("a", "1").await.as_ref(), Some(&root));
    assert_eq!(journal.node("a", "1.2").await, Some(NodeRecord { version: 1, ..done }));
    assert_eq!(journal.0.nodes_live(&"a".into(), None).await, Ok(vec![root.head()]));
}

pub async fn missing_records_are_not_found(subject: JournalUnderTest) {
    let journal = Probe(subject.journal);
    assert_eq!((journal.run("no").await, journal.node("no", "1").await), (None, None));
    assert_eq!(journal.0.attempts_list(&"no".into()).await, Ok(Vec::new()));
    assert!(journal.live("no", None).await.is_empty());
    for after in [0, 5, u64::MAX] {
        let page = journal.page("no", after, None, NO_LIMIT).await;
        assert_eq!((page.events.len(), page.scanned_to, page.at_end), (0, after, true));
    }
}

pub async fn attempts_are_replaced_by_number_and_listed_in_order(subject: JournalUnderTest) {
    let journal = Probe(subject.journal);
    journal.commit(start("a")).await;
    let late = AttemptOutcome::Late { state: NodeRunState::Failed, error: Some(Error::new("x", "y")) };
    let second = [attempt("a/1", 2, AttemptOutcome::Lost), attempt("a/2", 1, AttemptOutcome::Lost)];
    journal.commit(ChangeSet { attempts: second.into(), ..change("a") }).await;
    let first = vec![attempt("a/1", 1, AttemptOutcome::Lost)];
    journal.commit(ChangeSet { attempts: first, ..change("a") }).await;
    let replaced = vec![attempt("a/1", 2, late.clone())];
    journal.commit(ChangeSet { attempts: replaced, ..change("a") }).await;
    let closed = vec![attempt("a/1", 1, AttemptOutcome::Lost), attempt("a/1", 2, late)];
    assert_eq!(journal.0.attempts_list(&"a/1".into()).await, Ok(closed));
}

pub async fn live_nodes_are_listed_deepest_first_and_by_subtree(subject: JournalUnderTest) {
    let journal = Probe(subject.journal);
    let live = ["1", "1.2", "1.3", "1.2.4", "1.20", "1.20.5", "1.2.4.6"];
    journal.commit(nodes("a", live.map(|path| node("a", path)).into())).await;
    journal.commit(nodes("a", vec![ended(node("a", "1.2.7")), ended(node("a", "1.8"))])).await;
    journal.commit(nodes("b", vec![node("b", "1"), node("b", "1.2")])).await;

    let listed = journal.live("a", None).await;
    let depths: Vec<_> = listed.iter().map(|path| path.matches('.').count()).collect();
    assert!(depths.is_sorted_by(|a, b| a >= b), "deepest first: {listed:?}");
    assert_eq!(sorted(listed), sorted(live.map(str::to_owned).into()));
    assert_eq!(journal.live("a", Some("1.2")).await, ["1.2.4.6", "1.2.4"]);
    assert_eq!(journal.live("a", Some("1")).await.len(), live.len() - 1);
    assert!(journal.live("a", Some("1.3")).await.is_empty());

    let leaf = journal.node("a", "1.2.4.6").await.expect("stored");
    journal.commit(nodes("a", vec![ended(leaf)])).await;
    assert_eq!(journal.live("a", Some("1.2")).await, ["1.2.4"]);
}

/// The database enforces that no live record is without a wake-up or deadline.
pub async fn live_records_need_a_wake_up_or_deadline(subject: JournalUnderTest) {
    let journal = Probe(subject.journal);
    let sleeper = NodeRecord { wake: None, ..node("a", "1") };
    let error = journal.refused(ChangeSet { nodes: vec![sleeper], ..start("a") }).await;
    assert!(matches!(error, JournalError::Failed(_)), "{error}");
    let endless = RunRecord { deadline: None, ..run("a") };
    let error = journal.refused(ChangeSet { run: Some(endless), ..start("a") }).await;
    assert!(matches!(error, JournalError::Failed(_)), "{error}");
    assert_eq!((journal.run("a").await, journal.node("a", "1").await), (None, None));

    journal.commit(start("b")).await;
    let sleeper = NodeHead { wake: None, ..journal.head("b", "1").await.expect("stored") };
    let error = journal.refused(heads("b", vec![sleeper])).await;
    assert!(matches!(error, JournalError::Failed(_)), "{error}");

    let over = ChangeSet { run: Some(run_ended(run("a"))), nodes: vec![ended(node("a", "1"))], ..start("a") };
    journal.commit(over).await;
}

pub async fn ids_with_special_characters_are_opaque(subject: JournalUnderTest) {
    let journal = Probe(subject.journal);
    let ids =
        ["'; DROP TABLE runs; --", "\"", "%", "_", "a%", "a_", "ü\u{301}🦀", "A", "a", "\\", "x\ny", ""];
    for id in ids {
        journal.commit(start(id)).await;
    }
    for id in ids {
        assert_eq!(journal.run(id).await.map(|run| run.run.run_id.to_string()).as_deref(), Some(id));
        assert_eq!(journal.live(id, None).await, ["1"]);
        assert_eq!(journal.seqs(id, None, NO_LIMIT).await, [1]);
    }
    // No character in a path is a wildcard.
    for (run, path, others) in
        [("%", "1.%", ["1.%.2", "1.x.3"]), ("_", "1._", ["1._.2", "1.x.3"]), ("ü", "1.ü", ["1.ü.2", "1.u.3"])]
    {
        journal.commit(nodes(run, others.map(|path| node(run, path)).into())).await;
        let about = [path, others[0], others[1], "1"].map(Some);
        let of_nodes = (2..).zip(about).map(|(seq, path)| event(run, seq, path));
        journal.commit(events(run, of_nodes.collect())).await;
        assert_eq!(journal.live(run, Some(path)).await, [others[0]]);
        assert_eq!(journal.seqs(run, Some(path), NO_LIMIT).await, [2, 3]);
    }
}

pub async fn concurrent_commits_are_all_durable(subject: JournalUnderTest) {
    let journal = Probe(subject.journal);
    join_all((0..64).map(|number| {
        let (journal, id) = (&journal, format!("run-{number}"));
        async move {
            journal.commit(start(&id)).await;
            for seq in 2..=10 {
                // A caller that was answered reads what was committed.
                let run = journal.run(&id).await.expect("stored");
                assert_eq!((run.version, run.last_seq), (seq - 1, seq - 1));
                let run = Some(RunRecord { last_seq: seq, ..run });
                journal.commit(ChangeSet { run, events: vec![event(&id, seq, None)], ..change(&id) }).await;
            }
        }
    }))
    .await;
    let journal = reopened(journal, subject.reopen).await;
    for number in 0..64 {
        let id = format!("run-{number}");
        assert_eq!(journal.run(&id).await.map(|run| run.last_seq), Some(10));
        assert_eq!(journal.seqs(&id, None, NO_LIMIT).await, (1..=10).collect::<Vec<_>>());
    }
}

pub async fn racing_commits_have_one_winner(subject: JournalUnderTest) {
    let journal = Probe(subject.journal);
    journal.commit(start("a")).await;
    for round in 1..=10 {
        let run = journal.run("a").await.expect("stored");
        let bid = ChangeSet { run: Some(run), ..change("a") };
        let outcomes = join_all((0..8).map(|_| journal.0.commit(bid.clone()))).await;
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "round {round}");
        assert_eq!(outcomes.iter().filter(|outcome| **outcome == Err(JournalError::Conflict)).count(), 7);
    }
    assert_eq!(journal.run("a").await.map(|run| run.version), Some(11));
}

pub async fn reopened_journal_has_everything(subject: JournalUnderTest) {
    let journal = Probe(subject.journal);
    journal.commit(start("a")).await;
    let attempts = vec![attempt("a/1", 1, AttemptOutcome::Lost)];
    journal.commit(ChangeSet { attempts: attempts.clone(), ..change("a") }).await;
    journal.0.register_worker(&"me".into()).await.expect("registered");
    let claimed = journal.claim(&"me".into(), 1000, 10).await;
    let (run, owed) = (journal.run("a").await, journal.owed().await);

    let journal = reopened(journal, subject.reopen).await;
    assert_eq!((journal.run("a").await, journal.owed().await), (run, owed));
    assert_eq!(journal.node("a", "1").await.map(|node| node.head()).as_ref(), claimed.first());
    assert_eq!(journal.seqs("a", None, NO_LIMIT).await, [1]);
    assert_eq!(journal.0.attempts_list(&"a/1".into()).await, Ok(attempts));
    // A journal for one process at a time has unregistered the workers before.
    for beats in journal.0.heartbeats().await.expect("heartbeats can be read") {
        assert_eq!(journal.0.declare_dead(&beats).await, Ok(true));
    }
    assert_eq!(
        journal.0.reap_dead_workers(at(2001)).await,
        Ok(1),
        "claims of dead workers are reaped after reopening"
    );
}

pub async fn first_secret_of_a_name_is_kept(subject: JournalUnderTest) {
    let journal = Probe(subject.journal);
    let odd = vec![0, 255, b'\'', 0];
    assert_eq!(journal.0.secret("one", odd.clone()).await, Ok(odd.clone()));
    assert_eq!(journal.0.secret("one", vec![7]).await, Ok(odd.clone()));
    assert_eq!(journal.0.secret("One", vec![7]).await, Ok(vec![7]), "each name has its own");
    // Concurrently: all callers get the same one.
    let answers = join_all((0..20).map(|number| journal.0.secret("raced", vec![number; 32]))).await;
    let winner = answers[0].clone().expect("a secret");
    assert!(answers.iter().all(|answer| answer.as_ref() == Ok(&winner)), "{answers:?}");

    let journal = reopened(journal, subject.reopen).await;
    assert_eq!(journal.0.secret("one", vec![8]).await, Ok(odd));
    assert_eq!(journal.0.secret("raced", vec![8]).await, Ok(winner));
}

fn sorted(mut texts: Vec<String>) -> Vec<String> {
    texts.sort();
    texts
}
