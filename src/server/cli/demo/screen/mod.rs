//! Draws a run as text. Pure: the same picture at the same time gives the same
//! lines.
//!
//! ```text
//!   events, nodes ──▶ RunPicture ──┬─▶ event_line, tree   plain output
//!                                  └─▶ frame              redrawn on a terminal
//! ```

mod detail;
mod line;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, time::Duration};

use unicode_width::UnicodeWidthStr;

pub(super) use self::line::OutputStyle;
use self::{
    detail::{event_detail, glyph, node_note, node_state, paint, short, text},
    line::{Line, Paint, pad},
};
use crate::{
    time::Timestamp,
    types::{NodeRun, NodeRunId, NodeRunState, RunEvent, RunEventType, RunId, RunState},
};

/// The minimum width of branch and name of a node, so that columns keep their
/// place while the tree grows.
const NAME_WIDTH: usize = 14;
/// The number of events in a frame.
const LAST_EVENTS: usize = 8;

const EVENT_TYPE_WIDTH: usize = 23;
const EVENT_NAME_WIDTH: usize = 9;
const STATE_WIDTH: usize = 9;

/// A run as far as it is known.
pub(super) struct RunPicture {
    run: RunId,
    /// In the order of their assignment.
    nodes: Vec<NodeRun>,
    names: BTreeMap<NodeRunId, String>,
    events: Vec<RunEvent>,
}

impl RunPicture {
    pub(super) fn new(run: RunId) -> Self {
        Self { run, nodes: Vec::new(), names: BTreeMap::new(), events: Vec::new() }
    }

    pub(super) fn add_event(&mut self, event: RunEvent) {
        self.events.push(event);
    }

    /// Adds a node, or updates it.
    pub(super) fn put_node(&mut self, node: NodeRun) {
        if let Some(known) = self.nodes.iter_mut().find(|known| known.node_run_id == node.node_run_id) {
            *known = node;
            return;
        }
        let like = |other: &&NodeRun| {
            other.parent_node_run_id == node.parent_node_run_id && other.node_type_ref == node.node_type_ref
        };
        let name = short(&node.node_type_ref.node_type_id);
        let name = match self.nodes.iter().filter(like).count() {
            0 => name.to_owned(),
            before => format!("{name} {}", before + 1),
        };
        self.names.insert(node.node_run_id.clone(), name);
        self.nodes.push(node);
    }

    pub(super) fn nodes(&self) -> &[NodeRun] {
        &self.nodes
    }

    /// The final state of the run, if it has ended.
    pub(super) fn end(&self) -> Option<RunState> {
        let end = self.events.iter().find(|event| event.type_ == RunEventType::RunCompleted)?;
        text(end, "state")?.parse().ok()
    }

    /// `run weekend-1 succeeded: 7 nodes, 40 events, 3.4 s`
    pub(super) fn summary(&self) -> String {
        let state = self.end().unwrap_or(RunState::Running);
        let Self { run, nodes, events, .. } = self;
        let took = events.last().map_or(Duration::ZERO, |last| self.elapsed(last.time));
        let took = took.as_secs_f64();
        format!("run {run} {state}: {} node runs, {} events, {took:.1} s", nodes.len(), events.len())
    }

    /// Formats an event as one line.
    pub(super) fn event_line(&self, event: &RunEvent, output: OutputStyle) -> String {
        let mut line = Line::new(output);
        line.put(Paint::Dim, &format!("{:>6} ms  ", self.elapsed(event.time).as_millis()));
        line.put(Paint::Plain, &pad(&event.type_.to_string(), EVENT_TYPE_WIDTH + 2));
        let name = event.node_run_id.as_ref().map_or("run", |node| self.name(node));
        line.put(Paint::Bold, &pad(name, EVENT_NAME_WIDTH));
        let (paint, detail) = event_detail(event, |node| self.name(node).to_owned());
        line.put(paint, &format!("  {detail}"));
        line.done()
    }

    /// Draws the run as of `now`, and its last events.
    pub(super) fn frame(&self, now: Timestamp, output: OutputStyle) -> Vec<String> {
        let until = match self.end() {
            Some(_) => self.events.last().map_or(now, |last| last.time),
            None => now,
        };
        let mut head = Line::new(output);
        let state = self.end().map_or(NodeRunState::Running, node_state);
        head.put(Paint::Plain, "  ").put(Paint::Bold, &format!("run {}", self.run));
        head.put(paint(state), &format!("  {state}"));
        let seconds = self.elapsed(until).as_secs_f64();
        let (nodes, events) = (self.nodes.len(), self.events.len());
        head.put(Paint::Dim, &format!("  {seconds:.1} s, {nodes} node runs, {events} events"));

        let mut frame = vec![head.done(), String::new()];
        frame.extend(self.tree(now, output));
        frame.push(String::new());
        let first = events.saturating_sub(LAST_EVENTS);
        frame.extend(self.events[first..].iter().map(|event| self.event_line(event, output)));
        frame
    }

    /// Draws the nodes as a tree.
    pub(super) fn tree(&self, now: Timestamp, output: OutputStyle) -> Vec<String> {
        let mut rows = Vec::new();
        self.add_rows(None, "", &mut rows);
        let width = |row: &Row<'_>| row.branch.width() + self.name(&row.node.node_run_id).width();
        let names = rows.iter().map(width).fold(NAME_WIDTH, usize::max);
        let draw = |row: &Row<'_>| {
            let Row { branch, node } = row;
            let mut line = Line::new(output);
            line.put(Paint::Dim, &format!("  {branch}"));
            line.put(paint(node.state), &format!("{} ", glyph(node.state, self.elapsed(now), output)));
            let name = self.name(&node.node_run_id);
            line.put(Paint::Bold, &pad(name, names - branch.width()));
            line.put(paint(node.state), &format!("  {:<STATE_WIDTH$}", node.state.to_string()));
            let took = node.started_at.map(|started| node.ended_at.unwrap_or(now).since(started));
            let took = took.map(|took| format!("{:.1} s", took.as_secs_f64())).unwrap_or_default();
            line.put(Paint::Dim, &format!("{took:>7}"));
            let (paint, note) = node_note(node);
            line.put(paint, &format!("  {note}"));
            line.done()
        };
        rows.iter().map(draw).collect()
    }

    fn add_rows<'p>(&'p self, parent: Option<&NodeRunId>, indent: &str, rows: &mut Vec<Row<'p>>) {
        let mut children =
            self.nodes.iter().filter(|node| node.parent_node_run_id.as_ref() == parent).peekable();
        while let Some(node) = children.next() {
            let (branch, below) = match (parent, children.peek()) {
                (None, _) => ("", ""),
                (Some(_), Some(_)) => ("├─ ", "│  "),
                (Some(_), None) => ("└─ ", "   "),
            };
            rows.push(Row { branch: format!("{indent}{branch}"), node });
            self.add_rows(Some(&node.node_run_id), &format!("{indent}{below}"), rows);
        }
    }

    fn name<'p>(&'p self, node: &'p NodeRunId) -> &'p str {
        self.names.get(node).map_or(node.as_str(), String::as_str)
    }

    /// The time since the first event.
    fn elapsed(&self, at: Timestamp) -> Duration {
        self.events.first().map_or(Duration::ZERO, |first| at.since(first.time))
    }
}

struct Row<'p> {
    branch: String,
    node: &'p NodeRun,
}
