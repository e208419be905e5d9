//! Work that this process has taken (its wake-ups carry our name in the
//! journal) and is to begin, in order.
//!
//! ```text
//!   commit with a lease ──┐
//!                         ├──▶ push ──▶ dispatcher ──▶ Task … drop
//!   claimed when due    ──┘      └─ what is in hand already is not taken twice
//! ```
//!
//! The journal is the queue; this is only what is in hand. It is bounded, as a
//! whole and for each run, so that one run with a lot to do leaves room for the
//! others: beyond that, new wake-ups are committed without a name and are
//! claimed later, when a good part of the room is free again.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{Notify, mpsc};

use crate::{
    engine::Lease,
    ids::{NodeRunId, OwnerId, RunId},
    model::NodeKind,
    record::{Job, NodeHead},
    time::Timestamp,
};

pub struct WorkQueue {
    owner: OwnerId,
    capacity: usize,
    /// Of it, what one run may have.
    per_run: usize,
    in_hand: Mutex<InHand>,
    sender: mpsc::UnboundedSender<Task>,
    unclaimed: Notify,
}

#[derive(Default)]
struct InHand {
    jobs: HashSet<(NodeRunId, Job)>,
    /// How many of them are dispatches of each run. The other jobs do not count
    /// there: telling an executor to stop must not wait behind calls to it.
    runs: HashMap<RunId, usize>,
}

/// Something that this process is to do about a node. As long as it exists, it
/// is in hand and is not begun a second time.
pub struct Task {
    queue: Arc<WorkQueue>,
    pub run: RunId,
    pub node: NodeRunId,
    pub job: Job,
    /// The node's attempt when the job was taken: a deadline is that of this
    /// attempt, and says nothing about a later one.
    pub attempt: u32,
    /// As far as the record says.
    pub kind: Option<NodeKind>,
    /// When the node's time is up.
    pub deadline: Option<Timestamp>,
}

impl Drop for Task {
    fn drop(&mut self) {
        let WorkQueue { capacity, per_run, unclaimed, .. } = &*self.queue;
        let (left, left_of_run) = self.queue.in_hand().remove(&self.run, &self.node, self.job);
        // What found no room was left in the journal. It is claimed when a good
        // part of the room is free again, not one by one.
        let is_mark = |left: usize, room: usize| left == room - (room / 4).max(1);
        if is_mark(left, *capacity) || left_of_run.is_some_and(|left| is_mark(left, *per_run)) {
            unclaimed.notify_one();
        }
    }
}

impl InHand {
    fn insert(&mut self, run: &RunId, node: &NodeRunId, job: Job) -> bool {
        let new = self.jobs.insert((node.clone(), job));
        if new && job == Job::Dispatch {
            *self.runs.entry(run.clone()).or_default() += 1;
        }
        new
    }

    /// How many are left, of all and, if it was one, of that run's dispatches.
    fn remove(&mut self, run: &RunId, node: &NodeRunId, job: Job) -> (usize, Option<usize>) {
        self.jobs.remove(&(node.clone(), job));
        let left = match self.runs.get_mut(run).filter(|_| job == Job::Dispatch) {
            Some(count) => {
                *count -= 1;
                Some(*count)
            }
            None => None,
        };
        if left == Some(0) {
            self.runs.remove(run);
        }
        (self.jobs.len(), left)
    }
}

impl WorkQueue {
    /// A queue for `owner` with at most `capacity` jobs in hand, an eighth of
    /// them of one run, and where its tasks come out.
    pub fn new(owner: OwnerId, capacity: usize) -> (Arc<Self>, mpsc::UnboundedReceiver<Task>) {
        let (sender, tasks) = mpsc::unbounded_channel();
        let per_run = (capacity / 8).max(1);
        let (in_hand, unclaimed) = (Mutex::default(), Notify::new());
        (Arc::new(Self { owner, capacity, per_run, in_hand, sender, unclaimed }), tasks)
    }

    pub fn owner(&self) -> &OwnerId {
        &self.owner
    }

    /// Our name for so many new dispatches of a run, if there is room to act on
    /// all of them at once.
    pub fn lease(&self, run: &RunId, jobs: usize) -> Lease {
        let in_hand = self.in_hand();
        let of_run = in_hand.runs.get(run).copied().unwrap_or_default();
        let room = in_hand.jobs.len() + jobs <= self.capacity && of_run + jobs <= self.per_run;
        room.then(|| self.owner.clone())
    }

