//! Records to rows and back.
//!
//! The body is the record as JSON. What SQL needs to find or to change stands
//! in columns of its own; what SQL *changes* (version and wake-up) stands only
//! there, so that the two cannot disagree.
//!
//! All of this runs in the caller's task: the writer thread, of which there is
//! only one, gets finished rows.

use std::sync::Arc;

use rusqlite::Row;
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    ids::{NodeRunId, OwnerId, RunId},
    model::NodeKind,
    record::{Adopted, AttemptRecord, ChangeSet, EventRecord, Job, NodeRecord, RunRecord, Wake},
    store::{StoreError, Want},
    time::Timestamp,
};

/// A [`ChangeSet`] ready to be written.
pub(super) struct ChangeRows {
    pub(super) run_id: RunId,
    pub(super) at: i64,
    pub(super) run: Option<RunRow>,
    pub(super) nodes: Vec<NodeRow>,
    pub(super) events: Vec<EventRow>,
    pub(super) attempts: Vec<AttemptRow>,
    pub(super) adopted: Adopted,
}

impl ChangeRows {
    pub(super) fn encode(change: &ChangeSet) -> Result<Self, StoreError> {
        Ok(Self {
            run_id: change.run_id.clone(),
            at: change.at.as_micros(),
            run: change.run.as_ref().map(RunRow::encode).transpose()?,
            nodes: change.nodes.iter().map(NodeRow::encode).collect::<Result<_, _>>()?,
            events: change.events.iter().map(EventRow::encode).collect::<Result<_, _>>()?,
            attempts: change.attempts.iter().map(AttemptRow::encode).collect::<Result<_, _>>()?,
            adopted: change.adopted.clone(),
        })
    }
}

/// What is owed to the JARVIS stores: all but what they gave us.
impl ChangeRows {
    pub(super) fn owed_run(&self) -> Option<&RunRow> {
        self.run.as_ref().filter(|_| !self.adopted.has_run())
    }
    pub(super) fn owed_nodes(&self) -> impl Iterator<Item = &NodeRow> {
        self.nodes.iter().filter(|node| !self.adopted.has_node(&node.node_run_id))
    }
    pub(super) fn owed_events(&self) -> impl Iterator<Item = &EventRow> {
        self.events
            .iter()
            .filter(|event| !u64::try_from(event.seq).is_ok_and(|seq| self.adopted.has_event(seq)))
    }
}

pub(super) struct RunRow {
    pub(super) run_id: RunId,
    pub(super) version: i64,
    pub(super) terminal: bool,
    pub(super) deadline: Option<i64>,
    pub(super) body: String,
}

impl RunRow {
    /// The columns that [`RunRow::read`] expects.
    pub(super) const COLUMNS: &str = "run_id, version, terminal, deadline, body";

