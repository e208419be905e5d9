//! A store that misbehaves on purpose, for tests: [`FaultyJournal`] puts faults
//! between a caller and any other store.
//!
//! The faults are those that a real journal can show to its callers:
//!
//! ```text
//!   FailBefore   error ── nothing happened
//!   FailAfter    done ─── error all the same: the answer was lost
//!   Twice        done ─── done again: somebody repeated what had arrived
//!   Delay        ……… ──── done, later: others go first
//! ```
//!
//! [`Faults`] says which come when: a script for the next writes, or chances
//! drawn from a seed, so that a failure can be had again.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use async_trait::async_trait;
use parking_lot::Mutex;

use super::{
    Counts, EventPage, Journal, JournalError, OutboxId, OutboxPage, OwnedWake, PageLimit, Parked, Recipient,
    Room, Want,
};
use crate::{
    record::{AttemptRecord, ChangeSet, Job, NodeHead, NodePath, NodeRecord, RunRecord},
    time::Timestamp,
    types::{NodeRunId, RunId, WorkerId},
};

/// What goes wrong with one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    FailBefore,
    FailAfter,
    /// Only commits are done twice; for anything else it means nothing. The
    /// caller gets the first answer.
    Twice,
    /// Lets others go first, so many times.
    Delay(u32),
}

/// How often each fault comes, from 0 (never) to 1 (always).
#[derive(Clone, Copy, Debug, Default)]
pub struct Chances {
    pub fail_before: f64,
    pub fail_after: f64,
    pub twice: f64,
    pub delay: f64,
    /// Of a read, which can only fail.
    pub fail_read: f64,
}

/// Which faults come when. Clones share everything, so a test keeps one and
/// gives the store another.
#[derive(Clone, Default)]
pub struct Faults(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    script: VecDeque<Option<Fault>>,
    /// The same for commits alone.
    commits: VecDeque<Option<Fault>>,
    chances: Chances,
    random: u64,
    injected: u64,
    /// Reading this run panics: so would a rule that it breaks.
    poisoned: Option<RunId>,
    /// The record of this NodeRun cannot be read.
    damaged: Option<NodeRunId>,
    /// By name of a call: so often it panics.
    panics: BTreeMap<&'static str, u32>,
}

impl Faults {
    /// None until something is said.
    pub fn none() -> Self {
        Self::default()
    }

    /// The same seed and the same order of calls give the same faults.
    pub fn seeded(seed: u64, chances: Chances) -> Self {
        let state = State { chances, random: seed, ..Default::default() };
        Self(Arc::new(Mutex::new(state)))
    }

    /// The next write that nothing is scripted for suffers this (or nothing).
    pub fn script(&self, fault: impl Into<Option<Fault>>) {
        self.with(|state| state.script.push_back(fault.into()));
    }

    /// The next commit that nothing is scripted for suffers this; other writes
    /// do not.
    pub fn script_commit(&self, fault: impl Into<Option<Fault>>) {
        self.with(|state| state.commits.push_back(fault.into()));
    }

    pub fn set_chances(&self, chances: Chances) {
        self.with(|state| state.chances = chances);
    }

    /// Reading this run panics from now on, or none does.
    pub fn poison(&self, run: Option<RunId>) {
        self.with(|state| state.poisoned = run);
    }

    /// The record of this NodeRun cannot be read from now on, but its head can;
    /// or each can.
    pub fn damage(&self, node: Option<NodeRunId>) {
        self.with(|state| state.damaged = node);
    }

    /// The next `times` calls of this name panic.
    pub fn panic_in(&self, call: &'static str, times: u32) {
        self.with(|state| state.panics.insert(call, times));
    }

    fn perhaps_panic(&self, call: &'static str) {
        let panics = self.with(|state| {
            let left = state.panics.get_mut(call).filter(|left| **left > 0);
            left.map(|left| *left -= 1).is_some()
        });
        assert!(!panics, "injected: {call} panics");
    }

    /// How many faults there were.
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

    /// Of more than a head.
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
        // Each draws in turn, so that the sequence depends on the seed only.
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

/// `inner`, with `faults`.
pub struct FaultyJournal<S> {
    inner: S,
    faults: Faults,
}

impl<S: Journal> FaultyJournal<S> {
    pub fn new(inner: S, faults: Faults) -> Self {
        Self { inner, faults }
    }

