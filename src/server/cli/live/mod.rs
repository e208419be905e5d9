//! Draws a run as text. Pure but for the screen: the same picture at the same time
//! gives the same lines.
//!
//! ```text
//!   events, nodes ──▶ RunPicture ──┬─▶ event_line, tree   plain output
//!                                  └─▶ frame ──▶ Screen   redrawn on a terminal
//! ```
//!
//! **Invariants:** a picture keeps the last events only, however many there are. A
//! frame is no higher than the terminal: what has ended is left out first, and
//! counted.

mod detail;
mod line;
mod screen;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use unicode_width::UnicodeWidthStr;

pub(super) use self::{
    detail::{completion_error, event_text},
    line::{Line, OutputStyle, Paint},
    screen::Screen,
};
use self::{
    detail::{event_detail, glyph, node_note, node_state, paint, short, text},
    line::pad,
};
use super::table::counted;
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
    places: BTreeMap<NodeRunId, usize>,
    names: BTreeMap<NodeRunId, String>,
    /// The last ones.
    events: VecDeque<RunEvent>,
    event_count: u64,
    began: Option<Timestamp>,
    end: Option<RunState>,
    /// There are more nodes than these.
    is_cut: bool,
}

impl RunPicture {
    pub(super) fn new(run: RunId) -> Self {
        Self {
            run,
            nodes: Vec::new(),
            places: BTreeMap::new(),
            names: BTreeMap::new(),
            events: VecDeque::with_capacity(LAST_EVENTS),
            event_count: 0,
            began: None,
            end: None,
            is_cut: false,
        }
    }

    pub(super) fn add_event(&mut self, event: RunEvent) {
        if event.type_ == RunEventType::RunCompleted {
            self.end = text(&event, "state").and_then(|state| state.parse().ok()).or(self.end);
        }
        self.began = self.began.or(Some(event.time));
        self.event_count += 1;
        if self.events.len() == LAST_EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    /// Says that the run has more nodes than are shown.
    pub(super) fn cut(&mut self, is_cut: bool) {
        self.is_cut = is_cut;
    }

    /// Adds a node, or updates it.
    pub(super) fn put_node(&mut self, node: NodeRun) {
        if let Some(known) = self.places.get(&node.node_run_id).and_then(|place| self.nodes.get_mut(*place)) {
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
        self.places.insert(node.node_run_id.clone(), self.nodes.len());
        self.nodes.push(node);
    }

    pub(super) fn nodes(&self) -> &[NodeRun] {
        &self.nodes
    }

    pub(super) fn knows(&self, node: &NodeRunId) -> bool {
        self.places.contains_key(node)
    }

    /// The final state of the run, if it has ended.
    pub(super) fn end(&self) -> Option<RunState> {
        self.end
    }

    /// `run weekend-1 succeeded: 7 nodes, 40 events, 3.4 s`
    pub(super) fn summary(&self) -> String {
        let state = self.end().unwrap_or(RunState::Running);
        let Self { run, nodes, event_count, .. } = self;
        let took = self.events.back().map_or(Duration::ZERO, |last| self.elapsed(last.time));
        let took = took.as_secs_f64();
        let (node_runs, events) = (nodes.len() as u64, counted(*event_count, "event"));
        let node_runs = match self.is_cut {
            true => format!("{node_runs} or more node runs"),
            false => counted(node_runs, "node run"),
        };
        format!("run {run} {state}: {node_runs}, {events}, {took:.1} s")
    }

    fn more(&self) -> &'static str {
        if self.is_cut { " or more" } else { "" }
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
            Some(_) => self.events.back().map_or(now, |last| last.time),
            None => now,
        };
        let mut head = Line::new(output);
        let state = self.end().map_or(NodeRunState::Running, node_state);
        head.put(Paint::Plain, "  ").put(Paint::Bold, &format!("run {}", self.run));
        head.put(paint(state), &format!("  {state}"));
        let seconds = self.elapsed(until).as_secs_f64();
        let (nodes, events) = (self.nodes.len(), counted(self.event_count, "event"));
        let over = self.nodes.iter().filter(|node| node.state.is_terminal()).count();
        let progress = format!(" {over} of {nodes}{} node runs over", self.more());
        head.put(Paint::Dim, &format!("  {seconds:.1} s,{progress}, {events}"));

        let mut frame = vec![head.done(), String::new()];
        // The head, the events, a line below each and the cursor's.
        let room = output.rows.saturating_sub(4 + LAST_EVENTS).max(4);
        frame.extend(self.folded_tree(now, output, room));
        frame.push(String::new());
        frame.extend(self.events.iter().map(|event| self.event_line(event, output)));
        frame
    }

