//! The lines of a bundle.
//!
//! ```text
//!   {"part":"run","value":{…},"hash":"9f…"}       hash = SHA-256(hash before ‖ part ‖ text of the value)
//! ```

use std::io::{self, Write};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::{
    record::{AttemptRecord, AuditRecord, Identity, NodePath, NodeRecord, Origin, RunRecord},
    time::Timestamp,
    types::{NodeRun, Run, RunEvent, RunId},
};

/// The version of the format.
pub(super) const FORMAT: u32 = 1;

/// What a line is about, in the order of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    Header,
    Run,
    NodeRun,
    Event,
    Attempt,
    Audit,
    Footer,
}

impl Part {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::Run => "run",
            Self::NodeRun => "node_run",
            Self::Event => "event",
            Self::Attempt => "attempt",
            Self::Audit => "audit",
            Self::Footer => "footer",
        }
    }
}

/// A line as it is in the file.
#[derive(Serialize, Deserialize)]
pub struct Line {
    pub part: Part,
    pub value: Box<RawValue>,
    pub hash: String,
}

/// The hash of the last line so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Chain(pub(super) String);

impl Chain {
    /// The hash of the next line.
    pub(super) fn next(&self, part: Part, value: &str) -> String {
        let mut hash = Sha256::new();
        // Neither a hash nor the name of a part has a line end.
        for text in [&self.0, "\n", part.as_str(), "\n", value] {
            hash.update(text.as_bytes());
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The first line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    pub format: u32,
    pub run_id: RunId,
    pub exported_at: Timestamp,
    /// The version of the program that wrote the file.
    pub version: String,
}

/// The run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunLine {
    pub run: Run,
    pub owner: Option<Identity>,
    /// Another coordinator started it: its earlier events may have gaps.
    pub adopted: bool,
    pub node_runs: u64,
    pub last_seq: u64,
}

impl From<RunRecord> for RunLine {
    fn from(record: RunRecord) -> Self {
        Self {
            adopted: record.origin == Origin::Adopted,
            run: record.run,
            owner: record.owner,
            node_runs: record.nodes,
            last_seq: record.last_seq,
        }
    }
}

/// A node of the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeLine {
    pub path: NodePath,
    pub attempts: u32,
    pub node_run: NodeRun,
}

impl From<NodeRecord> for NodeLine {
    fn from(record: NodeRecord) -> Self {
        Self { path: record.path, attempts: record.attempt, node_run: record.node }
    }
}

/// The last line: how many lines of each part there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Footer {
    pub node_runs: u64,
    pub events: u64,
    pub attempts: u64,
    pub audit: u64,
}

/// Writes a bundle, line by line.
pub struct BundleWriter<W> {
    out: W,
    chain: Chain,
    counts: Footer,
}

impl<W: Write> BundleWriter<W> {
    /// Begins with the header and the run.
    pub fn begin(out: W, run: RunRecord, exported_at: Timestamp) -> io::Result<Self> {
        let mut writer = Self { out, chain: Chain::default(), counts: Footer::default() };
        let version = env!("CARGO_PKG_VERSION").into();
        let header = Header { format: FORMAT, run_id: run.id().clone(), exported_at, version };
        writer.line(Part::Header, &header)?;
        writer.line(Part::Run, &RunLine::from(run))?;
        Ok(writer)
    }

    /// Nodes come before everything that names one.
    pub fn node_run(&mut self, node: NodeRecord) -> io::Result<()> {
        self.counts.node_runs += 1;
        self.line(Part::NodeRun, &NodeLine::from(node))
    }

    /// Events come in the order of `seq`.
    pub fn event(&mut self, event: &RunEvent) -> io::Result<()> {
        self.counts.events += 1;
        self.line(Part::Event, event)
    }

    pub fn attempt(&mut self, attempt: &AttemptRecord) -> io::Result<()> {
        self.counts.attempts += 1;
        self.line(Part::Attempt, attempt)
    }

    pub fn audit(&mut self, record: &AuditRecord) -> io::Result<()> {
        self.counts.audit += 1;
        self.line(Part::Audit, record)
    }

    /// Writes the footer, and returns the hash of the whole.
    pub fn end(mut self) -> io::Result<String> {
        let counts = self.counts;
        self.line(Part::Footer, &counts)?;
        self.out.flush()?;
        Ok(self.chain.0)
    }

    fn line(&mut self, part: Part, value: &impl Serialize) -> io::Result<()> {
        let value = serde_json::value::to_raw_value(value)?;
        let hash = self.chain.next(part, value.get());
        let line = Line { part, value, hash };
        serde_json::to_writer(&mut self.out, &line)?;
        self.chain = Chain(line.hash);
        self.out.write_all(b"\n")
    }
}
