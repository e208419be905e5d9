//! Ids are handed out before their transactions commit. So a lower one may appear after a
//! higher one, and no reader may have passed it by.

use std::sync::Arc;

use jarvis_run_coordinator::{
    journal::{
        AuditFilter, AuditId, BulkJournal, Journal, JournalError, OutboxId, PageLimit, Recipient,
        WebhookJournal,
        conformance::{Probe, change, event, start},
        inspect::Inspect,
    },
    record::{
        Actor, AuditObject, AuditRecord, AuditedOperation, ChangeSet, EventRecord, Identity, Operation,
        OutboxItem, RunRecord, WebhookId,
    },
};

use crate::world::{open, raw, schema};

async fn probe(url: &str) -> Probe {
    Probe(Arc::new(open(url).await) as Arc<dyn Inspect>)
}

fn audited(run: &str) -> ChangeSet {
    let object = AuditObject { run_id: Some(run.into()), ..AuditObject::default() };
    let operation = AuditedOperation::Request(Operation::StartRun);
    let record =
        AuditRecord::applied(change(run).at, Actor::Caller(Identity::bare("ann")), operation, object);
    ChangeSet { audit: vec![record], ..start(run) }
}

#[tokio::test]
async fn outbox_entry_that_appears_late_is_found() {
    let url = schema().await;
    let (journal, stranger) = (probe(&url).await, raw(&url).await);
    // A transaction that has its id, and takes its time.
    stranger.batch_execute("BEGIN").await.expect("begun");
    let late: i64 = stranger
        .query_one("INSERT INTO outbox (decided_at, run_id, new) VALUES (1, 'late', true) RETURNING id", &[])
        .await
        .expect("written")
        .get(0);
    journal.commit(start("a")).await;
    let owed = async |after| {
        let owed = journal.0.outbox_owed(Recipient::RunStore, after, &[], 100).await.expect("listed");
        owed.into_iter().map(|entry| (entry.id, entry.run_id.to_string())).collect::<Vec<_>>()
    };
    let before = owed(OutboxId(0)).await;
    let late = OutboxId(late.unsigned_abs());
    assert!(before.iter().all(|(id, run)| *id > late && run == "a") && !before.is_empty(), "{before:?}");
    stranger.batch_execute("COMMIT").await.expect("committed");
    assert_eq!(owed(OutboxId(0)).await[0], (late, "late".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn outbox_ids_of_one_run_are_in_the_order_of_its_commits() {
    let url = schema().await;
    let (one, other) = (probe(&url).await, probe(&url).await);
    one.commit(start("a")).await;
    let commits = |journal: Probe, times: usize| async move {
        let mut done = 0;
        while done < times {
            let run = journal.run("a").await.expect("stored");
            let seq = run.last_seq + 1;
            let changed = ChangeSet {
                run: Some(RunRecord { last_seq: seq, ..run }),
                events: vec![event("a", seq, None)],
                outbox: vec![OutboxItem::Events { first: seq, last: seq }],
                ..change("a")
            };
            match journal.0.commit(changed).await {
                Ok(_) => done += 1,
                Err(JournalError::Conflict) => {}
                Err(failure) => panic!("{failure}"),
            }
        }
    };
    let committers = [&one, &other].into_iter().cycle().take(8);
    futures::future::join_all(committers.map(|journal| commits(Probe(Arc::clone(&journal.0)), 12))).await;
    let owed = one.0.outbox_owed(Recipient::EventStream, OutboxId(0), &[], 1000).await.expect("listed");
    let seqs: Vec<u64> = owed
        .iter()
        .map(|entry| match entry.item {
            OutboxItem::Events { first, .. } => first,
            OutboxItem::Run { .. } | OutboxItem::NodeRun { .. } => panic!("{entry:?} is for the other"),
        })
        .collect();
    assert_eq!(seqs, (1..=97).collect::<Vec<_>>());
}

#[tokio::test]
async fn audit_record_that_appears_late_is_passed_by_no_reader() {
    let url = schema().await;
    let (journal, stranger) = (probe(&url).await, raw(&url).await);
    journal.commit(audited("a")).await;
    // Its transaction has a number by now, and so has its record an id.
    stranger.batch_execute("BEGIN; INSERT INTO marks (name, at) VALUES ('late', 1)").await.expect("begun");
    journal.commit(audited("b")).await;
    let forward = async || {
        let page = journal.0.audit_page(AuditId(0), &AuditFilter::default(), 100).await.expect("a page");
        page.entries.iter().filter_map(|entry| entry.record.object.run_id.clone()).collect::<Vec<_>>()
    };
    assert!(!forward().await.contains(&"b".into()), "the transaction before it is not over");
    stranger.batch_execute("COMMIT").await.expect("committed");
    let all = journal.audit_page(AuditId(0), &AuditFilter::default(), 100).await.entries.len();
    assert_eq!((all, forward().await.len()), (2, 2));
}

#[tokio::test]
async fn change_at_fault_does_not_fail_those_beside_it() {
    let url = schema().await;
    let journal = probe(&url).await;
    journal.commit(start("a")).await;
    // An event that is there already: the database refuses the statement of the group.
    let EventRecord { event: stored, path } = event("a", 1, None);
    let faulty = ChangeSet { events: vec![EventRecord { event: stored, path }], ..change("a") };
    let others: Vec<_> = (0..20).map(|number| journal.0.commit(start(&format!("other-{number}")))).collect();
    let (refused, others) = futures::join!(journal.0.commit(faulty), futures::future::join_all(others));
    assert_eq!(refused, Err(JournalError::Conflict));
    assert!(others.iter().all(Result::is_ok), "{others:?}");
    for number in 0..20 {
        assert!(journal.run(&format!("other-{number}")).await.is_some());
    }
}

#[tokio::test]
async fn nul_in_a_name_is_stored_as_something_else() {
    let url = schema().await;
    let journal = open(&url).await;
    let mut change = start("a");
    change.nodes[0].node.node_type_ref.node_type_id = "a\0b".into();
    journal.commit(change).await.expect("committed");
    let node = journal.node_fetch(&"a/1".into()).await.expect("read").expect("stored");
    assert_eq!(node.node.node_type_ref.node_type_id, "a\0b", "the record has it");
}

#[tokio::test]
async fn nothing_is_found_by_a_nul_and_nothing_fails_by_it() {
    let url = schema().await;
    let journal = open(&url).await;
    journal.commit(audited("a")).await.expect("committed");
    let (run, node) = ("a\0b".into(), "a\0/1".into());
    let limit = PageLimit { entries: 9, bytes: 99 };
    assert_eq!(journal.run_fetch(&run).await, Ok(None));
    assert_eq!(journal.node_fetch(&node).await, Ok(None));
    assert_eq!(journal.head_fetch(&node).await, Ok(None));
    assert!(journal.events_after(&run, 0, None, limit).await.expect("a page").events.is_empty());
    assert!(journal.attempts_page(&node, 0, 9).await.expect("a page").attempts.is_empty());
    assert!(journal.tree_page(&run, None, None, 9).await.expect("a page").nodes.is_empty());
    assert!(journal.export(&run, change("a").at).await.expect("asked").is_none());
    assert_eq!(journal.bulk_fetch(&"a\0".into()).await, Ok(None));
    let filter = AuditFilter { run_id: Some(run.clone()), ..AuditFilter::default() };
    assert!(journal.audit_page(AuditId(0), &filter, 9).await.expect("a page").entries.is_empty());
    let refused = audited("a\0b").audit;
    assert_eq!(journal.webhook_delete(&WebhookId::new("a\0"), refused[0].clone()).await, Ok(false));
    journal.audit_append(refused).await.expect("a record may name anything");
}
