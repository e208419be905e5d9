//! Which node has waited the longest for its executor, and for what: for health.
//!
//! ```text
//!   sweep ──▶ the first that were created (journal) ──▶ since when each waits ──▶ the oldest ──▶ explain
//! ```
//!
//! What it says of the node is what `explain` says. A node that backs off after a
//! failed attempt does not wait yet, and nodes that wait for people are not among
//! those that are looked at.

use super::{DispatchFacts, attempts::Attempts, error::CoordinatorError};
use crate::{
    explain::{self, Below, Facts},
    health::LongestWait,
    journal::JournalError,
    record::{Job, NodeRecord},
    time::Timestamp,
    types::NodeRunId,
};

impl Attempts {
    /// Of these nodes the one that has waited the longest. `None`: none of them waits.
    pub(crate) async fn longest_wait(
        &self,
        nodes: &[NodeRunId],
        dispatch: &DispatchFacts,
    ) -> Result<Option<LongestWait>, CoordinatorError> {
        let committer = self.committer();
        let now = committer.clock.now();
        let mut longest: Option<(Timestamp, NodeRecord)> = None;
        for id in nodes {
            let node = match committer.journal.node_fetch_bare(id).await {
                Ok(Some(node)) => node,
                // It is parked, or will be.
                Ok(None) | Err(JournalError::Damaged(_)) => continue,
                Err(failure) => return Err(committer.read_failed(failure)),
            };
            let Some(since) = waits_since(&node, now) else { continue };
            if longest.as_ref().is_none_or(|(earliest, _)| since < *earliest) {
                longest = Some((since, node));
            }
        }
        let Some((since, node)) = longest else { return Ok(None) };
        let facts = Facts {
            now,
            worker: committer.queue.worker(),
            is_in_hand: committer.queue.has(node.id(), Job::Dispatch),
            below: Below::default(),
            parked: None,
            last_attempt: None,
            executor: dispatch.executor(node.node.kind),
            auto_dispatch: dispatch.is_on,
        };
        let reasons = explain::node_reasons(&node, &facts);
        let cause = reasons.first().map_or("unknown", |reason| reason.cause.code());
        Ok(Some(LongestWait { executor: dispatch.executor_name(node.node.kind), cause, since }))
    }
}

/// Since when a node waits for its dispatch; `None`: it does not, or not yet.
fn waits_since(node: &NodeRecord, now: Timestamp) -> Option<Timestamp> {
    let wake = node.wake.as_ref().filter(|wake| wake.job == Job::Dispatch)?;
    let since = if let Some(held_since) = node.waits.held_since {
        Some(held_since)
    } else if wake.tries == 0 || node.attempt > 0 {
        // Since it was created, approved or released, or its pause was over.
        Some(wake.at)
    } else {
        // It was put back, at which its wake-up lost the time.
        node.node.created_at
    };
    since.filter(|since| *since <= now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::{NodePath, Wake},
        types::{NodeRun, NodeTypeRef},
    };

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn waiting(attempt: u32, wake_at: i64, tries: u32) -> NodeRecord {
        let of_type = NodeTypeRef { node_type_id: "t".into(), version: "1".into(), extensions: None };
        let node = NodeRun {
            created_at: Some(at(1)),
            ..NodeRun::queued("r".into(), NodeRunId::from("n"), of_type, None)
        };
        let wake = Wake { job: Job::Dispatch, at: at(wake_at), claimed_by: None, tries };
        NodeRecord { attempt, wake: Some(wake), ..NodeRecord::new(node, NodePath::root()) }
    }

    #[test]
    fn node_waits_since_it_was_due() {
        let now = at(100);
        for (node, since) in [
            (waiting(0, 1, 0), Some(at(1))),
            // Approved, or released.
            (waiting(0, 50, 0), Some(at(50))),
            // Put back, because a breaker is open.
            (waiting(0, 120, 7), Some(at(1))),
            // It backs off, and then it waits.
            (waiting(2, 120, 0), None),
            (waiting(2, 90, 0), Some(at(90))),
        ] {
            assert_eq!(waits_since(&node, now), since, "{:?}", node.wake);
        }
        let mut held = waiting(0, 120, 3);
        held.waits.held_since = Some(at(40));
        assert_eq!(waits_since(&held, now), Some(at(40)));
        let mut elsewhere = waiting(1, 50, 0);
        elsewhere.wake = elsewhere.wake.map(|wake| Wake { job: Job::Deadline, ..wake });
        assert_eq!(waits_since(&elsewhere, now), None);
    }
}
