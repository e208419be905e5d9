//! The backlog of one store: the entries that have been read and not been
//! accepted, by run. Answers wait here for the entries of their run.
//!
//! An entry is *settled* when the store has accepted it. Until the outbox has been
//! read as far as an entry, it counts as not settled.

use std::collections::{BTreeSet, HashMap};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::{journal::OutboxId, types::RunId};

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

#[derive(Default)]
struct Owed {
    /// The outbox was read up to here.
    read_to: OutboxId,
    entries: usize,
    /// The entries among them of runs that have a refused one.
    refused: usize,
    runs: HashMap<RunId, RunOwed>,
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
        *self.owed.lock() = Owed::default();
    }

    pub(super) fn read_to(&self) -> OutboxId {
        self.owed.lock().read_to
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

    /// Adds entries that were read, and with them the outbox up to `read_to`.
    pub(super) fn read<'a>(&self, entries: impl Iterator<Item = (&'a RunId, OutboxId)>, read_to: OutboxId) {
        {
            let owed = &mut *self.owed.lock();
            for (run, id) in entries {
                let of_run = owed.runs.entry(run.clone()).or_default();
                if of_run.ids.insert(id) {
                    owed.refused += usize::from(of_run.refused.is_some());
                    owed.entries += 1;
                }
            }
            owed.read_to = read_to;
        }
        self.progress.notify_waiters();
    }

    /// Removes entries that were accepted.
    pub(super) fn settle(&self, run: &RunId, ids: &[OutboxId]) {
        {
            let owed = &mut *self.owed.lock();
            if let Some(of_run) = owed.runs.get_mut(run) {
                let settled = ids.iter().filter(|id| of_run.ids.remove(id)).count();
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
            }
        }
        self.progress.notify_waiters();
    }

    /// Whether everything of this run up to `id` is settled.
    pub(super) fn is_settled(&self, run: &RunId, id: OutboxId) -> bool {
        let owed = self.owed.lock();
        let first = owed.runs.get(run).and_then(|of_run| of_run.ids.first());
        owed.read_to >= id && first.is_none_or(|&first| first > id)
    }

    /// Whether the run has a refused entry.
    pub(super) fn is_refused(&self, run: &RunId) -> bool {
        self.owed.lock().runs.get(run).is_some_and(|of_run| of_run.refused.is_some())
    }

    /// Waits until everything of this run up to `id` is settled.
    pub(super) async fn settled(&self, run: &RunId, id: OutboxId) {
        loop {
            // Registered before the check, so that no change is missed.
            let progress = self.progress.notified();
            tokio::pin!(progress);
            progress.as_mut().enable();
            if self.is_settled(run, id) {
                return;
            }
            progress.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn run_is_settled_up_to_its_first_owed_entry() {
        let (a, b) = (RunId::from("a"), RunId::from("b"));
        let backlog = Backlog::default();
        let id = OutboxId;
        assert!(backlog.is_settled(&a, id(0)) && !backlog.is_settled(&a, id(1)));

        backlog.read([(&a, id(2)), (&a, id(4)), (&b, id(5))].into_iter(), id(7));
        for (run, upto, settled) in
            [(&a, 1, true), (&a, 2, false), (&a, 7, false), (&b, 4, true), (&b, 5, false), (&b, 8, false)]
        {
            assert_eq!(backlog.is_settled(run, id(upto)), settled, "{run} {upto}");
        }
        assert_eq!((backlog.entries(), backlog.read_to()), (3, id(7)));

        backlog.settle(&a, &[id(2), id(2), id(9)]);
        assert!(backlog.is_settled(&a, id(3)) && !backlog.is_settled(&a, id(4)));
        backlog.refuse(&a, "no room");
        assert_eq!(backlog.refused(), Some((1, "no room".into())));
        assert_eq!((backlog.is_refused(&a), backlog.is_refused(&b)), (true, false));
        backlog.settle(&a, &[id(4)]);
        assert_eq!((backlog.entries(), backlog.refused()), (1, None));
    }

    #[test]
    fn refused_entries_take_no_room_from_other_runs() {
        let (poison, sound) = (RunId::from("poison"), RunId::from("sound"));
        let backlog = Backlog::default();
        let read = |run: &RunId, ids: std::ops::Range<u64>| {
            let end = OutboxId(ids.end);
            backlog.read(ids.map(|id| (run, OutboxId(id))), end);
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
        let mut waits = Box::pin(backlog.settled(&run, OutboxId(2)));
        assert!(waits.as_mut().now_or_never().is_none(), "it has not been read");
        backlog.read([(&run, OutboxId(1))].into_iter(), OutboxId(2));
        assert!(waits.as_mut().now_or_never().is_none(), "it is owed");
        backlog.settle(&run, &[OutboxId(1)]);
        assert!(waits.now_or_never().is_some());
    }
}
