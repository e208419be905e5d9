//! A journal that misbehaves on purpose, for tests: [`FaultyJournal`] injects
//! faults between a caller and any other journal.
//!
//! The faults are those that a real journal can show to its callers:
//!
//! ```text
//!   FailBefore   error ── nothing happened
//!   FailAfter    done ─── an error all the same: the answer was lost
//!   Twice        done ─── done again: the request was repeated on its way
//!   Delay        ……… ──── done, after other calls
//! ```
//!
//! [`Faults`] decides which fault comes when: a script for the next writes, or
//! probabilities drawn from a seed, so that a failure can be reproduced.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use parking_lot::Mutex;

use super::{
    JournalError, OutboxId,
    inspect::Inspect,
    intercept::{Intercepted, Interceptor},
};
use crate::{
    record::{ChangeSet, NodeRecord, RunRecord},
    types::{NodeRunId, RunId},
};

/// A fault of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    FailBefore,
    FailAfter,
    /// Repeats a commit; no other call is repeated. The caller gets the first
    /// answer.
    Twice,
    /// Yields to other tasks this many times.
    Delay(u32),
}

/// Probability of each fault, from 0 (never) to 1 (always).
#[derive(Clone, Copy, Debug, Default)]
pub struct Chances {
    pub fail_before: f64,
    pub fail_after: f64,
    pub twice: f64,
    pub delay: f64,
    /// A read can only fail.
    pub fail_read: f64,
}

/// Decides which fault comes when. Clones share their state, so a test keeps
/// one and gives another to the journal.
#[derive(Clone, Default)]
pub struct Faults(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    script: VecDeque<Option<Fault>>,
    /// The script for commits alone.
    commits: VecDeque<Option<Fault>>,
    chances: Chances,
    random: u64,
    injected: u64,
    /// Reading this run panics, as a rule that it violates would.
    poisoned: Option<RunId>,
    /// The record of this NodeRun cannot be read.
    damaged: Option<NodeRunId>,
    /// The remaining panics by the name of a call.
    panics: BTreeMap<&'static str, u32>,
    /// The calls so far, by their names.
    calls: BTreeMap<String, u64>,
}

impl Faults {
    /// No faults until some are added.
    pub fn none() -> Self {
        Self::default()
    }

    /// The same seed and the same order of calls give the same faults.
    pub fn seeded(seed: u64, chances: Chances) -> Self {
        let state = State { chances, random: seed, ..Default::default() };
        Self(Arc::new(Mutex::new(state)))
    }

    /// Appends a fault (or none) to the script: each write takes the next.
    pub fn script(&self, fault: impl Into<Option<Fault>>) {
        self.with(|state| state.script.push_back(fault.into()));
    }

    /// Appends a fault (or none) to the script of commits, which goes before the
    /// script of writes.
    pub fn script_commit(&self, fault: impl Into<Option<Fault>>) {
        self.with(|state| state.commits.push_back(fault.into()));
    }

    pub fn set_chances(&self, chances: Chances) {
        self.with(|state| state.chances = chances);
    }

    /// Reading this run panics from now on; `None` stops that.
    pub fn poison(&self, run: Option<RunId>) {
        self.with(|state| state.poisoned = run);
    }

    /// The record of this NodeRun cannot be read from now on, but its head can;
    /// `None` stops that.
    pub fn damage(&self, node: Option<NodeRunId>) {
        self.with(|state| state.damaged = node);
    }

    /// The next `times` calls of this method panic.
    pub fn panic_in(&self, call: &'static str, times: u32) {
        self.with(|state| state.panics.insert(call, times));
    }

    /// The number of calls so far by the names of the methods.
    pub fn calls(&self) -> BTreeMap<String, u64> {
        self.with(|state| state.calls.clone())
    }

    fn called(&self, call: &str) {
        self.with(|state| *state.calls.entry(call.to_owned()).or_default() += 1);
    }

    fn panic_if_scripted(&self, call: &str) {
        let panics = self.with(|state| {
            let left = state.panics.get_mut(call).filter(|left| **left > 0);
            left.map(|left| *left -= 1).is_some()
        });
        assert!(!panics, "injected: {call} panics");
    }

    /// The number of faults injected so far.
    pub fn injected(&self) -> u64 {
        self.with(|state| state.injected)
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.0.lock())
    }

    fn for_commit(&self) -> Option<Fault> {
        self.with(|state| match state.commits.pop_front() {
            Some(scripted) => state.count(scripted),
            None => state.for_write(),
        })
    }

    fn for_write(&self) -> Option<Fault> {
        self.with(State::for_write)
    }

    async fn for_read(&self) -> Result<(), JournalError> {
        let (fail, delay) = self.with(|state| {
            let (fail, delay) = (state.hit(state.chances.fail_read), state.delay());
            state.injected += u64::from(fail) + u64::from(delay.is_some());
            (fail, delay)
        });
        wait(delay.unwrap_or(0)).await;
        if fail { Err(injected("the read failed")) } else { Ok(()) }
    }

    /// A read of more than a head.
    async fn for_record(&self, node: &NodeRunId) -> Result<(), JournalError> {
        self.for_read().await?;
        match self.with(|state| state.damaged.as_ref() == Some(node)) {
            true => Err(JournalError::Damaged(format!("injected: {node}"))),
            false => Ok(()),
        }
    }
}

