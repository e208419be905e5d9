//! Notices, subscriptions and deliveries of webhooks.

use std::sync::Arc;

use futures::future::join_all;

use super::{JournalUnderTest, samples::*};
use crate::{
    journal::{
        AuditFilter, AuditId, DeliveryId, DeliveryOutcome, DeliveryUpkeep, ExecutorReport, FanOut,
        NewDelivery, NoticeId, Parked, Settled, StoredWebhook,
    },
    record::{
        Actor, AuditObject, AuditRecord, AuditedOperation, ChangeSet, ExecutorName, KeptSecret, Notice,
        NoticeKind, OtherOperation, Webhook, WebhookId,
    },
    time::Timestamp,
};

fn webhook(id: &str) -> Webhook {
    Webhook {
        webhook_id: WebhookId::new(id),
        url: "https://hooks.example.com/é".into(),
        events: vec![NoticeKind::RunCompleted, NoticeKind::ExecutorDown],
        node_type: Some("atomic.echo".into()),
        tenant: Some("acme".into()),
        description: None,
        secret: KeptSecret::Plain("whsec_aHVzaA==".into()),
        created_at: at(1),
        created_by: Actor::Coordinator,
    }
}

fn audit(detail: &str) -> AuditRecord {
    let operation = AuditedOperation::Other(OtherOperation::RotateKey);
    let record = AuditRecord::applied(at(1), Actor::Coordinator, operation, AuditObject::default());
    record.with_detail(Some(detail.into()))
}

async fn create(journal: &Probe, id: &str) -> bool {
    let audit = audit(&format!("create {id}"));
    journal.0.webhook_create(webhook(id), 3, audit).await.expect("it can be stored")
}

async fn list(journal: &Probe) -> Vec<StoredWebhook> {
    journal.0.webhooks_list().await.expect("webhooks can be listed")
}

async fn one(journal: &Probe, id: &str) -> StoredWebhook {
    let found = list(journal).await.into_iter().find(|stored| stored.webhook.webhook_id.as_str() == id);
    found.expect("it is there")
}

async fn audited(journal: &Probe) -> Vec<String> {
    let entries = journal.audit_page(AuditId::default(), &AuditFilter::default(), 1000).await.entries;
    entries.into_iter().filter_map(|entry| entry.record.detail().map(str::to_owned)).collect()
}

/// Fans out to these subscriptions; returns nothing.
async fn fan_out(journal: &Probe, to: &[(&str, &str)], of: &[NoticeId], now: Timestamp, backlog_max: u64) {
    let delivery = |&(webhook, event): &(&str, &str)| NewDelivery {
        webhook_id: WebhookId::new(webhook),
        event_id: event.to_owned(),
        kind: NoticeKind::RunCompleted,
        body: format!("{{\"id\":\"{event}\"}}"),
    };
    let deliveries = to.iter().map(delivery).collect();
    let fan_out = FanOut { of: of.to_vec(), deliveries, now, backlog_max };
    journal.0.notices_fan_out(fan_out).await.expect("notices can be fanned out");
}

async fn due(journal: &Probe, webhook: &str, now: i64) -> (Vec<(DeliveryId, String)>, Option<Timestamp>) {
    let page = journal.0.deliveries_due(&WebhookId::new(webhook), at(now), 10).await.expect("a page");
    (page.due.into_iter().map(|delivery| (delivery.id, delivery.event_id)).collect(), page.next_at)
}

async fn settle(journal: &Probe, webhook: &str, id: DeliveryId, now: i64, outcome: DeliveryOutcome) {
    let settled = Settled { webhook_id: WebhookId::new(webhook), id, at: at(now), outcome };
    journal.0.delivery_settle(settled).await.expect("it can be settled");
}

fn refused(next_at: Option<i64>, pause_until: Option<i64>) -> DeliveryOutcome {
    DeliveryOutcome::Refused {
        error: "no room".into(),
        next_at: next_at.map(at),
        pause_until: pause_until.map(at),
    }
}

pub async fn webhooks_are_bounded_listed_and_deleted_with_deliveries(subject: JournalUnderTest) {
    let journal = Probe(subject.journal);
    assert!(!journal.0.wants_notices());
    let raced = join_all(["a", "b", "c", "d"].map(|id| create(&journal, id))).await;
    assert_eq!(raced.iter().filter(|created| **created).count(), 3, "{raced:?}");
    assert!(journal.0.wants_notices());
    let stored = list(&journal).await;
    let first = stored[0].webhook.webhook_id.clone();
    assert_eq!(stored[0].webhook, webhook(first.as_str()));
    fan_out(&journal, &[(first.as_str(), "e1")], &[], at(1), 10).await;
    let deleted = |id: &WebhookId| {
        let (id, journal) = (id.clone(), Arc::clone(&journal.0));
        async move { journal.webhook_delete(&id, audit(&format!("delete {id}"))).await }
    };
    assert_eq!(deleted(&first).await, Ok(true));
    assert_eq!(deleted(&first).await, Ok(false), "it is gone");
    assert_eq!(due(&journal, first.as_str(), 9).await, (vec![], None));
    assert!(journal.0.wants_notices());
    let trail = audited(&journal).await;
    assert_eq!(trail.len(), 4, "one for each change: {trail:?}");
    for stored in &stored[1..] {
        assert_eq!(deleted(&stored.webhook.webhook_id).await, Ok(true));
    }
    assert!(!journal.0.wants_notices());
}

