//! The journal in memory keeps every promise of a store, and fails where it is
//! made to.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU32, Ordering},
};

use futures::{FutureExt, future::join_all};
use slog::Discard;

use super::*;
use crate::{
    record::{ChangeSet, Job},
    store::{
        Parked,
        conformance::{Probe, Specimen, at, change, ended, event, nodes, start},
    },
};

fn log() -> Logger {
    Logger::root(Discard, o!())
}

fn journal() -> MemoryJournal {
    MemoryJournal::new().expect("memory")
}

fn open(journal: &MemoryJournal, fail_points: impl FailPoints) -> Probe {
    Probe(Arc::new(journal.open(true, fail_points, &log()).expect("it opens")))
}

mod conforms {
    use super::*;

    crate::conformance_tests!(async || {
        let journal = journal();
        let store = open(&journal, ()).0;
        let reopen = || async move { open(&journal, ()).0 }.boxed();
        Specimen { store, reopen: Some(Box::new(reopen)), guard: Box::new(()) }
    });
}

/// Fails each commit, before it or after it.
struct Fails {
    after: bool,
    pieces: Arc<AtomicU32>,
}

impl FailPoints for Fails {
    fn before_commit(&self) -> Result<(), StoreError> {
        if self.after { Ok(()) } else { Err(StoreError::Failed("before".into())) }
    }
    fn after_commit(&self) -> Result<(), StoreError> {
        Err(StoreError::Failed("after".into()))
    }
    fn served(&self, pieces: usize) {
        self.pieces.fetch_max(pieces as u32, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn a_group_whose_commit_fails_is_undone_for_all_of_them() {
    let (journal, pieces) = (journal(), Arc::<AtomicU32>::default());
    let store = open(&journal, Fails { after: false, pieces: Arc::clone(&pieces) });
    let outcomes = join_all(["a", "b", "c"].map(|id| store.0.commit(start(id)))).await;
    assert_eq!(outcomes, vec![Err(StoreError::Failed("before".into())); 3]);
    assert_eq!(pieces.load(Ordering::Relaxed), 3, "it was one group");
    assert_eq!(journal.snapshot().expect("readable").runs().count(), 0);
    assert_eq!(store.run("a").await, None);
    open(&journal, ()).commit(start("a")).await;
}

#[tokio::test]
async fn what_was_committed_and_is_answered_with_an_error_is_not_remembered_as_it_was() {
    let journal = journal();
    open(&journal, ()).commit(start("a")).await;
    let store = open(&journal, Fails { after: true, pieces: Arc::default() });
    let root = store.node("a", "1").await.expect("stored");
    let failed =
        store.0.commit(ChangeSet { events: vec![event("a", 9, None)], ..nodes("a", vec![ended(root)]) });
    assert_eq!(failed.await, Err(StoreError::Failed("after".into())));
    let stored = store.node("a", "1").await.expect("stored");
    assert!(stored.is_terminal() && stored.version == 2, "{stored:?}");
    assert_eq!(journal.snapshot().expect("readable").node(stored.id()), Some(&stored));
}

struct Dies(Arc<AtomicBool>);

impl FailPoints for Dies {
    fn is_dead(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

#[tokio::test]
async fn who_goes_away_is_served_and_the_dead_are_not() {
    let (journal, dead) = (journal(), Arc::<AtomicBool>::default());
    let store = open(&journal, Dies(Arc::clone(&dead)));
    for id in ["a", "b"] {
        let mut commit = std::pin::pin!(store.0.commit(start(id)));
        assert!(futures::poll!(commit.as_mut()).is_pending());
        dead.store(id == "b", Ordering::Relaxed);
    }
    let runs =
        |snapshot: &Snapshot| snapshot.runs().map(|whole| whole.run.id().to_string()).collect::<Vec<_>>();
    assert_eq!(runs(&journal.snapshot().expect("readable")), ["a"]);
}

#[tokio::test]
async fn a_damaged_record_keeps_what_its_columns_say_and_is_whole_when_it_is_repaired() {
    let journal = journal();
    open(&journal, ()).commit(start("a")).await;
    let node = journal.snapshot().expect("readable").runs().next().expect("a run").nodes[0].clone();
    journal.damage(node.id()).expect("damaged");
    let store = open(&journal, ());
    assert!(matches!(store.0.node_fetch(node.id()).await, Err(StoreError::Damaged(_))));
    let unreadable = || journal.check().words.iter().filter(|problem| problem.contains("damaged")).count();
    assert_eq!(unreadable(), 1);
    // Its columns are enough to claim it; the one who needs the rest parks it.
    let claimed = store.claim(&"me".into(), 1000, 10).await;
    assert_eq!(claimed.iter().map(|head| &head.node_run_id).collect::<Vec<_>>(), [node.id()]);
    let item = Parked {
        run_id: "a".into(),
        node_run_id: Some(node.id().clone()),
        job: Job::Dispatch.as_str().into(),
        error: "damaged".into(),
        since: at(1000),
        until: at(2000),
    };
    store.0.park(item).await.expect("parked");
    let snapshot = journal.snapshot().expect("readable");
    assert_eq!(snapshot.parked().len(), 1);
    let parked = snapshot.node(node.id()).expect("there").clone();
    assert!(parked.version > node.version && parked.node == node.node, "{parked:?}");
    journal.repair().expect("repaired");
    assert_eq!(store.node("a", "1").await, Some(parked));
    assert_eq!(unreadable(), 0);
}

#[tokio::test]
async fn a_journal_without_room_refuses_what_does_not_fit_and_goes_on_when_it_has() {
    let journal = journal();
    let store = open(&journal, ());
    store.commit(start("a")).await;
    journal.fill(true).expect("full");
    let mut events = (2..500).map(|seq| event("a", seq, None));
    let big = ChangeSet { events: events.by_ref().collect(), ..change("a") };
    let outcomes = join_all([store.0.commit(big.clone()), store.0.commit(nodes("a", Vec::new()))]).await;
    assert!(matches!(outcomes[..], [Err(StoreError::Full(_)), Ok(_)]), "{outcomes:?}");
    journal.fill(false).expect("room");
    store.commit(big).await;
    assert!(store.0.counts(at(1)).await.is_ok());
}
