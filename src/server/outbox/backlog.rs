//! The backlog of one store: the entries that have been read and not been
//! accepted, by run. Answers wait here for the entries of their run.
//!
//! An entry is *settled* when the store has accepted it. What is committed counts as not
//! settled until the outbox has been read to its end since then: the ids of entries do
//! not say whether one below them has yet to appear.
//!
//! The *age* of the backlog is that of its first entry: for how long this process knows
//! of it. Entries of runs that have a refused one are left out, because they may stay.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::{journal::OutboxId, time::Timestamp, types::RunId};

/// The maximum number of entries in memory, without those of runs that have a
/// refused entry: they may stay for a long time, and others must not wait for
/// that.
const ENTRIES_MAX: usize = 20_000;
/// The maximum including those.
const ENTRIES_MAX_WITH_REFUSED: usize = 100_000;

#[derive(Default)]
pub(super) struct Backlog {
    owed: Mutex<Owed>,
    /// Notified when entries are settled or read.
    progress: Notify,
}

/// A moment in the life of a backlog. What was committed before it has been read once a
/// reading has reached the end that began after it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(u64);

#[derive(Default)]
struct Owed {
    now: Moment,
    /// When entries were last announced: their commit was before that, and a reading
    /// follows.
    announced: Moment,
    /// When the last reading began that reached the end.
    read: Moment,
    entries: usize,
    /// The entries among them of runs that have a refused one.
    refused: usize,
    runs: HashMap<RunId, RunOwed>,
    /// When the entries were read, without those of runs that have a refused one.
    since: BTreeMap<OutboxId, Timestamp>,
}

#[derive(Default)]
struct RunOwed {
    ids: BTreeSet<OutboxId>,
    /// Why an entry of this run was refused. It is retried.
    refused: Option<String>,
}

impl Backlog {
    /// Whether more entries may be read.
    pub(super) fn has_room(&self) -> bool {
        let owed = self.owed.lock();
        owed.entries - owed.refused < ENTRIES_MAX && owed.entries < ENTRIES_MAX_WITH_REFUSED
    }

    /// Forgets everything, for a pump that starts or restarts.
    pub(super) fn reset(&self) {
        let owed = &mut *self.owed.lock();
        *owed = Owed { now: owed.now, announced: owed.announced, ..Owed::default() };
    }

    /// Notes that the outbox has, or may have, new entries.
    pub(super) fn announce(&self) {
        let owed = &mut *self.owed.lock();
        owed.announced = owed.tick();
    }

    pub(super) fn now(&self) -> Moment {
        self.owed.lock().now
    }

    /// Begins a reading of the outbox.
    pub(super) fn begin_reading(&self) -> Moment {
        self.owed.lock().tick()
    }

    /// The number of entries that have been read and not been settled.
    pub(super) fn entries(&self) -> usize {
        self.owed.lock().entries
    }

    /// The number of runs with a refused entry, and the reason of one of them.
    pub(super) fn refused(&self) -> Option<(usize, String)> {
        let owed = self.owed.lock();
        let mut reasons = owed.runs.values().filter_map(|of_run| of_run.refused.as_ref());
        let reason = reasons.next()?.clone();
        Some((1 + reasons.count(), reason))
    }

    /// Since when the first entry is owed, without those of runs that have a refused one.
    pub(super) fn oldest(&self) -> Option<Timestamp> {
        self.owed.lock().oldest()
    }

    /// Adds entries that were read `at` this time. `whole`: when the reading began, if it
    /// has reached the end.
    pub(super) fn read<'a>(
        &self,
        entries: impl Iterator<Item = (&'a RunId, OutboxId)>,
        whole: Option<Moment>,
        at: Timestamp,
    ) {
        {
            let owed = &mut *self.owed.lock();
            for (run, id) in entries {
                let of_run = owed.runs.entry(run.clone()).or_default();
                if of_run.ids.insert(id) {
                    owed.entries += 1;
                    if of_run.refused.is_some() {
                        owed.refused += 1;
                    } else {
                        owed.since.insert(id, at);
                    }
                }
            }
            owed.read = whole.unwrap_or(owed.read);
        }
        self.progress.notify_waiters();
    }

