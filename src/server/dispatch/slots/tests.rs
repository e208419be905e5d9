//! Fairness between runs, the choice among members, and their breakers.

use std::{
    pin::pin,
    sync::atomic::{AtomicI64, Ordering},
    task::Poll,
};

use async_trait::async_trait;
use futures::{FutureExt, future::BoxFuture, poll};

use super::*;

/// A clock that the test moves.
#[derive(Default)]
struct ManualClock(AtomicI64);

impl ManualClock {
    fn advance(&self, time: Duration) {
        self.0.fetch_add(i64::try_from(time.as_micros()).expect("a time"), Ordering::SeqCst);
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
    async fn sleep(&self, _: Duration) {
        std::future::pending().await
    }
}

/// A pool, with the clock that it goes by.
struct Pool {
    slots: Arc<Slots>,
    clock: Arc<ManualClock>,
}

type Turned = Result<Slot, Refusal>;

impl Pool {
    fn new(members: usize, slots_each: usize) -> Self {
        let clock = Arc::<ManualClock>::default();
        Self { slots: Slots::new(members, slots_each, Arc::clone(&clock) as Arc<dyn Clock>), clock }
    }

    fn wait(&self, run: &str, wish: Wish) -> BoxFuture<'static, Turned> {
        let (slots, run) = (Arc::clone(&self.slots), RunId::new(run));
        async move { slots.acquire(&run, wish).await }.boxed()
    }

    async fn take(&self, run: &str) -> Slot {
        granted(self.wait(run, Wish::default()).now_or_never())
    }

    /// The number of free slots, and of runs that hold or wait for some.
    fn left(&self) -> (usize, usize) {
        let state = self.slots.state();
        let taken: usize = state.members.loads().iter().map(|load| load.in_flight).sum();
        let all = state.members.loads().len() * state.members.slots_each();
        (all - taken, state.members.holders() + state.queue.runs())
    }

    /// Five calls to a member fail: its breaker opens for a second.
    fn break_down(&self, member: usize) {
        let mut slots: Vec<Slot> = (0..5)
            .map(|call| granted(self.wait(&format!("broken-{call}"), only(member)).now_or_never()))
            .collect();
        slots.iter_mut().for_each(|slot| slot.report(FAILED));
    }

    fn in_flight(&self) -> Vec<usize> {
        self.slots.loads().iter().map(|load| load.in_flight).collect()
    }
}

const FAILED: CallHealth = CallHealth::Failed { retry_after: None };

fn only(member: usize) -> Wish {
    Wish { only: Some(MemberNumber(member)), avoid: None }
}

fn granted(turn: Option<Turned>) -> Slot {
    match turn {
        Some(Ok(slot)) => slot,
        Some(Err(refusal)) => panic!("refused: {refusal:?}"),
        None => panic!("it has to wait"),
    }
}

fn refused(turn: Option<Turned>) -> Refusal {
    match turn {
        Some(Err(refusal)) => refusal,
        Some(Ok(slot)) => panic!("granted: {:?}", slot.member()),
        None => panic!("it has to wait"),
    }
}

/// Polls each waiter once, in order, and returns those that have a slot.
async fn ready(waiting: &mut Vec<(&'static str, BoxFuture<'static, Turned>)>) -> Vec<(&'static str, Slot)> {
    let mut ready = Vec::new();
    let mut rest = Vec::new();
    for (run, mut turn) in waiting.drain(..) {
        match poll!(&mut turn) {
            Poll::Ready(turn) => ready.push((run, granted(Some(turn)))),
            Poll::Pending => rest.push((run, turn)),
        }
    }
    *waiting = rest;
    ready
}

#[tokio::test]
async fn runs_take_turns_whatever_their_number_of_jobs() {
    let pool = Pool::new(1, 1);
    let first = pool.take("a").await;
    let order = ["a", "a", "a", "a", "b", "c", "c"];
    let mut waiting: Vec<_> = order.into_iter().map(|run| (run, pool.wait(run, Wish::default()))).collect();
    assert!(ready(&mut waiting).await.is_empty());
    drop(first);
    let mut served = Vec::new();
    while !waiting.is_empty() {
        let mut got = ready(&mut waiting).await;
        assert_eq!(got.len(), 1, "one slot, one job");
        served.push(got.remove(0).0);
    }
    assert_eq!(served, ["a", "b", "c", "a", "c", "a", "a"]);
    assert_eq!(pool.left(), (1, 0));
}

#[tokio::test]
async fn single_run_leaves_a_quarter_of_the_slots_of_each_member() {
    for members in [1, 2] {
        let pool = Pool::new(members, 8);
        let mut waiting: Vec<_> = (0..10 * members).map(|_| ("a", pool.wait("a", Wish::default()))).collect();
        let held = ready(&mut waiting).await;
        assert_eq!((held.len(), pool.in_flight()), (6 * members, vec![6; members]));
        let other = pool.take("b").await;
        drop(held);
        assert_eq!(ready(&mut waiting).await.len(), 4 * members);
        drop(other);
        assert_eq!(pool.left(), (8 * members, 0));
    }
}

