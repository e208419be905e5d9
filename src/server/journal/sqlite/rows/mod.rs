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

mod head;
mod node;

use std::sync::Arc;

use rusqlite::Row;

#[cfg(test)]
pub(super) use self::{
    head::WakeColumns,
    node::{Payload, Payloads},
};
pub(super) use self::{
    head::{HeadRow, job_named},
    node::NodeRow,
};
use super::{
    audit::AuditRow,
    body::Body,
    encoding::{from_json, integer, natural, to_json},
    notices::NoticeRow,
    run_list::ListRow,
};
use crate::{
    journal::JournalError,
    record::{AttemptRecord, ChangeSet, EventRecord, OutboxItem, PausesVersion, RunRecord},
    time::Timestamp,
    types::{NodeRunId, RunId},
};

/// A [`ChangeSet`] ready to be written.
pub(super) struct ChangeRows {
    pub(super) run_id: RunId,
    pub(super) at: i64,
    pub(super) run: Option<RunRow>,
    /// What becomes of the run in the list of runs.
    pub(super) listed: Option<ListRow>,
    pub(super) nodes: Vec<NodeRow>,
    pub(super) heads: Vec<HeadRow>,
    pub(super) events: Vec<EventRow>,
    pub(super) attempts: Vec<AttemptRow>,
    pub(super) audit: Vec<AuditRow>,
    pub(super) outbox: Vec<OutboxItem>,
    pub(super) notices: Vec<NoticeRow>,
    pub(super) pauses: Option<PausesVersion>,
}

impl ChangeRows {
    /// Payloads that are stored apart are taken out of a record while its body is
    /// made, and put back, instead of being copied. The outbox entries are moved.
    pub(super) fn encode(change: &mut ChangeSet) -> Result<Self, JournalError> {
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
}

pub(super) struct RunRow {
    pub(super) run_id: RunId,
    pub(super) version: i64,
    pub(super) terminal: bool,
    pub(super) deadline: Option<i64>,
    pub(super) body: Body<RunRecord>,
}

impl RunRow {
    /// The columns that [`RunRow::read`] expects.
    pub(super) const COLUMNS: &str = "run_id, version, terminal, deadline, body";

    fn encode(record: &RunRecord) -> Result<Self, JournalError> {
        Ok(Self {
            version: integer(record.version)?,
            terminal: record.is_terminal(),
            deadline: record.due_at().map(Timestamp::as_micros),
            body: Body::of(record)?,
            run_id: record.run.run_id.clone(),
        })
    }

    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            run_id: RunId::new(row.get::<_, String>(0)?),
            version: row.get(1)?,
            terminal: row.get(2)?,
            deadline: row.get(3)?,
            body: row.get(4)?,
        })
    }

    pub(super) fn decode(self) -> Result<RunRecord, JournalError> {
        let record: RunRecord = from_json(self.run_id.as_str(), &self.body.text()?)?;
        Ok(RunRecord { version: natural(self.version)?, ..record })
    }
}

pub(super) struct EventRow {
    pub(super) run_id: RunId,
    pub(super) seq: i64,
    pub(super) path: Option<String>,
    pub(super) body: Arc<str>,
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

pub(super) struct AttemptRow {
    pub(super) node_run_id: NodeRunId,
    pub(super) attempt: u32,
    pub(super) body: String,
}

impl AttemptRow {
    fn encode(record: &AttemptRecord) -> Result<Self, JournalError> {
        Ok(Self { attempt: record.attempt, body: to_json(record)?, node_run_id: record.node_run_id.clone() })
    }
}
