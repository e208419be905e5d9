//! What is particular to the SQLite journal; the rest is the conformance
//! suite, which runs here too.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use futures::{FutureExt, future::join_all};
use rusqlite::{Connection, StatementStatus};
use serde_json::json;
use slog::Discard;

use super::*;
use crate::{
    journal::conformance::{
        JournalUnderTest, NO_LIMIT, Probe, at, change, ended, event, node, node_due, nodes, run, run_ended,
        start,
    },
    record::NodeRecord,
    types::NodeRunState,
};

/// A directory that goes away with its test.
pub(in crate::server::journal) struct Directory(tempfile::TempDir);

impl Directory {
    pub(in crate::server::journal) fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory for a test"))
    }
    pub(in crate::server::journal) fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

/// A journal as the conformance suite wants it.
pub(in crate::server::journal) fn open(path: PathBuf) -> SqliteJournal {
    try_open(path).expect("the journal opens")
}

pub(super) fn try_open(path: PathBuf) -> Result<SqliteJournal, OpenError> {
    open_with(SqliteOptions { path, max_bytes: None, outbox: true })
}

fn open_with(options: SqliteOptions) -> Result<SqliteJournal, OpenError> {
    SqliteJournal::open(options, Logger::root(Discard, o!()))
}

fn probe(journal: SqliteJournal) -> Probe {
    Probe(Arc::new(journal))
}

/// The one and only connection to a file that no store has open.
pub(super) fn raw(path: &Path) -> Connection {
    Connection::open(path).expect("SQLite opens it")
}

mod conforms {
    use super::*;

    crate::conformance_tests!(async || {
        let directory = Directory::new();
        let path = directory.file("j.db");
        let journal = Arc::new(open(path.clone()));
        let reopen = || async move { Arc::new(open(path)) as Arc<dyn Journal> }.boxed();
        JournalUnderTest { journal, reopen: Some(Box::new(reopen)), guard: Box::new(directory) }
    });
}

#[tokio::test]
async fn folders_are_not_made_and_any_file_name_will_do() {
    let directory = Directory::new();
    let error = try_open(directory.file("a/b/j.db")).err().expect("no such folder");
    assert!(matches!(&error, OpenError::NoFolder { folder, .. } if folder.ends_with("a/b")), "{error}");
    assert!(!directory.file("a").exists());
    for name in ["j.db", "file:x?mode=memory", ":memory:", "100% ü'\".db"] {
        let journal = probe(open(directory.file(name)));
        journal.commit(start("a")).await;
        assert!(directory.file(name).exists(), "{name}");
    }
}

#[tokio::test]
async fn a_second_coordinator_is_locked_out_until_the_first_is_gone() {
    let directory = Directory::new();
    let path = directory.file("j.db");
    let first = open(path.clone());
    let error = try_open(path.clone()).err().expect("locked");
    assert!(matches!(error, OpenError::Locked { .. }), "{error}");
    drop(first);
    open(path);
}

#[tokio::test]
async fn a_second_coordinator_is_locked_out_whatever_path_leads_to_the_journal() {
    let directory = Directory::new();
    let path = directory.file("j.db");
    let first = probe(open(path.clone()));
    fs::create_dir(directory.file("elsewhere")).expect("a folder");
    let (symlink, hard_link) = (directory.file("elsewhere/s.db"), directory.file("elsewhere/h.db"));
    std::os::unix::fs::symlink(&path, &symlink).expect("a symlink");
    fs::hard_link(&path, &hard_link).expect("a hard link");
    let others = [symlink, hard_link, directory.file("elsewhere/../j.db")];
    for other in &others {
        let error = try_open(other.clone()).err().unwrap_or_else(|| panic!("{}: locked", other.display()));
        assert!(matches!(error, OpenError::Locked { .. }), "{error}");
    }
    // Being refused has taken nothing from the one who has it: SQLite's own
    // locks on the file are still there.
    assert!(sqlite_locks(&path) > 0);
    first.commit(start("a")).await;
    drop(first);
    for other in others {
        assert!(probe(open(other)).run("a").await.is_some());
    }
}

/// How many locks of SQLite, which are by process and range, there are on a
/// file.
fn sqlite_locks(path: &Path) -> usize {
    use std::os::unix::fs::MetadataExt;
    let inode = format!(":{} ", fs::metadata(path).expect("a file").ino());
    let locks = fs::read_to_string("/proc/locks").expect("Linux tells");
    locks.lines().filter(|line| line.contains(&inode) && line.contains("POSIX")).count()
}

