//! Facts by prefix and from answers, and how often the registry is asked.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicI64, AtomicUsize, Ordering},
};

use futures::FutureExt;
use serde_json::json;
use tokio::sync::Semaphore;

use super::*;
use crate::{clients::Failure, time::Timestamp, types::SideEffectClass};

#[test]
fn prefix_gives_the_kind_in_any_case() {
    for (id, kind) in [
        ("atomic.echo", Some(NodeKind::Atomic)),
        ("Composite.Plan", Some(NodeKind::Composite)),
        ("jarvis.core.echo", None),
        ("atomic", None),
    ] {
        let node_type =
            serde_json::from_value(json!({"node_type_id": id, "version": "1"})).expect("a reference");
        assert_eq!(by_prefix(&node_type).kind, kind, "{id}");
    }
}

#[test]
fn registry_answer_gives_kind_and_side_effect() {
    let facts = from_registry(
        serde_json::from_value(json!({
            "node_type_id": "t", "version": "1", "kind": "atomic", "unknown member": 1, "description": null,
            "constraints": {"structural": {"max_depth": 2}},
            "extensions": {"jarvis.side_effect": "write", "jarvis.idempotent": true,
                "jarvis.estimated_usage": {"external_calls": 3, "cost": "no number"},
                "jarvis.retry": {"max_attempts": 2}}
        }))
        .expect("a tolerant reader"),
    );
    assert_eq!((facts.kind, facts.side_effect), (Some(NodeKind::Atomic), Some(SideEffectClass::Write)));
    assert!(facts.idempotent && facts.constraints.is_some());
    assert_eq!(facts.retry, Some(RetryRule { max_attempts: 2, codes: None }));
    let calls = facts.estimated_usage.map(|usage| (usage.external_calls, usage.cost_millionths));
    assert_eq!(calls, Some((Some(3), None)));
}

/// A registry that gives the next of these answers, when it is let go.
struct Scripted {
    answers: Mutex<VecDeque<Result<Option<NodeType>, u16>>>,
    asked: AtomicUsize,
    holds: Semaphore,
}

#[async_trait]
impl NodeRegistry for Scripted {
    async fn node_type(&self, _: &str, _: Option<&str>) -> Result<Option<NodeType>, CallError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.holds.acquire().await.expect("open").forget();
        let answer = self.answers.lock().pop_front().expect("another question");
        answer.map_err(|status| {
            let failure = Failure::HttpStatus { status, reason: "a test".into(), retry_after: None };
            CallError::new(Service::NodeRegistry, failure)
        })
    }
}

impl Scripted {
    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// Lets this many more questions be answered, at once.
    fn will_answer(&self, answers: impl IntoIterator<Item = Result<Option<NodeType>, u16>>) {
        let before = self.answers.lock().len();
        self.answers.lock().extend(answers);
        self.holds.add_permits(self.answers.lock().len() - before);
    }
}

#[derive(Default)]
struct ManualClock(AtomicI64);

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(1_000_000 + self.0.load(Ordering::SeqCst))
    }
    async fn sleep(&self, _: Duration) {
        std::future::pending().await // Time limits do not pass here.
    }
}

impl ManualClock {
    fn advance(&self, time: Duration) {
        self.0.fetch_add(i64::try_from(time.as_micros()).expect("a time"), Ordering::SeqCst);
    }
}

fn composite() -> NodeType {
    serde_json::from_value(json!({"node_type_id": "t", "version": "1", "kind": "composite"})).expect("a type")
}

fn of(version: &str) -> NodeTypeRef {
    serde_json::from_value(json!({"node_type_id": "t", "version": version})).expect("a reference")
}

fn subject() -> (Arc<Scripted>, Arc<ManualClock>, NodeTypes) {
    let (answers, asked) = (Mutex::default(), AtomicUsize::new(0));
    let registry = Arc::new(Scripted { answers, asked, holds: Semaphore::new(0) });
    let clock = Arc::<ManualClock>::default();
    let log = Logger::root(slog::Discard, slog::o!());
    let options = RegistryOptions {
        registry: Arc::clone(&registry) as _,
        timeout: Duration::from_secs(1),
        outage: RegistryOutage::Closed,
        watch: Arc::new(ServiceWatch::new("node_registry", "a test", 1, log.clone())),
        judge: None,
    };
    let types = NodeTypes::from_registry(options, Arc::clone(&clock) as _, log);
    (registry, clock, types)
}

