//! Work that this process has taken (its wake-ups carry our name in the
//! journal) and is to begin, in order.
//!
//! ```text
//!   commit with a lease ──┐                    ┌─ deadlines
//!                         ├──▶ push ──▶ lane ──┼─ cancels of each executor     ──▶ dispatcher ──▶ Task … drop
//!   claimed when due    ──┘      │             └─ dispatches to each executor
//!                                └─ what is in hand already is not taken twice
//! ```
//!
//! The journal is the queue; this is only what is in hand. It is bounded, lane
//! by lane: an executor that hangs fills the lane of its own dispatches, and
//! neither the other executor's, nor that of cancels (which may be what makes
//! room), nor that of deadlines. Beyond its lane's room, a new wake-up is
//! committed without a name and is claimed later, when a good part of the room
//! is free again. One run gets a part of the dispatches to an executor only, so
//! that a run with a lot to do leaves room for the others.
//!
//! # Calls of nodes that are over
//!
//! ```text
//!   commit that ends a node ──▶ node_over ──▶ Task::is_over ──▶ its call is dropped, its slot free
//!            └───────────────────────────────────────────────▶ … and only then whoever asked is answered
//! ```

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use crate::{
    engine::Lease,
    record::{Job, NodeHead},
    time::Timestamp,
    types::{NodeKind, NodeRunId, RunId, WorkerId},
};

/// An attempt that began so recently may not have reached its executor yet,
/// though its request has left: a cancel goes another way, and may be there
/// first.
const ON_THE_WIRE: Duration = Duration::from_secs(2);

/// Jobs that share their room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Of nodes of both kinds: they take no time and wait for no executor.
    Deadlines,
    Cancels(NodeKind),
    Dispatches(NodeKind),
}

impl Lane {
    /// All of them: those first that must not wait.
    pub const ALL: [Self; 5] = [
        Self::Deadlines,
        Self::Cancels(NodeKind::Composite),
        Self::Cancels(NodeKind::Atomic),
        Self::Dispatches(NodeKind::Composite),
        Self::Dispatches(NodeKind::Atomic),
    ];

    /// The lane of a job about a node of this kind. Nodes of unknown kind go
    /// with the atomic ones.
    pub fn of(job: Job, kind: Option<NodeKind>) -> Self {
        let kind = kind.unwrap_or(NodeKind::Atomic);
        match job {
            Job::Deadline => Self::Deadlines,
            Job::CancelExecutor => Self::Cancels(kind),
            Job::Dispatch => Self::Dispatches(kind),
        }
    }

    pub fn job(self) -> Job {
        match self {
            Self::Deadlines => Job::Deadline,
            Self::Cancels(_) => Job::CancelExecutor,
            Self::Dispatches(_) => Job::Dispatch,
        }
    }

    /// The kind of its nodes; `None`: any.
    pub fn kind(self) -> Option<NodeKind> {
        match self {
            Self::Deadlines => None,
            Self::Cancels(kind) | Self::Dispatches(kind) => Some(kind),
        }
    }

    fn index(self) -> usize {
        match self {
            Self::Deadlines => 0,
            Self::Cancels(NodeKind::Composite) => 1,
            Self::Cancels(NodeKind::Atomic) => 2,
            Self::Dispatches(NodeKind::Composite) => 3,
            Self::Dispatches(NodeKind::Atomic) => 4,
        }
    }
}

pub struct WorkQueue {
    owner: WorkerId,
    /// Of each lane.
    capacity: usize,
    /// Of a lane of dispatches, what one run may have.
    per_run: usize,
    in_hand: Mutex<InHand>,
    sender: mpsc::UnboundedSender<Task>,
    unclaimed: Notify,
}

#[derive(Default)]
struct InHand {
    jobs: HashMap<(NodeRunId, Job), Held>,
    lanes: [usize; Lane::ALL.len()],
    /// How many of them are dispatches of each run. The other jobs do not count
    /// there: telling an executor to stop must not wait behind calls to it.
    runs: HashMap<(NodeKind, RunId), usize>,
}

/// A job that is in hand.
struct Held {
    run: RunId,
    over: CancellationToken,
    begun_at: Arc<OnceLock<Timestamp>>,
}

