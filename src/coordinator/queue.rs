//! Work that this process has taken (its wake-ups carry our name in the
//! journal) and is to begin, in order.
//!
//! ```text
//!   commit with a lease ──┐
//!                         ├──▶ push ──▶ dispatcher ──▶ Task … drop
//!   claimed when due    ──┘      └─ what is in hand already is not taken twice
//! ```
//!
//! The journal is the queue; this is only what is in hand. It is bounded: when
//! it is full, new wake-ups are committed without a name and are claimed later.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{Notify, mpsc};

use crate::{
    engine::Lease,
    ids::{NodeRunId, OwnerId, RunId},
    model::NodeKind,
    record::{Job, NodeRecord},
};

pub struct WorkQueue {
    owner: OwnerId,
    capacity: usize,
    in_hand: Mutex<HashSet<(NodeRunId, Job)>>,
    sender: mpsc::UnboundedSender<Task>,
    unclaimed: Notify,
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
}

impl Drop for Task {
    fn drop(&mut self) {
        let left = {
            let mut in_hand = self.queue.in_hand();
            in_hand.remove(&(self.node.clone(), self.job));
            in_hand.len()
        };
        // What found no room was left in the journal. It is claimed when a good
        // part of the room is free again, not one by one.
        if left == self.queue.capacity - (self.queue.capacity / 4).max(1) {
            self.queue.unclaimed.notify_one();
        }
    }
}

impl WorkQueue {
    /// A queue for `owner` with at most `capacity` jobs in hand, and where its
    /// tasks come out.
    pub fn new(owner: OwnerId, capacity: usize) -> (Arc<Self>, mpsc::UnboundedReceiver<Task>) {
        let (sender, tasks) = mpsc::unbounded_channel();
        let in_hand = Mutex::new(HashSet::new());
        (Arc::new(Self { owner, capacity, in_hand, sender, unclaimed: Notify::new() }), tasks)
    }

    pub fn owner(&self) -> &OwnerId {
        &self.owner
    }

    /// Our name for new wake-ups, if there is room to act on them at once.
    pub fn lease(&self) -> Lease {
        (self.room() > 0).then(|| self.owner.clone())
    }

    /// Our name for wake-ups that must not wait for room: telling executors to
    /// stop may be what makes room. At most as many as there are nodes at
    /// executors.
    pub fn always(&self) -> Lease {
        Some(self.owner.clone())
    }

    /// How many more jobs may be taken.
    pub fn room(&self) -> usize {
        self.capacity.saturating_sub(self.in_hand().len())
    }

    /// How many jobs are in hand.
    pub fn len(&self) -> usize {
        self.in_hand().len()
    }

    pub fn is_empty(&self) -> bool {
        self.in_hand().is_empty()
    }

    /// Somebody in this process is at this job, or about to be.
    pub fn has(&self, node: &NodeRunId, job: Job) -> bool {
        self.in_hand().contains(&(node.clone(), job))
    }

    /// Begins the job of a node's wake-up, which is ours, unless it is in hand.
    pub fn push(self: &Arc<Self>, node: &NodeRecord) {
        let Some(job) = node.wake.as_ref().map(|wake| wake.job) else { return };
        if self.in_hand().insert((node.id().clone(), job)) {
            // Refused only when the dispatcher is gone: the next process claims it.
            let _ = self.sender.send(Task {
                queue: Arc::clone(self),
                run: node.node.run_id.clone(),
                node: node.id().clone(),
                job,
                attempt: node.attempt,
                kind: node.node.kind,
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

    fn in_hand(&self) -> MutexGuard<'_, HashSet<(NodeRunId, Job)>> {
        self.in_hand.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
