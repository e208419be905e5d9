//! The columns of a NodeRun: the part that claims, cascades and sweeps need.

use super::{
    Columns,
    encoding::{integer, natural},
};
use crate::{
    journal::JournalError,
    record::{Job, NodeHead, NodePath, Wake},
    time::Timestamp,
    types::{NodeKind, NodeRunId, NodeRunState, RunId, WorkerId},
};

/// A NodeRun's columns, without its content.
pub(in crate::server::journal) struct HeadRow {
    pub(in crate::server::journal) node_run_id: NodeRunId,
    pub(in crate::server::journal) run_id: RunId,
    pub(in crate::server::journal) version: i64,
    pub(in crate::server::journal) path: String,
    pub(in crate::server::journal) terminal: bool,
    pub(in crate::server::journal) kind: Option<String>,
    pub(in crate::server::journal) state: Option<String>,
    pub(in crate::server::journal) started_at: Option<i64>,
    pub(in crate::server::journal) ended_at: Option<i64>,
    pub(in crate::server::journal) attempt: i64,
    pub(in crate::server::journal) superseded_attempt_may_run: bool,
    pub(in crate::server::journal) deadline: Option<i64>,
    pub(in crate::server::journal) wake: Option<WakeColumns>,
}

/// A [`Wake`] as columns.
pub(in crate::server::journal) struct WakeColumns {
    pub(in crate::server::journal) job: String,
    pub(in crate::server::journal) at: i64,
    pub(in crate::server::journal) claimed_by: Option<String>,
    pub(in crate::server::journal) tries: i64,
}

impl HeadRow {
    /// The columns that [`HeadRow::read`] expects.
    pub(in crate::server::journal) const COLUMNS: &str = "node_run_id, run_id, version, path, terminal, kind, state, started_at, \
                                      ended_at, attempt, astray, deadline, \
                                      wake_job, wake_at, wake_owner, wake_tries";

    pub(in crate::server::journal) fn encode(head: &NodeHead) -> Result<Self, JournalError> {
        let wake = head.wake.as_ref().map(|wake| WakeColumns {
            job: wake.job.as_str().to_owned(),
            at: wake.at.as_micros(),
            claimed_by: wake.claimed_by.as_ref().map(|worker| worker.as_str().to_owned()),
            tries: wake.tries.into(),
        });
        Ok(Self {
            node_run_id: head.node_run_id.clone(),
            run_id: head.run_id.clone(),
            version: integer(head.version)?,
            path: head.path.as_str().to_owned(),
            terminal: head.is_terminal(),
            kind: head.kind.map(|kind| kind.to_string()),
            state: Some(head.state.to_string()),
            started_at: head.started_at.map(Timestamp::as_micros),
            ended_at: head.ended_at.map(Timestamp::as_micros),
            attempt: head.attempt.into(),
            superseded_attempt_may_run: head.superseded_attempt_may_run,
            deadline: head.deadline.map(Timestamp::as_micros),
            wake,
        })
    }

    pub(in crate::server::journal) fn read<R: Columns>(row: &R) -> Result<Self, R::Error> {
        let wake = match row.value::<Option<String>>(12)? {
            None => None,
            Some(job) => Some(WakeColumns {
                job,
                at: row.value(13)?,
                claimed_by: row.value(14)?,
                tries: row.value(15)?,
            }),
        };
        Ok(Self {
            node_run_id: NodeRunId::new(row.value::<String>(0)?),
            run_id: RunId::new(row.value::<String>(1)?),
            version: row.value(2)?,
            path: row.value(3)?,
            terminal: row.value(4)?,
            kind: row.value(5)?,
            state: row.value(6)?,
            started_at: row.value(7)?,
            ended_at: row.value(8)?,
            attempt: row.value(9)?,
            superseded_attempt_may_run: row.value(10)?,
            deadline: row.value(11)?,
            wake,
        })
    }

    /// When its wake-up is due, if it has one.
    pub(in crate::server::journal) fn wake_at(&self) -> Option<i64> {
        self.wake.as_ref().map(|wake| wake.at)
    }

    pub(in crate::server::journal) fn decode(&self) -> Result<NodeHead, JournalError> {
        let damaged = |column: &str, content: &dyn std::fmt::Debug| {
            JournalError::Damaged(format!("{}: invalid {column} {content:?}", self.node_run_id))
        };
        let kind = |kind: &String| kind.parse::<NodeKind>().map_err(|_| damaged("kind", kind));
        let state = self.state.as_deref().unwrap_or_default();
        let state = state.parse::<NodeRunState>().map_err(|_| damaged("state", &self.state))?;
        if state.is_terminal() != self.terminal {
            return Err(JournalError::Damaged(format!(
                "{}: the columns contradict each other",
                self.node_run_id
            )));
        }
        Ok(NodeHead {
            node_run_id: self.node_run_id.clone(),
            run_id: self.run_id.clone(),
            version: natural(self.version)?,
            path: NodePath::from(self.path.clone()),
            kind: self.kind.as_ref().map(kind).transpose()?,
            state,
            started_at: self.started_at.map(Timestamp::from_micros),
            ended_at: self.ended_at.map(Timestamp::from_micros),
            attempt: u32::try_from(self.attempt).map_err(|_| damaged("attempt", &self.attempt))?,
            superseded_attempt_may_run: self.superseded_attempt_may_run,
            deadline: self.deadline.map(Timestamp::from_micros),
            wake: self.wake.as_ref().map(|wake| wake.decode(&self.node_run_id)).transpose()?,
        })
    }
}

impl WakeColumns {
    fn decode(&self, node: &NodeRunId) -> Result<Wake, JournalError> {
        let damaged = |what: String| JournalError::Damaged(format!("{node}: invalid {what}"));
        Ok(Wake {
            job: job_named(&self.job).ok_or_else(|| damaged(format!("job {:?}", self.job)))?,
            at: Timestamp::from_micros(self.at),
            claimed_by: self.claimed_by.clone().map(WorkerId::new),
            tries: u32::try_from(self.tries)
                .map_err(|_| damaged(format!("number of tries {}", self.tries)))?,
        })
    }
}

/// The job with that name.
pub(in crate::server::journal) fn job_named(name: &str) -> Option<Job> {
    Job::ALL.into_iter().find(|job| job.as_str() == name)
}