    /// Does a write, with whatever fault is due.
    async fn write<T>(&self, work: impl AsyncFnOnce() -> Result<T, JournalError>) -> Result<T, JournalError> {
        Self::suffer(self.faults.for_write(), work).await
    }

    async fn suffer<T>(
        fault: Option<Fault>,
        work: impl AsyncFnOnce() -> Result<T, JournalError>,
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
}

#[async_trait]
impl<S: Journal> Journal for FaultyJournal<S> {
    async fn commit(&self, change: ChangeSet) -> Result<Option<OutboxId>, JournalError> {
        let fault = self.faults.for_commit();
        if fault == Some(Fault::Twice) {
            let first = self.inner.commit(change.clone()).await;
            let _second = self.inner.commit(change).await;
            return first;
        }
        Self::suffer(fault, async || self.inner.commit(change).await).await
    }

    fn room(&self) -> Room {
        self.inner.room()
    }

    async fn run_fetch(&self, run: &RunId) -> Result<Option<RunRecord>, JournalError> {
        self.faults.for_read().await?;
        let poisoned = self.faults.with(|state| state.poisoned.as_ref() == Some(run));
        assert!(!poisoned, "injected: this run is poison");
        self.inner.run_fetch(run).await
    }

    async fn node_fetch(&self, node: &NodeRunId) -> Result<Option<NodeRecord>, JournalError> {
        self.faults.for_record(node).await?;
        self.inner.node_fetch(node).await
    }

    async fn node_fetch_bare(&self, node: &NodeRunId) -> Result<Option<NodeRecord>, JournalError> {
        self.faults.for_record(node).await?;
        self.inner.node_fetch_bare(node).await
    }

    async fn head_fetch(&self, node: &NodeRunId) -> Result<Option<NodeHead>, JournalError> {
        self.faults.for_read().await?;
        self.inner.head_fetch(node).await
    }

    async fn nodes_live(&self, run: &RunId, under: Option<&NodePath>) -> Result<Vec<NodeHead>, JournalError> {
        self.faults.for_read().await?;
        self.inner.nodes_live(run, under).await
    }

    async fn node_has_live_below(&self, run: &RunId, node: &NodePath) -> Result<bool, JournalError> {
        self.faults.for_read().await?;
        self.inner.node_has_live_below(run, node).await
    }

    async fn events_after(
        &self,
        run: &RunId,
        after: u64,
        within: Option<&NodePath>,
        limit: PageLimit,
    ) -> Result<EventPage, JournalError> {
        self.faults.for_read().await?;
        self.inner.events_after(run, after, within, limit).await
    }

    async fn attempts_list(&self, node: &NodeRunId) -> Result<Vec<AttemptRecord>, JournalError> {
        self.faults.for_read().await?;
        self.inner.attempts_list(node).await
    }

    async fn wakes_claim(
        &self,
        owner: &WorkerId,
        now: Timestamp,
        want: &Want,
    ) -> Result<Vec<NodeHead>, JournalError> {
        self.faults.perhaps_panic("wakes_claim");
        self.write(async || self.inner.wakes_claim(owner, now, want).await).await
    }

    async fn wakes_owned(
        &self,
        owner: &WorkerId,
        jobs: &[Job],
        since: Timestamp,
    ) -> Result<Vec<OwnedWake>, JournalError> {
        self.faults.for_read().await?;
        self.inner.wakes_owned(owner, jobs, since).await
    }

    async fn wake_next(&self, after: Timestamp) -> Result<Option<Timestamp>, JournalError> {
        self.faults.for_read().await?;
        self.inner.wake_next(after).await
    }

    async fn runs_overdue(&self, now: Timestamp, limit: u32) -> Result<Vec<RunId>, JournalError> {
        self.faults.for_read().await?;
        self.inner.runs_overdue(now, limit).await
    }

    async fn owner_renew(&self, owner: &WorkerId, until: Timestamp) -> Result<(), JournalError> {
        self.write(async || self.inner.owner_renew(owner, until).await).await
    }

    async fn owners_expire(&self, now: Timestamp) -> Result<u64, JournalError> {
        self.faults.perhaps_panic("owners_expire");
        self.write(async || self.inner.owners_expire(now).await).await
    }

    async fn owner_release(&self, owner: &WorkerId, now: Timestamp) -> Result<(), JournalError> {
        self.write(async || self.inner.owner_release(owner, now).await).await
    }

    async fn park(&self, item: Parked) -> Result<(), JournalError> {
        self.write(async || self.inner.park(item).await).await
    }

