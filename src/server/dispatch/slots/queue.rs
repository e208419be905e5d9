//! The queue before a pool: runs take turns, and within a run the first that can be
//! served is first.

use std::collections::{BTreeMap, HashMap};

use tokio::sync::oneshot::Sender;

use super::members::{MemberNumber, Wish};
use crate::types::RunId;

pub(super) struct Queue<T> {
    runs: HashMap<RunId, OfRun<T>>,
    /// The runs with waiters, each once; the next to be served is first.
    rotation: BTreeMap<u64, RunId>,
    /// The waiters for one certain member.
    for_one: HashMap<MemberNumber, usize>,
    /// All waiters.
    waiting: usize,
    /// Numbers of places and of turns.
    next: u64,
}

/// The waiters of a run, by the member that they may go to: all with the same
/// wish can be served, or none can.
struct OfRun<T> {
    turn: u64,
    waiters: BTreeMap<Option<MemberNumber>, BTreeMap<u64, Waiter<T>>>,
}

struct Waiter<T> {
    wish: Wish,
    sender: Sender<T>,
}

/// A place in the queue.
pub(super) struct Ticket {
    only: Option<MemberNumber>,
    place: u64,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        let (runs, rotation, for_one) = (HashMap::new(), BTreeMap::new(), HashMap::new());
        Self { runs, rotation, for_one, waiting: 0, next: 0 }
    }
}

impl<T> Queue<T> {
    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.waiting
    }

    /// How many wait for this member only.
    pub(super) fn waiting_for(&self, member: MemberNumber) -> usize {
        self.for_one.get(&member).copied().unwrap_or_default()
    }

    pub(super) fn join(&mut self, run: &RunId, wish: Wish, sender: Sender<T>) -> Ticket {
        let ticket = Ticket { only: wish.only, place: self.number() };
        if !self.runs.contains_key(run) {
            let turn = self.number();
            self.rotation.insert(turn, run.clone());
            self.runs.insert(run.clone(), OfRun { turn, waiters: BTreeMap::new() });
        }
        if let Some(of_run) = self.runs.get_mut(run) {
            of_run.waiters.entry(wish.only).or_default().insert(ticket.place, Waiter { wish, sender });
            self.waiting += 1;
        }
        if let Some(only) = wish.only {
            *self.for_one.entry(only).or_default() += 1;
        }
        ticket
    }

    /// Leaves the queue. Returns whether the place was still held.
    pub(super) fn leave(&mut self, run: &RunId, ticket: &Ticket) -> bool {
        self.take(run, ticket).is_some()
    }

    /// Takes the next waiter that `judge` has a verdict for out of the queue. Looks
    /// at each run once; those that cannot be served go to the end.
    pub(super) fn next<V>(
        &mut self,
        judge: impl Fn(&RunId, Wish) -> Option<V>,
    ) -> Option<(RunId, Sender<T>, V)> {
        for _ in 0..self.rotation.len() {
            let (_, run) = self.rotation.pop_first()?;
            let turn = self.number();
            self.rotation.insert(turn, run.clone());
            let Some(of_run) = self.runs.get_mut(&run) else { continue };
            of_run.turn = turn;
            let first_of_each = of_run.waiters.iter().filter_map(|(only, waiters)| {
                let (place, waiter) = waiters.first_key_value()?;
                let verdict = judge(&run, waiter.wish)?;
                Some((Ticket { only: *only, place: *place }, verdict))
            });
            if let Some((ticket, verdict)) = first_of_each.min_by_key(|(ticket, _)| ticket.place) {
                let waiter = self.take(&run, &ticket)?;
                return Some((run, waiter.sender, verdict));
            }
        }
        None
    }

    fn take(&mut self, run: &RunId, ticket: &Ticket) -> Option<Waiter<T>> {
        let of_run = self.runs.get_mut(run)?;
        let waiters = of_run.waiters.get_mut(&ticket.only)?;
        let waiter = waiters.remove(&ticket.place)?;
        self.waiting -= 1;
        if waiters.is_empty() {
            of_run.waiters.remove(&ticket.only);
        }
        if of_run.waiters.is_empty() {
            self.rotation.remove(&of_run.turn);
            self.runs.remove(run);
        }
        if let Some(only) = ticket.only
            && let Some(waiting) = self.for_one.get_mut(&only)
        {
            *waiting -= 1;
            if *waiting == 0 {
                self.for_one.remove(&only);
            }
        }
        Some(waiter)
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// The number of runs with waiters.
    #[cfg(test)]
    pub(super) fn runs(&self) -> usize {
        assert_eq!(self.runs.len(), self.rotation.len());
        self.runs.len()
    }
}