    /// Removes entries that were accepted.
    pub(super) fn settle(&self, run: &RunId, ids: &[OutboxId]) {
        {
            let owed = &mut *self.owed.lock();
            if let Some(of_run) = owed.runs.get_mut(run) {
                let settled = ids.iter().filter(|id| of_run.ids.remove(id)).count();
                for id in ids {
                    owed.since.remove(id);
                }
                owed.entries -= settled;
                if of_run.refused.is_some() {
                    owed.refused -= settled;
                }
                if of_run.ids.is_empty() {
                    owed.runs.remove(run);
                }
            }
        }
        self.progress.notify_waiters();
    }

    /// Notes that an entry of this run was refused.
    pub(super) fn refuse(&self, run: &RunId, reason: &str) {
        {
            let owed = &mut *self.owed.lock();
            if let Some(of_run) = owed.runs.get_mut(run)
                && of_run.refused.replace(reason.into()).is_none()
            {
                owed.refused += of_run.ids.len();
                for id in &of_run.ids {
                    owed.since.remove(id);
                }
            }
        }
        self.progress.notify_waiters();
    }

    /// Whether everything of this run up to `id`, which was committed before `moment`, is
    /// settled.
    pub(super) fn is_settled(&self, run: &RunId, id: OutboxId, moment: Moment) -> bool {
        let owed = self.owed.lock();
        let first = owed.runs.get(run).and_then(|of_run| of_run.ids.first());
        owed.read > moment && first.is_none_or(|&first| first > id)
    }

    /// Whether the run has a refused entry.
    pub(super) fn is_refused(&self, run: &RunId) -> bool {
        self.owed.lock().runs.get(run).is_some_and(|of_run| of_run.refused.is_some())
    }

    /// Waits until everything of this run up to `id`, which has been announced, is
    /// settled, or the [oldest](Self::oldest) entry `is_young` again.
    pub(super) async fn settled(
        &self,
        run: &RunId,
        id: OutboxId,
        is_young: impl Fn(Option<Timestamp>) -> bool,
    ) {
        let announced = self.owed.lock().announced;
        loop {
            // Registered before the check, so that no change is missed.
            let progress = self.progress.notified();
            tokio::pin!(progress);
            progress.as_mut().enable();
            if self.is_settled(run, id, announced) || is_young(self.oldest()) {
                return;
            }
            progress.await;
        }
    }
}

impl Owed {
    fn oldest(&self) -> Option<Timestamp> {
        self.since.first_key_value().map(|(_, &since)| since)
    }

