//! The jobs that this worker has claimed (their wake-ups name it in the journal)
//! and is to begin, in order.
//!
//! ```text
//!   commit with a claim ──┐                    ┌─ deadlines, approvals
//!                         ├──▶ push ──▶ lane ──┼─ cancels of each executor     ──▶ dispatcher ──▶ ClaimedJob … drop
//!   claimed when due    ──┘      │             └─ dispatches to each executor
//!                                └─ a job in hand is not started a second time
//! ```
//!
//! The journal is the work queue; this is the bounded part of it that is in hand.
//! Each lane has room of its own: an executor that hangs fills the lane of its
//! own dispatches, but not the other executor's, not that of cancels (which may
//! be what frees slots), and not those of deadlines and approvals. When a lane is full, a new
//! wake-up is committed unclaimed, and is claimed later, once a quarter of the
//! room is free again. One run may have a part of a lane of dispatches only, so
//! that a large run leaves room for the others.
//!
//! # Calls for nodes that have ended
//!
//! ```text
//!   commit that ends a node ──▶ node_ended ──▶ ClaimedJob::ended ──▶ its call is dropped, its slot is free
//!            └────────────────────────────────▶ … and only then the caller gets the answer
//! ```

mod in_hand;
mod lane;
mod lease;
#[cfg(test)]
mod tests;

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use self::in_hand::{Held, InHand, Left};
pub use self::{lane::Lane, lease::Lease};
use crate::{
    engine::Claim,
    record::{Job, NodeHead},
    time::Timestamp,
    types::{NodeKind, NodeRunId, RunId, WorkerId},
};

/// For this long after its start, an attempt's request may still be on the wire:
/// a cancel goes over another connection, and may arrive first.
const ON_THE_WIRE: Duration = Duration::from_secs(2);

/// The jobs in hand of one worker, lane by lane.
pub struct WorkQueue {
    worker: WorkerId,
    lease: Lease,
    /// Maximum number of jobs in a lane.
    capacity: usize,
    /// Maximum number of jobs of one run in a lane of dispatches.
    per_run: usize,
    in_hand: Mutex<InHand>,
    sender: mpsc::UnboundedSender<ClaimedJob>,
    unclaimed: Notify,
}

/// A job that this worker has claimed. As long as it exists, it is in hand and
/// is not started a second time.
pub struct ClaimedJob {
    queue: Arc<WorkQueue>,
    pub run: RunId,
    pub node: NodeRunId,
    pub job: Job,
    /// The node's attempt when the job was claimed: a deadline belongs to this
    /// attempt, and not to a later one.
    pub attempt: u32,
    /// The node's kind according to the record.
    pub kind: Option<NodeKind>,
    pub deadline: Option<Timestamp>,
    ended: CancellationToken,
    withdrawn: CancellationToken,
    started_at: Arc<OnceLock<Timestamp>>,
    /// A cancel that may overtake the call that it is about.
    pub may_overtake: bool,
}

impl ClaimedJob {
    /// Of a dispatch: cancelled when its node has ended, before the caller who
    /// ended it gets the answer. What was not sent by then must not be sent.
    pub fn ended(&self) -> &CancellationToken {
        &self.ended
    }

    /// Of a dispatch that waits for a slot: cancelled when its node has been set
    /// aside. What has begun by then goes on.
    pub fn withdrawn(&self) -> &CancellationToken {
        &self.withdrawn
    }

    /// Of a dispatch: notes that its attempt has started.
    pub fn attempt_started(&self, at: Timestamp) {
        let _first = self.started_at.set(at);
    }

    /// Of a dispatch: moves it to the lane of the kind that its node turned out
    /// to have.
    pub fn kind_resolved(&self, kind: NodeKind) {
        let moved = self.queue.in_hand().move_dispatch(&self.node, kind);
        if let Some(left) = moved {
            self.queue.freed(&left);
        }
    }
}

impl Drop for ClaimedJob {
    fn drop(&mut self) {
        let removed = self.queue.in_hand().remove(&self.node, self.job);
        if let Some(left) = removed {
            self.queue.freed(&left);
        }
    }
}

impl WorkQueue {
    /// A queue of `worker` with at most `capacity` jobs in each lane, an eighth
    /// of them of one run, and the receiver of its jobs.
    pub fn new(worker: WorkerId, capacity: usize) -> (Arc<Self>, mpsc::UnboundedReceiver<ClaimedJob>) {
        let (sender, jobs) = mpsc::unbounded_channel();
        let per_run = (capacity / 8).max(1);
        let (in_hand, unclaimed) = (Mutex::default(), Notify::new());
        (
            Arc::new(Self { worker, lease: Lease::default(), capacity, per_run, in_hand, sender, unclaimed }),
            jobs,
        )
    }

    pub fn worker(&self) -> &WorkerId {
        &self.worker
    }

    /// Whether the worker may begin work.
    pub fn lease(&self) -> &Lease {
        &self.lease
    }