pub async fn notices_are_part_of_their_commit(subject: JournalUnderTest) {
    let journal = Probe(subject.journal);
    let over = |run: &str| Notice::RunCompleted { run_id: run.into() };
    journal.commit(ChangeSet { notices: vec![over("a"), over("b")], ..start("a") }).await;
    let stale = ChangeSet { notices: vec![over("c")], ..start("a") };
    journal.refused(stale).await;
    let journal = reopened(journal, subject.reopen).await;
    let notices = journal.0.notices_first(10).await.expect("notices can be read");
    let read: Vec<_> = notices.iter().map(|stored| (stored.at, stored.notice.clone())).collect();
    assert_eq!(read, [(at(1), Some(over("a"))), (at(1), Some(over("b")))]);
    let first = journal.0.notices_first(1).await.expect("notices can be read");
    assert_eq!(first, notices[..1]);
    fan_out(&journal, &[], &[notices[0].id], at(2), 10).await;
    assert_eq!(journal.0.notices_first(10).await, Ok(notices[1..].to_vec()));
}

pub async fn newly_parked_item_is_reported_if_wanted(subject: JournalUnderTest) {
    let journal = Probe(subject.journal);
    journal.commit(ChangeSet { nodes: vec![node("a", "1"), node("a", "1.1")], ..start("a") }).await;
    let item = |path: &str| Parked {
        run_id: "a".into(),
        node_run_id: Some(format!("a/{path}").as_str().into()),
        job: "dispatch".into(),
        error: "why".into(),
        since: at(5),
        until: at(50),
    };
    journal.0.park(item("1")).await.expect("parked");
    assert_eq!(journal.0.notices_first(10).await, Ok(vec![]), "it is not wanted");
    create(&journal, "a").await;
    for _ in 0..2 {
        journal.0.park(item("1.1")).await.expect("parked");
    }
    journal.0.park(item("1")).await.expect("parked");
    let notices = journal.0.notices_first(10).await.expect("notices can be read");
    let Parked { run_id, node_run_id, job, .. } = item("1.1");
    assert_eq!(notices.len(), 1, "once: {notices:?}");
    let stored = (notices[0].at, notices[0].notice.clone());
    assert_eq!(stored, (at(5), Some(Notice::WorkParked { run_id, node_run_id, job })));
}

pub async fn reports_of_executors_are_kept_with_their_notices(subject: JournalUnderTest) {
    let journal = Probe(subject.journal);
    let name = |member: Option<&str>| ExecutorName {
        executor: "atomic_executor".into(),
        member: member.map(str::to_owned),
    };
    let report = |member, is_down, time| ExecutorReport { name: name(member), is_down, at: at(time) };
    for said in [report(None, true, 1), report(Some("a"), true, 2), report(None, false, 3)] {
        journal.0.executor_report(said).await.expect("it can be stored");
    }
    let journal = reopened(journal, subject.reopen).await;
    let known = journal.0.executors_reported().await.expect("they can be read");
    assert_eq!(known, [report(None, false, 3), report(Some("a"), true, 2)]);
    let notices = journal.0.notices_first(10).await.expect("notices can be read");
    let notices: Vec<_> = notices.into_iter().filter_map(|stored| stored.notice).collect();
    let (down, up) = (Notice::ExecutorDown, Notice::ExecutorUp);
    assert_eq!(notices, [down(name(None)), down(name(Some("a"))), up(name(None))]);
}

