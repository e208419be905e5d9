//! Who may call which member of a pool of executors: limits of concurrency and
//! circuit breakers per member, round-robin across runs, FIFO within a run.
//!
//! ```text
//!   run a: ▢▢▢▢▢▢▢▢ ─┐                      ┌─ member 1: slots, breaker
//!   run b: ▢          ├─ one of each in turn ┤                            ──▶ call ──▶ slot is free
//!   run c: ▢▢        ─┘                      └─ member 2: slots, breaker                    │
//!             ▲ one queue, served as soon as any member has a slot                          │
//!             └─────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! A turn is a slot of the least loaded member whose breaker admits calls, or a
//! refusal until the earliest time at which a breaker may admit one. Some nodes may
//! go to one member only; they wait in the same queue.
//!
//! One run may hold at most three quarters of the slots of each member, so that
//! its long calls leave room for other runs.
//!
//! **Architecture invariants.** A slot is free only if no waiter may have it now.
//! (When the pause of a breaker is over, the sweep notices.) A call that a breaker
//! was half opened for, and that ends without an outcome, leaves the trial to the
//! next.

mod members;
mod queue;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::oneshot;

pub(super) use self::members::{MemberLoad, MemberNumber, Wish};
use self::{
    members::{Grant, Members, Verdict},
    queue::{Queue, Ticket},
};
use crate::{
    resilience::CallHealth,
    time::{Clock, Timestamp},
    types::RunId,
};

/// Maximum number of nodes that wait for one certain member: beyond that they are
/// put back, so that a member that hangs does not take all room in memory.
const WAITING_FOR_ONE: usize = 512;
/// When they are to ask again.
const ASK_AGAIN: Duration = Duration::from_secs(1);

pub(super) struct Slots {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

struct State {
    members: Members,
    queue: Queue<Turn>,
}

/// What came of waiting.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// A slot of this member was taken.
    Granted(Grant),
    Refused(Refusal),
}

/// Why there is no slot, and when to ask again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The breaker of each member that it may go to is open.
    BreakerOpen { until: Timestamp },
    /// Too many wait for the only member that it may go to.
    Crowded { until: Timestamp },
    /// Each member that it may go to is paused.
    Suspended,
}

/// A slot that is held until dropped.
pub(super) struct Slot {
    slots: Arc<Slots>,
    run: RunId,
    grant: Grant,
    reported: bool,
}

impl Slot {
    pub(super) fn member(&self) -> MemberNumber {
        self.grant.member
    }

    /// Records what the outcome of the call says about the member's health.
    pub(super) fn report(&mut self, health: CallHealth) {
        self.reported = true;
        let now = self.slots.clock.now();
        let mut state = self.slots.state();
        state.members.report(self.grant.member, health, now);
        state.serve(now);
    }

    /// Keeps the error of a call that speaks against the member.
    pub(super) fn failed(&self, error: String) {
        let now = self.slots.clock.now();
        self.slots.state().members.failed(self.grant.member, error, now);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.release(&self.run, &self.grant, self.reported);
    }
}

/// A place in the queue. If it is dropped, it is left; if it was granted a slot
/// by then, the slot is released.
struct Waiting<'s> {
    slots: &'s Arc<Slots>,
    run: &'s RunId,
    ticket: Ticket,
    turn: oneshot::Receiver<Turn>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut state = self.slots.state();
        if state.queue.leave(self.run, &self.ticket) {
            return;
        }
        drop(state);
        // A turn that was taken is not there any more.
        if let Ok(Turn::Granted(grant)) = self.turn.try_recv() {
            self.slots.release(self.run, &grant, false);
        }
    }
}

impl Slots {
    /// A pool of this many members, with this many slots each.
    pub(super) fn new(members: usize, slots_each: usize, clock: Arc<dyn Clock>) -> Arc<Self> {
        let state = State { members: Members::new(members, slots_each), queue: Queue::default() };
        Arc::new(Self { clock, state: Mutex::new(state) })
    }

