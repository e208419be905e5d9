//! What the audit trail promises.

use std::sync::Arc;

use super::{JournalUnderTest, Probe, at, change, ended, node, reopened, run, run_ended, start};
use crate::{
    journal::{AuditFilter, AuditId, AuditPage, AuditSelect},
    record::{
        Actor, AuditObject, AuditOutcome, AuditRecord, AuditedOperation, ChangeSet, Identity, Operation,
        RunRecord,
    },
};

/// A record about a run, of that caller and time.
fn record(run: &str, caller: &str, micros: i64) -> AuditRecord {
    record_of(Actor::Caller(Identity::bare(caller)), AuditObject::run(&run.into()), micros)
}

fn record_of(actor: Actor, object: AuditObject, micros: i64) -> AuditRecord {
    AuditRecord::applied(at(micros), actor, AuditedOperation::Request(Operation::CancelRun), object)
}

async fn page(journal: &Probe, after: AuditId, filter: &AuditFilter, limit: u32) -> AuditPage {
    journal.audit_page(after, filter, limit).await
}

/// All records that pass, read in pages of that size.
async fn list_by(journal: &Probe, filter: &AuditFilter, limit: u32) -> Vec<AuditRecord> {
    let (mut records, mut after) = (Vec::new(), AuditId::default());
    loop {
        let AuditPage { entries, damaged, scanned_to, at_end } = page(journal, after, filter, limit).await;
        assert!(entries.len() as u64 <= u64::from(limit) && damaged.is_empty());
        assert!(entries.iter().all(|entry| entry.id > after && entry.id <= scanned_to));
        records.extend(entries.into_iter().map(|entry| entry.record));
        if at_end {
            return records;
        }
        assert!(scanned_to > after, "a page that is not the last one makes progress");
        after = scanned_to;
    }
}

/// The same from the newest on.
async fn newest_by(journal: &Probe, filter: &AuditFilter, limit: u32) -> Vec<AuditRecord> {
    let select = AuditSelect { filter: filter.clone(), visible: Arc::new(|_| true) };
    let (mut records, mut before) = (Vec::new(), None::<AuditId>);
    loop {
        let page = journal.0.audit_newest(before, &select, limit).await.expect("a page");
        assert!(page.entries.len() as u64 <= u64::from(limit) && page.damaged.is_empty());
        assert!(page.entries.iter().all(|entry| before.is_none_or(|before| entry.id < before)));
        records.extend(page.entries.into_iter().map(|entry| entry.record));
        if page.at_end {
            return records;
        }
        assert!(before.is_none_or(|before| page.scanned_to < before), "a page makes progress");
        before = Some(page.scanned_to);
    }
}

async fn list(journal: &Probe) -> Vec<AuditRecord> {
    list_by(journal, &AuditFilter::default(), 100).await
}

pub async fn audit_records_are_part_of_their_commit(test: JournalUnderTest) {
    let journal = Probe(test.journal);
    let (one, two) = (record("a", "alice", 1), record("a", "bob", 2));
    journal.commit(ChangeSet { audit: vec![one.clone()], ..start("a") }).await;
    // It exists already: neither the run nor the record is written.
    let again = ChangeSet { audit: vec![two.clone()], ..start("a") };
    journal.refused(again).await;
    assert_eq!(list(&journal).await, std::slice::from_ref(&one));
    let stored = journal.run("a").await;
    journal.commit(ChangeSet { run: stored, audit: vec![two.clone()], ..change("a") }).await;
    assert_eq!(list(&journal).await, [one, two]);
}

pub async fn audit_records_are_read_as_stored_after_a_restart(test: JournalUnderTest) {
    let journal = Probe(test.journal);
    let executor = Actor::Executor { node_run_id: "a/1".into() };
    let identity = Identity {
        issuer: Some("https://sts".into()),
        client: Some("client".into()),
        tenant: Some("acme \"1\"\n".into()),
        ..Identity::bare("älice")
    };
    let of = |actor| record_of(actor, AuditObject::run(&"a".into()), 5);
    let full = of(Actor::Caller(identity)).refused("forbidden").with_detail(Some("arp.run.read".into()));
    let full = full.with_events(Some((3, 4))).after(7);
    let nothing = record_of(Actor::CommandLine, AuditObject::default(), 5);
    let records = vec![full, of(executor), of(Actor::Coordinator), nothing];
    journal.0.audit_append(records.clone()).await.expect("appended");
    journal.0.audit_append(Vec::new()).await.expect("appended");
    let journal = reopened(journal, test.reopen).await;
    assert_eq!(list(&journal).await, records);
}

