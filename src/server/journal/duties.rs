//! The duties of this worker, and until when it holds each.
//!
//! ```text
//!   heartbeat ──▶ renew: hold_duty of each that is wanted ──▶ held until 6 s after the heartbeat began
//!   tasks     ──▶ held: wait for it ──▶ work ──▶ lost: stop, until it is held again
//! ```
//!
//! **Invariants.** Two workers never act on one duty at the same time: another takes it
//! when this one was declared dead, which is 8 s after its last heartbeat or later. The
//! only worker of a journal holds all of them, and asks the journal nothing.

use std::{
    sync::atomic::{AtomicBool, AtomicI64, Ordering},
    time::Duration,
};

use tokio::sync::Notify;

use super::{Duty, JournalError, Workers};
use crate::{
    time::{Clock, Timestamp},
    types::WorkerId,
};

/// How long a task waits at most until it looks again whether its worker has a duty. It
/// is notified, too.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Which duties this worker holds.
pub struct Duties {
    is_shared: bool,
    of: [State; Duty::ALL.len()],
    /// A duty was taken or lost.
    changed: Notify,
}

#[derive(Default)]
struct State {
    is_wanted: AtomicBool,
    /// Until when it is held.
    until: AtomicI64,
}

impl Duties {
    /// Of a worker of this journal.
    pub fn new(journal: &dyn Workers) -> Self {
        Self { is_shared: journal.is_shared(), of: Default::default(), changed: Notify::new() }
    }

    /// Says that this worker can do it. It takes no duty that it did not ask for: one
    /// without JARVIS stores must not keep the others from sending to them.
    pub fn want(&self, duty: Duty) {
        self.state(duty).is_wanted.store(true, Ordering::SeqCst);
    }

    /// Takes the duties that are wanted, or makes sure of them. They are held until then.
    pub async fn renew(
        &self,
        journal: &dyn Workers,
        worker: &WorkerId,
        until: Timestamp,
    ) -> Result<(), JournalError> {
        for duty in Duty::ALL {
            let state = self.state(duty);
            if !state.is_wanted.load(Ordering::SeqCst) {
                continue;
            }
            let until = if journal.hold_duty(duty, worker).await? { until.as_micros() } else { 0 };
            let before = state.until.swap(until, Ordering::SeqCst);
            if (before == 0) != (until == 0) {
                self.changed.notify_waiters();
            }
        }
        Ok(())
    }

    /// Whether this worker may act on a duty now.
    pub fn holds(&self, duty: Duty, now: Timestamp) -> bool {
        !self.is_shared || now.as_micros() < self.state(duty).until.load(Ordering::SeqCst)
    }

    /// Waits until this worker holds a duty.
    pub async fn held(&self, duty: Duty, clock: &dyn Clock) {
        self.wait(clock, || self.holds(duty, clock.now()), || LOOK_AGAIN).await;
    }

    /// Waits until it does not, which is never for the only worker of a journal.
    pub async fn lost(&self, duty: Duty, clock: &dyn Clock) {
        if !self.is_shared {
            return std::future::pending().await;
        }
        self.wait(clock, || !self.holds(duty, clock.now()), || self.left(duty, clock.now()).min(LOOK_AGAIN))
            .await;
    }

    /// For how long it is held, if it is not renewed.
    fn left(&self, duty: Duty, now: Timestamp) -> Duration {
        Timestamp::from_micros(self.state(duty).until.load(Ordering::SeqCst)).since(now)
    }

    /// Waits until `is_so`, which is looked at after every `pause` and every change.
    async fn wait(&self, clock: &dyn Clock, is_so: impl Fn() -> bool, pause: impl Fn() -> Duration) {
        loop {
            // Registered before the check, so that no change is missed.
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if is_so() {
                return;
            }
            tokio::select! {
                biased;
                () = &mut changed => {}
                () = clock.sleep(pause()) => {}
            }
        }
    }

    fn state(&self, duty: Duty) -> &State {
        let [outbox, housekeeping] = &self.of;
        match duty {
            Duty::Outbox => outbox,
            Duty::Housekeeping => housekeeping,
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use slog::{Discard, Logger, o};

    use super::*;
    use crate::{
        journal::{Heartbeats, conformance::at, sqlite::memory::MemoryJournal},
        time::SystemClock,
    };

    #[tokio::test]
    async fn duty_is_held_within_the_lease_of_a_living_worker() {
        let memory = MemoryJournal::new().expect("memory");
        let log = Logger::root(Discard, o!());
        let journal = memory.open_shared(true, (), &log).expect("it opens");
        let [me, you]: [WorkerId; 2] = ["me".into(), "you".into()];
        let (mine, yours) = (Duties::new(&journal), Duties::new(&journal));
        for worker in [&me, &you] {
            journal.register_worker(worker).await.expect("registered");
        }
        mine.want(Duty::Outbox);
        yours.want(Duty::Outbox);
        yours.want(Duty::Housekeeping);
        let renew = async |duties: &Duties, worker| duties.renew(&journal, worker, at(10)).await;
        let held = |duties: &Duties, now| Duty::ALL.map(|duty| duties.holds(duty, at(now)));
        assert_eq!(held(&mine, 1), [false, false], "it was not taken yet");
        assert_eq!((renew(&mine, &me).await, renew(&yours, &you).await), (Ok(()), Ok(())));
        assert_eq!((held(&mine, 9), held(&mine, 10)), ([true, false], [false, false]));
        assert_eq!(held(&yours, 9), [false, true], "one is not wanted by the other");
        let seen = Heartbeats { worker: me.clone(), count: 0 };
        assert_eq!(journal.declare_dead(&seen).await, Ok(true));
        assert_eq!(renew(&mine, &me).await, Err(JournalError::Fenced));
        assert_eq!(renew(&yours, &you).await, Ok(()));
        assert_eq!(held(&yours, 9), [true, true]);
    }

    #[tokio::test]
    async fn only_worker_of_a_journal_holds_every_duty() {
        let memory = MemoryJournal::new().expect("memory");
        let journal = memory.open(true, (), &Logger::root(Discard, o!())).expect("it opens");
        let duties = Duties::new(&journal);
        for duty in Duty::ALL {
            assert!(duties.holds(duty, at(1)));
            assert!(duties.held(duty, &SystemClock).now_or_never().is_some());
            assert!(duties.lost(duty, &SystemClock).now_or_never().is_none());
        }
    }
}
