//! Single flight, cool-downs and limits, against a source that answers when the
//! test says so.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicI64, Ordering},
};

use futures::{FutureExt, future::join_all};
use proptest::prelude::*;
use slog::{Discard, Logger, o};
use tokio::sync::oneshot;

use super::*;

const EMPTY: i64 = 1;
const STALE: i64 = 10;
const UNFIT: i64 = 20;
const LIMIT: i64 = 30;
/// How long a fetched value is fresh, and usable.
const FRESH: i64 = 100;
const LIFE: i64 = 200;

fn seconds(seconds: i64) -> Duration {
    Duration::from_secs(seconds.try_into().unwrap())
}

/// A clock that the test moves. Sleepers wake when their time has come.
struct ManualClock {
    micros: AtomicI64,
    moved: watch::Sender<()>,
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.micros.load(Ordering::SeqCst))
    }
    async fn sleep(&self, time: Duration) {
        let until = self.now() + time;
        let mut moved = self.moved.subscribe();
        while self.now() < until {
            moved.changed().await.unwrap();
        }
    }
}

type Answer = Result<u32, String>;

/// Keeps each request until the test answers it.
#[derive(Clone, Default)]
struct ManualSource {
    pending: Arc<Mutex<VecDeque<oneshot::Sender<Answer>>>>,
    requests: Arc<AtomicI64>,
}

struct Fetcher(ManualSource, Arc<ManualClock>);

#[async_trait]
impl Source<u32> for Fetcher {
    async fn fetch(&self, _: Option<u32>) -> Result<Fetched<u32>, String> {
        let (sender, receiver) = oneshot::channel();
        self.0.pending.lock().push_back(sender);
        self.0.requests.fetch_add(1, Ordering::SeqCst);
        let asked_at = self.1.now();
        let value = receiver.await.unwrap_or_else(|_| panic!("injected"))?;
        let (stale_at, expires_at) = (asked_at + seconds(FRESH), Some(asked_at + seconds(LIFE)));
        Ok(Fetched { value, stale_at, expires_at })
    }
}

struct World {
    value: Arc<Refreshed<u32>>,
    source: ManualSource,
    clock: Arc<ManualClock>,
}

impl World {
    fn new() -> Self {
        let clock =
            Arc::new(ManualClock { micros: AtomicI64::new(1_000_000_000), moved: watch::Sender::new(()) });
        let source = ManualSource::default();
        let pauses = Pauses { empty: seconds(EMPTY), stale: seconds(STALE), unfit: seconds(UNFIT) };
        let options = RefreshOptions { task: "test", limit: seconds(LIMIT), pauses };
        let tasks = TaskSet::new(Logger::root(Discard, o!()));
        let fetcher = Fetcher(source.clone(), Arc::clone(&clock));
        let value = Refreshed::new(options, fetcher, Arc::clone(&clock) as _, tasks);
        Self { value, source, clock }
    }

    /// A world whose value is 1.
    async fn fetched() -> Self {
        let world = Self::new();
        world.value.revalidate();
        world.answer(Ok(1)).await;
        world
    }

    fn pass(&self, time: i64) {
        self.clock.micros.fetch_add(time * 1_000_000, Ordering::SeqCst);
        self.clock.moved.send_replace(());
    }

    fn requests(&self) -> i64 {
        self.source.requests.load(Ordering::SeqCst)
    }

    /// Lets the background task go on as far as it can.
    async fn settle(&self) {
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
    }

    async fn answer(&self, answer: Answer) {
        self.settle().await;
        let pending = self.source.pending.lock().pop_front();
        pending.expect("a request").send(answer).expect("it is waited for");
        self.settle().await;
    }

    async fn find(&self) -> Result<Option<u32>, String> {
        self.value.find(|value| Some(*value)).await
    }

    /// What a caller gets without waiting; `None`: it has to wait.
    fn find_now(&self) -> Option<Result<Option<u32>, String>> {
        self.find().now_or_never()
    }
}

#[tokio::test]
async fn waiting_callers_share_one_fetch_and_its_outcome() {
    for outcome in [Ok(1), Err("down".to_owned())] {
        let world = World::new();
        let callers = join_all((0..16).map(|_| world.find()));
        let (found, ()) = tokio::join!(callers, world.answer(outcome.clone()));
        for found in found {
            assert_eq!(found, outcome.clone().map(Some));
        }
        assert_eq!(world.requests(), 1);
    }
}

#[tokio::test]
async fn old_value_is_used_while_it_is_refreshed() {
    let world = World::fetched().await;
    world.pass(FRESH - 1);
    assert_eq!(world.find_now(), Some(Ok(Some(1))));
    assert_eq!((world.requests(), world.value.status()), (1, Status::Fresh { value: 1 }));
    world.pass(1);
    for _ in 0..3 {
        assert_eq!(world.find_now(), Some(Ok(Some(1))));
        world.settle().await;
    }
    assert_eq!(world.requests(), 2);
    assert_eq!(world.value.status(), Status::Stale { value: 1, age: seconds(FRESH), error: None });
    world.answer(Ok(2)).await;
    assert_eq!(world.find_now(), Some(Ok(Some(2))));
}

#[tokio::test]
async fn expired_value_is_not_used() {
    let world = World::fetched().await;
    world.pass(LIFE);
    assert_eq!(world.find_now(), None, "it waits for the next value");
    world.answer(Ok(2)).await;
    assert_eq!(world.find_now(), Some(Ok(Some(2))));
}

