//! A whole NodeRun: its columns, its body, and its large inputs and outputs.

use super::{Columns, body::Body, encoding::from_json, head::HeadRow};
use crate::{
    journal::JournalError,
    record::{NodeRecord, Unread},
    types::JsonObject,
};

/// Inputs and outputs of at least this many bytes of JSON are stored apart from
/// their NodeRun. Smaller ones cost less in the body: a row of their own is two
/// more pages.
const APART_FROM: usize = 1024;

/// A whole NodeRun.
pub(in crate::server::journal) struct NodeRow {
    pub(in crate::server::journal) head: HeadRow,
    pub(in crate::server::journal) body: Body<NodeRecord>,
    /// The members that are stored apart from the body: see [`Payloads::apart`].
    pub(in crate::server::journal) apart: i64,
    pub(in crate::server::journal) payloads: Payloads,
    /// When it began to wait for its newest approval. Only for SQL: the record says
    /// the same.
    pub(in crate::server::journal) waits_since: Option<i64>,
}

/// The inputs and outputs of a NodeRun as JSON, as far as they are stored apart.
#[derive(Default)]
pub(in crate::server::journal) struct Payloads {
    pub(in crate::server::journal) inputs: Option<Payload>,
    pub(in crate::server::journal) outputs: Option<Payload>,
    /// Stored apart and not read: they stay as they are.
    pub(in crate::server::journal) unread: Unread,
}

/// Inputs or outputs.
pub(in crate::server::journal) enum Payload {
    /// As the record has it, sharing its text.
    Given(JsonObject),
    /// As it was read.
    Stored(String),
}

impl Payload {
    pub(in crate::server::journal) fn as_str(&self) -> &str {
        match self {
            Self::Given(content) => content.as_str(),
            Self::Stored(text) => text,
        }
    }

    fn read<R: Columns>(row: &R, column: usize) -> Result<Option<Self>, R::Error> {
        Ok(row.value::<Option<String>>(column)?.map(Self::Stored))
    }
}

const INPUTS_APART: i64 = 1;
const OUTPUTS_APART: i64 = 2;

impl Payloads {
    pub(in crate::server::journal) fn has_inputs(&self) -> bool {
        self.inputs.is_some() || self.unread.inputs
    }

    pub(in crate::server::journal) fn has_outputs(&self) -> bool {
        self.outputs.is_some() || self.unread.outputs
    }

    /// The value of the column `apart`.
    fn apart(&self) -> i64 {
        let bit = |is_apart, bit| if is_apart { bit } else { 0 };
        bit(self.has_inputs(), INPUTS_APART) | bit(self.has_outputs(), OUTPUTS_APART)
    }

    pub(in crate::server::journal) fn bytes(&self) -> usize {
        let bytes = |content: &Option<Payload>| content.as_ref().map_or(0, |content| content.as_str().len());
        bytes(&self.inputs) + bytes(&self.outputs)
    }
}

impl NodeRow {
    /// The columns that [`NodeRow::read`] expects after those of the head.
    pub(in crate::server::journal) const CONTENT: &str = "body, apart, \
        CASE WHEN apart & 1 THEN (SELECT content FROM node_payloads AS payload \
            WHERE payload.node_run_id = node_runs.node_run_id AND member = 'inputs') END, \
        CASE WHEN apart & 2 THEN (SELECT content FROM node_payloads AS payload \
            WHERE payload.node_run_id = node_runs.node_run_id AND member = 'outputs') END";

    pub(in crate::server::journal) const BARE: &str = "body, apart";

    pub(in crate::server::journal) fn encode(record: &mut NodeRecord) -> Result<Self, JournalError> {
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
        let waits_since = record.waits.approval.as_ref().map(|approval| approval.requested_at.as_micros());
        Ok(Self { head, body: body?, apart: payloads.apart(), payloads, waits_since })
    }

    pub(in crate::server::journal) fn read<R: Columns>(row: &R) -> Result<Self, R::Error> {
        let head = HeadRow::read(row)?;
        let payloads = Payloads {
            inputs: Payload::read(row, 18)?,
            outputs: Payload::read(row, 19)?,
            unread: Unread::default(),
        };
        Ok(Self {
            head,
            body: Body::from(row.value::<String>(16)?),
            apart: row.value(17)?,
            payloads,
            waits_since: None,
        })
    }

    /// Reads a row without what is stored apart. Expects [`NodeRow::BARE`] after the
    /// columns of the head.
    pub(in crate::server::journal) fn read_bare<R: Columns>(row: &R) -> Result<Self, R::Error> {
        let (head, apart) = (HeadRow::read(row)?, row.value::<i64>(17)?);
        let unread = Unread { inputs: apart & INPUTS_APART != 0, outputs: apart & OUTPUTS_APART != 0 };
        let payloads = Payloads { unread, ..Payloads::default() };
        Ok(Self { head, body: Body::from(row.value::<String>(16)?), apart, payloads, waits_since: None })
    }

    pub(in crate::server::journal) fn decode(&self) -> Result<NodeRecord, JournalError> {
        let head = self.head.decode()?;
        let mut record: NodeRecord = from_json(head.node_run_id.as_str(), &self.body.text()?)?;
        if self.payloads.apart() != self.apart {
            return Err(JournalError::Damaged(format!(
                "{}: the inputs or outputs are missing",
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

/// Inputs or outputs that are to be stored apart.
fn large(content: Option<&JsonObject>) -> Option<Payload> {
    content.filter(|content| content.bytes() >= APART_FROM).cloned().map(Payload::Given)
}
