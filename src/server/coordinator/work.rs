//! The work of all runs, for those who look after the server.
//!
//! ```text
//!   journal: due, parked, owed, waiting ─┐
//!   queue: in hand, by lane ─────────────┼─▶ WorkView
//!   dispatch: slots, breakers ───────────┘    as the last sweep found them
//! ```
//!
//! **Invariant:** it names runs of all owners, so it is for those who may read all
//! runs. It costs by what is live, never by what is stored.

use super::{Coordinator, Lane, error::CoordinatorError};
use crate::{
    auth::Principal,
    health::{ExecutorLoad, MemberReport},
    journal::Work,
    record::{Job, Operation},
    time::Timestamp,
    types::{NodeKind, WorkerId},
};

/// The parked items that are listed.
const PARKED_MAX: u32 = 20;

/// All that is to be done, and what does it.
#[derive(Clone, Debug)]
pub(crate) struct WorkView {
    pub(crate) at: Timestamp,
    pub(crate) journal: Work,
    /// This process.
    pub(crate) worker: WorkerId,
    pub(crate) lanes: Vec<LaneView>,
    pub(crate) executors: Vec<ExecutorView>,
}

/// The jobs of one lane that this process has in hand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LaneView {
    pub(crate) job: Job,
    /// `None`: nodes of both kinds.
    pub(crate) kind: Option<NodeKind>,
    pub(crate) in_hand: usize,
    pub(crate) room: usize,
}

/// An executor that is configured.
#[derive(Clone, Debug)]
pub(crate) struct ExecutorView {
    pub(crate) name: &'static str,
    /// Nodes that wait for a slot.
    pub(crate) waiting: usize,
    pub(crate) members: Vec<MemberReport>,
}

impl Coordinator {
    pub(crate) async fn work(&self, caller: &Principal) -> Result<WorkView, CoordinatorError> {
        self.server_authorize(caller, Operation::GetWork).await?;
        let committer = &*self.committer;
        let at = committer.clock.now();
        let journal = committer.journal.work(at, PARKED_MAX).await;
        let journal = journal.map_err(|failure| committer.read_failed(failure))?;
        let queue = &committer.queue;
        let lane = |lane: Lane| LaneView {
            job: lane.job(),
            kind: lane.kind(),
            in_hand: queue.in_lane(lane),
            room: queue.room(lane),
        };
        let (_, loads) = self.dispatch.status.in_hand();
        let waiting = |name: &str| {
            let load = loads.iter().find(|load: &&ExecutorLoad| load.executor == name);
            load.map_or(0, |load| load.waiting)
        };
        let members = self.dispatch.status.members().into_iter();
        let executors =
            members.map(|(name, members)| ExecutorView { name, waiting: waiting(name), members }).collect();
        let lanes = Lane::ALL.into_iter().map(lane).collect();
        Ok(WorkView { at, journal, worker: queue.worker().clone(), lanes, executors })
    }
}