    fn encode(record: &RunRecord) -> Result<Self, StoreError> {
        Ok(Self {
            version: integer(record.version)?,
            terminal: record.is_terminal(),
            deadline: record.deadline.map(Timestamp::as_micros),
            body: to_json(record)?,
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

    pub(super) fn decode(self) -> Result<RunRecord, StoreError> {
        let record: RunRecord = from_json(self.run_id.as_str(), &self.body)?;
        Ok(RunRecord { version: natural(self.version)?, ..record })
    }
}

pub(super) struct NodeRow {
    pub(super) node_run_id: NodeRunId,
    pub(super) run_id: RunId,
    pub(super) version: i64,
    pub(super) path: String,
    pub(super) terminal: bool,
    pub(super) wake: Option<WakeColumns>,
    pub(super) body: String,
}

/// A [`Wake`] as SQL sees it.
pub(super) struct WakeColumns {
    pub(super) job: String,
    pub(super) at: i64,
    pub(super) owner: Option<String>,
    pub(super) tries: u32,
}

impl NodeRow {
    /// The columns that [`NodeRow::read`] expects.
    pub(super) const COLUMNS: &str = "node_run_id, run_id, version, path, terminal, \
                                      wake_job, wake_at, wake_owner, wake_tries, body";

    fn encode(record: &NodeRecord) -> Result<Self, StoreError> {
        let wake = record.wake.as_ref().map(|wake| WakeColumns {
            job: wake.job.as_str().to_owned(),
            at: wake.at.as_micros(),
            owner: wake.owner.as_ref().map(|owner| owner.as_str().to_owned()),
            tries: wake.tries,
        });
        Ok(Self {
            version: integer(record.version)?,
            path: record.path.as_str().to_owned(),
            terminal: record.is_terminal(),
            wake,
            body: to_json(record)?,
            node_run_id: record.node.node_run_id.clone(),
            run_id: record.node.run_id.clone(),
        })
    }

    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let wake = match row.get::<_, Option<String>>(5)? {
            None => None,
            Some(job) => Some(WakeColumns { job, at: row.get(6)?, owner: row.get(7)?, tries: row.get(8)? }),
        };
        Ok(Self {
            node_run_id: NodeRunId::new(row.get::<_, String>(0)?),
            run_id: RunId::new(row.get::<_, String>(1)?),
            version: row.get(2)?,
            path: row.get(3)?,
            terminal: row.get(4)?,
            wake,
            body: row.get(9)?,
        })
    }

    pub(super) fn decode(&self) -> Result<NodeRecord, StoreError> {
        let record: NodeRecord = from_json(self.node_run_id.as_str(), &self.body)?;
        let wake = self.wake.as_ref().map(WakeColumns::decode).transpose()?;
        Ok(NodeRecord { version: natural(self.version)?, wake, ..record })
    }
}

impl WakeColumns {
    fn decode(&self) -> Result<Wake, StoreError> {
        let job = Job::ALL.into_iter().find(|job| job.as_str() == self.job);
        Ok(Wake {
            job: job.ok_or_else(|| StoreError::Damaged(format!("there is no job {:?}", self.job)))?,
            at: Timestamp::from_micros(self.at),
            owner: self.owner.clone().map(OwnerId::new),
            tries: self.tries,
        })
    }
}

/// A [`Want`] as SQL sees it.
pub(super) struct WantRow {
    pub(super) job: Option<&'static str>,
    /// Of composites or of all others; both, if null.
    pub(super) composite: Option<bool>,
    /// A list in JSON.
    pub(super) except: String,
    pub(super) limit: u32,
}

impl WantRow {
    pub(super) fn encode(want: &Want) -> Result<Self, StoreError> {
        let composite = want.kind.map(|kind| match kind {
            NodeKind::Composite => true,
            NodeKind::Atomic => false,
        });
        let except = to_json(&want.except)?;
        Ok(Self { job: want.job.map(Job::as_str), composite, except, limit: want.limit })
    }
}

pub(super) struct EventRow {
    pub(super) run_id: RunId,
    pub(super) seq: i64,
    pub(super) path: Option<String>,
    pub(super) body: Arc<str>,
}

impl EventRow {
    fn encode(record: &EventRecord) -> Result<Self, StoreError> {
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
    fn encode(record: &AttemptRecord) -> Result<Self, StoreError> {
        Ok(Self { attempt: record.attempt, body: to_json(record)?, node_run_id: record.node_run_id.clone() })
    }
}

pub(super) fn to_json(value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|e| StoreError::Failed(format!("cannot be written as JSON: {e}")))
}

pub(super) fn from_json<T: DeserializeOwned>(what: &str, body: &str) -> Result<T, StoreError> {
    serde_json::from_str(body).map_err(|e| StoreError::Damaged(format!("{what}: {e}")))
}

/// SQLite's integers have a sign.
pub(super) fn integer(number: u64) -> Result<i64, StoreError> {
    i64::try_from(number).map_err(|_| StoreError::Failed(format!("{number} is too big for the journal")))
}

pub(super) fn natural(number: i64) -> Result<u64, StoreError> {
    u64::try_from(number)
        .map_err(|_| StoreError::Damaged(format!("{number} where no negative number can be")))
}