    fn tick(&mut self) -> Moment {
        self.now.0 += 1;
        self.now
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(1_000_000);

    #[test]
    fn age_is_that_of_the_first_entry_that_nothing_refuses() {
        let (poison, a, b) = (RunId::from("poison"), RunId::from("a"), RunId::from("b"));
        let backlog = Backlog::default();
        let at = |second: i64| Timestamp::from_micros(second * 1_000_000);
        assert_eq!(backlog.oldest(), None);
        for (second, run) in [(1_i64, &poison), (2, &a), (3, &b), (4, &a)] {
            let id = OutboxId(second.unsigned_abs());
            backlog.read([(run, id)].into_iter(), None, at(second));
        }
        assert_eq!(backlog.oldest(), Some(at(1)));
        backlog.refuse(&poison, "damaged");
        backlog.read([(&poison, OutboxId(0))].into_iter(), None, at(5));
        assert_eq!(backlog.oldest(), Some(at(2)), "a refused entry may stay");
        backlog.settle(&a, &[OutboxId(2)]);
        assert_eq!(backlog.oldest(), Some(at(3)));
        backlog.settle(&b, &[OutboxId(3)]);
        backlog.settle(&poison, &[OutboxId(0), OutboxId(1)]);
        assert_eq!(backlog.oldest(), Some(at(4)));
        backlog.settle(&a, &[OutboxId(4)]);
        assert_eq!((backlog.oldest(), backlog.entries()), (None, 0));
    }

    #[test]
    fn run_is_settled_up_to_its_first_owed_entry() {
        let (a, b) = (RunId::from("a"), RunId::from("b"));
        let backlog = Backlog::default();
        let id = OutboxId;
        let is_settled = |run: &RunId, upto| backlog.is_settled(run, id(upto), Moment::default());
        assert!(!is_settled(&a, 0), "it has not been read");
        let whole = backlog.begin_reading();
        backlog.read([(&a, id(2)), (&a, id(4)), (&b, id(5))].into_iter(), Some(whole), NOW);
        for (run, upto, settled) in
            [(&a, 1, true), (&a, 2, false), (&a, 9, false), (&b, 4, true), (&b, 5, false)]
        {
            assert_eq!(is_settled(run, upto), settled, "{run} {upto}");
        }
        assert_eq!(backlog.entries(), 3);

        backlog.settle(&a, &[id(2), id(2), id(9)]);
        assert!(is_settled(&a, 3) && !is_settled(&a, 4));
        backlog.refuse(&a, "no room");
        assert_eq!(backlog.refused(), Some((1, "no room".into())));
        assert_eq!((backlog.is_refused(&a), backlog.is_refused(&b)), (true, false));
        backlog.settle(&a, &[id(4)]);
        assert_eq!((backlog.entries(), backlog.refused()), (1, None));
        backlog.reset();
        assert!(!is_settled(&a, 0), "it has to be read again");
    }

    #[test]
    fn only_a_whole_reading_from_later_on_says_that_nothing_is_owed() {
        let run = RunId::from("a");
        let backlog = Backlog::default();
        let too_early = backlog.begin_reading();
        backlog.announce();
        let moment = backlog.now();
        let is_settled = || backlog.is_settled(&run, OutboxId(1), moment);
        backlog.read([].into_iter(), Some(too_early), NOW);
        assert!(!is_settled(), "the commit may have come after the reading began");
        let later = backlog.begin_reading();
        backlog.read([].into_iter(), None, NOW);
        assert!(!is_settled(), "the reading has not reached the end");
        backlog.read([].into_iter(), Some(later), NOW);
        assert!(is_settled());
    }

    #[test]
    fn refused_entries_take_no_room_from_other_runs() {
        let (poison, sound) = (RunId::from("poison"), RunId::from("sound"));
        let backlog = Backlog::default();
        let read = |run: &RunId, ids: std::ops::Range<u64>| {
            backlog.read(ids.map(|id| (run, OutboxId(id))), None, NOW);
        };
        let many = ENTRIES_MAX as u64;
        read(&poison, 0..many);
        assert!(!backlog.has_room());
        backlog.refuse(&poison, "damaged");
        backlog.refuse(&poison, "damaged");
        assert!(backlog.has_room());
        // Later entries of the run, and settled ones, are counted correctly.
        read(&poison, many..2 * many);
        backlog.settle(&poison, &[OutboxId(0), OutboxId(0)]);
        read(&sound, 2 * many..3 * many - 1);
        assert!(backlog.has_room());
        read(&sound, 3 * many..3 * many + 1);
        assert!(!backlog.has_room());
        // Refused entries are bounded too.
        backlog.refuse(&sound, "damaged");
        read(&poison, 4 * many..6 * many);
        assert_eq!((backlog.entries(), backlog.has_room()), (5 * ENTRIES_MAX - 1, true));
        read(&poison, 6 * many..6 * many + 1);
        assert!(!backlog.has_room());
        backlog.reset();
        assert_eq!((backlog.entries(), backlog.has_room(), backlog.refused()), (0, true, None));
    }

    #[test]
    fn waiters_wake_when_entries_are_read_or_settled() {
        let run = RunId::from("a");
        let backlog = Backlog::default();
        backlog.announce();
        let mut waits = Box::pin(backlog.settled(&run, OutboxId(2), |_| false));
        assert!(waits.as_mut().now_or_never().is_none(), "it has not been read");
        let whole = backlog.begin_reading();
        backlog.read([(&run, OutboxId(1))].into_iter(), Some(whole), NOW);
        assert!(waits.as_mut().now_or_never().is_none(), "it is owed");
        let mut bears = Box::pin(backlog.settled(&run, OutboxId(1), |oldest| oldest.is_none()));
        assert!(bears.as_mut().now_or_never().is_none(), "the backlog is old");
        backlog.refuse(&run, "damaged");
        assert!(bears.now_or_never().is_some(), "it is young without it");
        assert!(waits.as_mut().now_or_never().is_none(), "the entry is owed still");
        backlog.settle(&run, &[OutboxId(1)]);
        assert!(waits.now_or_never().is_some());
    }
}