    /// Our name for wake-ups that must not wait for room: telling executors to
    /// stop may be what makes room. At most as many as there are nodes at
    /// executors.
    pub fn always(&self) -> Lease {
        Some(self.owner.clone())
    }

    /// How many more jobs may be taken.
    pub fn room(&self) -> usize {
        self.capacity.saturating_sub(self.in_hand().jobs.len())
    }

    /// The runs that have all that one run may have: no more of their nodes are
    /// to be dispatched.
    pub fn full_runs(&self) -> Vec<RunId> {
        let in_hand = self.in_hand();
        let full = in_hand.runs.iter().filter(|(_, count)| **count >= self.per_run);
        full.map(|(run, _)| run.clone()).collect()
    }

    /// How many jobs are in hand.
    pub fn len(&self) -> usize {
        self.in_hand().jobs.len()
    }

    pub fn is_empty(&self) -> bool {
        self.in_hand().jobs.is_empty()
    }

    /// Somebody in this process is at this job, or about to be.
    pub fn has(&self, node: &NodeRunId, job: Job) -> bool {
        self.in_hand().jobs.contains(&(node.clone(), job))
    }

    /// Begins the job of a node's wake-up, which is ours, unless it is in hand.
    pub fn push(self: &Arc<Self>, node: &NodeHead) {
        let Some(job) = node.job() else { return };
        if self.in_hand().insert(&node.run_id, &node.node_run_id, job) {
            // Refused only when the dispatcher is gone: the next process claims it.
            let _ = self.sender.send(Task {
                queue: Arc::clone(self),
                run: node.run_id.clone(),
                node: node.node_run_id.clone(),
                job,
                attempt: node.attempt,
                kind: node.kind,
                deadline: node.deadline,
            });
        }
    }

    /// There may be wake-ups that nobody has taken.
    pub fn poke(&self) {
        self.unclaimed.notify_one();
    }

    /// Returns when there may be something to claim.
    pub async fn poked(&self) {
        self.unclaimed.notified().await;
    }

    fn in_hand(&self) -> MutexGuard<'_, InHand> {
        self.in_hand.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;
    use crate::store::conformance::node;

    /// A node of a run, whose wake-up is a dispatch.
    fn due(run: &str, ordinal: usize) -> NodeHead {
        node(run, &format!("1.{ordinal}")).head()
    }

    #[test]
    fn one_run_gets_an_eighth_of_the_room_and_leaves_the_rest_to_others() {
        let (queue, mut tasks) = WorkQueue::new("me".into(), 16);
        let (big, small): (RunId, RunId) = ("big".into(), "small".into());
        assert_eq!(queue.lease(&big, 2), Some("me".into()));
        assert_eq!(queue.lease(&big, 3), None, "all or none");
        (0..2).for_each(|ordinal| queue.push(&due("big", ordinal)));
        assert_eq!((queue.lease(&big, 1), queue.full_runs()), (None, vec![big.clone()]));
        assert_eq!((queue.lease(&small, 1), queue.room()), (Some("me".into()), 14));
        // What is in hand is not taken twice.
        queue.push(&due("big", 1));
        assert_eq!(queue.len(), 2);

        assert!(queue.poked().now_or_never().is_none());
        drop(tasks.try_recv().expect("a task"));
        assert!(queue.poked().now_or_never().is_some(), "what was left of that run may be claimed");
        assert_eq!((queue.lease(&big, 1), queue.full_runs()), (Some("me".into()), vec![]));
    }

    #[test]
    fn a_full_queue_leases_nothing_and_pokes_when_a_quarter_is_free() {
        let (queue, mut tasks) = WorkQueue::new("me".into(), 8);
        (0..8).for_each(|run| queue.push(&due(&format!("run-{run}"), 0)));
        assert_eq!((queue.lease(&"other".into(), 1), queue.room()), (None, 0));
        drop(tasks.try_recv().expect("a task"));
        // Each run has room for one job, so each that ends pokes.
        assert!(queue.poked().now_or_never().is_some());
        drop(tasks.try_recv().expect("a task"));
        assert!(queue.poked().now_or_never().is_some());
        assert_eq!(
            (queue.len(), queue.is_empty(), queue.has(&due("run-7", 0).node_run_id, Job::Dispatch)),
            (6, false, true)
        );
    }
}
