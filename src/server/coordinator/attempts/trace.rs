//! Which span the work on a wake-up belongs to.

use super::Attempts;
use crate::{coordinator::queue::ClaimedJob, record::Job, traces::Current};

impl Attempts {
    /// The span that the work on a job belongs to: that of the node's attempt, or what
    /// is above it. `None` also if there are no traces, or the records cannot be read,
    /// which the work itself will find out.
    pub(crate) async fn current_of(&self, job: &ClaimedJob) -> Option<Current> {
        let traces = &self.committer.traces;
        if !traces.is_on() {
            return None;
        }
        let run = self.committer.run_find(&job.run).await.ok()??;
        let node = self.committer.node_find_bare(&job.node).await.ok()??;
        match job.job {
            Job::Deadline | Job::CancelExecutor if node.attempt > 0 => {
                traces.of_attempt(&run, node.id(), node.attempt)
            }
            Job::Dispatch | Job::Approval | Job::Deadline | Job::CancelExecutor => {
                traces.of_node(&run, &node)
            }
        }
    }
}