pub async fn audit_trail_is_listed_in_pages_by_filter(test: JournalUnderTest) {
    let journal = Probe(test.journal);
    let mut all = Vec::new();
    for number in 0..30 {
        let run = if number % 3 == 0 { "a" } else { "b" };
        let caller = if number % 2 == 0 { "alice" } else { "bob" };
        let record = record(run, caller, 1000 + number);
        all.push(if number % 5 == 0 { record.refused("forbidden") } else { record });
    }
    let about_nothing = record_of(Actor::Caller(Identity::bare("alice")), AuditObject::default(), 2000);
    all.push(about_nothing);
    for records in all.chunks(7) {
        journal.0.audit_append(records.to_vec()).await.expect("appended");
    }
    let any = AuditFilter::default();
    for filter in [
        any.clone(),
        AuditFilter { run_id: Some("a".into()), ..any.clone() },
        AuditFilter { run_id: Some("c".into()), ..any.clone() },
        AuditFilter { since: Some(at(1017)), ..any.clone() },
        AuditFilter { since: Some(at(9999)), ..any.clone() },
        AuditFilter { actor: Some("bob".into()), ..any.clone() },
        AuditFilter { until: Some(at(1017)), ..any.clone() },
        AuditFilter { until: Some(at(1000)), ..any.clone() },
        AuditFilter { outcome: Some(AuditOutcome::Refused), ..any.clone() },
        AuditFilter { operation: Some(AuditedOperation::Request(Operation::CancelRun)), ..any.clone() },
        AuditFilter { operation: Some(AuditedOperation::Request(Operation::StartRun)), ..any.clone() },
        AuditFilter {
            run_id: Some("a".into()),
            since: Some(at(1004)),
            until: Some(at(1025)),
            actor: Some("bob".into()),
            operation: Some(AuditedOperation::Request(Operation::CancelRun)),
            outcome: Some(AuditOutcome::Applied),
        },
    ] {
        let expected: Vec<_> = all.iter().filter(|record| filter.admits(record)).cloned().collect();
        for limit in [1, 4, 100] {
            assert_eq!(list_by(&journal, &filter, limit).await, expected, "{filter:?}, {limit}");
            let newest: Vec<_> = expected.iter().rev().cloned().collect();
            assert_eq!(newest_by(&journal, &filter, limit).await, newest, "{filter:?}, {limit}");
        }
    }
    // The rule holds whatever is asked for.
    let visible = |record: &AuditRecord| record.actor.name() == "bob";
    let select = AuditSelect { filter: any, visible: Arc::new(visible) };
    let page = journal.0.audit_newest(None, &select, 100).await.expect("a page");
    assert!(page.entries.iter().all(|entry| visible(&entry.record)));
    assert_eq!((page.entries.len(), page.at_end), (15, true));
    // A place that was made up, before all and behind all.
    for (before, count) in [(AuditId(0), 0), (AuditId(u64::MAX), 15)] {
        let page = journal.0.audit_newest(Some(before), &select, 100).await.expect("a page");
        assert_eq!((page.entries.len(), page.at_end), (count, true));
    }
}

pub async fn audit_page_reports_the_last_record(test: JournalUnderTest) {
    let journal = Probe(test.journal);
    let any = AuditFilter::default();
    let empty = page(&journal, AuditId::default(), &any, 10).await;
    assert_eq!((empty.entries.len(), empty.scanned_to, empty.at_end), (0, AuditId::default(), true));
    journal.0.audit_append(vec![record("a", "alice", 1), record("a", "alice", 2)]).await.expect("appended");
    let first = page(&journal, AuditId::default(), &any, 1).await;
    assert!(!first.at_end);
    let second = page(&journal, first.scanned_to, &any, 10).await;
    assert!(second.at_end && second.entries.len() == 1);
    // A reader that waits for more goes on from there.
    let none = page(&journal, second.scanned_to, &any, 10).await;
    assert_eq!((none.entries.len(), none.scanned_to, none.at_end), (0, second.scanned_to, true));
    journal.0.audit_append(vec![record("b", "bob", 3)]).await.expect("appended");
    assert_eq!(page(&journal, none.scanned_to, &any, 10).await.entries[0].record, record("b", "bob", 3));
}

pub async fn old_audit_records_are_pruned_oldest_first(test: JournalUnderTest) {
    let journal = Probe(test.journal);
    let times = |records: &[AuditRecord]| records.iter().map(|one| one.at.as_micros()).collect::<Vec<_>>();
    let records = (1..=10).map(|micros| record("a", "alice", micros)).collect();
    journal.0.audit_append(records).await.expect("appended");
    assert_eq!(journal.0.audit_prune(at(1), 100).await, Ok(0));
    assert_eq!(journal.0.audit_prune(at(8), 3).await, Ok(3));
    assert_eq!(times(&list(&journal).await), [4, 5, 6, 7, 8, 9, 10]);
    assert_eq!(journal.0.audit_prune(at(8), 100).await, Ok(4));
    assert_eq!(journal.0.audit_prune(at(8), 100).await, Ok(0));
    let last = page(&journal, AuditId::default(), &AuditFilter::default(), 100).await.scanned_to;
    assert_eq!(journal.0.audit_prune(at(100), 100).await, Ok(3));
    // Numbers are not used twice.
    let journal = reopened(journal, test.reopen).await;
    journal.0.audit_append(vec![record("a", "alice", 11)]).await.expect("appended");
    let next = page(&journal, AuditId::default(), &AuditFilter::default(), 100).await;
    assert!(next.entries[0].id > last);
}

pub async fn audit_records_outlive_their_run(test: JournalUnderTest) {
    let journal = Probe(test.journal);
    let kept = record("a", "alice", 1);
    let over = ChangeSet {
        run: Some(RunRecord { last_seq: 1, ..run_ended(run("a")) }),
        nodes: vec![ended(node("a", "1"))],
        audit: vec![kept.clone()],
        ..start("a")
    };
    // Without outbox entries, which would keep the run.
    journal.0.commit(over).await.expect("committed");
    assert_eq!(journal.0.runs_prune(at(1_000), 10).await, Ok(1));
    assert_eq!(journal.run("a").await, None);
    assert_eq!(list(&journal).await, [kept]);
}