    /// Claims new dispatches of a run, one for each of these kinds, if there is
    /// room for all of them.
    pub fn claim(&self, run: &RunId, kinds: impl IntoIterator<Item = Option<NodeKind>>) -> Claim<'_> {
        let mut jobs = [0; Lane::ALL.len()];
        for kind in kinds {
            jobs[Lane::of(Job::Dispatch, kind).index()] += 1;
        }
        let in_hand = self.in_hand();
        let room = Lane::ALL.into_iter().all(|lane| match (lane, jobs[lane.index()]) {
            (Lane::Deadlines | Lane::Approvals | Lane::SetAside | Lane::Cancels(_), _)
            | (Lane::Dispatches(_), 0) => true,
            (Lane::Dispatches(kind), jobs) => {
                in_hand.in_lane(lane) + jobs <= self.capacity
                    && in_hand.of_run(kind, run) + jobs <= self.per_run
            }
        });
        room.then_some(&self.worker)
    }

    /// Claims wake-ups whether there is room or not: notifying executors may be
    /// what frees slots. There are at most as many as nodes at executors.
    pub fn claim_unbounded(&self) -> Claim<'_> {
        Some(&self.worker)
    }

    /// How many more jobs a lane has room for.
    pub fn room(&self, lane: Lane) -> usize {
        self.capacity.saturating_sub(self.in_lane(lane))
    }

    /// The runs that may have no more jobs in this lane.
    pub fn full_runs(&self, lane: Lane) -> Vec<RunId> {
        let Lane::Dispatches(kind) = lane else { return Vec::new() };
        self.in_hand().runs_with(kind, self.per_run)
    }

    /// The number of jobs in a lane.
    pub fn in_lane(&self, lane: Lane) -> usize {
        self.in_hand().in_lane(lane)
    }

    /// The number of jobs in hand.
    pub fn len(&self) -> usize {
        self.in_hand().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The nodes whose dispatch is in hand.
    pub fn dispatches(&self) -> Vec<NodeRunId> {
        self.in_hand().with_job(Job::Dispatch)
    }

    /// Whether this job is in hand.
    pub fn has(&self, node: &NodeRunId, job: Job) -> bool {
        self.in_hand().has(node, job)
    }

    /// Whether the attempt of a dispatch in hand has started, as the journal says.
    pub fn has_started(&self, node: &NodeRunId) -> bool {
        self.in_hand().get(node, Job::Dispatch).is_some_and(|held| held.started_at.get().is_some())
    }

    /// Drops the call for a node that has ended, whether it is under way or has
    /// yet to be made.
    pub fn node_ended(&self, node: &NodeRunId) {
        if let Some(held) = self.in_hand().get(node, Job::Dispatch) {
            held.ended.cancel();
        }
    }

    /// The same for all nodes of a run.
    pub fn run_ended(&self, run: &RunId) {
        self.in_hand().dispatches(run).for_each(|held| held.ended.cancel());
    }

    /// Takes a dispatch that has not begun off the list of those that wait for a slot.
    pub fn node_set_aside(&self, node: &NodeRunId) {
        if let Some(held) = self.in_hand().get(node, Job::Dispatch) {
            held.withdrawn.cancel();
        }
    }

    /// Begins the job of a node's wake-up, which this worker has claimed, unless
    /// it is in hand.
    pub fn push(self: &Arc<Self>, node: &NodeHead, now: Timestamp) {
        if let Some(job) = self.take(node, now) {
            // Refused only when the dispatcher is gone: the next process claims it.
            let _ = self.sender.send(job);
        }
    }

    /// Takes the job of a node's wake-up in hand, for the caller to do. `None`: it is in
    /// hand already, or there is none.
    pub(super) fn take(self: &Arc<Self>, node: &NodeHead, now: Timestamp) -> Option<ClaimedJob> {
        let job = node.job()?;
        let (id, run) = (node.node_run_id.clone(), node.run_id.clone());
        let (ended, withdrawn) = (CancellationToken::new(), CancellationToken::new());
        let started_at = Arc::<OnceLock<Timestamp>>::default();
        let mut in_hand = self.in_hand();
        if in_hand.has(&id, job) {
            return None;
        }
        let sent = in_hand.get(&id, Job::Dispatch).and_then(|held| held.started_at.get());
        let may_overtake = job == Job::CancelExecutor
            && match sent {
                Some(started_at) => now.since(*started_at) < ON_THE_WIRE,
                // Another process may have its call in hand, and learns of the end later.
                None => self.lease.is_bounded() && ended_within(node, now, ON_THE_WIRE),
            };
        let held = Held {
            run: run.clone(),
            lane: Lane::of(job, node.kind),
            ended: ended.clone(),
            withdrawn: withdrawn.clone(),
            started_at: Arc::clone(&started_at),
        };
        in_hand.insert(id.clone(), job, held);
        drop(in_hand);
        Some(ClaimedJob {
            queue: Arc::clone(self),
            run,
            node: id,
            job,
            attempt: node.attempt,
            kind: node.kind,
            deadline: node.deadline,
            ended,
            withdrawn,
            started_at,
            may_overtake,
        })
    }

    /// Announces wake-ups that are due and unclaimed.
    pub fn notify_unclaimed(&self) {
        self.unclaimed.notify_one();
    }

    /// Returns when there may be wake-ups to claim.
    pub async fn unclaimed(&self) {
        self.unclaimed.notified().await;
    }

    /// Notes that a job has left its lane. Wake-ups that found no room are in the
    /// journal: they are claimed when a quarter of the room is free, not one by
    /// one.
    fn freed(&self, left: &Left) {
        let is_mark = |left: usize, room: usize| left == room - (room / 4).max(1);
        if is_mark(left.of_lane, self.capacity) || left.of_run.is_some_and(|left| is_mark(left, self.per_run))
        {
            self.notify_unclaimed();
        }
    }

    fn in_hand(&self) -> MutexGuard<'_, InHand> {
        self.in_hand.lock()
    }
}

/// Whether a node ended no longer ago than this.
fn ended_within(node: &NodeHead, now: Timestamp, time: Duration) -> bool {
    node.ended_at.is_some_and(|ended_at| now.since(ended_at) < time)
}
