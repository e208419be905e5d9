//! Which answers wait, and until when.

use std::pin::Pin;

use futures::FutureExt;

use super::*;

type Answer<'w> = Pin<Box<dyn Future<Output = ()> + Send + 'w>>;

impl World {
    /// Commits the start of a run; its answer is ready when this says so.
    async fn started(&self, name: &str) -> Answer<'_> {
        let (run, owed) = (id(name), self.commit(start(name)).await);
        Box::pin(async move { self.outbox.accepted(&run, owed).await })
    }
}

fn is_ready(answer: &mut Answer<'_>) -> bool {
    answer.as_mut().now_or_never().is_some()
}

/// A little less than the limit of lag.
const NOT_YET: Duration = Duration::from_millis(900);

#[tokio::test]
async fn answer_waits_only_while_the_stores_lag_behind() {
    let w = World::new(PATIENCE);
    assert!(is_ready(&mut w.started("a").await), "nothing has been sent of it");
    *w.stores.latency.lock() = Duration::from_secs(60);
    w.pass(NOT_YET).await;
    assert!(is_ready(&mut w.started("b").await), "the oldest entry is young");
    w.pass(A_MOMENT).await;
    let mut answers = [w.started("c").await, w.started("d").await];
    assert!(!answers.iter_mut().any(is_ready), "it has become old");
    w.pass(Duration::from_secs(1)).await;
    assert!(!answers.iter_mut().any(is_ready));
    // The longest wait.
    w.pass(Duration::from_secs(1)).await;
    assert!(answers.iter_mut().all(is_ready));
}

#[tokio::test]
async fn answer_that_waits_is_given_when_the_stores_have_caught_up() {
    let w = World::new(Patience { wait: Duration::from_secs(600), ..PATIENCE });
    *w.stores.latency.lock() = Duration::from_secs(3);
    w.commit(start("a")).await;
    w.pass(Duration::from_secs(2)).await;
    *w.stores.latency.lock() = Duration::ZERO;
    w.refuse("b", 422);
    let mut answers = [w.started("b").await, w.started("c").await];
    assert!(!answers.iter_mut().any(is_ready));
    w.pass(A_MOMENT).await;
    assert_eq!(answers.each_mut().map(is_ready), [false, true], "what c says is accepted");
    w.pass(Duration::from_millis(700)).await;
    assert!(!is_ready(&mut answers[0]), "a is owed still");
    w.pass(A_MOMENT).await;
    assert!(is_ready(&mut answers[0]) && w.owed() > 0);
    assert!(is_ready(&mut w.started("d").await), "and the next do not wait");
}

#[tokio::test]
async fn refused_entry_makes_no_answer_wait() {
    let w = World::new(Patience { wait: Duration::from_secs(600), ..PATIENCE });
    w.refuse("poison", 422);
    w.commit(start("poison")).await;
    w.pass(Duration::from_secs(5)).await;
    assert!(w.owed() > 0);
    assert!(is_ready(&mut w.started("a").await));
}

#[tokio::test]
async fn each_answer_waits_if_the_stores_may_not_lag() {
    let w = World::new(NO_LAG);
    let mut answer = w.started("a").await;
    assert!(!is_ready(&mut answer));
    w.pass(Duration::ZERO).await;
    assert!(is_ready(&mut answer));
    assert_eq!(w.stores.calls().len(), 3);
}

#[tokio::test]
async fn answer_does_not_wait_for_a_store_that_is_out() {
    let w = World::new(PATIENCE);
    w.refuse("events", 503);
    w.commit(start("a")).await;
    w.pass(Duration::from_secs(2) + A_MOMENT).await;
    assert!(w.owed() > 0);
    assert!(is_ready(&mut w.started("b").await), "it has been failing for the longest wait");
}

#[tokio::test]
async fn process_that_does_not_send_learns_from_a_sample() {
    let w = World::shared(PATIENCE);
    assert!(is_ready(&mut w.started("sample").await));
    w.pass(NOT_YET).await;
    assert!(is_ready(&mut w.started("b").await));
    w.pass(A_MOMENT).await;
    let mut answer = w.started("c").await;
    assert!(!is_ready(&mut answer), "the sample is owed still, after more than the limit");
    // The process that sends.
    let all = |recipient| w.journal.outbox_owed(recipient, OutboxId::default(), &[], 1000);
    let mut ids = Vec::new();
    for recipient in crate::record::Recipient::ALL {
        ids.extend(all(recipient).await.expect("readable").iter().map(|entry| entry.id));
    }
    w.journal.outbox_ack(&ids).await.expect("acknowledged");
    w.pass(Duration::from_millis(30)).await;
    assert!(is_ready(&mut answer), "its own entries are accepted");
    assert!(is_ready(&mut w.started("d").await), "the sample is, too; this is the next");
    w.pass(NOT_YET).await;
    assert!(is_ready(&mut w.started("e").await));
    w.pass(A_MOMENT).await;
    assert!(!is_ready(&mut w.started("f").await));
}
