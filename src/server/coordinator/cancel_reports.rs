//! What became of the nodes that a cancel has ended (contract §25).
//!
//! ```text
//!   cancel ─▶ authorize ─▶ as ARP's cancel, with a reason ─▶ report
//!   report ─▶ journal: nodes canceled when the run was ─▶ fate of each
//!
//!   never started
//!   at an executor ──▶ notified ──┬─▶ acknowledged
//!                                 └─▶ given up
//! ```
//!
//! The report is read from the records, so it is the same later and after a restart,
//! but for notifications that have gone on meanwhile.
//!
//! **Invariant:** a report is bounded, however many nodes the run had.

use std::{collections::BTreeMap, time::Duration};

use super::{Coordinator, approvals::check_reason, error::CoordinatorError};
use crate::{
    auth::Principal,
    engine::{self, Canceled, Cause},
    journal::CanceledNode,
    record::{AttemptOutcome, Job, NodeHead, Operation},
    time::{Timestamp, within},
    types::{NodeRunId, Run, RunId, RunState},
};

/// The most nodes in a report.
pub const CANCEL_REPORT_NODES: usize = 1000;

/// The most nodes that are counted.
const COUNTED_MAX: u32 = 100_000;

/// When a report is looked at again for a caller that waits: later and later.
const LOOK: Duration = Duration::from_millis(100);
const LOOK_MAX: Duration = Duration::from_secs(2);

/// What became of a node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// No executor ever got it.
    NeverStarted,
    /// Its executor is being notified, and has not acknowledged that yet.
    Notified { tries: u32, next_at: Timestamp },
    /// Its executor has acknowledged the end.
    Acknowledged,
    /// Its executor was notified without an answer until that was given up.
    GivenUp { error: Option<String> },
}

/// A node in a report.
#[derive(Clone, Debug, PartialEq)]
pub struct CanceledNodeRun {
    pub node_run_id: NodeRunId,
    pub path: String,
    pub attempt: u32,
    pub fate: Fate,
}

/// What became of the nodes that a cancel has ended.
#[derive(Clone, Debug, PartialEq)]
pub struct CancelReport {
    pub run: Run,
    /// Who canceled it and why, if that was through the operator API.
    pub canceled: Option<Canceled>,
    /// The number of nodes of each fate.
    pub counts: BTreeMap<&'static str, u64>,
    /// Not all nodes were counted.
    pub more: bool,
    /// The first of them, by their paths.
    pub nodes: Vec<CanceledNodeRun>,
}

impl Fate {
    fn of(node: &CanceledNode) -> Self {
        let CanceledNode { head, last_attempt } = node;
        let NodeHead { wake, started_at, attempt, .. } = head;
        if let Some(wake) = wake.as_ref().filter(|wake| wake.job == Job::CancelExecutor) {
            return Self::Notified { tries: wake.tries, next_at: wake.at };
        }
        let given_up = last_attempt
            .as_ref()
            .filter(|last| last.attempt == *attempt)
            .and_then(|last| (last.outcome == AttemptOutcome::Fenced).then(|| last.because.clone()));
        match (given_up, started_at) {
            (Some(error), _) => Self::GivenUp { error },
            (None, None) => Self::NeverStarted,
            (None, Some(_)) => Self::Acknowledged,
        }
    }

    pub fn name(&self) -> &'static str {
        match self {
            Self::NeverStarted => "never_started",
            Self::Notified { .. } => "notified",
            Self::Acknowledged => "acknowledged",
            Self::GivenUp { .. } => "given_up",
        }
    }
}

impl CancelReport {
    fn of(run: Run, found: Vec<CanceledNode>) -> Self {
        let canceled = run.extensions.as_ref().and_then(|extensions| extensions.raw(engine::CANCELED));
        let canceled = canceled.and_then(|text| serde_json::from_str(text).ok());
        let more = found.len() >= COUNTED_MAX as usize;
        let (mut counts, mut nodes) = (BTreeMap::new(), Vec::new());
        for node in found {
            let fate = Fate::of(&node);
            *counts.entry(fate.name()).or_default() += 1;
            if nodes.len() < CANCEL_REPORT_NODES {
                let NodeHead { node_run_id, path, attempt, .. } = node.head;
                nodes.push(CanceledNodeRun { node_run_id, path: path.to_string(), attempt, fate });
            }
        }
        Self { run, canceled, counts, more, nodes }
    }