#[tokio::test]
async fn dropped_waiter_releases_its_slot() {
    let pool = Pool::new(1, 1);
    let first = pool.take("a").await;
    let [mut gone, mut taken] = ["b", "c"].map(|run| Box::pin(pool.wait(run, Wish::default())));
    let mut last = pin!(pool.wait("d", Wish::default()));
    for waiting in [&mut gone, &mut taken] {
        assert!(poll!(waiting).is_pending());
    }
    assert!(poll!(&mut last).is_pending());
    // The first is dropped while it waits, the second after its grant.
    drop(gone);
    assert_eq!(pool.left(), (0, 3), "it has left the queue");
    drop(first);
    drop(taken);
    assert!(poll!(&mut last).is_ready());
    assert_eq!(pool.left(), (1, 0));
}

#[tokio::test]
async fn least_loaded_member_is_chosen_and_equals_take_turns() {
    let pool = Pool::new(3, 4);
    let mut held = Vec::new();
    for expected in [0, 1, 2, 0, 1, 2] {
        held.push(pool.take("a").await);
        assert_eq!(held.last().map(Slot::member), Some(MemberNumber(expected)));
    }
    // Two calls at member 1 end: it is the least loaded.
    held.retain(|slot| slot.member() != MemberNumber(1));
    assert_eq!(pool.in_flight(), [2, 0, 2]);
    assert_eq!(pool.take("b").await.member(), MemberNumber(1));
    // Calls that end at once are spread as well.
    drop(held);
    let mut spread = [0; 3];
    for _ in 0..9 {
        spread[pool.take("a").await.member().0] += 1;
    }
    assert_eq!(spread, [3; 3]);
}

#[tokio::test]
async fn waiter_takes_the_first_free_slot_of_any_member() {
    let pool = Pool::new(2, 1);
    let (left, right) = (pool.take("a").await, pool.take("b").await);
    let mut waiting = pin!(pool.wait("c", Wish::default()));
    let mut of_left = pin!(pool.wait("d", only(left.member().0)));
    assert!(poll!(&mut waiting).is_pending() && poll!(&mut of_left).is_pending());
    let freed = right.member();
    drop(right);
    let turn = granted(waiting.now_or_never());
    assert_eq!(turn.member(), freed);
    // The one that may go to the busy member only still waits for that.
    drop(turn);
    assert!(poll!(&mut of_left).is_pending());
    drop(left);
    drop(granted(of_left.now_or_never()));
    assert_eq!(pool.left(), (2, 0));
}

#[tokio::test]
async fn run_does_not_wait_behind_its_own_nodes_for_one_member() {
    let pool = Pool::new(2, 1);
    let (left, right) = (pool.take("x").await, pool.take("y").await);
    let busy = left.member().0;
    let mut first = pin!(pool.wait("a", only(busy)));
    let mut second = pin!(pool.wait("a", Wish::default()));
    assert!(poll!(&mut first).is_pending() && poll!(&mut second).is_pending());
    drop(right);
    drop(granted(second.now_or_never()));
    assert!(poll!(&mut first).is_pending());
    drop(left);
    drop(granted(first.now_or_never()));
}

#[tokio::test]
async fn failing_member_is_left_alone_and_the_others_take_its_nodes() {
    let pool = Pool::new(2, 8);
    pool.break_down(0);
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(pool.take("a").await);
    }
    assert!(held.iter().all(|slot| slot.member() == MemberNumber(1)), "{:?}", pool.in_flight());
    let breakers: Vec<_> = pool.slots.loads().iter().map(|load| load.breaker.name()).collect();
    assert_eq!(breakers, ["open", "closed"]);
    // A node that may go to it only is refused until it may be called again.
    let until = Timestamp::from_micros(1_000_000);
    assert_eq!(refused(pool.wait("a", only(0)).now_or_never()), Refusal::BreakerOpen { until });
    // Then one call tries it, the others do not wait for that.
    pool.clock.advance(Duration::from_secs(1));
    let trial = pool.take("a").await;
    assert_eq!(trial.member(), MemberNumber(0));
    assert_eq!(pool.take("a").await.member(), MemberNumber(1));
    // It ends without an outcome: the next call is the trial, and succeeds.
    drop(trial);
    let mut trial = pool.take("b").await;
    assert_eq!(trial.member(), MemberNumber(0));
    trial.report(CallHealth::Healthy);
    assert_eq!(pool.slots.loads()[0].breaker.name(), "closed");
}

#[tokio::test]
async fn nodes_are_refused_until_the_first_member_reopens() {
    let pool = Pool::new(2, 8);
    pool.break_down(0);
    pool.clock.advance(Duration::from_millis(400));
    pool.break_down(1);
    let until = Timestamp::from_micros(1_000_000);
    assert_eq!(refused(pool.wait("a", Wish::default()).now_or_never()), Refusal::BreakerOpen { until });
}