async fn kind(types: &NodeTypes, version: &str) -> Result<Option<NodeKind>, NoFacts> {
    types.facts(&of(version)).await.map(|facts| facts.kind)
}

#[tokio::test]
async fn unknown_type_is_asked_for_once_and_found_when_published() {
    let (registry, clock, types) = subject();
    registry.will_answer([Ok(None), Ok(Some(composite()))]);
    for _ in 0..100 {
        assert_eq!(kind(&types, "1").await, Ok(None), "by its prefix");
    }
    assert_eq!(registry.asked(), 1);
    clock.advance(answers::FRESH - Duration::from_micros(1));
    assert_eq!(kind(&types, "1").await, Ok(None));
    clock.advance(Duration::from_micros(1));
    for _ in 0..100 {
        assert_eq!(kind(&types, "1").await, Ok(Some(NodeKind::Composite)));
    }
    assert_eq!(registry.asked(), 2);
}

#[tokio::test]
async fn highest_version_is_asked_for_again_after_a_moment() {
    let (registry, clock, types) = subject();
    registry.will_answer([Ok(Some(composite())), Ok(Some(composite())), Err(503)]);
    for round in 1..=3 {
        for _ in 0..10 {
            // An outage does not count for the next question, but for the facts.
            if round < 3 || registry.asked() < 3 {
                assert_eq!(kind(&types, "").await, Ok(Some(NodeKind::Composite)));
            }
        }
        assert_eq!(registry.asked(), round);
        clock.advance(answers::FRESH);
    }
}

#[tokio::test]
async fn concurrent_look_ups_of_a_type_share_one_answer() {
    for (answer, expected) in [
        (Ok(Some(composite())), Ok(Some(NodeKind::Composite))),
        (Ok(None), Ok(None)),
        (Err(422), Err("refuses the node type")),
        (Err(503), Err("does not answer")),
        (Err(403), Err("credentials")),
    ] {
        let (registry, _, types) = subject();
        let mut all = Box::pin(futures::future::join_all((0..10).map(|_| kind(&types, "1"))));
        assert!(all.as_mut().now_or_never().is_none());
        registry.will_answer([answer.clone()]);
        for found in all.await {
            match expected {
                Ok(kind) => assert_eq!(found, Ok(kind)),
                Err(words) => {
                    let failure = found.expect_err(words).to_string();
                    assert!(failure.contains(words), "{failure}");
                }
            }
        }
        assert_eq!(registry.asked(), 1, "{answer:?}");
    }
}

#[tokio::test]
async fn failed_question_refuses_nothing_that_comes_later() {
    let (registry, _, types) = subject();
    registry.will_answer([Err(503), Err(422), Ok(Some(composite()))]);
    assert!(matches!(kind(&types, "1").await, Err(NoFacts::Unavailable(_))));
    // A refusal is an answer.
    for _ in 0..10 {
        assert!(matches!(kind(&types, "1").await, Err(NoFacts::Refused(_))));
    }
    assert_eq!(kind(&types, "2").await, Ok(Some(NodeKind::Composite)), "another version");
    assert_eq!(registry.asked(), 3);
}

#[tokio::test]
async fn dropped_look_up_leaves_its_turn_to_the_next() {
    let (registry, _, types) = subject();
    let mut first = Box::pin(kind(&types, "1"));
    assert!(first.as_mut().now_or_never().is_none());
    let mut second = Box::pin(kind(&types, "1"));
    assert!(second.as_mut().now_or_never().is_none());
    drop(first);
    registry.will_answer([Ok(Some(composite()))]);
    assert_eq!(second.await, Ok(Some(NodeKind::Composite)));
    assert_eq!(registry.asked(), 2);
}
