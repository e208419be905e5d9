//! Records to rows and back.
//!
//! The body is the record as JSON. What SQL needs to find or to change stands
//! in columns of its own; what SQL *changes* (version and wake-up, a node run's
//! state and end) counts only there, so that the two cannot disagree: of those,
//! what a body says is not asked.
//!
//! ```text
//!   NodeRecord ─┬─ head ─────────────────▶ columns of node_runs   claims, cascades, sweeps
//!               ├─ large inputs, outputs ▶ node_payloads          written once
//!               └─ all else ─────────────▶ body of node_runs
//! ```
//!
//! All of this runs in the caller's task: the writer thread, of which there is
//! only one, gets finished rows. (Long bodies are the exception: see `body`.)

use std::sync::Arc;

use rusqlite::Row;
use serde::{Serialize, de::DeserializeOwned};

use super::body::Body;
use crate::{
    journal::{JournalError, Want},
    record::{
        Adopted, AttemptRecord, ChangeSet, EventRecord, Job, NodeHead, NodePath, NodeRecord, RunRecord,
        Unread, Wake,
    },
    time::Timestamp,
    types::{JsonObject, NodeKind, NodeRunId, NodeRunState, RunId, WorkerId},
};

/// Inputs and outputs of so many bytes of JSON are kept apart from their
/// NodeRun. Smaller ones cost less where they are: a row apart is two pages
/// more.
pub(super) const APART_FROM: usize = 1024;

/// A [`ChangeSet`] ready to be written.
pub(super) struct ChangeRows {
    pub(super) run_id: RunId,
    pub(super) at: i64,
    pub(super) run: Option<RunRow>,
    pub(super) nodes: Vec<NodeRow>,
    pub(super) heads: Vec<HeadRow>,
    pub(super) events: Vec<EventRow>,
    pub(super) attempts: Vec<AttemptRow>,
    pub(super) adopted: Adopted,
}

