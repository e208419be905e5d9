//! Reads a bundle, and checks it.
//!
//! | checked | finds |
//! |---|---|
//! | each line's hash | a line that was changed, moved, added or removed |
//! | the order of the parts, the footer's counts | a file that was cut |
//! | nodes have their parents, events count from 1 without gaps, attempts have their nodes | a writer that left something out |

use std::{
    collections::HashSet,
    io::{self, BufRead},
};

use serde::de::DeserializeOwned;

use super::bundle::{Chain, FORMAT, Footer, Header, Line, NodeLine, Part, RunLine};
use crate::{
    record::{AttemptRecord, AuditRecord},
    types::{NodeRunId, RunEvent, RunId, RunState},
};

/// A bundle that is whole and unchanged.
#[derive(Clone, Debug, PartialEq)]
pub struct Bundle {
    pub header: Header,
    pub run: RunLine,
    pub nodes: Vec<NodeLine>,
    pub events: Vec<RunEvent>,
    pub attempts: Vec<AttemptRecord>,
    pub audit: Vec<AuditRecord>,
    /// The hash of the last line.
    pub hash: String,
}

impl Bundle {
    pub fn summary(&self) -> Summary {
        Summary {
            run_id: self.header.run_id.clone(),
            state: self.run.run.state,
            counts: Footer {
                node_runs: self.nodes.len() as u64,
                events: self.events.len() as u64,
                attempts: self.attempts.len() as u64,
                audit: self.audit.len() as u64,
            },
            hash: self.hash.clone(),
        }
    }
}

/// What is in a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    pub run_id: RunId,
    pub state: RunState,
    pub counts: Footer,
    pub hash: String,
}

/// Why a file is no whole and unchanged bundle.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error("cannot read the file: {0}")]
    Io(#[from] io::Error),
    #[error("line {line}: {what}")]
    Line { line: u64, what: String },
    #[error("the file ends before its footer: it was cut")]
    Cut,
}

/// Reads a bundle to its end.
pub fn read(file: impl BufRead) -> Result<Bundle, Fault> {
    let mut reader = Reader { file, line: 0, chain: Chain::default() };
    let header: Header = reader.expect(Part::Header)?;
    if header.format != FORMAT {
        return Err(reader.fault(format!("format {}, not {FORMAT}", header.format)));
    }
    let run: RunLine = reader.expect(Part::Run)?;
    if run.run.run_id != header.run_id {
        return Err(reader.fault("the header names another run".into()));
    }
    let hash = String::new();
    let (nodes, events, attempts, audit) = Default::default();
    let mut bundle = Bundle { header, run, nodes, events, attempts, audit, hash };
    let mut known = Known::default();
    let mut last = Part::Run;
    loop {
        let Some(line) = reader.next()? else { return Err(Fault::Cut) };
        if line.part < last {
            return Err(reader.fault(format!("a line of the part {} is too late", line.part.as_str())));
        }
        last = line.part;
        match line.part {
            Part::Header | Part::Run => return Err(reader.fault("a second header or run".into())),
            Part::NodeRun => {
                let node = reader.value(&line)?;
                known.node(&bundle, &node).map_err(|what| reader.fault(what))?;
                bundle.nodes.push(node);
            }
            Part::Event => {
                let event = reader.value(&line)?;
                known.event(&bundle, &event).map_err(|what| reader.fault(what))?;
                bundle.events.push(event);
            }
            Part::Attempt => {
                let attempt: AttemptRecord = reader.value(&line)?;
                known.has(&attempt.node_run_id).map_err(|what| reader.fault(what))?;
                bundle.attempts.push(attempt);
            }
            Part::Audit => bundle.audit.push(reader.value(&line)?),
            Part::Footer => {
                let footer: Footer = reader.value(&line)?;
                bundle.hash = line.hash;
                reader.finish(&bundle, footer)?;
                return Ok(bundle);
            }
        }
    }
}

struct Reader<R> {
    file: R,
    /// The number of the last line that was read.
    line: u64,
    chain: Chain,
}

impl<R: BufRead> Reader<R> {
    /// The next line, whose hash is right; `None` at the end of the file.
    fn next(&mut self) -> Result<Option<Line>, Fault> {
        let mut text = String::new();
        if self.file.read_line(&mut text)? == 0 {
            return Ok(None);
        }
        self.line += 1;
        if !text.ends_with('\n') {
            return Err(Fault::Cut);
        }
        let line: Line = serde_json::from_str(&text).map_err(|error| self.fault(error.to_string()))?;
        if self.chain.next(line.part, line.value.get()) != line.hash {
            return Err(self.fault("this line, or one before it, was changed or removed".into()));
        }
        self.chain = Chain(line.hash.clone());
        Ok(Some(line))
    }

    fn expect<T: DeserializeOwned>(&mut self, part: Part) -> Result<T, Fault> {
        match self.next()? {
            Some(line) if line.part == part => self.value(&line),
            Some(_) => Err(self.fault(format!("it must be the {}", part.as_str()))),
            None => Err(Fault::Cut),
        }
    }

    fn value<T: DeserializeOwned>(&self, line: &Line) -> Result<T, Fault> {
        serde_json::from_str(line.value.get()).map_err(|error| self.fault(error.to_string()))
    }

    fn fault(&self, what: String) -> Fault {
        Fault::Line { line: self.line, what }
    }

    /// Checks the counts, and that nothing follows.
    fn finish(&mut self, bundle: &Bundle, footer: Footer) -> Result<(), Fault> {
        let found = bundle.summary().counts;
        if found != footer {
            return Err(self.fault(format!("the footer counts {footer:?}, and the file has {found:?}")));
        }
        let RunLine { node_runs, last_seq, adopted, .. } = bundle.run;
        if node_runs != found.node_runs {
            return Err(self.fault(format!("the run has {node_runs} node runs, not {}", found.node_runs)));
        }
        let newest = bundle.events.last().map_or(0, |event| event.seq);
        if !adopted && newest != last_seq {
            return Err(self.fault(format!("the run has {last_seq} events, not {newest}")));
        }
        match self.next()? {
            None => Ok(()),
            Some(_) => Err(self.fault("a line after the footer".into())),
        }
    }
}

/// The nodes so far.
#[derive(Default)]
struct Known(HashSet<NodeRunId>);

impl Known {
    fn node(&mut self, bundle: &Bundle, node: &NodeLine) -> Result<(), String> {
        let node = &node.node_run;
        match &node.parent_node_run_id {
            Some(parent) => self.has(parent)?,
            None if node.node_run_id == bundle.run.run.root_node_run_id => {}
            None => return Err(format!("node run {} has no parent, and is not the root", node.node_run_id)),
        }
        if !self.0.insert(node.node_run_id.clone()) {
            return Err(format!("node run {} is there twice", node.node_run_id));
        }
        Ok(())
    }

    fn event(&self, bundle: &Bundle, event: &RunEvent) -> Result<(), String> {
        let before = bundle.events.last().map_or(0, |event| event.seq);
        if event.seq <= before || (!bundle.run.adopted && event.seq != before + 1) {
            return Err(format!("event {} follows event {before}", event.seq));
        }
        event.node_run_id.as_ref().map_or(Ok(()), |node| self.has(node))
    }

    fn has(&self, node: &NodeRunId) -> Result<(), String> {
        if self.0.contains(node) { Ok(()) } else { Err(format!("node run {node} is missing")) }
    }
}