    /// Whether no executor is to be notified any more.
    fn is_final(&self) -> bool {
        !self.counts.contains_key("notified")
    }
}

impl Coordinator {
    /// Cancels a run with all its live nodes, and reports what became of them.
    pub async fn run_cancel_reported(
        &self,
        caller: &Principal,
        run: &RunId,
        reason: &str,
    ) -> Result<CancelReport, CoordinatorError> {
        let operation = Operation::CancelRunWithReport;
        self.run_authorize(caller, operation, run).await?;
        check_reason(reason)?;
        let reason = self.committer.redactor.message(reason).into_owned();
        let canceled =
            self.run_cancel_for(Cause::asked(caller.actor(), operation), run, Some(&reason)).await?;
        self.cancel_report(canceled).await
    }

    /// Reports what became of the nodes of a run that was canceled.
    pub async fn cancel_report_get(
        &self,
        caller: &Principal,
        run: &RunId,
    ) -> Result<CancelReport, CoordinatorError> {
        let record = self.run_authorize(caller, Operation::GetCancelReport, run).await?;
        self.cancel_report(record.run).await
    }

    /// The report once no executor is to be notified any more, or when the time is up.
    /// For a caller that may read the run.
    pub(crate) async fn cancel_report_final(
        &self,
        report: CancelReport,
        wait: Duration,
    ) -> Result<CancelReport, CoordinatorError> {
        let clock = &*self.committer.clock;
        let last = parking_lot::Mutex::new(report);
        let settled = async {
            let mut look = LOOK;
            while !last.lock().is_final() {
                clock.sleep(look).await;
                look = (look * 2).min(LOOK_MAX);
                let run = last.lock().run.clone();
                let report = self.cancel_report(run).await?;
                *last.lock() = report;
            }
            Ok::<(), CoordinatorError>(())
        };
        within(clock, wait, settled).await.unwrap_or(Ok(()))?;
        Ok(last.into_inner())
    }

    async fn cancel_report(&self, run: Run) -> Result<CancelReport, CoordinatorError> {
        let at = run.ended_at.filter(|_| run.state == RunState::Canceled);
        let Some(at) = at else { return Err(CoordinatorError::NotCanceled(run.state)) };
        let found = self.committer.journal.nodes_canceled(&run.run_id, at, COUNTED_MAX).await;
        let found = found.map_err(|failure| self.committer.read_failed(failure))?;
        Ok(CancelReport::of(run, found))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        journal::conformance::{at, attempt, ended, node, run, wake},
        record::NodeRecord,
    };

    fn canceled(started: bool, job: Option<Job>, last: Option<AttemptOutcome>) -> CanceledNode {
        let node = NodeRecord { attempt: u32::from(started), ..ended(node("a", "1")) };
        let head = NodeHead {
            started_at: started.then(|| at(3)),
            wake: job.map(|job| wake(job, 90)),
            ..node.head()
        };
        let last_attempt = last.map(|outcome| attempt("a/1", 1, outcome).because("it is gone"));
        CanceledNode { head, last_attempt }
    }

    #[test]
    fn fate_of_a_node_is_read_from_its_record() {
        let notified = Fate::Notified { tries: 0, next_at: at(90) };
        let given_up = Fate::GivenUp { error: Some("it is gone".into()) };
        for (node, fate) in [
            (canceled(false, None, None), Fate::NeverStarted),
            (canceled(true, Some(Job::CancelExecutor), None), notified),
            (canceled(true, None, None), Fate::Acknowledged),
            (canceled(true, None, Some(AttemptOutcome::Lost)), Fate::Acknowledged),
            (canceled(true, None, Some(AttemptOutcome::Fenced)), given_up),
        ] {
            assert_eq!(Fate::of(&node), fate, "{node:?}");
        }
    }

    #[test]
    fn report_is_bounded_and_counts_all() {
        let many = vec![canceled(false, None, None); CANCEL_REPORT_NODES + 7];
        let report = CancelReport::of(run("a").run, many);
        assert_eq!((report.nodes.len(), report.more, report.is_final()), (CANCEL_REPORT_NODES, false, true));
        assert_eq!(report.counts, BTreeMap::from([("never_started", CANCEL_REPORT_NODES as u64 + 7)]));
        let waits = CancelReport::of(run("a").run, vec![canceled(true, Some(Job::CancelExecutor), None)]);
        assert!(!waits.is_final());
    }
}
