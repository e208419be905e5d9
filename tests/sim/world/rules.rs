//! The rules: what must be true of the committed runs at any time, and at the end.

use std::{
    collections::BTreeMap,
    sync::{Arc, MutexGuard},
    time::Duration,
};

use jarvis_run_coordinator::{
    coordinator::Lane,
    journal::{
        JournalError,
        sqlite::memory::{Snapshot, Whole},
    },
    record::{Approval, ApprovalOutcome, AttemptOutcome, AttemptRecord, Job, NodeRecord},
    types::{NodeRunId, RunId, RunState},
};

use super::{World, lock};
use crate::{executors::Ledger, process::Process, scenario::Paused, watch::Promise};

/// The time within which due work is taken up, if nothing prevents it.
const DUE_LIMIT: Duration = Duration::from_secs(10);

/// The time within which all processes know what one has committed.
const KNOWN_TO_ALL: Duration = Duration::from_secs(3);

/// The time within which one of several processes finds another dead: eight seconds,
/// unless its own journal fails meanwhile.
const FOUND_DEAD: Duration = Duration::from_secs(60);

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
        lock(&self.watch).promised(self.clock.elapsed(), promise);
    }

    /// An operator was answered that dispatch is paused.
    pub fn is_paused(&self, paused: Paused) {
        let mut watch = lock(&self.watch);
        // Another operator may have resumed it before this one had the answer.
        if !watch.resumed.contains(&paused) {
            watch.paused.insert(paused);
        }
    }

    /// An operator begins to resume it.
    pub fn is_resumed(&self, paused: Paused) {
        let mut watch = lock(&self.watch);
        watch.paused.remove(&paused);
        watch.resumed.insert(paused);
    }

    /// Whether a caller was answered that this node or its run is over, early enough that
    /// each process knows: another one learns it when it looks.
    pub fn is_promised_over(&self, run: &RunId, node: &NodeRunId) -> bool {
        let known_by = if self.scenario.replicas == 1 { Duration::ZERO } else { KNOWN_TO_ALL };
        let now = self.clock.elapsed();
        lock(&self.watch).promises_until(now.saturating_sub(known_by)).any(|promise| match promise {
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
        let up = self.processes();
        // Clocks differ: one that was set is followed slowly.
        let Some(now) = up.iter().map(|process| process.clock.now()).max() else { return };
        let since_all_up = up.iter().map(|process| process.up_since).max().unwrap_or_default();
        let mut orphans = BTreeMap::new();
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
                let of = |process: &&Arc<Process>| wake.claimed_by.as_ref() == Some(process.queue.worker());
                let claimed_by = up.iter().find(of);
                let in_hand = match claimed_by {
                    Some(process) => process.queue.has(node.id(), wake.job),
                    // Other work of its lane may have to be first.
                    None => {
                        let lane = Lane::of(wake.job, node.node.kind);
                        up.iter().all(|process| {
                            process.queue.room(lane) == 0
                                || process.queue.full_runs(lane).contains(whole.run.id())
                        })
                    }
                };
                if self.is_calm() && !in_hand && wake.at <= now {
                    let key = (node.id().clone(), wake.job);
                    let since = waiting.remove(&key).filter(|since| *since >= since_all_up);
                    let since = since.unwrap_or(self.clock.elapsed());
                    if self.clock.elapsed() - since > DUE_LIMIT + self.found_dead_within() {
                        self.violated("due work is taken up in time", format!("{wake:?} of {}", node.id()));
                    }
                    still.insert(key, since);
                }
                if wake.claimed_by.is_some() && claimed_by.is_none() {
                    let key = (node.id().clone(), wake.job);
                    let since = lock(&self.orphans).get(&key).copied().unwrap_or(self.clock.elapsed());
                    if self.clock.elapsed() - since > self.found_dead_within() || self.scenario.replicas == 1
                    {
                        let what = format!("{wake:?} of {}", node.id());
                        self.violated("dead workers hold no claims", what);
                    }
                    orphans.insert(key, since);
                }
            }
        }
        *lock(&self.waiting) = still;
        *lock(&self.orphans) = orphans;
    }

    /// The time within which a dead process is found dead by another, in the calm or
    /// not: faults may begin the watch again.
    pub fn found_dead_within(&self) -> Duration {
        if self.scenario.replicas == 1 { Duration::ZERO } else { FOUND_DEAD }
    }

    /// Notes that a process sent a call after others had taken over, because it was
    /// frozen in between: nothing can prevent that.
    pub fn is_sent_late(&self, node: &NodeRunId) {
        self.count("call sent by a worker that was declared dead");
        lock(&self.sent_late).insert(node.clone());
    }

    pub fn was_sent_late(&self, node: &NodeRunId) -> bool {
        lock(&self.sent_late).contains(node)
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
        let owed = self.journal.outbox_entries().unwrap_or_default();
        if owed > 0 {
            return Some(format!("the outbox has {owed} entries"));
        }
        // Some of the tasks start the processes.
        let at_work = self.tasks.len().saturating_sub(self.scenario.replicas as usize);
        (at_work > 0).then(|| format!("{at_work} callers and executors are at work"))
    }

    /// The checks at the end of the simulation.
    pub fn final_check(&self) {
        self.look();
        self.count_approvals();
        // The second check reads everything from the database again.
        let journal = self.readable(self.journal.snapshot_afresh());
        self.look();
        for promise in lock(&self.watch).promises_until(Duration::MAX) {
            if let Err(broken) = promise.holds(&journal) {
                self.violated("what was answered stays true", broken);
            }
        }
        for (rule, what) in self.ledger().settled(&journal, &lock(&self.sent_late)) {
            self.violated(rule, what);
        }
        self.check_stores(&journal);
        if self.scenario.patient {
            let is_well = |whole: &&Arc<Whole>| {
                whole.run.run.state == RunState::Succeeded && whole.nodes.iter().all(|node| node.attempt == 1)
            };
            if let Some(whole) = journal.runs().find(|whole| !is_well(whole)) {
                self.violated("an outage of the journal fails no node", format!("{:?}", whole.run.run));
            }
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
