//! The rules: what must be true of the committed runs at any time, and at the end.

use std::{
    collections::BTreeMap,
    sync::{Arc, MutexGuard},
    time::Duration,
};

use jarvis_run_coordinator::{
    coordinator::Lane,
    journal::{JournalError, sqlite::memory::Snapshot},
    record::{Approval, ApprovalOutcome, AttemptOutcome, AttemptRecord, Job, NodeRecord},
    types::{NodeRunId, RunId},
};

use super::{World, lock};
use crate::{executors::Ledger, watch::Promise};

/// The time within which due work is taken up, if nothing prevents it.
const DUE_LIMIT: Duration = Duration::from_secs(10);

impl World {
    /// Whether a valid answer of an executor is recorded, in the node or as a late
    /// attempt.
    pub fn is_recorded(&self, node: &NodeRunId, attempt: u32, said: &str) -> bool {
        let Some(record) = self.node(node) else { return false };
        let applied = record.node.outputs.as_ref().and_then(|outputs| outputs.get("execution"));
        let journal = self.committed();
        let whole = journal.run(&record.node.run_id);
        let logged = |kept: &AttemptRecord| match kept.outcome {
            AttemptOutcome::Late { .. } | AttemptOutcome::FailedResult { .. } => {
                kept.node_run_id == *node && kept.attempt == attempt
            }
            AttemptOutcome::Lost | AttemptOutcome::Failed { .. } | AttemptOutcome::Fenced => false,
        };
        applied.is_some_and(|applied| applied == said)
            || whole.is_some_and(|whole| whole.attempts.iter().any(logged))
    }

