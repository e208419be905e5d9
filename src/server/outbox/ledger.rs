//! What is still owed to one store, run by run: who waits for a run to be
//! accepted asks here.
//!
//! An entry is *settled* when the store has accepted it. Until the outbox has
//! been read as far as an entry, it counts as not settled.

use std::collections::{BTreeSet, HashMap};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

use crate::{journal::OutboxId, types::RunId};

/// Entries of one store in memory at most, but for those of runs of which
/// something was refused: they may stay for long, and the others must not wait
/// for that.
const IN_MEMORY: usize = 20_000;
/// With those.
const IN_MEMORY_WITH_REFUSED: usize = 100_000;

#[derive(Default)]
pub(super) struct Ledger {
    debts: Mutex<Debts>,
    /// Something was settled, or read.
    progress: Notify,
}

#[derive(Default)]
struct Debts {
    /// The outbox was read up to here.
    read_to: OutboxId,
    entries: usize,
    /// Those of them that are of runs of which something was refused.
    refused: usize,
    runs: HashMap<RunId, Debt>,
}

#[derive(Default)]
struct Debt {
    ids: BTreeSet<OutboxId>,
    /// Why the store did not want something of this run. It is tried again.
    refused: Option<String>,
}

impl Ledger {
    fn debts(&self) -> MutexGuard<'_, Debts> {
        self.debts.lock()
    }

    /// There may be more in memory.
    pub(super) fn has_room(&self) -> bool {
        let debts = self.debts();
        debts.entries - debts.refused < IN_MEMORY && debts.entries < IN_MEMORY_WITH_REFUSED
    }

    /// Nothing is known, and nothing was read: for a lane that begins, or
    /// begins again.
    pub(super) fn begin(&self) {
        *self.debts() = Debts::default();
    }

    pub(super) fn read_to(&self) -> OutboxId {
        self.debts().read_to
    }

    /// Entries that are owed, as far as the outbox was read.
    pub(super) fn entries(&self) -> usize {
        self.debts().entries
    }

    /// Runs of which something was refused and is still owed: how many, and
    /// why one of them.
    pub(super) fn refused(&self) -> Option<(usize, String)> {
        let debts = self.debts();
        let mut reasons = debts.runs.values().filter_map(|debt| debt.refused.as_ref());
        let reason = reasons.next()?.clone();
        Some((1 + reasons.count(), reason))
    }

    /// These were read, and with them the outbox up to `read_to`.
    pub(super) fn read<'a>(&self, entries: impl Iterator<Item = (&'a RunId, OutboxId)>, read_to: OutboxId) {
        {
            let debts = &mut *self.debts();
            for (run, id) in entries {
                let debt = debts.runs.entry(run.clone()).or_default();
                if debt.ids.insert(id) {
                    debts.refused += usize::from(debt.refused.is_some());
                    debts.entries += 1;
                }
            }
            debts.read_to = read_to;
        }
        self.progress.notify_waiters();
    }

    pub(super) fn settle(&self, run: &RunId, ids: &[OutboxId]) {
        {
            let debts = &mut *self.debts();
            if let Some(debt) = debts.runs.get_mut(run) {
                let settled = ids.iter().filter(|id| debt.ids.remove(id)).count();
                debts.entries -= settled;
                if debt.refused.is_some() {
                    debts.refused -= settled;
                }
                if debt.ids.is_empty() {
                    debts.runs.remove(run);
                }
            }
        }
        self.progress.notify_waiters();
    }

    pub(super) fn refuse(&self, run: &RunId, reason: &str) {
        {
            let debts = &mut *self.debts();
            if let Some(debt) = debts.runs.get_mut(run)
                && debt.refused.replace(reason.into()).is_none()
            {
                debts.refused += debt.ids.len();
            }
        }
        self.progress.notify_waiters();
    }

    /// Nothing of this run up to `id` is owed any more.
    pub(super) fn is_settled(&self, run: &RunId, id: OutboxId) -> bool {
        let debts = self.debts();
        let owed = debts.runs.get(run).and_then(|debt| debt.ids.first());
        debts.read_to >= id && owed.is_none_or(|&first| first > id)
    }

    /// Something of this run was refused and is still owed.
    pub(super) fn is_refused(&self, run: &RunId) -> bool {
        self.debts().runs.get(run).is_some_and(|debt| debt.refused.is_some())
    }

    /// Waits until nothing of this run up to `id` is owed any more.
    pub(super) async fn settled(&self, run: &RunId, id: OutboxId) {
        loop {
            // Before looking: what happens after that wakes us.
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
    fn a_run_is_settled_up_to_its_first_debt_and_not_beyond_what_was_read() {
        let (a, b) = (RunId::from("a"), RunId::from("b"));
        let ledger = Ledger::default();
        let id = OutboxId;
        assert!(ledger.is_settled(&a, id(0)) && !ledger.is_settled(&a, id(1)));

        ledger.read([(&a, id(2)), (&a, id(4)), (&b, id(5))].into_iter(), id(7));
        for (run, upto, settled) in
            [(&a, 1, true), (&a, 2, false), (&a, 7, false), (&b, 4, true), (&b, 5, false), (&b, 8, false)]
        {
            assert_eq!(ledger.is_settled(run, id(upto)), settled, "{run} {upto}");
        }
        assert_eq!((ledger.entries(), ledger.read_to()), (3, id(7)));

        ledger.settle(&a, &[id(2), id(2), id(9)]);
        assert!(ledger.is_settled(&a, id(3)) && !ledger.is_settled(&a, id(4)));
        ledger.refuse(&a, "no room");
        assert_eq!(ledger.refused(), Some((1, "no room".into())));
        assert_eq!((ledger.is_refused(&a), ledger.is_refused(&b)), (true, false));
        ledger.settle(&a, &[id(4)]);
        assert_eq!((ledger.entries(), ledger.refused()), (1, None));
    }

    #[test]
    fn what_is_refused_takes_no_room_from_the_others() {
        let (poison, sound) = (RunId::from("poison"), RunId::from("sound"));
        let ledger = Ledger::default();
        let read = |run: &RunId, ids: std::ops::Range<u64>| {
            let end = OutboxId(ids.end);
            ledger.read(ids.map(|id| (run, OutboxId(id))), end);
        };
        let many = IN_MEMORY as u64;
        read(&poison, 0..many);
        assert!(!ledger.has_room());
        ledger.refuse(&poison, "damaged");
        ledger.refuse(&poison, "damaged");
        assert!(ledger.has_room());
        // What comes of it now, or is settled, is counted right.
        read(&poison, many..2 * many);
        ledger.settle(&poison, &[OutboxId(0), OutboxId(0)]);
        read(&sound, 2 * many..3 * many - 1);
        assert!(ledger.has_room());
        read(&sound, 3 * many..3 * many + 1);
        assert!(!ledger.has_room());
        // But that has an end, too.
        ledger.refuse(&sound, "damaged");
        read(&poison, 4 * many..6 * many);
        assert_eq!((ledger.entries(), ledger.has_room()), (5 * IN_MEMORY - 1, true));
        read(&poison, 6 * many..6 * many + 1);
        assert!(!ledger.has_room());
        ledger.begin();
        assert_eq!((ledger.entries(), ledger.has_room(), ledger.refused()), (0, true, None));
    }

    #[test]
    fn who_waits_is_woken_by_reading_and_by_settling() {
        let run = RunId::from("a");
        let ledger = Ledger::default();
        let mut waits = Box::pin(ledger.settled(&run, OutboxId(2)));
        assert!(waits.as_mut().now_or_never().is_none(), "it has not been read");
        ledger.read([(&run, OutboxId(1))].into_iter(), OutboxId(2));
        assert!(waits.as_mut().now_or_never().is_none(), "it is owed");
        ledger.settle(&run, &[OutboxId(1)]);
        assert!(waits.now_or_never().is_some());
    }
}