pub async fn deliveries_wait_in_order_until_accepted(subject: JournalUnderTest) {
    let journal = Probe(subject.journal);
    create(&journal, "a").await;
    create(&journal, "b").await;
    let to = [("a", "e1"), ("b", "e1"), ("gone", "e1"), ("a", "e2"), ("a", "e3"), ("a", "e4")];
    fan_out(&journal, &to, &[], at(10), 3).await;
    let journal = reopened(journal, subject.reopen).await;
    assert!(journal.0.wants_notices());
    assert_eq!(due(&journal, "a", 9).await, (vec![], Some(at(10))));
    let (waiting, next) = due(&journal, "a", 10).await;
    let events = |of: &[(DeliveryId, String)]| of.iter().map(|(_, event)| event.clone()).collect::<Vec<_>>();
    assert_eq!((events(&waiting), next), (vec!["e1".into(), "e2".into(), "e3".into()], None));
    let status = one(&journal, "a").await.status;
    assert_eq!((status.backlog, status.dropped, status.oldest), (3, 1, Some(at(10))));
    assert_eq!(one(&journal, "b").await.status.backlog, 1);

    // The target fails: what was tried waits, and so does the target.
    settle(&journal, "a", waiting[0].0, 20, refused(Some(60), Some(30))).await;
    settle(&journal, "a", waiting[1].0, 21, refused(Some(50), Some(40))).await;
    let (left, next) = due(&journal, "a", 49).await;
    assert_eq!((events(&left), next), (vec!["e3".into()], Some(at(50))));
    let status = one(&journal, "a").await.status;
    assert_eq!((status.failures, status.failing_since), (2, Some(at(20))));
    assert_eq!((status.paused_until, status.last_error.as_deref()), (Some(at(40)), Some("no room")));
    // It is well again: all that waits is due.
    settle(&journal, "a", left[0].0, 22, DeliveryOutcome::Accepted).await;
    settle(&journal, "a", left[0].0, 22, DeliveryOutcome::Accepted).await;
    assert_eq!(events(&due(&journal, "a", 22).await.0), ["e1", "e2"]);
    let status = one(&journal, "a").await.status;
    assert_eq!((status.failures, status.failing_since, status.paused_until), (0, None, None));
    assert_eq!((status.last_success_at, status.backlog), (Some(at(22)), 2));
    // Of another subscription it is not.
    settle(&journal, "b", waiting[0].0, 23, DeliveryOutcome::Accepted).await;
    assert_eq!(one(&journal, "a").await.status.backlog, 2);
}

pub async fn given_up_deliveries_are_listed_retried_and_pruned(subject: JournalUnderTest) {
    let journal = Probe(subject.journal);
    create(&journal, "a").await;
    let id = WebhookId::new("a");
    fan_out(&journal, &[("a", "e1"), ("a", "e2"), ("a", "e3"), ("a", "e4")], &[], at(10), 10).await;
    let (waiting, _) = due(&journal, "a", 10).await;
    settle(&journal, "a", waiting[0].0, 20, refused(None, None)).await;
    settle(&journal, "a", waiting[1].0, 21, refused(Some(60), None)).await;
    let failed = |before| journal.0.deliveries_failed(&id, before, 10);
    let listed = failed(None).await.expect("a page");
    let facts: Vec<_> = listed.iter().map(|d| (d.event_id.as_str(), d.tries, d.next_at)).collect();
    assert_eq!(facts, [("e2", 1, Some(at(60))), ("e1", 1, None)]);
    assert_eq!(failed(Some(waiting[1].0)).await.expect("a page"), listed[1..]);
    let status = one(&journal, "a").await.status;
    assert_eq!((status.backlog, status.given_up), (3, 1));
    // Again, on demand.
    let retry = |number| journal.0.delivery_retry(&id, DeliveryId(number), at(70), audit("again"));
    assert_eq!(retry(waiting[0].0.0).await, Ok(true));
    assert_eq!(retry(u64::from(u32::MAX)).await, Ok(false));
    assert_eq!(audited(&journal).await.iter().filter(|detail| *detail == "again").count(), 1);
    assert_eq!(due(&journal, "a", 70).await.0.len(), 4);
    // What waits for too long is given up, but not what was asked for again.
    let upkeep = |expired, since, max| {
        let upkeep = DeliveryUpkeep { expired_before: at(expired), keep_since: at(since), keep_max: max };
        journal.0.deliveries_upkeep(&id, upkeep)
    };
    assert_eq!(upkeep(60, 0, 10).await, Ok(3));
    let status = one(&journal, "a").await.status;
    assert_eq!((status.backlog, status.given_up), (1, 3));
    assert_eq!(upkeep(60, 0, 2).await, Ok(0));
    let kept: Vec<_> = failed(None).await.expect("a page").into_iter().map(|d| d.event_id).collect();
    assert_eq!(kept, ["e4", "e3", "e1"], "the newest are kept");
    assert_eq!(upkeep(60, 11, 10).await, Ok(0));
    assert_eq!(one(&journal, "a").await.status.given_up, 0);
}

pub async fn webhook_whose_target_is_gone_is_disabled(subject: JournalUnderTest) {
    let journal = Probe(subject.journal);
    create(&journal, "a").await;
    fan_out(&journal, &[("a", "e1"), ("a", "e2")], &[], at(10), 10).await;
    let (waiting, _) = due(&journal, "a", 10).await;
    settle(&journal, "a", waiting[0].0, 20, DeliveryOutcome::Gone { error: "410".into() }).await;
    let status = one(&journal, "a").await.status;
    assert_eq!((status.disabled_at, status.last_error.as_deref()), (Some(at(20)), Some("410")));
    assert!(!journal.0.wants_notices());
    fan_out(&journal, &[("a", "e3")], &[], at(30), 10).await;
    assert_eq!(one(&journal, "a").await.status.backlog, 1, "it gets no more");
}