impl ChangeRows {
    /// What is kept apart is taken out of a record while it is written, rather
    /// than copied: so `change` is the same afterwards.
    pub(super) fn encode(change: &mut ChangeSet) -> Result<Self, JournalError> {
        Ok(Self {
            run_id: change.run_id.clone(),
            at: change.at.as_micros(),
            run: change.run.as_ref().map(RunRow::encode).transpose()?,
            nodes: change.nodes.iter_mut().map(NodeRow::encode).collect::<Result<_, _>>()?,
            heads: change.heads.iter().map(HeadRow::encode).collect::<Result<_, _>>()?,
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
    pub(super) fn owed_nodes(&self) -> impl Iterator<Item = &HeadRow> {
        let heads = self.nodes.iter().map(|node| &node.head).chain(&self.heads);
        heads.filter(|head| !self.adopted.has_node(&head.node_run_id))
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
    pub(super) body: Body<RunRecord>,
}

impl RunRow {
    /// The columns that [`RunRow::read`] expects.
    pub(super) const COLUMNS: &str = "run_id, version, terminal, deadline, body";

    fn encode(record: &RunRecord) -> Result<Self, JournalError> {
        Ok(Self {
            version: integer(record.version)?,
            terminal: record.is_terminal(),
            deadline: record.deadline.map(Timestamp::as_micros),
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

/// A NodeRun's columns, without what it carries.
pub(super) struct HeadRow {
    pub(super) node_run_id: NodeRunId,
    pub(super) run_id: RunId,
    pub(super) version: i64,
    pub(super) path: String,
    pub(super) terminal: bool,
    pub(super) kind: Option<String>,
    pub(super) state: Option<String>,
    pub(super) started_at: Option<i64>,
    pub(super) ended_at: Option<i64>,
    pub(super) attempt: i64,
    pub(super) astray: bool,
    pub(super) deadline: Option<i64>,
    pub(super) wake: Option<WakeColumns>,
}

/// A [`Wake`] as SQL sees it.
pub(super) struct WakeColumns {
    pub(super) job: String,
    pub(super) at: i64,
    pub(super) owner: Option<String>,
    pub(super) tries: i64,
}

impl HeadRow {
    /// The columns that [`HeadRow::read`] expects.
    pub(super) const COLUMNS: &str = "node_run_id, run_id, version, path, terminal, kind, state, started_at, \
                                      ended_at, attempt, astray, deadline, \
                                      wake_job, wake_at, wake_owner, wake_tries";

    fn encode(head: &NodeHead) -> Result<Self, JournalError> {
        let wake = head.wake.as_ref().map(|wake| WakeColumns {
            job: wake.job.as_str().to_owned(),
            at: wake.at.as_micros(),
            owner: wake.owner.as_ref().map(|owner| owner.as_str().to_owned()),
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
            astray: head.astray,
            deadline: head.deadline.map(Timestamp::as_micros),
            wake,
        })
    }

    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let wake = match row.get::<_, Option<String>>(12)? {
            None => None,
            Some(job) => {
                Some(WakeColumns { job, at: row.get(13)?, owner: row.get(14)?, tries: row.get(15)? })
            }
        };
        Ok(Self {
            node_run_id: NodeRunId::new(row.get::<_, String>(0)?),
            run_id: RunId::new(row.get::<_, String>(1)?),
            version: row.get(2)?,
            path: row.get(3)?,
            terminal: row.get(4)?,
            kind: row.get(5)?,
            state: row.get(6)?,
            started_at: row.get(7)?,
            ended_at: row.get(8)?,
            attempt: row.get(9)?,
            astray: row.get(10)?,
            deadline: row.get(11)?,
            wake,
        })
    }

    pub(super) fn decode(&self) -> Result<NodeHead, JournalError> {
        let damaged = |column: &str, content: &dyn std::fmt::Debug| {
            JournalError::Damaged(format!("{}: there is no {column} {content:?}", self.node_run_id))
        };
        let kind = |kind: &String| kind.parse::<NodeKind>().map_err(|_| damaged("kind", kind));
        let state = self.state.as_deref().unwrap_or_default();
        let state = state.parse::<NodeRunState>().map_err(|_| damaged("state", &self.state))?;
        if state.is_terminal() != self.terminal {
            return Err(JournalError::Damaged(format!(
                "{}: its columns contradict each other",
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
            astray: self.astray,
            deadline: self.deadline.map(Timestamp::from_micros),
            wake: self.wake.as_ref().map(|wake| wake.decode(&self.node_run_id)).transpose()?,
        })
    }
}

/// A whole NodeRun.
pub(super) struct NodeRow {
    pub(super) head: HeadRow,
    pub(super) body: Body<NodeRecord>,
    /// Which members are not in the body but apart: see [`Payloads::apart`].
    pub(super) apart: i64,
    pub(super) payloads: Payloads,
}

/// The inputs and outputs of a NodeRun as JSON, as far as they are kept apart.
#[derive(Default)]
pub(super) struct Payloads {
    pub(super) inputs: Option<Payload>,
    pub(super) outputs: Option<Payload>,
    /// Kept apart, but not here: they stay as they are.
    pub(super) unread: Unread,
}

/// One of them.
pub(super) enum Payload {
    /// As the record has it, which it shares.
    Given(JsonObject),
    /// As it is stored.
    Stored(String),
}

impl Payload {
    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Given(content) => content.as_str(),
            Self::Stored(text) => text,
        }
    }

    fn read(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Self>> {
        Ok(row.get::<_, Option<String>>(column)?.map(Self::Stored))
    }
}

const INPUTS_APART: i64 = 1;
const OUTPUTS_APART: i64 = 2;

impl Payloads {
    pub(super) fn has_inputs(&self) -> bool {
        self.inputs.is_some() || self.unread.inputs
    }

    pub(super) fn has_outputs(&self) -> bool {
        self.outputs.is_some() || self.unread.outputs
    }

    /// What the column of this name says.
    fn apart(&self) -> i64 {
        let bit = |is_apart, bit| if is_apart { bit } else { 0 };
        bit(self.has_inputs(), INPUTS_APART) | bit(self.has_outputs(), OUTPUTS_APART)
    }

    pub(super) fn bytes(&self) -> usize {
        let bytes = |content: &Option<Payload>| content.as_ref().map_or(0, |content| content.as_str().len());
        bytes(&self.inputs) + bytes(&self.outputs)
    }
}

impl NodeRow {
    /// What [`NodeRow::read`] expects after the columns of the head.
    pub(super) const CONTENT: &str = "body, apart, \
        CASE WHEN apart & 1 THEN (SELECT content FROM node_payloads AS payload \
            WHERE payload.node_run_id = node_runs.node_run_id AND member = 'inputs') END, \
        CASE WHEN apart & 2 THEN (SELECT content FROM node_payloads AS payload \
            WHERE payload.node_run_id = node_runs.node_run_id AND member = 'outputs') END";

    pub(super) const BARE: &str = "body, apart";

    fn encode(record: &mut NodeRecord) -> Result<Self, JournalError> {
        let head = HeadRow::encode(&record.head())?;
        let payloads = Payloads {
            inputs: large(record.node.inputs.as_ref()),
            outputs: large(record.node.outputs.as_ref()),
            unread: record.unread,
        };
        let inputs = record.node.inputs.take_if(|_| payloads.inputs.is_some());
        let outputs = record.node.outputs.take_if(|_| payloads.outputs.is_some());
        let body = Body::of(&*record);
        if inputs.is_some() {
            record.node.inputs = inputs;
        }
        if outputs.is_some() {
            record.node.outputs = outputs;
        }
        Ok(Self { head, body: body?, apart: payloads.apart(), payloads })
    }

    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let head = HeadRow::read(row)?;
        let payloads = Payloads {
            inputs: Payload::read(row, 18)?,
            outputs: Payload::read(row, 19)?,
            unread: Unread::default(),
        };
        Ok(Self { head, body: row.get(16)?, apart: row.get(17)?, payloads })
    }

    /// The same without what is kept apart: after the columns of the head,
    /// expects [`NodeRow::BARE`].
    pub(super) fn read_bare(row: &Row<'_>) -> rusqlite::Result<Self> {
        let (head, apart) = (HeadRow::read(row)?, row.get::<_, i64>(17)?);
        let unread = Unread { inputs: apart & INPUTS_APART != 0, outputs: apart & OUTPUTS_APART != 0 };
        Ok(Self { head, body: row.get(16)?, apart, payloads: Payloads { unread, ..Payloads::default() } })
    }

    pub(super) fn decode(&self) -> Result<NodeRecord, JournalError> {
        let head = self.head.decode()?;
        let mut record: NodeRecord = from_json(head.node_run_id.as_str(), &self.body.text()?)?;
        if self.payloads.apart() != self.apart {
            return Err(JournalError::Damaged(format!(
                "{}: its inputs or outputs are missing",
                head.node_run_id
            )));
        }
        if let Some(inputs) = &self.payloads.inputs {
            record.node.inputs = Some(from_json(head.node_run_id.as_str(), inputs.as_str())?);
        }
        if let Some(outputs) = &self.payloads.outputs {
            record.node.outputs = Some(from_json(head.node_run_id.as_str(), outputs.as_str())?);
        }
        record.node.state = head.state;
        record.node.ended_at = head.ended_at;
        Ok(NodeRecord { version: head.version, wake: head.wake, unread: self.payloads.unread, ..record })
    }
}

/// Inputs or outputs that are to be kept apart.
fn large(content: Option<&JsonObject>) -> Option<Payload> {
    content.filter(|content| content.bytes() >= APART_FROM).cloned().map(Payload::Given)
}

impl WakeColumns {
    fn decode(&self, node: &NodeRunId) -> Result<Wake, JournalError> {
        let damaged = |what: String| JournalError::Damaged(format!("{node}: there is no {what}"));
        Ok(Wake {
            job: job(&self.job).ok_or_else(|| damaged(format!("job {:?}", self.job)))?,
            at: Timestamp::from_micros(self.at),
            owner: self.owner.clone().map(WorkerId::new),
            tries: u32::try_from(self.tries)
                .map_err(|_| damaged(format!("number of tries {}", self.tries)))?,
        })
    }
}

/// The job of that name.
pub(super) fn job(name: &str) -> Option<Job> {
    Job::ALL.into_iter().find(|job| job.as_str() == name)
}

/// A [`Want`] as SQL sees it.
pub(super) struct WantRow {
    pub(super) job: Option<Job>,
    /// Kinds as in the column; `None`: unknown.
    pub(super) kinds: &'static [Option<&'static str>],
    /// A list in JSON.
    pub(super) except: String,
    pub(super) limit: u32,
}

impl WantRow {
    /// Whatever the column may say.
    const ALL: [Option<&'static str>; 3] = [None, Some("atomic"), Some("composite")];

    pub(super) fn encode(want: &Want) -> Result<Self, JournalError> {
        let kinds: &[_] = match want.kind {
            None => &Self::ALL,
            Some(NodeKind::Atomic) => &[None, Some("atomic")],
            Some(NodeKind::Composite) => &[Some("composite")],
        };
        Ok(Self { job: want.job, kinds, except: to_json(&want.except)?, limit: want.limit })
    }

    /// Whether wake-ups for the job of that name are wanted. Where there is no
    /// such job, the record is damaged: it goes with the deadlines, which find
    /// that out.
    pub(super) fn is_for(&self, name: &str) -> bool {
        self.job.is_none_or(|wanted| job(name).unwrap_or(Job::Deadline) == wanted)
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

pub(super) fn to_json(value: &impl Serialize) -> Result<String, JournalError> {
    serde_json::to_string(value).map_err(|e| JournalError::Failed(format!("cannot be written as JSON: {e}")))
}

/// However deep it is nested: what was written is read again. (What could be
/// nested without end, the free-form objects, has a bound of its own.)
pub(super) fn from_json<T: DeserializeOwned>(what: &str, body: &str) -> Result<T, JournalError> {
    let mut reader = serde_json::Deserializer::from_str(body);
    reader.disable_recursion_limit();
    let record = T::deserialize(&mut reader).and_then(|record| reader.end().map(|()| record));
    record.map_err(|e| JournalError::Damaged(format!("{what}: {e}")))
}

/// SQLite's integers have a sign.
pub(super) fn integer(number: u64) -> Result<i64, JournalError> {
    i64::try_from(number).map_err(|_| JournalError::Failed(format!("{number} is too big for the journal")))
}

pub(super) fn natural(number: i64) -> Result<u64, JournalError> {
    u64::try_from(number)
        .map_err(|_| JournalError::Damaged(format!("{number} where no negative number can be")))
}