    async fn parked_list(&self, limit: u32) -> Result<Vec<Parked>, JournalError> {
        self.faults.for_read().await?;
        self.inner.parked_list(limit).await
    }

    async fn time_newest(&self) -> Result<Option<Timestamp>, JournalError> {
        self.faults.for_read().await?;
        self.inner.time_newest().await
    }

    async fn runs_prune(&self, finished_before: Timestamp, limit: u32) -> Result<u64, JournalError> {
        self.faults.perhaps_panic("runs_prune");
        self.write(async || self.inner.runs_prune(finished_before, limit).await).await
    }

    async fn counts(&self, now: Timestamp) -> Result<Counts, JournalError> {
        self.faults.for_read().await?;
        self.inner.counts(now).await
    }

    async fn secret(&self, name: &str, fresh: Vec<u8>) -> Result<Vec<u8>, JournalError> {
        self.write(async || self.inner.secret(name, fresh).await).await
    }

    async fn outbox_after(
        &self,
        recipient: Recipient,
        after: OutboxId,
        limit: u32,
    ) -> Result<OutboxPage, JournalError> {
        self.faults.perhaps_panic("outbox_after");
        self.faults.for_read().await?;
        self.inner.outbox_after(recipient, after, limit).await
    }

    async fn outbox_ack(&self, ids: &[OutboxId]) -> Result<(), JournalError> {
        self.write(async || self.inner.outbox_ack(ids).await).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{
        conformance::{Probe, Specimen, at, change, ended, event, node, nodes, run, run_ended, start},
        sqlite::tests::{Directory, open},
    };

    /// A store that works, with faults in front of it.
    fn faulty(faults: Faults) -> (Arc<dyn Journal>, Directory) {
        let directory = Directory::new();
        let journal = FaultyJournal::new(open(directory.file("j.db")), faults);
        (Arc::new(journal), directory)
    }

    mod delays_are_transparent {
        use super::*;

        crate::conformance_tests!(async || {
            let faults = Faults::seeded(7, Chances { delay: 0.5, ..Chances::default() });
            let (journal, directory) = faulty(faults);
            Specimen { journal, reopen: None, guard: Box::new(directory) }
        });
    }

    /// What arrives a second time changes nothing, and nobody is told of it.
    mod repeated_commits_are_transparent {
        use super::*;

        crate::conformance_tests!(async || {
            let faults = Faults::seeded(7, Chances { twice: 1.0, ..Chances::default() });
            let (journal, directory) = faulty(faults);
            Specimen { journal, reopen: None, guard: Box::new(directory) }
        });
    }

    #[tokio::test]
    async fn the_whole_suite_can_be_run_at_once() {
        crate::journal::conformance::all(async || {
            let (journal, directory) = faulty(Faults::none());
            Specimen { journal, reopen: None, guard: Box::new(directory) }
        })
        .await;
    }

    #[tokio::test]
    async fn a_failure_before_leaves_nothing() {
        let faults = Faults::none();
        let (journal, _directory) = faulty(faults.clone());
        let probe = Probe(journal);
        faults.script(Fault::FailBefore);
        let error = probe.refused(start("a")).await;
        assert_eq!(error, JournalError::Failed("injected: nothing was written".into()));
        assert_eq!((probe.run("a").await, probe.node("a", "1").await), (None, None));
        assert!(probe.owed().await.is_empty());
        // So the same can be done again.
        probe.commit(start("a")).await;
        assert_eq!(faults.injected(), 1);
    }

    #[tokio::test]
    async fn a_failure_after_leaves_everything() {
        let faults = Faults::none();
        let (journal, _directory) = faulty(faults.clone());
        let probe = Probe(journal);
        faults.script(Fault::FailAfter);
        let error = probe.refused(start("a")).await;
        assert_eq!(error, JournalError::Failed("injected: it was written".into()));
        assert_eq!(probe.run("a").await.map(|run| run.version), Some(1));
        assert_eq!(probe.live("a", None).await, ["1"]);
        assert_eq!(probe.owed().await.len(), 3);
        // Whoever tries again finds out: not twice.
        assert_eq!(probe.refused(start("a")).await, JournalError::Conflict);

        faults.script(Fault::FailAfter);
        let owner = "me".into();
        let claim = probe
            .0
            .wakes_claim(&owner, Timestamp::from_micros(1000), &Want { limit: 10, ..Want::default() })
            .await;
        assert!(claim.is_err());
        let owned = probe.node("a", "1").await.and_then(|node| node.wake).and_then(|wake| wake.owner);
        assert_eq!(owned, Some(owner));
    }

    fn parked(until: i64) -> Parked {
        Parked {
            run_id: "a".into(),
            node_run_id: Some("a/1".into()),
            job: "dispatch".into(),
            error: "it failed".into(),
            since: at(1),
            until: at(until),
        }
    }

    #[tokio::test]
    async fn parking_that_fails_has_parked_or_not_and_can_be_repeated() {
        let faults = Faults::none();
        let (journal, _directory) = faulty(faults.clone());
        let probe = Probe(journal);
        probe.commit(start("a")).await;
        faults.script(Fault::FailBefore);
        assert!(probe.0.park(parked(500)).await.is_err());
        assert_eq!(probe.0.parked_list(10).await, Ok(Vec::new()));
        assert_eq!(probe.node("a", "1").await.map(|node| node.version), Some(1));
        faults.script(Fault::FailAfter);
        assert!(probe.0.park(parked(500)).await.is_err());
        assert_eq!(probe.0.parked_list(10).await, Ok(vec![parked(500)]));
        // Nobody claims it before its time, whatever its owner believes.
        assert!(probe.claim(&"me".into(), 499, 10).await.is_empty());
        probe.0.park(parked(600)).await.expect("it can be parked");
        assert_eq!(probe.0.parked_list(10).await, Ok(vec![parked(600)]));
        faults.set_chances(Chances { fail_read: 1.0, ..Chances::default() });
        assert!(probe.0.parked_list(10).await.is_err() && probe.0.time_newest().await.is_err());
    }

    #[tokio::test]
    async fn forgetting_that_fails_has_forgotten_whole_runs_or_nothing() {
        let faults = Faults::none();
        let (journal, _directory) = faulty(faults.clone());
        let probe = Probe(journal);
        let over =
            ChangeSet { run: Some(run_ended(run("a"))), nodes: vec![ended(node("a", "1"))], ..start("a") };
        probe.commit(over).await;
        let owed: Vec<_> = probe.owed().await.iter().map(|entry| entry.id).collect();
        probe.0.outbox_ack(&owed).await.expect("acknowledged");
        faults.script(Fault::FailBefore);
        assert!(probe.0.runs_prune(at(100), 10).await.is_err());
        assert!(probe.run("a").await.is_some() && probe.node("a", "1").await.is_some());
        faults.script(Fault::FailAfter);
        assert!(probe.0.runs_prune(at(100), 10).await.is_err());
        assert!(probe.run("a").await.is_none() && probe.node("a", "1").await.is_none());
        assert_eq!(probe.0.runs_prune(at(100), 10).await, Ok(0), "and again, which is nothing");
    }

    #[tokio::test]
    async fn a_commit_that_arrives_twice_counts_once() {
        let faults = Faults::none();
        let (journal, _directory) = faulty(faults.clone());
        let probe = Probe(journal);
        faults.script(Fault::Twice);
        probe.commit(start("a")).await;
        let (root, whole) = (probe.node("a", "1").await.expect("stored"), probe.run("a").await);
        faults.script(Fault::Twice);
        probe.commit(ChangeSet { run: whole, events: vec![event("a", 2, None)], ..change("a") }).await;
        faults.script(Fault::Twice);
        probe.commit(nodes("a", vec![ended(root), node("a", "1.2")])).await;
        assert_eq!(probe.run("a").await, Some(RunRecord { version: 2, last_seq: 1, ..run("a") }));
        assert_eq!(probe.node("a", "1").await.map(|node| node.version), Some(2));
        assert_eq!(probe.owed().await.len(), 7);
    }

    #[tokio::test]
    async fn a_seed_gives_the_same_faults_again() {
        let chances =
            Chances { fail_before: 0.2, fail_after: 0.2, twice: 0.2, delay: 0.2, ..Default::default() };
        let draw = |seed| {
            let faults = Faults::seeded(seed, chances);
            (0..200).map(|_| faults.for_write()).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        for wanted in [None, Some(Fault::FailBefore), Some(Fault::FailAfter), Some(Fault::Twice)] {
            assert!(draw(1).contains(&wanted), "{wanted:?} never came");
        }
        let (journal, _directory) =
            faulty(Faults::seeded(1, Chances { fail_read: 1.0, ..Default::default() }));
        assert!(journal.wake_next(Timestamp::from_micros(0)).await.is_err());
    }
}
