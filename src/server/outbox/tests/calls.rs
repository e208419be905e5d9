//! What is gathered, what goes together, what is in order.

use super::*;
use crate::outbox::{
    destination::{Destination, GATHER},
    objects::Objects,
};

#[tokio::test]
async fn short_run_costs_one_call_for_each_object() {
    let w = World::new(PATIENCE);
    for name in ["a", "b", "c"] {
        w.commit(start(name)).await;
        w.pass(GATHER / 2).await;
        assert_eq!(w.stores.calls(), [""; 0], "it is gathered");
        w.end(name).await;
        w.pass(A_MOMENT).await;
        let mut calls = w.stores.calls();
        calls.sort();
        let expected = [
            format!("POST {name} succeeded"),
            format!("POST {name}/1 succeeded"),
            format!("events {name}1 {name}2"),
        ];
        assert_eq!(calls, expected);
        assert_eq!(w.owed(), 0);
    }
}

#[tokio::test]
async fn later_change_of_an_object_is_sent_in_its_turn() {
    let w = World::new(PATIENCE);
    w.commit(start("a")).await;
    w.pass(A_MOMENT).await;
    assert_eq!(w.stores.calls(), ["POST a running", "POST a/1 queued", "events a1"]);
    w.end("a").await;
    w.pass(A_MOMENT).await;
    assert_eq!(w.stores.calls(), ["PUT a succeeded", "PUT a/1 succeeded", "events a2"]);
}

#[tokio::test]
async fn nothing_is_gathered_if_each_answer_waits() {
    let w = World::new(NO_LAG);
    w.commit(start("a")).await;
    w.pass(Duration::ZERO).await;
    assert_eq!(w.stores.calls(), ["POST a running", "POST a/1 queued", "events a1"]);
}

#[tokio::test]
async fn events_of_many_runs_go_in_one_append() {
    let w = World::new(PATIENCE);
    let names: Vec<String> = (10..60).map(|number| format!("r{number}-")).collect();
    for name in &names {
        w.commit(start(name)).await;
        w.end(name).await;
    }
    w.pass(A_MOMENT).await;
    let calls = w.stores.calls();
    let appends: Vec<_> = calls.iter().filter(|call| call.starts_with("events")).collect();
    let all = names.iter().map(|name| format!(" {name}1 {name}2")).collect::<String>();
    assert_eq!(appends, [&format!("events{all}")]);
    assert_eq!((calls.len(), w.owed()), (2 * names.len() + 1, 0));
}

#[tokio::test]
async fn objects_stay_in_order_with_calls_in_flight() {
    let w = World::new(NO_LAG);
    *w.stores.latency.lock() = Duration::from_millis(20);
    let names: Vec<String> = (0..8).map(|number| format!("r{number}")).collect();
    for name in &names {
        w.commit(start(name)).await;
    }
    let states =
        [NodeRunState::Assigned, NodeRunState::Running, NodeRunState::Queued, NodeRunState::Succeeded];
    for (version, state) in (1..).zip(states) {
        for name in &names {
            w.commit(nodes(name, vec![node_in(name, state, version)])).await;
            w.pass(Duration::from_millis(5)).await;
        }
    }
    w.pass(Duration::from_secs(2)).await;
    let calls = w.stores.calls();
    for name in &names {
        let of_root = format!(" {name}/1 ");
        let of_root: Vec<_> = calls.iter().filter(|call| call.contains(&of_root)).collect();
        assert!(of_root[0].starts_with("POST") && of_root[1..].iter().all(|call| call.starts_with("PUT")));
        let place = |call: &str| {
            let state = call.rsplit(' ').next().unwrap_or_default();
            ["queued", "assigned", "running", "queued", "succeeded"].iter().rposition(|word| *word == state)
        };
        assert_eq!(of_root.last().and_then(|call| place(call)), Some(4), "{of_root:?}");
        let is_newer = |pair: &[&String]| pair[0].ends_with("queued") || place(pair[0]) < place(pair[1]);
        assert!(of_root.windows(2).all(is_newer), "{of_root:?}");
    }
    let most = w.stores.most.load(Ordering::SeqCst);
    assert!(most > 2 && most <= Objects::CALLS_MAX + 1, "{most}");
    assert_eq!(w.owed(), 0);
}

#[tokio::test]
async fn refused_entry_of_one_run_delays_no_other() {
    let w = World::new(PATIENCE);
    w.refuse("poison", 422);
    w.commit(start("poison")).await;
    for name in ["a", "b"] {
        w.commit(start(name)).await;
        w.end(name).await;
    }
    w.pass(A_MOMENT).await;
    let calls = w.stores.calls();
    for call in ["POST a succeeded", "POST b/1 succeeded", "events poison1 a1 a2 b1 b2"] {
        assert!(calls.iter().any(|made| made == call), "{call}: {calls:?}");
    }
    assert!(!calls.iter().any(|call| call.starts_with("POST poison ")));
    assert_eq!(w.owed(), 1);
    w.refuse_nothing();
    w.pass(Duration::from_secs(1)).await;
    assert_eq!(w.stores.calls(), ["POST poison running"]);
    assert_eq!(w.owed(), 0);
}

#[tokio::test]
async fn change_after_a_refusal_waits_for_the_next_try() {
    let w = World::new(PATIENCE);
    w.refuse("a", 422);
    w.commit(start("a")).await;
    w.pass(GATHER + Duration::from_millis(30)).await;
    let refused = w.outbox.deliveries()[0].2;
    assert_eq!(refused, 1);
    w.end("a").await;
    w.pass(Duration::from_millis(15)).await;
    assert_eq!(w.outbox.deliveries()[0].2, refused, "its backoff is not over");
    w.refuse_nothing();
    w.pass(Duration::from_secs(1)).await;
    assert!(w.stores.calls().contains(&"POST a succeeded".to_owned()));
    assert_eq!(w.owed(), 0);
}

#[tokio::test]
async fn stop_sends_what_is_gathered() {
    let w = World::new(PATIENCE);
    w.commit(start("a")).await;
    w.pass(GATHER / 2).await;
    assert_eq!(w.stores.calls(), [""; 0]);
    // Time stands still meanwhile.
    w.tasks.stop().await;
    assert_eq!(w.stores.calls(), ["POST a running", "POST a/1 queued", "events a1"]);
    assert_eq!(w.owed(), 0);
}

#[tokio::test]
async fn no_entry_is_left_behind_under_load() {
    let w = World::new(PATIENCE);
    *w.stores.latency.lock() = Duration::from_millis(3);
    let mut oldest = Duration::ZERO;
    let name = |number: usize| format!("r{number}-");
    for number in 0..300 {
        w.commit(start(&name(number))).await;
        // Runs of many lengths are under way at once.
        let ends = number.checked_sub(number % 13 + 1);
        if let Some(ended) = ends.filter(|ended| ended % 13 + 1 == number - ended) {
            w.end(&name(ended)).await;
        }
        w.pass(Duration::from_millis(5)).await;
        for store in [&w.outbox.objects, &w.outbox.events] {
            oldest = store.backlog.oldest().map_or(oldest, |since| oldest.max(w.clock.now().since(since)));
        }
    }
    assert!(oldest < A_MOMENT, "{oldest:?}");
    w.pass(A_MOMENT).await;
    assert_eq!(w.owed(), 0);
}
