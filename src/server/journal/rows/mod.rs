//! Records to rows and back.
//!
//! The body is the record as JSON. What SQL needs to find or to change has
//! columns of its own. What SQL *changes* (version, wake-up, a node run's state
//! and end) is valid only there: those members of a body are ignored, so that
//! the two cannot disagree.
//!
//! ```text
//!   NodeRecord ─┬─ head ─────────────────▶ columns of node_runs   claims, cascades, sweeps
//!               ├─ large inputs, outputs ▶ node_payloads          written once
//!               └─ everything else ──────▶ body of node_runs
//! ```
//!
//! Encoding runs in the caller's task, because there is only one writer thread:
//! it gets finished rows. (Long bodies are the exception: see `body`.)

mod audit;
mod body;
mod columns;
pub(in crate::server::journal) mod encoding;
mod head;
mod list;
mod node;
mod notice;

use std::sync::Arc;

pub(in crate::server::journal) use self::{
    audit::AuditRow,
    body::Body,
    columns::Columns,
    encoding::{from_json, integer, natural, to_json},
    head::{HeadRow, job_named},
    list::{Bounds, First, ListRow, Now, summary},
    node::NodeRow,
    notice::NoticeRow,
};
#[cfg(test)]
pub(in crate::server::journal) use self::{
    head::WakeColumns,
    node::{Payload, Payloads},
};
use crate::{
    journal::JournalError,
    record::{AttemptRecord, ChangeSet, EventRecord, OutboxItem, PausesVersion, RunRecord},
    time::Timestamp,
    types::{NodeRunId, RunId},
};

/// A [`ChangeSet`] ready to be written.
pub(in crate::server::journal) struct ChangeRows {
    pub(in crate::server::journal) run_id: RunId,
    pub(in crate::server::journal) at: i64,
    pub(in crate::server::journal) run: Option<RunRow>,
    /// What becomes of the run in the list of runs.
    pub(in crate::server::journal) listed: Option<ListRow>,
    pub(in crate::server::journal) nodes: Vec<NodeRow>,
    pub(in crate::server::journal) heads: Vec<HeadRow>,
    pub(in crate::server::journal) events: Vec<EventRow>,
    pub(in crate::server::journal) attempts: Vec<AttemptRow>,
    pub(in crate::server::journal) audit: Vec<AuditRow>,
    pub(in crate::server::journal) outbox: Vec<OutboxItem>,
    pub(in crate::server::journal) notices: Vec<NoticeRow>,
    pub(in crate::server::journal) pauses: Option<PausesVersion>,
}

impl ChangeRows {
    /// Payloads that are stored apart are taken out of a record while its body is
    /// made, and put back, instead of being copied. The outbox entries are moved.
    pub(in crate::server::journal) fn encode(change: &mut ChangeSet) -> Result<Self, JournalError> {
        Ok(Self {
            run_id: change.run_id.clone(),
            at: change.at.as_micros(),
            run: change.run.as_ref().map(RunRow::encode).transpose()?,
            listed: ListRow::of(change)?,
            nodes: change.nodes.iter_mut().map(NodeRow::encode).collect::<Result<_, _>>()?,
            heads: change.heads.iter().map(HeadRow::encode).collect::<Result<_, _>>()?,
            events: change.events.iter().map(EventRow::encode).collect::<Result<_, _>>()?,
            attempts: change.attempts.iter().map(AttemptRow::encode).collect::<Result<_, _>>()?,
            audit: change.audit.iter().map(AuditRow::encode).collect::<Result<_, _>>()?,
            outbox: std::mem::take(&mut change.outbox),
            notices: change.notices.iter().map(NoticeRow::encode).collect::<Result<_, _>>()?,
            pauses: change.pauses,
        })
    }

    /// The bytes of what may be large.
    pub(in crate::server::journal) fn bytes(&self) -> usize {
        let nodes = self.nodes.iter().map(|node| node.body.bytes() + node.payloads.bytes());
        self.run.as_ref().map_or(0, |run| run.body.bytes()) + nodes.sum::<usize>()
    }
}

pub(in crate::server::journal) struct RunRow {
    pub(in crate::server::journal) run_id: RunId,
    pub(in crate::server::journal) version: i64,
    pub(in crate::server::journal) terminal: bool,
    pub(in crate::server::journal) deadline: Option<i64>,
    pub(in crate::server::journal) body: Body<RunRecord>,
}

impl RunRow {
    /// The columns that [`RunRow::read`] expects.
    pub(in crate::server::journal) const COLUMNS: &str = "run_id, version, terminal, deadline, body";

    fn encode(record: &RunRecord) -> Result<Self, JournalError> {
        Ok(Self {
            version: integer(record.version)?,
            terminal: record.is_terminal(),
            deadline: record.due_at().map(Timestamp::as_micros),
            body: Body::of(record)?,
            run_id: record.run.run_id.clone(),
        })
    }

    pub(in crate::server::journal) fn read<R: Columns>(row: &R) -> Result<Self, R::Error> {
        Ok(Self {
            run_id: RunId::new(row.value::<String>(0)?),
            version: row.value(1)?,
            terminal: row.value(2)?,
            deadline: row.value(3)?,
            body: Body::from(row.value::<String>(4)?),
        })
    }

    pub(in crate::server::journal) fn decode(self) -> Result<RunRecord, JournalError> {
        let record: RunRecord = from_json(self.run_id.as_str(), &self.body.text()?)?;
        Ok(RunRecord { version: natural(self.version)?, ..record })
    }
}

pub(in crate::server::journal) struct EventRow {
    pub(in crate::server::journal) run_id: RunId,
    pub(in crate::server::journal) seq: i64,
    pub(in crate::server::journal) path: Option<String>,
    pub(in crate::server::journal) body: Arc<str>,
}

impl EventRow {
    fn encode(record: &EventRecord) -> Result<Self, JournalError> {
        Ok(Self {
            seq: integer(record.event.seq)?,
            path: record.path.as_ref().map(|path| path.as_str().to_owned()),
            body: to_json(&record.event)?.into(),
            run_id: record.event.run_id.clone(),
        })
    }
}

pub(in crate::server::journal) struct AttemptRow {
    pub(in crate::server::journal) node_run_id: NodeRunId,
    pub(in crate::server::journal) attempt: u32,
    pub(in crate::server::journal) body: String,
}

impl AttemptRow {
    fn encode(record: &AttemptRecord) -> Result<Self, JournalError> {
        Ok(Self { attempt: record.attempt, body: to_json(record)?, node_run_id: record.node_run_id.clone() })
    }
}