    pub fn ledger(&self) -> MutexGuard<'_, Ledger> {
        lock(&self.ledger)
    }

    /// The committed content of the journal.
    pub fn committed(&self) -> Arc<Snapshot> {
        self.readable(self.journal.snapshot())
    }

    fn readable(&self, snapshot: Result<Arc<Snapshot>, JournalError>) -> Arc<Snapshot> {
        snapshot.unwrap_or_else(|failure| {
            self.violated("what is committed can be read", failure);
            Arc::default()
        })
    }

    /// Checks what was committed since the last check.
    pub fn look(&self) {
        let (journal, mut watch) = (self.committed(), lock(&self.watch));
        for (rule, what) in watch.look(&journal) {
            self.violated(&rule, what);
        }
        let parked = journal.parked().len();
        if parked > watch.parked {
            self.count("parked");
        }
        watch.parked = parked;
    }

    /// Records an answer that a caller got. It must be true now and later.
    pub fn record_promise(&self, promise: Promise) {
        if let Err(broken) = promise.holds(&self.committed()) {
            self.violated("what is answered is durable", broken);
        }
        lock(&self.watch).promises.push(promise);
    }

    /// Whether a caller was answered that this node or its run is over.
    pub fn is_promised_over(&self, run: &RunId, node: &NodeRunId) -> bool {
        lock(&self.watch).promises.iter().any(|promise| match promise {
            Promise::RunOver { run: over, state: _ } => over == run,
            Promise::NodeOver { node: over, state: _ } => over == node,
            Promise::Run { .. }
            | Promise::Approval { .. }
            | Promise::Children { .. }
            | Promise::Evaluated { .. }
            | Promise::Events { .. } => false,
        })
    }

    /// Checks that due work is taken up in time, and that dead workers hold no claims.
    /// Parked work is exempt.
    pub fn check_due_work(&self) {
        let Some(process) = self.process() else { return };
        let now = process.clock.now();
        let journal = self.committed();
        let parked = journal.parked();
        let (mut waiting, mut still) = (std::mem::take(&mut *lock(&self.waiting)), BTreeMap::new());
        for whole in journal.runs() {
            for node in &whole.nodes {
                let Some(wake) = &node.wake else { continue };
                let late = node.deadline.is_some_and(|deadline| wake.at > deadline.max(now));
                let parked = parked.iter().any(|item| item.node_run_id.as_ref() == Some(node.id()));
                if late && !parked && !node.is_terminal() {
                    self.violated(
                        "a wake-up is not later than the deadline",
                        format!("{wake:?} of {}", node.id()),
                    );
                }
                let ours = wake.claimed_by.as_ref() == Some(process.queue.worker());
                let in_hand = match ours {
                    true => process.queue.has(node.id(), wake.job),
                    // Other work of its lane may have to be first.
                    false => {
                        let lane = Lane::of(wake.job, node.node.kind);
                        process.queue.room(lane) == 0
                            || process.queue.full_runs(lane).contains(whole.run.id())
                    }
                };
                if self.is_calm() && !in_hand && wake.at <= now {
                    let key = (node.id().clone(), wake.job);
                    let since = waiting.remove(&key).filter(|since| *since >= process.up_since);
                    let since = since.unwrap_or(self.clock.elapsed());
                    if self.clock.elapsed() - since > DUE_LIMIT {
                        self.violated("due work is taken up in time", format!("{wake:?} of {}", node.id()));
                    }
                    still.insert(key, since);
                }
                if wake.claimed_by.is_some() && !ours {
                    let what = format!("{wake:?} of {}", node.id());
                    self.violated("dead workers hold no claims", what);
                }
            }
        }
        *lock(&self.waiting) = still;
    }

    /// The first unfinished piece of work, if there is any.
    pub fn unfinished(&self) -> Option<String> {
        for whole in self.committed().runs() {
            let run = &whole.run;
            if !run.is_terminal() {
                return Some(format!("run {} is {}", run.id(), run.run.state));
            }
            if let Some(node) = whole.nodes.iter().find(|node| node.wake.is_some()) {
                return Some(format!("node {} still has {:?}", node.id(), node.wake));
            }
        }
        // One of the tasks starts the process.
        (self.tasks.len() > 1).then(|| format!("{} callers and executors are at work", self.tasks.len() - 1))
    }

    /// The checks at the end of the simulation.
    pub fn final_check(&self) {
        self.look();
        self.count_approvals();
        // The second check reads everything from the database again.
        let journal = self.readable(self.journal.snapshot_afresh());
        self.look();
        for promise in &lock(&self.watch).promises {
            if let Err(broken) = promise.holds(&journal) {
                self.violated("what was answered stays true", broken);
            }
        }
        for (rule, what) in self.ledger().settled(&journal) {
            self.violated(rule, what);
        }
        if !journal.parked().is_empty() {
            self.violated("nothing is parked for ever", format!("{:?}", journal.parked()));
        }
        for problem in self.journal.check().words {
            self.violated("the journal is sound", problem);
        }
    }

    pub fn node(&self, node: &NodeRunId) -> Option<NodeRecord> {
        self.committed().node(node).cloned()
    }

    /// The node of a run at an index, which wraps around.
    pub fn pick(&self, run: &RunId, nth: u32) -> Option<NodeRecord> {
        self.pick_of(run, nth, |_| true)
    }

    /// The same among the nodes that have a wake-up.
    pub fn pick_waiting(&self, run: &RunId, nth: u32) -> Option<NodeRecord> {
        self.pick_of(run, nth, |node| node.wake.is_some())
    }

    /// Of all nodes that wait for an approval, the one at an index, which wraps around.
    pub fn pick_approval(&self, nth: u32) -> Option<Approval> {
        let waiting = self.waiting_for_approval();
        waiting.get(nth as usize % waiting.len().max(1)).cloned()
    }

    /// The approvals that nodes wait for.
    pub fn waiting_for_approval(&self) -> Vec<Approval> {
        let journal = self.committed();
        let nodes = journal.runs().flat_map(|whole| &whole.nodes);
        let waits = |node: &&NodeRecord| node.wake.as_ref().is_some_and(|wake| wake.job == Job::Approval);
        let approval = |node: &NodeRecord| node.waits.approval.as_deref().cloned();
        nodes.filter(waits).filter_map(approval).collect()
    }

    /// Whether a caller has approved the execution of a node.
    pub fn is_approved(&self, node: &NodeRunId) -> bool {
        let approval = self.node(node).and_then(|node| node.waits.approval);
        approval.is_some_and(|approval| approval.is_granted())
    }

    /// Counts how approvals have ended.
    fn count_approvals(&self) {
        let journal = self.committed();
        for approval in
            journal.runs().flat_map(|whole| &whole.nodes).filter_map(|node| node.waits.approval.as_ref())
        {
            self.count(match approval.outcome() {
                Some(ApprovalOutcome::Approved) => "approval granted",
                Some(ApprovalOutcome::Denied) => "approval denied",
                Some(ApprovalOutcome::Expired) => "approval expired",
                Some(ApprovalOutcome::Lifted) => "approval lifted",
                None => "node ended while it waited for an approval",
            });
        }
    }

    fn pick_of(&self, run: &RunId, nth: u32, which: impl Fn(&NodeRecord) -> bool) -> Option<NodeRecord> {
        let mut nodes = self.committed().run(run)?.nodes.clone();
        nodes.retain(which);
        nodes.sort_by(|a, b| a.path.as_str().cmp(b.path.as_str()));
        let at = nth as usize % nodes.len().max(1);
        nodes.into_iter().nth(at)
    }
}
