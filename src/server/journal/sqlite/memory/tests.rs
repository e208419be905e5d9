//! The journal in memory passes the conformance suite, and fails where a fail point
//! makes it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU32, Ordering},
};

use futures::{FutureExt, future::join_all};
use slog::{Discard, o};

use super::*;
use crate::{
    journal::{
        Parked,
        conformance::{JournalUnderTest, Probe, at, change, ended, event, nodes, start},
    },
    record::{ChangeSet, Job},
};

fn log() -> Logger {
    Logger::root(Discard, o!())
}

fn memory() -> MemoryJournal {
    MemoryJournal::new().expect("memory")
}

fn open(memory: &MemoryJournal, fail_points: impl FailPoints) -> Probe {
    Probe(Arc::new(memory.open(true, fail_points, &log()).expect("it opens")))
}

mod conforms {
    use super::*;

    crate::conformance_tests!(async || {
        let memory = memory();
        let journal = open(&memory, ()).0;
        let reopen = || async move { open(&memory, ()).0 }.boxed();
        JournalUnderTest { journal, reopen: Some(Box::new(reopen)), guard: Box::new(()) }
    });
}

mod conforms_when_shared {
    use super::*;

    crate::shared_conformance_tests!(async || {
        let memory = memory();
        [(); 2].map(|()| {
            let handle = memory.open_shared(true, (), &log()).expect("it opens");
            Arc::new(handle) as Arc<dyn crate::journal::inspect::Inspect>
        })
    });
}

/// Fails each commit, before or after it.
struct Fails {
    after: bool,
    operations: Arc<AtomicU32>,
}

impl FailPoints for Fails {
    fn before_commit(&self) -> Result<(), JournalError> {
        if self.after { Ok(()) } else { Err(JournalError::Failed("before".into())) }
    }
    fn after_commit(&self) -> Result<(), JournalError> {
        Err(JournalError::Failed("after".into()))
    }
    fn served(&self, operations: usize) {
        self.operations.fetch_max(operations as u32, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn failed_group_commit_is_undone_for_every_caller() {
    let (memory, operations) = (memory(), Arc::<AtomicU32>::default());
    let journal = open(&memory, Fails { after: false, operations: Arc::clone(&operations) });
    let outcomes = join_all(["a", "b", "c"].map(|id| journal.0.commit(start(id)))).await;
    assert_eq!(outcomes, vec![Err(JournalError::Failed("before".into())); 3]);
    assert_eq!(operations.load(Ordering::Relaxed), 3, "it was one group");
    assert_eq!(memory.snapshot().expect("readable").runs().count(), 0);
    assert_eq!(journal.run("a").await, None);
    open(&memory, ()).commit(start("a")).await;
}

#[tokio::test]
async fn cache_drops_records_of_a_commit_with_a_lost_answer() {
    let memory = memory();
    open(&memory, ()).commit(start("a")).await;
    let journal = open(&memory, Fails { after: true, operations: Arc::default() });
    let root = journal.node("a", "1").await.expect("stored");
    let failed =
        journal.0.commit(ChangeSet { events: vec![event("a", 9, None)], ..nodes("a", vec![ended(root)]) });
    assert_eq!(failed.await, Err(JournalError::Failed("after".into())));
    let stored = journal.node("a", "1").await.expect("stored");
    assert!(stored.is_terminal() && stored.version == 2, "{stored:?}");
    assert_eq!(memory.snapshot().expect("readable").node(stored.id()), Some(&stored));
}

struct Dies(Arc<AtomicBool>);

impl FailPoints for Dies {
    fn is_dead(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

#[tokio::test]
async fn dropped_caller_is_executed_and_dead_process_is_not() {
    let (memory, dead) = (memory(), Arc::<AtomicBool>::default());
    let journal = open(&memory, Dies(Arc::clone(&dead)));
    for id in ["a", "b"] {
        let mut commit = std::pin::pin!(journal.0.commit(start(id)));
        assert!(futures::poll!(commit.as_mut()).is_pending());
        dead.store(id == "b", Ordering::Relaxed);
    }
    let runs =
        |snapshot: &Snapshot| snapshot.runs().map(|whole| whole.run.id().to_string()).collect::<Vec<_>>();
    assert_eq!(runs(&memory.snapshot().expect("readable")), ["a"]);
}

#[tokio::test]
async fn damaged_record_keeps_its_columns_and_can_be_repaired() {
    let memory = memory();
    open(&memory, ()).commit(start("a")).await;
    let node = memory.snapshot().expect("readable").runs().next().expect("a run").nodes[0].clone();
    memory.damage(node.id()).expect("damaged");
    let journal = open(&memory, ());
    assert!(matches!(journal.0.node_fetch(node.id()).await, Err(JournalError::Damaged(_))));
    let unreadable = || memory.check().words.iter().filter(|problem| problem.contains("damaged")).count();
    assert_eq!(unreadable(), 1);
    // Its columns are enough to claim it; the job that needs the rest parks it.
    let claimed = journal.claim(&"me".into(), 1000, 10).await;
    assert_eq!(claimed.iter().map(|head| &head.node_run_id).collect::<Vec<_>>(), [node.id()]);
    let item = Parked {
        run_id: "a".into(),
        node_run_id: Some(node.id().clone()),
        job: Job::Dispatch.as_str().into(),
        error: "damaged".into(),
        since: at(1000),
        until: at(2000),
    };
    journal.0.park(item).await.expect("parked");
    let snapshot = memory.snapshot().expect("readable");
    assert_eq!(snapshot.parked().len(), 1);
    let parked = snapshot.node(node.id()).expect("there").clone();
    assert!(parked.version > node.version && parked.node == node.node, "{parked:?}");
    memory.repair().expect("repaired");
    assert_eq!(journal.node("a", "1").await, Some(parked));
    assert_eq!(unreadable(), 0);
}

#[tokio::test]
async fn memory_journal_without_room_refuses_and_continues() {
    let memory = memory();
    let journal = open(&memory, ());
    journal.commit(start("a")).await;
    memory.fill(true).expect("full");
    let mut events = (2..500).map(|seq| event("a", seq, None));
    let big = ChangeSet { events: events.by_ref().collect(), ..change("a") };
    let outcomes = join_all([journal.0.commit(big.clone()), journal.0.commit(nodes("a", Vec::new()))]).await;
    assert!(matches!(outcomes[..], [Err(JournalError::Full(_)), Ok(_)]), "{outcomes:?}");
    memory.fill(false).expect("room");
    journal.commit(big).await;
    assert!(journal.0.counts(at(1)).await.is_ok());
}