/// Something that this process is to do about a node. As long as it exists, it
/// is in hand and is not begun a second time.
pub struct Task {
    queue: Arc<WorkQueue>,
    pub run: RunId,
    pub node: NodeRunId,
    pub job: Job,
    lane: Lane,
    /// The node's attempt when the job was taken: a deadline is that of this
    /// attempt, and says nothing about a later one.
    pub attempt: u32,
    /// As far as the record says.
    pub kind: Option<NodeKind>,
    /// When the node's time is up.
    pub deadline: Option<Timestamp>,
    over: CancellationToken,
    begun_at: Arc<OnceLock<Timestamp>>,
    /// Of a cancel: it may overtake the call that it is about.
    pub may_overtake: bool,
}

impl Task {
    /// Of a dispatch: cancelled when its node is over, before whoever has ended
    /// it is answered. What has not been sent by then must not be.
    pub fn over(&self) -> &CancellationToken {
        &self.over
    }

    /// Of a dispatch: its attempt has begun.
    pub fn begun(&self, at: Timestamp) {
        let _first = self.begun_at.set(at);
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        let WorkQueue { capacity, per_run, unclaimed, .. } = &*self.queue;
        let (left, left_of_run) = self.queue.in_hand().remove(self);
        // What found no room was left in the journal. It is claimed when a good
        // part of the room is free again, not one by one.
        let is_mark = |left: usize, room: usize| left == room - (room / 4).max(1);
        if is_mark(left, *capacity) || left_of_run.is_some_and(|left| is_mark(left, *per_run)) {
            unclaimed.notify_one();
        }
    }
}

impl InHand {
    /// How many are left, in its lane and, if it was one, of that run's
    /// dispatches there.
    fn remove(&mut self, task: &Task) -> (usize, Option<usize>) {
        self.jobs.remove(&(task.node.clone(), task.job));
        let in_lane = &mut self.lanes[task.lane.index()];
        *in_lane -= 1;
        let left = *in_lane;
        let Lane::Dispatches(kind) = task.lane else { return (left, None) };
        let of_run = (kind, task.run.clone());
        let left_of_run = self.runs.get_mut(&of_run).map(|count| {
            *count -= 1;
            *count
        });
        if left_of_run == Some(0) {
            self.runs.remove(&of_run);
        }
        (left, left_of_run)
    }

    fn of_run(&self, kind: NodeKind, run: &RunId) -> usize {
        self.runs.get(&(kind, run.clone())).copied().unwrap_or_default()
    }
}

impl WorkQueue {
    /// A queue for `owner` with at most `capacity` jobs of each lane in hand, an
    /// eighth of them of one run, and where its tasks come out.
    pub fn new(owner: WorkerId, capacity: usize) -> (Arc<Self>, mpsc::UnboundedReceiver<Task>) {
        let (sender, tasks) = mpsc::unbounded_channel();
        let per_run = (capacity / 8).max(1);
        let (in_hand, unclaimed) = (Mutex::default(), Notify::new());
        (Arc::new(Self { owner, capacity, per_run, in_hand, sender, unclaimed }), tasks)
    }

    pub fn owner(&self) -> &WorkerId {
        &self.owner
    }

    /// Our name for new dispatches of a run, one for each of these kinds, if
    /// there is room to act on all of them at once.
    pub fn lease(&self, run: &RunId, kinds: impl IntoIterator<Item = Option<NodeKind>>) -> Lease {
        let mut jobs = [0; Lane::ALL.len()];
        for kind in kinds {
            jobs[Lane::of(Job::Dispatch, kind).index()] += 1;
        }
        let in_hand = self.in_hand();
        let room = Lane::ALL.into_iter().all(|lane| match (lane, jobs[lane.index()]) {
            (Lane::Deadlines | Lane::Cancels(_), _) | (Lane::Dispatches(_), 0) => true,
            (Lane::Dispatches(kind), jobs) => {
                in_hand.lanes[lane.index()] + jobs <= self.capacity
                    && in_hand.of_run(kind, run) + jobs <= self.per_run
            }
        });
        room.then(|| self.owner.clone())
    }

    /// Our name for wake-ups that must not wait for room: telling executors to
    /// stop may be what makes room. At most as many as there are nodes at
    /// executors.
    pub fn always(&self) -> Lease {
        Some(self.owner.clone())
    }

    /// How many more jobs of a lane may be taken.
    pub fn room(&self, lane: Lane) -> usize {
        self.capacity.saturating_sub(self.in_hand().lanes[lane.index()])
    }