#[tokio::test]
async fn long_reads_wait_for_each_other_and_short_ones_for_nobody() {
    const LONG: usize = 100;
    let directory = Directory::new();
    let journal = Arc::new(open(directory.file("j.db")));
    let (reading, gate) = (tokio::sync::watch::Sender::new((0, 0)), tokio::sync::watch::Sender::new(false));
    let long = join_all((0..LONG).map(|_| {
        let (journal, reading, mut gate) = (&journal, reading.clone(), gate.subscribe());
        async move {
            let read = journal.read_aside(move |_| {
                reading.send_modify(|(now, most)| {
                    *now += 1;
                    *most = (*now).max(*most);
                });
                futures::executor::block_on(gate.wait_for(|open| *open)).expect("it opens");
                reading.send_modify(|(now, _)| *now -= 1);
                Ok(())
            });
            read.await.expect("read");
        }
    }));
    let short = async {
        let mut seen = reading.subscribe();
        seen.wait_for(|(now, _)| *now >= LONG_READS).await.expect("they read");
        for number in 0..100 {
            let run = format!("run-{number}").as_str().into();
            assert_eq!(journal.run_fetch(&run).await, Ok(None), "a fetch by key waits for nobody");
            tokio::task::yield_now().await;
        }
        gate.send_replace(true);
    };
    futures::join!(long, short);
    assert_eq!(*reading.borrow(), (0, LONG_READS));
}

#[tokio::test]
async fn a_panic_in_the_writer_is_declared_and_nothing_waits_for_it() {
    let directory = Directory::new();
    let journal = open(directory.file("j.db"));
    journal.commit(start("before")).await.expect("committed");
    assert!(journal.fatal().declared().now_or_never().is_none());
    let poison = journal.writer.run(|_| -> Result<(), JournalError> { panic!("poison") });
    let ended = JournalError::Failed("the journal's writer has ended".into());
    let (poisoned, beside) = futures::join!(poison, journal.commit(start("beside")));
    assert_eq!(poisoned, Err(ended.clone()));
    assert_eq!(journal.fatal().declared().await, "the thread 'journal-writer' panicked: poison");
    // It was in the same group, or came too late.
    assert_eq!(beside, Err(ended.clone()));
    assert_eq!(journal.commit(start("after")).await, Err(ended));
    assert!(journal.run_fetch(&"before".into()).await.is_ok_and(|run| run.is_some()), "it can be read");
    drop(journal);
    let journal = probe(open(directory.file("j.db")));
    assert_eq!((journal.run("beside").await, journal.run("after").await), (None, None));
    journal.commit(start("after")).await;
}

#[tokio::test]
async fn what_ends_work_fits_where_new_work_does_not() {
    let directory = Directory::new();
    let options = SqliteOptions { path: directory.file("j.db"), max_bytes: Some(2 << 20), outbox: true };
    let journal = probe(open_with(options).expect("the journal opens"));
    let mut started = 0;
    let refused = loop {
        let mut root = node(&format!("run-{started}"), "1");
        root.node.inputs = json!({ "text": "x".repeat(20_000) }).as_object().cloned().map(Into::into);
        let id = format!("run-{started}");
        match journal.0.commit(ChangeSet { nodes: vec![root], ..start(&id) }).await {
            Ok(_) => started += 1,
            Err(refused) => break refused,
        }
    };
    assert_eq!((refused, journal.0.room()), (JournalError::Reserved, Room::Reserve));
    // Three quarters of the limit (of a larger one it would be more).
    assert!((50..75).contains(&started), "{started}");
    assert_eq!(journal.run(&format!("run-{started}")).await, None);
    let child = ChangeSet { nodes: vec![node("run-0", "1.1")], ..change("run-0") };
    // As small as it is it may have its place still, but not ten times.
    let children = join_all((1..=10).map(|number| {
        let child = ChangeSet { nodes: vec![node("run-0", &format!("1.{number}"))], ..child.clone() };
        let (journal, padding) = (&journal, "x".repeat(10_000));
        async move {
            let mut child = child;
            child.nodes[0].node.inputs = json!({ "text": padding }).as_object().cloned().map(Into::into);
            journal.0.commit(child).await
        }
    }))
    .await;
    assert!(children.contains(&Err(JournalError::Reserved)), "{children:?}");

    // What there is can end, all of it, with something to say.
    for number in 0..started {
        let root = journal.node(&format!("run-{number}"), "1").await.expect("stored");
        let mut done = ended(root);
        done.node.outputs = json!({ "text": "y".repeat(2_000) }).as_object().cloned().map(Into::into);
        journal.commit(nodes(&format!("run-{number}"), vec![done])).await;
    }
    assert_eq!(journal.0.room(), Room::Reserve);
    // Room comes back, and with it new work.
    let before = run_ended(journal.run("run-0").await.expect("stored"));
    journal.commit(ChangeSet { run: Some(before), ..change("run-0") }).await;
    for number in 1..started {
        let over = run_ended(journal.run(&format!("run-{number}")).await.expect("stored"));
        journal.commit(ChangeSet { run: Some(over), ..change(&format!("run-{number}")) }).await;
    }
    let owed: Vec<_> = journal.owed().await.iter().map(|entry| entry.id).collect();
    journal.0.outbox_ack(&owed).await.expect("acknowledged");
    assert!(journal.0.runs_prune(at(1_000_000), 1000).await.expect("pruned") > 10);
    assert_eq!(journal.0.room(), Room::Enough);
    journal.commit(start("another")).await;
}