    /// Takes a slot for a job of this run, if one is free now.
    pub(super) fn acquire_now(self: &Arc<Self>, run: &RunId, wish: Wish) -> Option<Slot> {
        let now = self.clock.now();
        let mut state = self.state();
        if !state.queue.is_empty() {
            return None;
        }
        let grant = match state.members.judge(run, wish, now)? {
            Verdict::Grant(member) => state.members.grant(member, run, now),
            Verdict::Refuse { .. } | Verdict::Suspended => return None,
        };
        drop(state);
        Some(self.granted(run, grant))
    }

    /// Waits for a slot for a job of this run.
    pub(super) async fn acquire(self: &Arc<Self>, run: &RunId, wish: Wish) -> Result<Slot, Refusal> {
        let turn = match self.take_or_wait(run, wish) {
            Ok(turn) => turn,
            Err((ticket, turn)) => {
                let mut waiting = Waiting { slots: self, run, ticket, turn };
                match (&mut waiting.turn).await {
                    Ok(turn) => turn,
                    // Cannot happen: the sender is in `self` until it has sent.
                    Err(_) => Turn::Refused(Refusal::Crowded { until: self.clock.now() + ASK_AGAIN }),
                }
            }
        };
        match turn {
            Turn::Granted(grant) => Ok(self.granted(run, grant)),
            Turn::Refused(refusal) => Err(refusal),
        }
    }

    fn granted(self: &Arc<Self>, run: &RunId, grant: Grant) -> Slot {
        Slot { slots: Arc::clone(self), run: run.clone(), grant, reported: false }
    }

    /// Keeps calls from those members for which this is true. Those who wait for them
    /// only are refused.
    pub(super) fn suspend(&self, suspended: impl Iterator<Item = bool>) {
        let now = self.clock.now();
        let mut state = self.state();
        if state.members.suspend(suspended) {
            state.serve(now);
        }
    }

    /// Gives slots to those who wait, if a breaker may be closed again by now.
    pub(super) fn serve(&self) {
        let now = self.clock.now();
        self.state().serve(now);
    }

    /// The number of slots of each member.
    pub(super) fn each(&self) -> usize {
        self.state().members.slots_each()
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.state().queue.len()
    }

    /// The load and the breaker of each member.
    pub(super) fn loads(&self) -> Vec<MemberLoad> {
        self.state().members.loads()
    }

    fn take_or_wait(&self, run: &RunId, wish: Wish) -> Result<Turn, (Ticket, oneshot::Receiver<Turn>)> {
        let now = self.clock.now();
        let mut state = self.state();
        if state.members.are_suspended(wish) {
            return Ok(Turn::Refused(Refusal::Suspended));
        }
        if state.queue.is_empty()
            && let Some(verdict) = state.members.judge(run, wish, now)
        {
            return Ok(state.turn(run, verdict, now));
        }
        if wish.only.is_some_and(|only| state.queue.waiting_for(only) >= WAITING_FOR_ONE) {
            return Ok(Turn::Refused(Refusal::Crowded { until: now + ASK_AGAIN }));
        }
        let (sender, turn) = oneshot::channel();
        let ticket = state.queue.join(run, wish, sender);
        state.serve(now);
        Err((ticket, turn))
    }

    fn release(&self, run: &RunId, grant: &Grant, reported: bool) {
        let now = self.clock.now();
        let mut state = self.state();
        state.members.release(run, grant, reported, now);
        state.serve(now);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl State {
    /// Serves waiters in turn, as long as one can be served.
    fn serve(&mut self, now: Timestamp) {
        while self.members.may_serve(now) {
            let Self { members, queue } = self;
            let next = queue.next(|run, wish| members.judge(run, wish, now));
            let Some((run, sender, verdict)) = next else { return };
            let turn = self.turn(&run, verdict, now);
            // The receiver is dropped only after it has left the queue.
            if let Err(Turn::Granted(grant)) = sender.send(turn) {
                self.members.release(&run, &grant, false, now);
            }
        }
    }

    fn turn(&mut self, run: &RunId, verdict: Verdict, now: Timestamp) -> Turn {
        match verdict {
            Verdict::Grant(member) => Turn::Granted(self.members.grant(member, run, now)),
            Verdict::Refuse { until } => Turn::Refused(Refusal::BreakerOpen { until }),
            Verdict::Suspended => Turn::Refused(Refusal::Suspended),
        }
    }
}