    /// Draws at most `room` nodes: those that are live and what is above them first.
    fn folded_tree(&self, now: Timestamp, output: OutputStyle, room: usize) -> Vec<String> {
        let rows = self.rows();
        if rows.len() <= room {
            return self.draw(&rows, now, output);
        }
        let mut on_path = BTreeSet::new();
        for row in rows.iter().filter(|row| !row.node.state.is_terminal()) {
            let mut next = Some(&row.node.node_run_id);
            while let Some(id) = next.filter(|id| on_path.insert((*id).clone())) {
                let node = self.places.get(id).and_then(|place| self.nodes.get(*place));
                next = node.and_then(|node| node.parent_node_run_id.as_ref());
            }
        }
        let wanted = room.saturating_sub(1);
        let spare = wanted.saturating_sub(on_path.len());
        let total = rows.len();
        let ended = total - on_path.len();
        // The newest of what has ended, as far as there is room.
        let mut skipped = ended.saturating_sub(spare);
        let kept = rows.into_iter().filter(|row| {
            if on_path.contains(&row.node.node_run_id) || skipped == 0 {
                return true;
            }
            skipped -= 1;
            false
        });
        let kept: Vec<Row<'_>> = kept.take(wanted).collect();
        let mut lines = self.draw(&kept, now, output);
        let mut rest = Line::new(output);
        rest.put(Paint::Dim, &format!("  … {} more", total - kept.len()));
        lines.push(rest.done());
        lines
    }

    /// Draws the nodes as a tree.
    pub(super) fn tree(&self, now: Timestamp, output: OutputStyle) -> Vec<String> {
        self.draw(&self.rows(), now, output)
    }

    fn rows(&self) -> Vec<Row<'_>> {
        let mut children = BTreeMap::<Option<&NodeRunId>, Vec<&NodeRun>>::new();
        for node in &self.nodes {
            // What hangs on an unknown node is shown at the root.
            let parent = node.parent_node_run_id.as_ref().filter(|parent| self.knows(parent));
            children.entry(parent).or_default().push(node);
        }
        let mut rows = Vec::with_capacity(self.nodes.len());
        add_rows(&children, None, "", &mut rows);
        rows
    }

    fn draw(&self, rows: &[Row<'_>], now: Timestamp, output: OutputStyle) -> Vec<String> {
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

    fn name<'p>(&'p self, node: &'p NodeRunId) -> &'p str {
        self.names.get(node).map_or(node.as_str(), String::as_str)
    }

    /// The time since the first event.
    fn elapsed(&self, at: Timestamp) -> Duration {
        self.began.map_or(Duration::ZERO, |began| at.since(began))
    }
}

struct Row<'p> {
    branch: String,
    node: &'p NodeRun,
}

/// Deeper than this, lines are not indented further: the tree of a run may be deep.
const DEEPEST: usize = 3 * 64;

fn add_rows<'p>(
    children: &BTreeMap<Option<&'p NodeRunId>, Vec<&'p NodeRun>>,
    parent: Option<&'p NodeRunId>,
    indent: &str,
    rows: &mut Vec<Row<'p>>,
) {
    let mut here = children.get(&parent).into_iter().flatten().peekable();
    while let Some(node) = here.next() {
        let (branch, below) = match (parent, here.peek()) {
            (None, _) => ("", ""),
            (Some(_), Some(_)) => ("├─ ", "│  "),
            (Some(_), None) => ("└─ ", "   "),
        };
        rows.push(Row { branch: format!("{indent}{branch}"), node });
        let below = if indent.chars().count() >= DEEPEST { "" } else { below };
        add_rows(children, Some(&node.node_run_id), &format!("{indent}{below}"), rows);
    }
}
