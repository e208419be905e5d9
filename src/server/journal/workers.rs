//! The processes that work on a journal: which of them live, and what becomes of the
//! claims of those that do not.
//!
//! ```text
//!   register_worker ──▶ alive ── beat, beat … ──▶ fenced: it writes nothing any more
//!                         └─ declare_dead, release_claims ─┘     └─ its claims are due at once,
//!                                                                its duties are free
//! ```
//!
//! **Invariant:** no clock is compared. A worker is dead when another has seen the count
//! of its heartbeats stand still, and says so about just that count.

use async_trait::async_trait;

use super::{JournalError, News};
use crate::{
    record::NodePath,
    time::{FollowedClock, MachineClock, Timestamp},
    types::{RunId, WorkerId},
};

/// Work that one worker does for all: at most one holds a duty at a time, and it is gone
/// with that worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Duty {
    /// Sending the outbox to the JARVIS stores.
    Outbox,
    /// What looks after the whole journal: deadlines of runs, retention, bulk jobs,
    /// deliveries to webhooks, and counts that are expensive.
    Housekeeping,
}

impl Duty {
    pub const ALL: [Self; 2] = [Self::Outbox, Self::Housekeeping];

    /// Its name in journals.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Outbox => "outbox",
            Self::Housekeeping => "housekeeping",
        }
    }
}

/// How often a worker has said that it lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeats {
    pub worker: WorkerId,
    pub count: u64,
}

/// That the executor of a composite was heard from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignOfLife {
    pub run_id: RunId,
    /// The place of the composite.
    pub path: NodePath,
    pub at: Timestamp,
}

/// What all workers together have heard of the executor of a composite.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// When any of them last heard from it, as far as is known.
    pub last: Option<Timestamp>,
    /// What each registered worker has heard until then is known. `None`: one of them has
    /// not said anything yet.
    pub known_to: Option<Timestamp>,
}

/// The part of a [`Journal`](super::Journal) about the processes that work on it.
#[async_trait]
pub trait Workers: Send + Sync + 'static {
    /// Whether several processes use the journal at once. Otherwise this one is the
    /// only worker that lives, and nothing changes that it has not written.
    fn is_shared(&self) -> bool {
        false
    }

    /// The present time by the clock that all processes follow: that of the database.
    /// `None`: there is only one, which has a clock of its own.
    async fn time(&self) -> Result<Option<Timestamp>, JournalError> {
        Ok(None)
    }

    /// Registers `worker`, which lives from then on until it is declared dead or
    /// releases its claims. What is committed, claimed and parked through this handle
    /// is done in its name, and fails with [`JournalError::Fenced`] once it is not
    /// registered any more.
    async fn register_worker(&self, worker: &WorkerId) -> Result<(), JournalError>;

    /// Counts a heartbeat of `worker`, durably. Fails with [`JournalError::Fenced`] if
    /// it is not registered (any more).
    async fn beat(&self, worker: &WorkerId) -> Result<(), JournalError>;

    /// The registered workers and their heartbeats.
    async fn heartbeats(&self) -> Result<Vec<Heartbeats>, JournalError>;

    /// Declares a worker dead, unless it has beaten since: no time is compared. Returns
    /// whether it is dead now; its claims go with [`Workers::reap_dead_workers`].
    async fn declare_dead(&self, seen: &Heartbeats) -> Result<bool, JournalError>;

    /// Takes the claims away from workers that are not registered (any more); their
    /// wake-ups are due immediately. Returns how many there were.
    async fn reap_dead_workers(&self, now: Timestamp) -> Result<u64, JournalError>;

    /// Announces to the other processes what this one has committed, without waiting:
    /// a hint, which may be lost.
    fn announce(&self, _news: News) {}

    /// Waits for what other processes announce. May be dropped at any time. Never returns
    /// if nothing is announced between processes.
    async fn announced(&self) -> News {
        std::future::pending().await
    }

    /// Takes a duty for `worker`, durably, if it is free: no worker has it, or one that is
    /// not registered (any more). Returns whether `worker` holds it now. A duty that a
    /// living worker holds costs a read. Fails with [`JournalError::Fenced`] if `worker`
    /// is not registered itself.
    async fn hold_duty(&self, duty: Duty, worker: &WorkerId) -> Result<bool, JournalError>;

    /// Notes signs of life that `worker` has heard, and that there were no others until
    /// `known_to`. The times of a composite only grow. Signs that are older than
    /// `forget_before` may be forgotten. Fails with [`JournalError::Fenced`] if it is not
    /// registered (any more).
    async fn note_signs(
        &self,
        worker: &WorkerId,
        signs: &[SignOfLife],
        known_to: Timestamp,
        forget_before: Timestamp,
    ) -> Result<(), JournalError>;

    /// What the workers have heard of the executor of the composite at this place.
    async fn last_heard(&self, run: &RunId, path: &NodePath) -> Result<Heard, JournalError>;

    /// Releases all claims and duties held by `worker`, which is not registered any more;
    /// the wake-ups become due immediately.
    async fn release_claims(&self, worker: &WorkerId, now: Timestamp) -> Result<(), JournalError>;
}

/// Hears the time of a journal that several processes share.
pub async fn follow_time(journal: &dyn Workers, clock: &FollowedClock) -> Result<(), JournalError> {
    let asked = clock.monotonic();
    if let Some(time) = journal.time().await? {
        clock.hear(time, asked);
    }
    Ok(())
}