#[test]
fn a_child_process_that_has_the_lock_file_open_keeps_nobody_out() {
    let directory = Directory::new();
    let first = open(directory.file("j.db"));
    let _in_a_child = first._lock.as_ref().expect("it is locked").beside.try_clone().expect("the lock file");
    drop(first);
    try_open(directory.file("j.db")).expect("the journal opens");
}

#[tokio::test]
async fn what_is_queued_is_served_when_the_store_is_dropped() {
    let directory = Directory::new();
    let journal = open(directory.file("j.db"));
    {
        // Polled once: the piece is queued, and the caller goes away.
        let mut commit = std::pin::pin!(journal.commit(start("a")));
        assert!(futures::poll!(commit.as_mut()).is_pending());
    }
    drop(journal);
    assert!(probe(open(directory.file("j.db"))).run("a").await.is_some());
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let directory = Directory::new();
    let path = directory.file("j.db");
    let garbage = b"Dear diary, today I am not a database. ".repeat(200);
    fs::write(&path, &garbage).expect("a file can be written");
    let error = try_open(path.clone()).err().expect("refused");
    assert!(matches!(error, OpenError::Corrupt { .. }), "{error}");
    assert_eq!(fs::read(&path).expect("still there"), garbage);
    // A directory is not even that.
    let error = try_open(directory.0.path().into()).err().expect("refused");
    assert!(matches!(error, OpenError::Io { .. }), "{error}");
}

#[tokio::test]
async fn a_damaged_file_is_refused() {
    let directory = Directory::new();
    let whole = directory.file("whole.db");
    let journal = probe(open(whole.clone()));
    journal
        .commit(ChangeSet { events: (1..=500).map(|seq| event("a", seq, None)).collect(), ..start("a") })
        .await;
    drop(journal);
    let bytes = fs::read(&whole).expect("readable");
    assert!(bytes.len() > 50_000 && !directory.file("whole.db-wal").exists(), "it is all in one file");

    let refused = |name: &str, bytes: &[u8]| {
        let path = directory.file(name);
        fs::write(&path, bytes).expect("a file can be written");
        let error = try_open(path).err().unwrap_or_else(|| panic!("{name} is refused"));
        assert!(matches!(error, OpenError::Corrupt { .. }), "{name}: {error}");
    };
    refused("half", &bytes[..bytes.len() / 2]);
    refused("header only", &bytes[..100]);
    refused("last page missing", &bytes[..bytes.len() - 4096]);
    let mut overwritten = bytes.clone();
    overwritten[8192..bytes.len() - 8192].fill(0xaa);
    refused("overwritten", &overwritten);
    open(whole);
}