#[tokio::test]
async fn waiter_is_served_by_a_member_that_may_be_called_again() {
    let pool = Pool::new(2, 5);
    pool.break_down(0);
    let runs: Vec<String> = (0..5).map(|run| format!("r{run}")).collect();
    let mut held = Vec::new();
    for run in &runs {
        held.push(pool.take(run).await);
    }
    // The healthy member is busy: wait for it, rather than for the other's pause.
    let mut waiting = pin!(pool.wait("a", Wish::default()));
    assert!(poll!(&mut waiting).is_pending());
    pool.slots.serve();
    assert!(poll!(&mut waiting).is_pending());
    pool.clock.advance(Duration::from_secs(1));
    pool.slots.serve();
    assert_eq!(granted(waiting.now_or_never()).member(), MemberNumber(0));
}

#[tokio::test]
async fn waiters_are_refused_when_a_slot_of_a_broken_pool_is_free() {
    let pool = Pool::new(1, 5);
    let mut held = Vec::new();
    for run in ["a", "b", "c", "d", "e"] {
        held.push(pool.take(run).await);
    }
    let mut waiting: Vec<_> = (0..3).map(|_| pool.wait("f", Wish::default())).collect();
    for turn in &mut waiting {
        assert!(poll!(turn).is_pending());
    }
    held.iter_mut().for_each(|slot| slot.report(FAILED));
    // No slot is free yet, as if nothing had happened.
    assert!(poll!(&mut waiting[0]).is_pending());
    drop(held);
    for turn in waiting {
        assert!(matches!(refused(turn.now_or_never()), Refusal::BreakerOpen { .. }));
    }
    assert_eq!(pool.left(), (5, 0));
}

#[tokio::test]
async fn member_of_the_failed_attempt_is_the_last_choice() {
    let pool = Pool::new(2, 1);
    let avoid = |member| Wish { only: None, avoid: Some(MemberNumber(member)) };
    let busy = granted(pool.wait("a", avoid(0)).now_or_never());
    assert_eq!(busy.member(), MemberNumber(1));
    // The other one is busy: better this one than none.
    assert_eq!(granted(pool.wait("b", avoid(0)).now_or_never()).member(), MemberNumber(0));
}

#[tokio::test]
async fn too_many_nodes_for_one_member_are_put_back() {
    let pool = Pool::new(2, 1);
    let busy = granted(pool.wait("a", only(0)).now_or_never());
    let mut waiting: Vec<_> = (0..WAITING_FOR_ONE).map(|_| pool.wait("b", only(0))).collect();
    for turn in &mut waiting {
        assert!(poll!(turn).is_pending());
    }
    let until = Timestamp::from_micros(0) + ASK_AGAIN;
    assert_eq!(refused(pool.wait("c", only(0)).now_or_never()), Refusal::Crowded { until });
    // Nodes that may go elsewhere do, and places that are left can be taken.
    drop(pool.take("c").await);
    drop(waiting.pop());
    let mut next = pin!(pool.wait("c", only(0)));
    assert!(poll!(&mut next).is_pending());
    drop((busy, waiting));
    drop(granted(next.now_or_never()));
    assert_eq!(pool.left(), (2, 0));
}

#[tokio::test]
async fn paused_member_gets_nothing_and_refuses_those_that_need_it() {
    let pool = Pool::new(2, 1);
    let busy = pool.take("a").await;
    let mut needs = pool.wait("b", only(busy.member().0));
    assert!(poll!(&mut needs).is_pending());
    let other = 1 - busy.member().0;
    // It is paused while a job waits for it, which hears of it at once.
    let paused = |paused: [bool; 2]| pool.slots.suspend(paused.into_iter());
    let mut of_busy = [false, false];
    of_busy[busy.member().0] = true;
    paused(of_busy);
    drop(busy);
    assert_eq!(refused(needs.now_or_never()), Refusal::Suspended);
    let elsewhere = pool.take("c").await;
    assert_eq!(elsewhere.member(), MemberNumber(other));
    paused([true, true]);
    assert_eq!(refused(pool.wait("d", Wish::default()).now_or_never()), Refusal::Suspended);
    // What is under way goes on, and the pause ends.
    assert_eq!(pool.in_flight().iter().sum::<usize>(), 1);
    drop(elsewhere);
    paused([false, false]);
    assert_eq!(granted(pool.wait("e", only(other)).now_or_never()).member(), MemberNumber(other));
}

#[tokio::test]
async fn slot_is_taken_at_once_only_if_it_is_free_for_all() {
    let pool = Pool::new(1, 2);
    let now = |run: &str| pool.slots.acquire_now(&RunId::new(run), Wish::default());
    let first = now("a").expect("a free slot");
    let second = now("b").expect("another");
    assert!(now("c").is_none(), "all are taken");
    let mut waits = pool.wait("d", Wish::default());
    assert!(poll!(&mut waits).is_pending());
    drop(first);
    assert!(now("c").is_none(), "who waited has it");
    drop((second, granted(waits.now_or_never())));
    assert_eq!(pool.left(), (2, 0));

    let broken = Pool::new(1, 8);
    broken.break_down(0);
    assert!(broken.slots.acquire_now(&RunId::new("e"), Wish::default()).is_none(), "the breaker is open");
}
