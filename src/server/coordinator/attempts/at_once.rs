//! New nodes that begin in the commit that creates them: one commit less on the way to
//! the executor.
//!
//! ```text
//!   decision that creates nodes ──▶ a place at an executor free now? ─no──▶ committed as it is:
//!                                       │                                  the queue has the node
//!                                      yes: node in hand, begun, in the same change set
//!                                       ▼
//!                                  commit ─ durable ───▶ call
//!                                       ├── conflict ──▶ place and node are free again
//!                                       └── in doubt ──▶ call, if the journal has it
//! ```
//!
//! Only where nothing has to be waited for, read or asked over the network: anything else
//! takes the way through the queue (`begin`).

use std::sync::{Arc, Weak};

use super::{
    Attempts,
    begin::{Assignment, Choice, Resolved},
};
use crate::{
    coordinator::queue::ClaimedJob,
    engine::{self, Cause, Cx, Decision, NodeView, Placement},
    record::{ChangeSet, Job, NodeRecord},
    types::{ExecutorBinding, NodeKind, NodeRunId, RunId},
};

/// The most nodes that begin in the commit that creates them: those that follow wait in
/// the queue, so that no commit grows with the slots of a pool.
const AT_ONCE: usize = 64;

/// The places at executors. Dispatch has them.
pub(crate) trait Places: Send + Sync {
    /// A place for a new node of this run, if one is free now and calls may be made.
    fn reserve(self: Arc<Self>, run: &RunId, kind: NodeKind, placement: &Placement)
    -> Option<Box<dyn Place>>;
}

/// A place at an executor, free again when it is dropped.
pub(crate) trait Place: Send {
    fn binding(&self) -> &ExecutorBinding;

    /// The name of the member of a pool, as health reports it.
    fn member(&self) -> Option<String>;

    /// Calls the executor in the background, and records what comes of it. `in_doubt`: only
    /// if the journal says that the attempt has begun.
    fn call(self: Box<Self>, job: ClaimedJob, assignment: Assignment, in_doubt: bool);
}

/// A node that has begun once the commit is durable.
pub(crate) struct Begun(Option<(Box<dyn Place>, ClaimedJob, Assignment)>);

impl Begun {
    /// After the commit.
    pub(crate) fn call(mut self) {
        self.hand_on(false);
    }

    /// After a commit that was reported as failed: nothing was sent, so it is called if
    /// that is durable nevertheless.
    pub(crate) fn settle(mut self) {
        self.hand_on(true);
    }

    fn hand_on(&mut self, in_doubt: bool) {
        if let Some((place, job, assignment)) = self.0.take() {
            place.call(job, assignment, in_doubt);
        }
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        // A conflict leaves nothing to settle. After a panic, the commit may be durable.
        if std::thread::panicking() {
            self.hand_on(true);
        }
    }
}

impl Attempts {
    /// From now on new nodes may begin at once.
    pub(crate) fn begin_at(&self, places: Weak<dyn Places>) {
        // Dispatch begins once.
        let _first = self.places.set(places);
    }

    /// The decision of a command that creates nodes, with those begun for which there is
    /// a place. The caller holds [`Pauses::begins`](crate::coordinator::Pauses::begins).
    pub(crate) async fn begin_new<T>(&self, decision: Decision<T>, cx: Cx<'_>) -> Decision<(T, Vec<Begun>)> {
        let Decision { changes, answer } = decision;
        let mut begun = Vec::new();
        let Some(mut changes) = changes else { return Decision { changes: None, answer: (answer, begun) } };
        if let Some(places) = self.places.get().and_then(Weak::upgrade)
            && self.may_begin_at_once()
        {
            // Under the pauses that there are now: none.
            let pauses = self.committer.pauses.version();
            let cx = Cx { cause: Cause::Rule, claim: self.committer.queue.claim_unbounded(), ..cx };
            let is_new = |node: &&NodeRecord| self.may_begin_new(node, cx);
            let new: Vec<NodeRunId> =
                changes.nodes.iter().filter(is_new).take(AT_ONCE).map(NodeRecord::id).cloned().collect();
            for node in new {
                let Some((later, one)) = self.begin_in(&changes, &node, &places, cx).await else { break };
                *changes = (*changes).followed_by(*later);
                begun.push(one);
            }
            if !begun.is_empty() {
                changes.pauses = pauses;
            }
        }
        Decision { changes: Some(changes), answer: (answer, begun) }
    }