#[tokio::test]
async fn failed_fetch_is_repeated_after_the_cool_down() {
    let world = World::new();
    world.value.revalidate();
    world.answer(Err("down".into())).await;
    assert_eq!(world.find_now(), Some(Err("down".into())), "at once, without a fetch");
    world.pass(EMPTY);
    assert_eq!(world.find_now(), None);
    world.answer(Ok(1)).await;

    world.pass(FRESH);
    assert_eq!(world.find_now(), Some(Ok(Some(1))));
    world.answer(Err("down".into())).await;
    let error = Some("down".into());
    assert_eq!(world.value.status(), Status::Stale { value: 1, age: seconds(FRESH), error });
    for (wait, requests) in [(STALE - 1, 3), (1, 4)] {
        world.pass(wait);
        assert_eq!(world.find_now(), Some(Ok(Some(1))));
        world.settle().await;
        assert_eq!(world.requests(), requests);
    }
    // Without a usable value the shorter pause counts.
    world.answer(Err("down".into())).await;
    world.pass(LIFE - FRESH - STALE);
    assert_eq!(world.find_now(), None);
}

#[tokio::test]
async fn fetch_that_takes_too_long_has_failed() {
    let world = World::new();
    let pass = async {
        world.settle().await;
        world.pass(LIMIT);
    };
    let (found, ()) = tokio::join!(world.find(), pass);
    assert_eq!(found, Err("no answer in time".into()));
}

#[tokio::test]
async fn dropped_caller_does_not_take_the_fetch_away() {
    let world = World::new();
    assert_eq!(world.find_now(), None, "it waits, and is dropped");
    world.answer(Ok(1)).await;
    assert_eq!(world.find_now(), Some(Ok(Some(1))));
}

#[tokio::test]
async fn panic_in_a_fetch_fails_its_callers_and_no_others() {
    let world = World::new();
    let panic = async {
        world.settle().await;
        drop(world.source.pending.lock().pop_front());
    };
    let (found, ()) = tokio::join!(world.find(), panic);
    assert_eq!(found, Err("the fetch was abandoned".into()));
    assert_eq!(world.find_now(), None, "the next one is under way");
    world.answer(Ok(1)).await;
    assert_eq!(world.find_now(), Some(Ok(Some(1))));
}

#[tokio::test]
async fn missing_part_is_looked_for_once_a_pause() {
    let world = World::fetched().await;
    let find = |wanted: u32| world.value.find(move |value| (*value == wanted).then_some(()));
    assert_eq!(find(2).now_or_never(), None, "another value may have it");
    world.answer(Ok(2)).await;
    assert_eq!(find(2).now_or_never(), Some(Ok(Some(()))));
    assert_eq!(find(3).now_or_never(), Some(Ok(None)), "it was asked for a moment ago");
    world.pass(UNFIT);
    let (found, ()) = tokio::join!(find(3), world.answer(Err("down".into())));
    assert_eq!(found, Ok(None), "the old value does not have it");
    assert_eq!(world.requests(), 3);
}

#[tokio::test]
async fn discarded_value_is_replaced_once_a_pause() {
    let world = World::fetched().await;
    assert!(world.value.discard(|value| *value == 7), "another value is at hand already");
    assert_eq!(world.find_now(), Some(Ok(Some(1))));
    assert!(world.value.discard(|value| *value == 1));
    assert_eq!(world.find_now(), None);
    world.answer(Ok(2)).await;
    assert!(!world.value.discard(|value| *value == 2), "too soon");
    assert_eq!(world.find_now(), Some(Ok(Some(2))));
    world.pass(UNFIT);
    assert!(world.value.discard(|value| *value == 2));
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Find,
    Revalidate,
    Discard,
    Answer(bool),
    Pass(i64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => Just(Step::Find),
        1 => Just(Step::Revalidate),
        1 => Just(Step::Discard),
        3 => any::<bool>().prop_map(Step::Answer),
        3 => (0..120i64).prop_map(Step::Pass),
    ];
    proptest::collection::vec(step, 0..60)
}

proptest! {
    /// At most one fetch is under way, a usable value is returned without waiting,
    /// and an expired one is not returned.
    #[test]
    fn fetches_are_single_and_readers_wait_only_for_a_first_value(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let world = World::new();
            let (mut next, mut expires_at) = (0, None);
            for step in steps {
                match step {
                    Step::Find => {
                        let found = world.find_now();
                        if expires_at.is_some_and(|at| world.clock.now() < at) {
                            prop_assert_eq!(found, Some(Ok(Some(next))));
                        } else {
                            prop_assert!(!matches!(found, Some(Ok(_))), "{:?}", found);
                        }
                    }
                    Step::Revalidate => world.value.revalidate(),
                    Step::Discard => {
                        if world.value.discard(|_| true) {
                            expires_at = None;
                        }
                    }
                    Step::Answer(well) => {
                        world.settle().await;
                        let pending = world.source.pending.lock().pop_front();
                        // One that was too late is not waited for any more.
                        let Some(sender) = pending.filter(|sender| !sender.is_closed()) else { continue };
                        let answer = if well { Ok(next + 1) } else { Err("down".to_owned()) };
                        sender.send(answer).unwrap();
                        world.settle().await;
                        if let Status::Fresh { value } | Status::Stale { value, .. } = world.value.status()
                            && value == next + 1
                        {
                            next = value;
                            expires_at = world.value.state.lock().held.as_ref().and_then(|held| held.fetched.expires_at);
                        }
                    }
                    Step::Pass(time) => {
                        world.settle().await;
                        world.pass(time);
                        world.settle().await;
                    }
                }
                world.settle().await;
                world.source.pending.lock().retain(|sender| !sender.is_closed());
                prop_assert!(world.source.pending.lock().len() <= 1);
            }
            Ok(())
        })?;
    }
}
