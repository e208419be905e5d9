//! Per-executor concurrency limit: round-robin across runs, FIFO within a run.
//!
//! ```text
//!   run a: ▢▢▢▢▢▢▢▢ ─┐
//!   run b: ▢          ├─ one of each in turn ──▶ slot ──▶ call ──▶ slot is free
//!   run c: ▢▢        ─┘                             ▲                    │
//!                                                   └────────────────────┘
//! ```
//!
//! One run may hold at most three quarters of the slots, so that its long calls
//! leave room for other runs.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::oneshot;

use crate::types::RunId;

pub(super) struct Slots {
    per_run: usize,
    state: Mutex<State>,
}

struct State {
    free: usize,
    held: HashMap<RunId, usize>,
    waiting: HashMap<RunId, VecDeque<oneshot::Sender<()>>>,
    /// The runs with waiters, each once; the next to be served is in front.
    rotation: VecDeque<RunId>,
}

/// A slot that is held until dropped.
pub(super) struct Slot {
    slots: Arc<Slots>,
    run: RunId,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.release(&self.run);
    }
}

/// A queued waiter. If it is dropped after being granted a slot, the slot is
/// released.
struct Waiting {
    slots: Arc<Slots>,
    run: RunId,
    granted: oneshot::Receiver<()>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.granted.close();
        if self.granted.try_recv().is_ok() {
            self.slots.release(&self.run);
        }
    }
}

impl Slots {
    pub(super) fn new(count: usize) -> Arc<Self> {
        let state =
            State { free: count, held: HashMap::new(), waiting: HashMap::new(), rotation: VecDeque::new() };
        Arc::new(Self { per_run: (count - count / 4).max(1), state: Mutex::new(state) })
    }

    /// Waits for a slot for a job of this run.
    pub(super) async fn acquire(self: &Arc<Self>, run: &RunId) -> Slot {
        if let Some(granted) = self.take_or_wait(run) {
            let mut waiting = Waiting { slots: Arc::clone(self), run: run.clone(), granted };
            // The sender is in `self`, so it is not dropped before it grants. Once
            // received, the grant is not released by `waiting` any more.
            let _granted = (&mut waiting.granted).await;
        }
        Slot { slots: Arc::clone(self), run: run.clone() }
    }

    /// Takes a free slot; if there is none, returns the channel of the grant.
    fn take_or_wait(&self, run: &RunId) -> Option<oneshot::Receiver<()>> {
        let mut state = self.state();
        let held = state.held.get(run).copied().unwrap_or_default();
        // A slot is free only if no waiter may have it.
        if state.free > 0 && held < self.per_run {
            state.grant(run);
            return None;
        }
        let (grant, granted) = oneshot::channel();
        let queue = state.waiting.entry(run.clone()).or_default();
        queue.push_back(grant);
        if queue.len() == 1 {
            state.rotation.push_back(run.clone());
        }
        Some(granted)
    }

    fn release(&self, run: &RunId) {
        let mut state = self.state();
        state.free += 1;
        if let Some(held) = state.held.get_mut(run) {
            *held -= 1;
            if *held == 0 {
                state.held.remove(run);
            }
        }
        // Looks at each run in the rotation once per slot.
        while state.free > 0 && state.serve_next(self.per_run) {}
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl State {
    fn grant(&mut self, run: &RunId) {
        self.free -= 1;
        *self.held.entry(run.clone()).or_default() += 1;
    }

    /// Grants a slot to the next run that may have one. Returns whether there was
    /// one.
    fn serve_next(&mut self, per_run: usize) -> bool {
        for _ in 0..self.rotation.len() {
            let Some(run) = self.rotation.pop_front() else { return false };
            let Some(queue) = self.waiting.get_mut(&run) else { continue };
            if self.held.get(&run).is_some_and(|held| *held >= per_run) {
                self.rotation.push_back(run);
                continue;
            }
            let mut served = false;
            while let Some(grant) = queue.pop_front() {
                // Fails if the waiter was dropped.
                if grant.send(()).is_ok() {
                    served = true;
                    break;
                }
            }
            if queue.is_empty() {
                self.waiting.remove(&run);
            } else {
                self.rotation.push_back(run.clone());
            }
            if served {
                self.grant(&run);
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures::{FutureExt, future::BoxFuture, poll};

    use super::*;

    fn wait(slots: &Arc<Slots>, run: &str) -> BoxFuture<'static, Slot> {
        let (slots, run) = (Arc::clone(slots), RunId::new(run));
        async move { slots.acquire(&run).await }.boxed()
    }

    /// The number of free slots, and of runs that hold or wait for some.
    fn left(slots: &Slots) -> (usize, usize) {
        let state = slots.state();
        assert_eq!(state.waiting.len(), state.rotation.len());
        (state.free, state.held.len() + state.waiting.len())
    }

    /// Polls each waiter once, in order, and returns those that have a slot.
    async fn ready(waiting: &mut Vec<(&'static str, BoxFuture<'static, Slot>)>) -> Vec<(&'static str, Slot)> {
        let mut ready = Vec::new();
        let mut rest = Vec::new();
        for (run, mut turn) in waiting.drain(..) {
            match poll!(&mut turn) {
                std::task::Poll::Ready(turn) => ready.push((run, turn)),
                std::task::Poll::Pending => rest.push((run, turn)),
            }
        }
        *waiting = rest;
        ready
    }

    #[tokio::test]
    async fn runs_take_turns_whatever_their_number_of_jobs() {
        let slots = Slots::new(1);
        let first = wait(&slots, "a").await;
        let order = ["a", "a", "a", "a", "b", "c", "c"];
        let mut waiting: Vec<_> = order.into_iter().map(|run| (run, wait(&slots, run))).collect();
        assert!(ready(&mut waiting).await.is_empty());
        drop(first);
        let mut served = Vec::new();
        while !waiting.is_empty() {
            let mut got = ready(&mut waiting).await;
            assert_eq!(got.len(), 1, "one slot, one job");
            served.push(got.remove(0).0);
        }
        assert_eq!(served, ["a", "b", "c", "a", "c", "a", "a"]);
        assert_eq!(left(&slots), (1, 0));
    }

    #[tokio::test]
    async fn single_run_leaves_a_quarter_of_the_slots() {
        let slots = Slots::new(8);
        let mut waiting: Vec<_> = (0..10).map(|_| ("a", wait(&slots, "a"))).collect();
        let held = ready(&mut waiting).await;
        assert_eq!((held.len(), left(&slots).0), (6, 2));
        let other = wait(&slots, "b").await;
        drop(held);
        assert_eq!(ready(&mut waiting).await.len(), 4);
        drop(other);
        assert_eq!(left(&slots), (8, 0));
    }

    #[tokio::test]
    async fn dropped_waiter_releases_its_slot() {
        let slots = Slots::new(1);
        let first = wait(&slots, "a").await;
        let (mut gone, mut granted) = (Box::pin(wait(&slots, "b")), Box::pin(wait(&slots, "c")));
        let mut last = pin!(wait(&slots, "d"));
        for waiting in [&mut gone, &mut granted] {
            assert!(poll!(waiting).is_pending());
        }
        assert!(poll!(&mut last).is_pending());
        // The first is dropped while it waits, the second after its grant.
        drop(gone);
        drop(first);
        drop(granted);
        assert!(poll!(&mut last).is_ready());
        assert_eq!(left(&slots), (1, 0));
    }
}