    /// Whether nothing has to be asked over the network, and dispatch is not paused.
    fn may_begin_at_once(&self) -> bool {
        self.admission.policy.is_local() && self.committer.pauses.is_empty()
    }

    /// Whether a node of a change set is new, claimed by this worker for its dispatch now,
    /// and all that is asked about it is in its record.
    fn may_begin_new(&self, node: &NodeRecord, cx: Cx<'_>) -> bool {
        let is_ours = node.wake.as_ref().is_some_and(|wake| {
            wake.job == Job::Dispatch && wake.at <= cx.now && wake.claimed_by.as_ref() == cx.claim
        });
        is_ours
            && node.version == 0
            && node.budget.payer.is_none()
            && !node.inputs_unjudged
            && node.deadline.is_none_or(|deadline| cx.now < deadline)
    }

    /// Begins one node of a change set: what changes by that. `None`: no place is free, or
    /// it does not begin.
    async fn begin_in(
        &self,
        changes: &ChangeSet,
        node: &NodeRunId,
        places: &Arc<dyn Places>,
        cx: Cx<'_>,
    ) -> Option<(Box<ChangeSet>, Begun)> {
        let run = changes.run.clone().filter(|run| run.hold.is_none())?;
        let node = changes.nodes.iter().find(|record| record.id() == node)?.clone();
        let kind = node.node.kind?;
        let place = Arc::clone(places).reserve(run.id(), kind, &engine::placement(&node))?;
        let job = self.committer.queue.take(&node.head(), cx.now)?;
        let (binding, member) = (Ok(place.binding().clone()), place.member());
        let choice = Choice { resolved: Resolved::known(kind), binding, member };
        let view = NodeView { run, node, live_below: Vec::new(), payers: Vec::new() };
        // What else becomes of it is decided when its job is done.
        let Decision { changes: Some(later), answer: Some(assignment) } =
            self.hand_over(view, &choice, None, cx).await.ok()?
        else {
            return None;
        };
        Some((later, Begun(Some((place, job, assignment)))))
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use super::*;
    use crate::{
        clients::Subject, coordinator::queue::WorkQueue, engine::Attempt, journal::conformance,
        record::NodePath, time::Timestamp, types::NodeRun,
    };

    /// What was done with a place.
    #[derive(Clone, Default)]
    struct Noted(Arc<Mutex<Vec<&'static str>>>);

    struct FakePlace {
        noted: Noted,
        binding: ExecutorBinding,
    }

    impl Place for FakePlace {
        fn binding(&self) -> &ExecutorBinding {
            &self.binding
        }
        fn member(&self) -> Option<String> {
            None
        }
        fn call(self: Box<Self>, _: ClaimedJob, _: Assignment, in_doubt: bool) {
            self.noted.0.lock().push(if in_doubt { "in doubt" } else { "durable" });
        }
    }

    fn begun(noted: &Noted) -> Begun {
        let (queue, _jobs) = WorkQueue::new("worker".into(), 8);
        let now = Timestamp::from_micros(0);
        let node = conformance::node("run", "1");
        let job = queue.take(&node.head(), now).expect("a job");
        let binding = ExecutorBinding {
            executor_instance_id: "one".into(),
            endpoint: "http://one".to_owned().try_into().expect("a URI"),
            audience: None,
            extensions: None,
        };
        let assignment = Assignment {
            node: NodeRun::clone(&node.node),
            path: NodePath::root(),
            run_context: None,
            constraints: None,
            attempt: Attempt { number: 1, started_at: now },
            deadline: now,
            subject: Subject::Own,
            current: None,
        };
        Begun(Some((Box::new(FakePlace { noted: noted.clone(), binding }), job, assignment)))
    }

    #[test]
    fn call_is_made_dropped_or_doubted_by_what_came_of_the_commit() {
        let noted = Noted::default();
        begun(&noted).call();
        begun(&noted).settle();
        // A conflict.
        drop(begun(&noted));
        assert_eq!(*noted.0.lock(), ["durable", "in doubt"]);
        let one = begun(&noted);
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
            let _one = one;
            panic!("as intended");
        }));
        assert!(panicked.is_err());
        assert_eq!(*noted.0.lock(), ["durable", "in doubt", "in doubt"]);
    }
}