    /// The runs that have all that one run may have of a lane: no more of their
    /// nodes are to be dispatched there.
    pub fn full_runs(&self, lane: Lane) -> Vec<RunId> {
        let Lane::Dispatches(kind) = lane else { return Vec::new() };
        let in_hand = self.in_hand();
        let full = in_hand.runs.iter().filter(|((of, _), count)| *of == kind && **count >= self.per_run);
        full.map(|((_, run), _)| run.clone()).collect()
    }

    /// How many jobs of a lane are in hand.
    pub fn in_lane(&self, lane: Lane) -> usize {
        self.in_hand().lanes[lane.index()]
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
        self.in_hand().jobs.contains_key(&(node.clone(), job))
    }

    /// A node is over: its call, if any is under way or about to be, is dropped.
    pub fn node_over(&self, node: &NodeRunId) {
        if let Some(held) = self.in_hand().jobs.get(&(node.clone(), Job::Dispatch)) {
            held.over.cancel();
        }
    }

    /// The same for all nodes of a run.
    pub fn run_over(&self, run: &RunId) {
        let in_hand = self.in_hand();
        let dispatches = in_hand.jobs.iter().filter(|((_, job), _)| *job == Job::Dispatch);
        dispatches.filter(|(_, held)| held.run == *run).for_each(|(_, held)| held.over.cancel());
    }

