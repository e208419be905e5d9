//! Records to rows and back. The body is the record as JSON; what queries and
//! lease operations work on is in columns, and only there.

use rusqlite::Row;

use crate::{
    ids::OwnerId,
    record::{ChangeSet, Job, NodeRecord, RunRecord, Wake},
    store::StoreError,
    time::Timestamp,
};

/// A change set, serialised by its caller, so that the writer only writes.
pub(super) struct ChangeRows {
    pub(super) run_id: String,
    pub(super) run: Option<RunRow>,
    pub(super) nodes: Vec<NodeRow>,
    pub(super) events: Vec<EventRow>,
    pub(super) attempts: Vec<AttemptRow>,
    pub(super) outbox: bool,
}

pub(super) struct RunRow {
    pub(super) version: i64,
    pub(super) terminal: bool,
    pub(super) deadline: Option<i64>,
    pub(super) body: String,
}

pub(super) struct NodeRow {
    pub(super) id: String,
    pub(super) version: i64,
    pub(super) path: String,
    pub(super) terminal: bool,
    pub(super) wake: Option<Wake>,
    pub(super) body: String,
}

pub(super) struct EventRow {
    pub(super) seq: i64,
    pub(super) path: Option<String>,
    pub(super) body: String,
}

pub(super) struct AttemptRow {
    pub(super) node: String,
    pub(super) attempt: u32,
    pub(super) body: String,
}

impl ChangeRows {
    pub(super) fn new(change: ChangeSet, outbox: bool) -> Result<Self, StoreError> {
        let ChangeSet { run_id, run, nodes, events, attempts } = change;
        Ok(Self {
            run_id: run_id.to_string(),
            run: run.map(RunRow::new).transpose()?,
            nodes: nodes.into_iter().map(NodeRow::new).collect::<Result<_, _>>()?,
            events: events
                .into_iter()
                .map(|record| {
                    let body = json(&record.event)?;
                    Ok(EventRow {
                        seq: signed(record.event.seq),
                        path: record.path.map(|path| path.to_string()),
                        body,
                    })
                })
                .collect::<Result<_, StoreError>>()?,
            attempts: attempts
                .into_iter()
                .map(|record| {
                    let body = json(&record)?;
                    Ok(AttemptRow { node: record.node_run_id.to_string(), attempt: record.attempt, body })
                })
                .collect::<Result<_, StoreError>>()?,
            outbox,
        })
    }
}

impl RunRow {
    fn new(record: RunRecord) -> Result<Self, StoreError> {
        Ok(Self {
            version: signed(record.version),
            terminal: record.is_terminal(),
            deadline: record.deadline.map(Timestamp::as_micros),
            body: json(&record)?,
        })
    }
}

impl NodeRow {
    fn new(record: NodeRecord) -> Result<Self, StoreError> {
        let body = json(&record)?;
        Ok(Self {
            version: signed(record.version),
            path: record.path.to_string(),
            terminal: record.is_terminal(),
            wake: record.wake,
            id: record.node.node_run_id.to_string(),
            body,
        })
    }
}

/// The columns that [`node`] reads, in its order.
pub(super) const NODE_COLUMNS: &str = "version, wake_job, wake_at, wake_owner, wake_tries, body";
/// The columns that [`run`] reads, in its order.
pub(super) const RUN_COLUMNS: &str = "version, body";

pub(super) fn run(row: &Row<'_>) -> Result<RunRecord, StoreError> {
    let body = row.get_ref(1)?.as_str().map_err(|error| StoreError::Damaged(error.to_string()))?;
    let mut record: RunRecord = parse(body)?;
    record.version = unsigned(row.get(0)?);
    Ok(record)
}

pub(super) fn node(row: &Row<'_>) -> Result<NodeRecord, StoreError> {
    let body = row.get_ref(5)?.as_str().map_err(|error| StoreError::Damaged(error.to_string()))?;
    let mut record: NodeRecord = parse(body)?;
    record.version = unsigned(row.get(0)?);
    record.wake = match row.get::<_, Option<String>>(1)? {
        None => None,
        Some(word) => Some(Wake {
            job: Job::ALL
                .into_iter()
                .find(|job| job.as_str() == word)
                .ok_or_else(|| StoreError::Damaged(format!("unknown job {word:?}")))?,
            at: Timestamp::from_micros(row.get(2)?),
            owner: row.get::<_, Option<String>>(3)?.map(OwnerId::new),
            tries: row.get(4)?,
        }),
    };
    Ok(record)
}

pub(super) fn parse<T: serde::de::DeserializeOwned>(body: &str) -> Result<T, StoreError> {
    serde_json::from_str(body).map_err(|error| StoreError::Damaged(error.to_string()))
}

fn json<T: serde::Serialize>(record: &T) -> Result<String, StoreError> {
    serde_json::to_string(record).map_err(|error| StoreError::Failed(error.to_string()))
}

/// SQLite's integers are signed; ours count from zero and stay far below.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
