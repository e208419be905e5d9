//! The jobs that this worker has claimed and not done yet, counted by lane and,
//! for dispatches, by run.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

use tokio_util::sync::CancellationToken;

use super::lane::Lane;
use crate::{
    record::Job,
    time::Timestamp,
    types::{NodeKind, NodeRunId, RunId},
};

/// Each job in hand, and how many there are.
#[derive(Default)]
pub(super) struct InHand {
    jobs: HashMap<(NodeRunId, Job), Held>,
    lanes: [usize; Lane::ALL.len()],
    /// The number of dispatches of each run. Other jobs are not counted here:
    /// notifying an executor must not wait behind calls to it.
    runs: HashMap<(NodeKind, RunId), usize>,
}

/// A job in hand.
pub(super) struct Held {
    pub(super) run: RunId,
    pub(super) lane: Lane,
    /// Cancelled when the node of a dispatch has ended.
    pub(super) ended: CancellationToken,
    /// Cancelled when a dispatch that has not begun is to be looked at again.
    pub(super) withdrawn: CancellationToken,
    /// When the attempt of a dispatch started.
    pub(super) started_at: Arc<OnceLock<Timestamp>>,
}

/// What is left in hand after a removal.
pub(super) struct Left {
    pub(super) of_lane: usize,
    /// Of a dispatch: what is left of that run in its lane.
    pub(super) of_run: Option<usize>,
}

impl InHand {
    pub(super) fn len(&self) -> usize {
        self.jobs.len()
    }

    pub(super) fn has(&self, node: &NodeRunId, job: Job) -> bool {
        self.get(node, job).is_some()
    }

    pub(super) fn get(&self, node: &NodeRunId, job: Job) -> Option<&Held> {
        self.jobs.get(&(node.clone(), job))
    }

    /// The dispatches of a run.
    pub(super) fn dispatches<'h>(&'h self, run: &'h RunId) -> impl Iterator<Item = &'h Held> {
        let of_run =
            self.jobs.iter().filter(move |((_, job), held)| *job == Job::Dispatch && held.run == *run);
        of_run.map(|(_, held)| held)
    }

    /// The nodes of which this job is in hand, in the order of their ids.
    pub(super) fn with_job(&self, wanted: Job) -> Vec<NodeRunId> {
        let of_job = self.jobs.keys().filter(|(_, job)| *job == wanted);
        let mut nodes: Vec<_> = of_job.map(|(node, _)| node.clone()).collect();
        nodes.sort();
        nodes
    }

    pub(super) fn in_lane(&self, lane: Lane) -> usize {
        self.lanes[lane.index()]
    }

    pub(super) fn of_run(&self, kind: NodeKind, run: &RunId) -> usize {
        self.runs.get(&(kind, run.clone())).copied().unwrap_or_default()
    }

    /// The runs with at least `count` dispatches of this kind.
    pub(super) fn runs_with(&self, kind: NodeKind, count: usize) -> Vec<RunId> {
        let full = self.runs.iter().filter(|((of, _), in_hand)| *of == kind && **in_hand >= count);
        full.map(|((_, run), _)| run.clone()).collect()
    }

    pub(super) fn insert(&mut self, node: NodeRunId, job: Job, held: Held) {
        self.count(held.lane, &held.run);
        self.jobs.insert((node, job), held);
    }

    pub(super) fn remove(&mut self, node: &NodeRunId, job: Job) -> Option<Left> {
        let held = self.jobs.remove(&(node.clone(), job))?;
        Some(self.discount(held.lane, &held.run))
    }

    /// Moves a dispatch to the lane of the kind that its node turned out to have.
    /// What is left in its old lane; `None` if it is in the right lane already.
    pub(super) fn move_dispatch(&mut self, node: &NodeRunId, kind: NodeKind) -> Option<Left> {
        let held = self.jobs.get_mut(&(node.clone(), Job::Dispatch))?;
        let from = std::mem::replace(&mut held.lane, Lane::Dispatches(kind));
        if from == held.lane {
            return None;
        }
        let (run, to) = (held.run.clone(), held.lane);
        self.count(to, &run);
        Some(self.discount(from, &run))
    }

    fn count(&mut self, lane: Lane, run: &RunId) {
        self.lanes[lane.index()] += 1;
        if let Lane::Dispatches(kind) = lane {
            *self.runs.entry((kind, run.clone())).or_default() += 1;
        }
    }

    fn discount(&mut self, lane: Lane, run: &RunId) -> Left {
        let in_lane = &mut self.lanes[lane.index()];
        *in_lane -= 1;
        let of_lane = *in_lane;
        let Lane::Dispatches(kind) = lane else { return Left { of_lane, of_run: None } };
        let key = (kind, run.clone());
        let of_run = self.runs.get_mut(&key).map(|count| {
            *count -= 1;
            *count
        });
        if of_run == Some(0) {
            self.runs.remove(&key);
        }
        Left { of_lane, of_run }
    }
}