    /// Begins the job of a node's wake-up, which is ours, unless it is in hand.
    pub fn push(self: &Arc<Self>, node: &NodeHead, now: Timestamp) {
        let Some(job) = node.job() else { return };
        let lane = Lane::of(job, node.kind);
        let (over, begun_at) = (CancellationToken::new(), Arc::<OnceLock<Timestamp>>::default());
        let (id, run) = (node.node_run_id.clone(), node.run_id.clone());
        let mut in_hand = self.in_hand();
        let key = (id.clone(), job);
        if in_hand.jobs.contains_key(&key) {
            return;
        }
        let sent = in_hand.jobs.get(&(id.clone(), Job::Dispatch)).and_then(|held| held.begun_at.get());
        let may_overtake =
            job == Job::CancelExecutor && sent.is_some_and(|begun_at| now.since(*begun_at) < ON_THE_WIRE);
        let held = Held { run: run.clone(), over: over.clone(), begun_at: Arc::clone(&begun_at) };
        in_hand.jobs.insert(key, held);
        in_hand.lanes[lane.index()] += 1;
        if let Lane::Dispatches(kind) = lane {
            *in_hand.runs.entry((kind, run.clone())).or_default() += 1;
        }
        drop(in_hand);
        // Refused only when the dispatcher is gone: the next process claims it.
        let _ = self.sender.send(Task {
            queue: Arc::clone(self),
            run,
            node: id,
            job,
            lane,
            attempt: node.attempt,
            kind: node.kind,
            deadline: node.deadline,
            over,
            begun_at,
            may_overtake,
        });
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
    use crate::{journal::conformance::node, record::Wake};

    const ATOMIC: Lane = Lane::Dispatches(NodeKind::Atomic);
    const COMPOSITE: Lane = Lane::Dispatches(NodeKind::Composite);
    const NOW: Timestamp = Timestamp::from_micros(0);

    /// A node of a run, whose wake-up is a dispatch.
    fn due(run: &str, ordinal: usize) -> NodeHead {
        node(run, &format!("1.{ordinal}")).head()
    }

    fn with(job: Job, kind: NodeKind, node: NodeHead) -> NodeHead {
        let wake = node.wake.map(|wake| Wake { job, ..wake });
        NodeHead { wake, kind: Some(kind), ..node }
    }

    #[test]
    fn one_run_gets_an_eighth_of_the_room_and_leaves_the_rest_to_others() {
        let (queue, mut tasks) = WorkQueue::new("me".into(), 16);
        let (big, small): (RunId, RunId) = ("big".into(), "small".into());
        assert_eq!(queue.lease(&big, [None; 2]), Some("me".into()));
        assert_eq!(queue.lease(&big, [None; 3]), None, "all or none");
        (0..2).for_each(|ordinal| queue.push(&due("big", ordinal), NOW));
        assert_eq!((queue.lease(&big, [None]), queue.full_runs(ATOMIC)), (None, vec![big.clone()]));
        assert_eq!((queue.lease(&small, [None]), queue.room(ATOMIC)), (Some("me".into()), 14));
        // Of the other executor it may have as much again.
        let composite = [Some(NodeKind::Composite)];
        assert_eq!((queue.lease(&big, composite), queue.full_runs(COMPOSITE)), (Some("me".into()), vec![]));
        // What is in hand is not taken twice.
        queue.push(&due("big", 1), NOW);
        assert_eq!(queue.len(), 2);

        assert!(queue.poked().now_or_never().is_none());
        drop(tasks.try_recv().expect("a task"));
        assert!(queue.poked().now_or_never().is_some(), "what was left of that run may be claimed");
        assert_eq!((queue.lease(&big, [None]), queue.full_runs(ATOMIC)), (Some("me".into()), vec![]));
    }

    #[test]
    fn a_full_lane_leases_nothing_and_pokes_when_a_quarter_is_free() {
        let (queue, mut tasks) = WorkQueue::new("me".into(), 8);
        (0..8).for_each(|run| queue.push(&due(&format!("run-{run}"), 0), NOW));
        assert_eq!((queue.lease(&"other".into(), [None]), queue.room(ATOMIC)), (None, 0));
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

    #[test]
    fn an_executor_whose_lane_is_full_takes_no_room_from_any_other_lane() {
        let (queue, _tasks) = WorkQueue::new("me".into(), 4);
        (0..4).for_each(|run| queue.push(&due(&format!("run-{run}"), 0), NOW));
        let rooms = || Lane::ALL.map(|lane| queue.room(lane));
        assert_eq!(rooms(), [4, 4, 4, 4, 0]);
        let other: RunId = "other".into();
        assert_eq!(queue.lease(&other, [None]), None);
        assert_eq!(queue.lease(&other, [Some(NodeKind::Composite)]), Some("me".into()));
        // One lease is for all, so there is none; each is claimed by itself.
        assert_eq!(queue.lease(&other, [Some(NodeKind::Composite), Some(NodeKind::Atomic)]), None);
        queue.push(&with(Job::Dispatch, NodeKind::Composite, due("other", 1)), NOW);
        queue.push(&with(Job::CancelExecutor, NodeKind::Atomic, due("other", 2)), NOW);
        queue.push(&with(Job::Deadline, NodeKind::Atomic, due("other", 3)), NOW);
        assert_eq!(rooms(), [3, 4, 3, 3, 0]);
        for lane in Lane::ALL {
            let node = Lane::of(lane.job(), lane.kind());
            assert_eq!(node, lane, "a job and a kind name their lane");
        }
    }

    #[test]
    fn the_dispatch_of_a_node_that_is_over_is_called_off_and_no_other() {
        let (queue, mut tasks) = WorkQueue::new("me".into(), 8);
        for (run, ordinal) in [("a", 1), ("a", 2), ("b", 1)] {
            queue.push(&due(run, ordinal), NOW);
        }
        let tasks: Vec<Task> = std::iter::from_fn(|| tasks.try_recv().ok()).collect();
        let over = || tasks.iter().map(|task| task.over().is_cancelled()).collect::<Vec<_>>();
        assert_eq!(over(), [false; 3]);
        queue.node_over(&due("a", 1).node_run_id);
        assert_eq!(over(), [true, false, false]);
        queue.run_over(&"a".into());
        assert_eq!(over(), [true, true, false]);
    }

    #[test]
    fn a_cancel_may_overtake_only_a_call_that_has_just_left() {
        let (queue, mut tasks) = WorkQueue::new("me".into(), 8);
        let mut may_overtake = |ordinal: usize, begun: bool, later: Duration| {
            let dispatch = due("a", ordinal);
            queue.push(&dispatch, NOW);
            let call = tasks.try_recv().expect("a task");
            if begun {
                call.begun(NOW);
            }
            queue.push(&with(Job::CancelExecutor, NodeKind::Atomic, dispatch), NOW + later);
            tasks.try_recv().expect("a task").may_overtake
        };
        assert!(may_overtake(1, true, Duration::from_millis(10)));
        assert!(!may_overtake(2, true, ON_THE_WIRE));
        assert!(!may_overtake(3, false, Duration::ZERO), "it was never sent");
    }
}