impl State {
    fn for_write(&mut self) -> Option<Fault> {
        let fault = match self.script.pop_front() {
            Some(scripted) => scripted,
            None => self.draw(),
        };
        self.count(fault)
    }

    fn count(&mut self, fault: Option<Fault>) -> Option<Fault> {
        self.injected += u64::from(fault.is_some());
        fault
    }

    fn draw(&mut self) -> Option<Fault> {
        let Chances { fail_before, fail_after, twice, .. } = self.chances;
        // Every fault draws each time, so that the sequence depends on the seed only.
        let drawn = [(fail_before, Fault::FailBefore), (fail_after, Fault::FailAfter), (twice, Fault::Twice)]
            .map(|(chance, fault)| self.hit(chance).then_some(fault));
        let delay = self.delay().map(Fault::Delay);
        drawn.into_iter().flatten().next().or(delay)
    }

    fn delay(&mut self) -> Option<u32> {
        let times = self.next() % 8 + 1;
        self.hit(self.chances.delay).then_some(times as u32)
    }

    fn hit(&mut self, chance: f64) -> bool {
        // 53 bits are what a float between 0 and 1 can hold.
        ((self.next() >> 11) as f64 / (1u64 << 53) as f64) < chance
    }

    /// SplitMix64: short, and good enough to choose faults.
    fn next(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

fn injected(what: &str) -> JournalError {
    JournalError::Failed(format!("injected: {what}"))
}

async fn wait(times: u32) {
    for _ in 0..times {
        tokio::task::yield_now().await;
    }
}

/// `inner` behind `faults`.
pub struct Faulty<J> {
    inner: J,
    faults: Faults,
}

/// A journal that suffers the faults it is given.
pub type FaultyJournal<J> = Intercepted<Faulty<J>>;

impl<J: Inspect> FaultyJournal<J> {
    pub fn new(inner: J, faults: Faults) -> Self {
        Self(Faulty { inner, faults })
    }
}

/// Does a write that suffers `fault`.
async fn suffer<T, F: Future<Output = Result<T, JournalError>>>(
    fault: Option<Fault>,
    work: impl Fn() -> F,
) -> Result<T, JournalError> {
    match fault {
        None | Some(Fault::Twice) => work().await,
        Some(Fault::FailBefore) => Err(injected("nothing was written")),
        Some(Fault::FailAfter) => {
            work().await?;
            Err(injected("it was written"))
        }
        Some(Fault::Delay(times)) => {
            wait(times).await;
            work().await
        }
    }
}

impl<J: Inspect> Interceptor for Faulty<J> {
    type Inner = J;

    fn journal(&self) -> &J {
        &self.inner
    }

    async fn read<T: Send>(
        &self,
        call: &str,
        work: impl Future<Output = Result<T, JournalError>> + Send,
    ) -> Result<T, JournalError> {
        self.faults.called(call);
        self.faults.panic_if_scripted(call);
        self.faults.for_read().await?;
        work.await
    }

    async fn write<T: Send, F: Future<Output = Result<T, JournalError>> + Send>(
        &self,
        call: &str,
        work: impl Fn() -> F + Send + Sync,
    ) -> Result<T, JournalError> {
        self.faults.called(call);
        self.faults.panic_if_scripted(call);
        suffer(self.faults.for_write(), work).await
    }

    /// The only call that can be repeated: see [`Fault::Twice`].
    async fn commit(&self, change: ChangeSet) -> Result<Option<OutboxId>, JournalError> {
        self.faults.called("commit");
        let commit = || self.inner.commit(change.clone());
        match self.faults.for_commit() {
            Some(Fault::Twice) => {
                let first = commit().await;
                let _second = commit().await;
                first
            }
            fault @ (None | Some(Fault::FailBefore | Fault::FailAfter | Fault::Delay(_))) => {
                suffer(fault, commit).await
            }
        }
    }

    async fn run_fetch(&self, run: &RunId) -> Result<Option<RunRecord>, JournalError> {
        self.faults.called("run_fetch");
        self.faults.for_read().await?;
        let poisoned = self.faults.with(|state| state.poisoned.as_ref() == Some(run));
        assert!(!poisoned, "injected: this run is poison");
        self.inner.run_fetch(run).await
    }

    async fn node_fetch(&self, node: &NodeRunId) -> Result<Option<NodeRecord>, JournalError> {
        self.faults.called("node_fetch");
        self.faults.for_record(node).await?;
        self.inner.node_fetch(node).await
    }

    async fn node_fetch_bare(&self, node: &NodeRunId) -> Result<Option<NodeRecord>, JournalError> {
        self.faults.called("node_fetch_bare");
        self.faults.for_record(node).await?;
        self.inner.node_fetch_bare(node).await
    }
}

#[cfg(test)]
mod tests;