#[tokio::test]
async fn a_journal_of_the_future_is_refused() {
    let directory = Directory::new();
    let path = directory.file("j.db");
    drop(open(path.clone()));
    raw(&path).pragma_update(None, "user_version", 99).expect("it can be set");
    let error = try_open(path).err().expect("refused");
    assert!(matches!(error, OpenError::Newer { found: 99, supported: 5, .. }), "{error}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_new_journal_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let directory = Directory::new();
    let path = directory.file("j.db");
    let journal = probe(open(path.clone()));
    journal.commit(start("a")).await;
    for suffix in ["", "-wal", "-shm"] {
        let file = fs::metadata(format!("{}{suffix}", path.display())).expect("a file");
        assert_eq!(file.permissions().mode() & 0o777, 0o600, "{suffix}");
    }
}

#[tokio::test]
async fn somebody_elses_database_is_refused_and_left_alone() {
    let directory = Directory::new();
    for (name, setup) in [
        ("with an id.db", "PRAGMA application_id = 1; CREATE TABLE t (x);"),
        ("without an id.db", "CREATE TABLE t (x);"),
    ] {
        let path = directory.file(name);
        raw(&path).execute_batch(setup).expect("it is made");
        let before = fs::read(&path).expect("readable");
        let error = try_open(path.clone()).err().expect("refused");
        assert!(matches!(error, OpenError::Corrupt { .. }), "{name}: {error}");
        assert_eq!(fs::read(&path).expect("readable"), before);
    }
    // One with nothing in it is as good as none.
    fs::write(directory.file("empty.db"), b"").expect("a file can be written");
    open(directory.file("empty.db"));
}

/// A commit is durable before its task goes on. What happens to the row in
/// between must not be forgotten over it.
#[tokio::test]
async fn a_commit_that_is_answered_late_does_not_bring_back_what_a_claim_has_changed() {
    let directory = Directory::new();
    let journal = probe(open(directory.file("j.db")));
    journal.commit(start("a")).await;
    let root = journal.node("a", "1").await.expect("stored");
    let mut late =
        std::pin::pin!(journal.0.commit(nodes("a", vec![NodeRecord { retries: 1, ..root.clone() }])));
    assert!(futures::poll!(late.as_mut()).is_pending());
    let claimed = loop {
        // Once the commit is durable, which its task has not heard.
        let claimed = journal.claim(&"me".into(), 1000, 10).await;
        match claimed.first() {
            Some(head) if head.version == root.version + 2 => break head.clone(),
            Some(_) => journal.0.release_claims(&"me".into(), at(1000)).await.expect("released"),
            None => {}
        }
    };
    late.await.expect("committed");
    assert_eq!(journal.head("a", "1").await, Some(claimed));
}

#[tokio::test]
async fn a_full_journal_refuses_what_does_not_fit_whole_and_goes_on() {
    let directory = Directory::new();
    // A quarter is kept for what ends work.
    const MAX_BYTES: u64 = 450_000;
    let options = SqliteOptions { path: directory.file("j.db"), max_bytes: Some(MAX_BYTES), outbox: true };
    let journal = probe(open_with(options).expect("the journal opens"));
    let big = |id: &str, bytes: usize| {
        let mut root = node(id, "1");
        root.node.inputs = json!({ "text": "x".repeat(bytes) }).as_object().cloned().map(Into::into);
        ChangeSet { nodes: vec![root], ..start(id) }
    };
    journal.commit(big("a", 200_000)).await;
    let a = journal.run("a").await;

    // Together with small ones, of which each gets its own answer.
    let mut group: Vec<_> = (0..20).map(|number| start(&format!("small-{number}"))).collect();
    group.insert(10, big("b", 300_000));
    let outcomes = join_all(group.into_iter().map(|change| journal.0.commit(change.owing_all()))).await;
    for (index, outcome) in outcomes.into_iter().enumerate() {
        match outcome {
            Ok(_) => assert_ne!(index, 10),
            Err(error) => assert!(index == 10 && matches!(error, JournalError::Full(_)), "{index}: {error}"),
        }
    }
    // Nothing of it was written, and what was there is there.
    assert_eq!((journal.run("b").await, journal.node("b", "1").await), (None, None));
    assert!(journal.seqs("b", None, NO_LIMIT).await.is_empty());
    assert_eq!(journal.run("a").await, a);
    assert_eq!(journal.owed().await.len(), 63);
    assert!(fs::metadata(directory.file("j.db")).expect("there").len() <= MAX_BYTES);

    // Full to the brim, what exists can still be finished, and makes room.
    let mut filled = 0;
    while journal.0.commit(start(&format!("more-{filled}"))).await.is_ok() {
        filled += 1;
    }
    let root = journal.node("a", "1").await.expect("stored");
    let mut done = ended(root);
    done.node.inputs = None;
    journal.commit(nodes("a", vec![done])).await;
    journal.commit(big("c", 100_000)).await;
}

#[tokio::test]
async fn an_error_that_undoes_the_whole_group_is_only_for_the_one_who_met_it() {
    let directory = Directory::new();
    let journal = open(directory.file("j.db"));
    // As SQLite does it by itself when a disk fails.
    let poison = journal.writer.run(|connection| -> Result<(), JournalError> {
        connection.execute_batch("ROLLBACK")?;
        Err(JournalError::Failed("poison".into()))
    });
    let commits = |numbers: std::ops::Range<u32>| {
        join_all(numbers.map(|number| {
            let (journal, id) = (&journal, format!("run-{number}"));
            async move { journal.commit(start(&id).owing_all()).await }
        }))
    };
    // The writer is busy with the first: the others meet in one group.
    let (before, poisoned, after) = futures::join!(commits(0..20), poison, commits(20..40));
    assert_eq!(poisoned, Err(JournalError::Failed("poison".into())));
    assert!(before.into_iter().chain(after).all(|outcome| outcome.is_ok()));
    let counts = journal.counts(at(1000)).await.expect("readable");
    assert_eq!((counts.runs_live, counts.nodes_live, counts.outbox), (40, 40, 120));
}

#[tokio::test]
async fn acknowledging_the_outbox_makes_room_in_a_full_journal() {
    let directory = Directory::new();
    let options = SqliteOptions { path: directory.file("j.db"), max_bytes: Some(200_000), outbox: true };
    let journal = probe(open_with(options).expect("the journal opens"));
    let mut number = 0;
    while journal.0.commit(start(&format!("run-{number}")).owing_all()).await.is_ok() {
        number += 1;
    }
    let owed = journal.owed().await;
    assert_eq!(owed.len(), 3 * number, "the last one left nothing behind");
    let ids: Vec<_> = owed.iter().map(|entry| entry.id).collect();
    journal.0.outbox_ack(&ids).await.expect("acknowledged");
    journal.commit(start("another")).await;
}

#[tokio::test]
async fn what_was_answered_survives_a_crash() {
    let directory = Directory::new();
    let journal = probe(open(directory.file("j.db")));
    join_all((0..100).map(|number| {
        let (journal, id) = (&journal, format!("run-{number}"));
        async move { journal.commit(start(&id)).await }
    }))
    .await;
    let claimed = journal
        .0
        .claim_due(&"me".into(), at(1000), &ClaimFilter { limit: 10, ..ClaimFilter::default() })
        .await
        .expect("claimed");

    // What the disk has at this moment, as a crash would leave it.
    for suffix in ["", "-wal"] {
        let from = directory.file(&format!("j.db{suffix}"));
        fs::copy(from, directory.file(&format!("copy.db{suffix}"))).expect("copied");
    }
    let copy = probe(open(directory.file("copy.db")));
    for number in 0..100 {
        let id = format!("run-{number}");
        assert_eq!(copy.run(&id).await, journal.run(&id).await);
        assert_eq!(copy.node(&id, "1").await, journal.node(&id, "1").await);
    }
    assert_eq!(claimed.len(), 10);
    assert_eq!(copy.0.counts(at(1000)).await, journal.0.counts(at(1000)).await);
    copy.commit(start("after")).await;
}

#[tokio::test]
async fn a_torn_log_loses_only_what_was_not_whole() {
    let directory = Directory::new();
    let journal = probe(open(directory.file("j.db")));
    journal.commit(start("a")).await;
    let log = directory.file("j.db-wal");
    let before = fs::read(&log).expect("readable").len();
    journal.commit(start("b")).await;
    let whole = fs::read(&log).expect("readable");
    for cut in [before, before + 1, before + 5000, whole.len() - 1, whole.len()] {
        let name = format!("cut-{cut}.db");
        fs::copy(directory.file("j.db"), directory.file(&name)).expect("copied");
        fs::write(directory.file(&format!("{name}-wal")), &whole[..cut]).expect("written");
        let copy = probe(open(directory.file(&name)));
        assert!(copy.run("a").await.is_some());
        let b = (copy.run("b").await.is_some(), copy.node("b", "1").await.is_some());
        assert_eq!(b, (cut == whole.len(), cut == whole.len()), "cut at {cut} of {}", whole.len());
    }
}

#[tokio::test]
async fn the_log_does_not_grow_with_what_is_written() {
    let directory = Directory::new();
    let journal = probe(open(directory.file("j.db")));
    let mut root = node("a", "1");
    for version in 0..800 {
        let text = format!("{version} {}", "x".repeat(100_000));
        root.node.outputs = json!({ "text": text }).as_object().cloned().map(Into::into);
        journal.commit(nodes("a", vec![NodeRecord { version, ..root.clone() }])).await;
    }
    let log = fs::metadata(directory.file("j.db-wal")).expect("there").len();
    assert!(log < 50_000_000, "80 MB were written and the log has {log} bytes");
}

#[tokio::test]
async fn without_an_outbox_nothing_is_owed() {
    let directory = Directory::new();
    let options = SqliteOptions { path: directory.file("j.db"), max_bytes: None, outbox: false };
    let journal = probe(open_with(options).expect("the journal opens"));
    journal.commit(start("a")).await;
    assert_eq!(journal.owed().await, Vec::new());
}

/// What a job needs of a node whose body is damaged, it gets: so it can be
/// canceled like any other.
#[tokio::test]
async fn a_damaged_record_has_its_head_all_the_same() {
    let directory = Directory::new();
    let path = directory.file("j.db");
    let journal = probe(open(path.clone()));
    let mut large = node("a", "1.2");
    large.node.inputs = json!({"text": "x".repeat(5000)}).as_object().cloned().map(Into::into);
    journal.commit(nodes("a", vec![node("a", "1.1"), large, node("a", "1.3")])).await;
    let heads_before = journal.0.nodes_live(&"a".into(), None).await.expect("readable");
    drop(journal);
    raw(&path)
        .execute_batch(
            "UPDATE node_runs SET body = '{' WHERE path = '1.1';
             DELETE FROM node_payloads WHERE node_run_id = 'a/1.2'",
        )
        .expect("damaged");
    let journal = probe(open(path));
    for damaged in ["a/1.1", "a/1.2"] {
        let read = journal.0.node_fetch(&damaged.into()).await;
        assert!(matches!(read, Err(JournalError::Damaged(_))), "{read:?}");
    }
    let heads = journal.0.nodes_live(&"a".into(), None).await.expect("readable");
    assert_eq!(heads, heads_before);
    let claimed = journal.claim(&"me".into(), 1000, 10).await;
    assert_eq!((claimed.len(), journal.0.parked_list(10).await), (3, Ok(Vec::new())));
    let over = claimed.into_iter().map(|head| NodeHead {
        state: NodeRunState::Canceled,
        ended_at: Some(at(5)),
        wake: None,
        ..head
    });
    journal.commit(ChangeSet { heads: over.collect(), ..change("a") }).await;
    assert!(journal.live("a", None).await.is_empty());
    assert_eq!(journal.node("a", "1.3").await.map(|node| node.node.ended_at), Some(Some(at(5))));
}

#[tokio::test]
async fn a_head_that_cannot_be_read_is_parked_and_does_not_block_the_queue() {
    let directory = Directory::new();
    let path = directory.file("j.db");
    let journal = probe(open(path.clone()));
    journal.commit(nodes("a", vec![node("a", "1.1"), node("a", "1.2"), node("a", "1.3")])).await;
    drop(journal);
    raw(&path).execute_batch("UPDATE node_runs SET wake_job = 'a nap' WHERE path = '1.1'").expect("damaged");
    let journal = probe(open(path));
    let me = "me".into();
    assert_eq!(journal.claim(&me, 1000, 2).await.len(), 1);
    let parked = journal.0.parked_list(10).await.expect("listed");
    let [item] = parked.as_slice() else { panic!("{parked:?}") };
    assert_eq!((item.run_id.as_str(), item.job.as_str()), ("a", "a nap"));
    assert_eq!(item.node_run_id, Some("a/1.1".into()));
    assert!(item.error.contains("damaged") && item.error.contains("nap"), "{}", item.error);
    assert_eq!((item.since, item.until), (at(1000), at(1000) + UNREADABLE));
    assert_eq!(journal.claim(&me, 1000, 2).await.len(), 1);
    assert_eq!(journal.claim(&me, 1000, 2).await.len(), 0);
    assert_eq!(
        journal.0.wake_next(Timestamp::from_micros(0)).await,
        Ok(Some(item.until)),
        "nobody has it, and it is not forgotten"
    );
}

/// Cascades, claims and the telling of executors write columns: what a node
/// carries is not written again, wherever it is kept.
#[tokio::test]
async fn what_a_node_carries_is_written_once() {
    let directory = Directory::new();
    let path = directory.file("j.db");
    let journal = probe(open(path.clone()));
    let mut root = node("a", "1");
    root.node.inputs = json!({"text": "x".repeat(1_000_000)}).as_object().cloned().map(Into::into);
    journal.commit(nodes("a", vec![root.clone()])).await;
    let log = || fs::metadata(format!("{}-wal", path.display())).expect("there").len();
    let before = log();
    // As a whole, claimed, and by its head.
    root.version = 1;
    root.node.outputs = json!({"text": "few"}).as_object().cloned().map(Into::into);
    journal.commit(nodes("a", vec![root.clone()])).await;
    let claimed = journal.claim(&"me".into(), 1000, 1).await.remove(0);
    journal.commit(ChangeSet { heads: vec![claimed], ..change("a") }).await;
    let written = log() - before;
    assert!(written < 100_000, "{written} bytes for three changes of a node with a megabyte");
    assert_eq!(journal.node("a", "1").await.map(|node| node.node.inputs), Some(root.node.inputs));
}

#[tokio::test]
async fn ten_thousand_wakes_of_an_excepted_run_are_passed_over_in_the_index() {
    let directory = Directory::new();
    let path = directory.file("j.db");
    let journal = open(path.clone());
    let crowd = (0..10_000).map(|number| node("big", &format!("1.{number}")));
    journal.commit(nodes("big", crowd.collect())).await.expect("committed");
    journal.commit(nodes("small", vec![node_due("small", "1", 200)])).await.expect("committed");
    let want = ClaimFilter { except: vec!["big".into()], limit: 256, ..ClaimFilter::default() };
    let claimed = journal.claim_due(&"me".into(), at(1000), &want).await.expect("claimed");
    assert_eq!(claimed.len(), 1);

    // How SQLite does it: a row of the table is only looked at once the list of
    // runs was asked. (Its plan does not say so; its code does.)
    let (columns, due, connection) = (HeadRow::COLUMNS, read::DUE, raw(&path));
    let sql = format!("EXPLAIN SELECT {columns} FROM node_runs WHERE {due} ORDER BY wake_at LIMIT 256");
    let code: Vec<(String, i64, i64)> = connection
        .prepare(&sql)
        .and_then(|mut code| {
            code.raw_query().mapped(|row| Ok((row.get(1)?, row.get(2)?, row.get(3)?))).collect()
        })
        .expect("code");
    let root: i64 = connection
        .query_one("SELECT rootpage FROM sqlite_schema WHERE name = 'node_runs'", [], |row| row.get(0))
        .expect("a table");
    let table = code.iter().find(|(op, _, page)| op == "OpenRead" && *page == root).expect("it is opened").1;
    let first =
        |wanted: &dyn Fn(&str, i64) -> bool| code.iter().position(|(op, cursor, _)| wanted(op, *cursor));
    let asked = first(&|op, _| matches!(op, "Found" | "NotFound")).expect("the list is asked");
    let looked_at = first(&|op, cursor| op == "Column" && cursor == table).expect("rows are read");
    assert!(asked < looked_at, "{code:?}");
}

#[tokio::test]
async fn a_big_run_is_forgotten_alone_and_makes_room() {
    let directory = Directory::new();
    let options = SqliteOptions { path: directory.file("j.db"), max_bytes: None, outbox: false };
    let journal = open_with(options).expect("the journal opens");
    let whole = |id: &str, nodes: u32| {
        let crowd = (0..nodes).map(|number| {
            let mut over = ended(node(id, &format!("1.{number}")));
            let large = (number % 100 == 0).then(|| json!({"text": "x".repeat(2000)}));
            over.node.inputs = large.and_then(|large| large.as_object().cloned().map(Into::into));
            over
        });
        let told = (1..=2 * u64::from(nodes)).map(|seq| event(id, seq, None));
        let over = run_ended(run(id));
        ChangeSet { run: Some(over), nodes: crowd.collect(), events: told.collect(), ..change(id) }
    };
    journal.commit(whole("big", 10_000)).await.expect("committed");
    journal.commit(whole("small", 1)).await.expect("committed");
    assert_eq!(journal.runs_prune(at(100), 10).await, Ok(1), "one is enough for one call");
    assert_eq!(journal.runs_prune(at(100), 10).await, Ok(1));
    let rows: i64 = journal
        .readers
        .with(|connection| {
            let sql = "SELECT (SELECT count(*) FROM runs) + (SELECT count(*) FROM node_runs)
                            + (SELECT count(*) FROM node_payloads)
                            + (SELECT count(*) FROM events) + (SELECT count(*) FROM attempts)";
            Ok(connection.query_one(sql, [], |row| row.get(0))?)
        })
        .expect("readable");
    assert_eq!(rows, 0);
}

#[tokio::test]
async fn a_run_that_comes_to_be_owed_while_they_are_looked_for_stays() {
    let directory = Directory::new();
    let journal = open(directory.file("j.db"));
    let over = ChangeSet { run: Some(run_ended(run("a"))), nodes: vec![ended(node("a", "1"))], ..start("a") };
    journal.commit(over.owing_all()).await.expect("committed");
    let ids: Vec<_> = (1..=3).map(OutboxId).collect();
    journal.outbox_ack(&ids).await.expect("acknowledged");
    let look = |connection: &_| prune::prunable(connection, at(100), 10);
    let seen = journal.readers.with(look).expect("readable");
    assert_eq!((seen.runs.as_slice(), seen.outbox_seen), (["a".into()].as_slice(), 3));
    let root = journal.node_fetch(&"a/1".into()).await.expect("readable").expect("there");
    journal.commit(nodes("a", vec![root]).owing_all()).await.expect("committed");
    let prune = journal.writer.run(move |connection| {
        prune::run_prune(connection, &"a".into(), at(100), 3).map(|gone| gone.is_some())
    });
    assert_eq!(prune.await, Ok(false));
}

#[tokio::test]
async fn what_is_asked_all_the_time_is_found_by_an_index() {
    let directory = Directory::new();
    drop(open(directory.file("j.db")));
    let connection = raw(&directory.file("j.db"));
    schema::set_up(&connection).expect("as the store does");
    for (sql, index) in [
        (
            "SELECT body FROM node_runs INDEXED BY node_runs_live WHERE run_id = ?1 AND terminal = 0",
            "node_runs_live",
        ),
        (
            "SELECT body FROM node_runs INDEXED BY node_runs_live WHERE run_id = ?1 AND terminal = 0 AND path > ?2 || '.' AND path < ?2 || '/'",
            "node_runs_live (run_id=? AND path>? AND path<?)",
        ),
        (
            &format!("SELECT body FROM node_runs WHERE {} ORDER BY wake_at LIMIT ?5", read::DUE),
            "wakes_free (wake_job=? AND kind=? AND wake_at>? AND wake_at<?)",
        ),
        ("UPDATE node_runs SET wake_owner = NULL WHERE wake_owner = ?", "wakes_owned"),
        (
            "UPDATE node_runs SET wake_owner = NULL WHERE wake_owner IS NOT NULL
             AND wake_owner NOT IN (SELECT owner_id FROM owners WHERE alive_until >= ?1)",
            "wakes_owned",
        ),
        ("SELECT run_id FROM runs WHERE terminal = 0 AND deadline <= ? ORDER BY deadline", "runs_live"),
        ("SELECT seq, body FROM events WHERE run_id = ? AND seq > ? ORDER BY seq", "PRIMARY KEY"),
        ("SELECT count(*) FROM node_runs WHERE terminal = 0", "node_runs_live"),
        ("SELECT max(changed_at) FROM runs WHERE terminal = 1", "runs_over"),
        (
            "SELECT run_id FROM runs WHERE terminal = 1 AND changed_at < ? ORDER BY changed_at LIMIT ?",
            "runs_over",
        ),
        ("DELETE FROM node_runs WHERE run_id = ? RETURNING node_run_id", "node_runs_of_run"),
        (
            "SELECT content FROM node_payloads WHERE node_run_id = ? AND member = 'inputs'",
            "(node_run_id=? AND member=?)",
        ),
        ("DELETE FROM node_payloads WHERE node_run_id = ? AND NOT (member = ?)", "(node_run_id=?)"),
    ] {
        let plan: Vec<String> = connection
            .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
            .and_then(|mut plan| plan.raw_query().mapped(|row| row.get(3)).collect())
            .expect("a plan");
        assert!(plan[0].contains(index), "{sql}: {plan:?}");
        assert!(!plan.iter().any(|step| step.contains("TEMP B-TREE")), "{sql}: {plan:?}");
    }
}

/// What waits for an executor that is full is in the way of nothing else: no
/// question reads through it, and the jobs and kinds are no list of those that
/// the program knows.
#[tokio::test]
async fn free_wakes_are_found_lane_by_lane() {
    let directory = Directory::new();
    drop(open(directory.file("j.db")));
    let connection = raw(&directory.file("j.db"));
    schema::set_up(&connection).expect("as the store does");
    // The smallest job is the first entry.
    let (first, next) = ("wakes_free", "wakes_free (wake_job>?)");
    for (sql, steps) in [
        (read::JOBS, [first, next].as_slice()),
        (read::WAKE_NEXT, &[first, next, "wakes_free (wake_job=? AND kind=? AND wake_at>?)"]),
        (read::WAKES_DUE, &[first, next, "wakes_free (wake_job=? AND kind=? AND wake_at>? AND wake_at<?)"]),
    ] {
        let plan: Vec<String> = connection
            .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
            .and_then(|mut plan| plan.raw_query().mapped(|row| row.get(3)).collect())
            .expect("a plan");
        let nodes = |step: &&String| step.contains("node_runs");
        let found: Vec<&String> = plan.iter().filter(nodes).collect();
        assert_eq!(found.len(), steps.len(), "{sql}: {plan:#?}");
        for (found, step) in found.iter().zip(steps) {
            assert!(found.starts_with("SEARCH") && found.ends_with(step), "{sql}: {plan:#?}");
        }
    }
}

#[tokio::test]
async fn what_is_asked_all_the_time_is_compiled_once() {
    const TIMES: i32 = 5;
    let directory = Directory::new();
    let journal = open(directory.file("j.db"));
    journal.commit(start("a")).await.expect("committed");
    // Compiling costs more than any of these does.
    journal
        .readers
        .with(|connection| {
            let compiled_once = |sql: &str, ask: &dyn Fn() -> Result<(), JournalError>| {
                (0..TIMES).try_for_each(|_| ask())?;
                let statement = connection.prepare_cached(sql)?;
                assert_eq!(statement.get_status(StatementStatus::Run), TIMES, "{sql}");
                assert_eq!(statement.get_status(StatementStatus::RePrepare), 0, "{sql}");
                Ok::<(), JournalError>(())
            };
            let of_run = "SELECT seq, path, body FROM events WHERE run_id = ? AND seq > ? ORDER BY seq";
            compiled_once(of_run, &|| read::events(connection, &"a".into(), 0, None, NO_LIMIT).map(drop))?;
            let overdue =
                "SELECT run_id FROM runs WHERE terminal = 0 AND deadline <= ? ORDER BY deadline LIMIT ?";
            compiled_once(overdue, &|| read::runs_overdue(connection, at(1), 10).map(drop))
        })
        .expect("readable");
}

#[tokio::test]
async fn a_change_of_nothing_is_fine() {
    let directory = Directory::new();
    probe(open(directory.file("j.db"))).commit(change("a")).await;
}
