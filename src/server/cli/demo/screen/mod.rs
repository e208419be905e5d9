//! What the demo shows: a run as it is known so far, as text. Pure: the same
//! picture at the same time gives the same lines.

use std::{collections::BTreeMap, time::Duration};

use super::completion_error;
use crate::{
    time::Timestamp,
    types::{
        EvaluationStatus, NodeRun, NodeRunId, NodeRunState, RecoveryActionType, RunEvent, RunEventType,
        RunId, RunState,
    },
};

/// Lines of a terminal are cut here: of 80 columns the last stays free, since a
/// line that is full loses its end when the rest of it is cleared.
const TERMINAL_WIDTH: usize = 79;
/// Branch and name of a node have at least this, so that columns stay where
/// they are while the tree grows.
const NAME_WIDTH: usize = 14;
/// So many of the last events a frame has.
const LAST_EVENTS: usize = 8;

const EVENT_TYPE_WIDTH: usize = 23;
const EVENT_NAME_WIDTH: usize = 9;
const STATE_WIDTH: usize = 9;

const SPINNER: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
const SPINNER_STEP: Duration = Duration::from_millis(100);

/// What the reader's side can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Look {
    pub(super) colour: bool,
    /// Frames are drawn one over the other.
    pub(super) live: bool,
}

/// A run as it is known so far.
pub(super) struct Picture {
    run: RunId,
    /// In the order in which they were assigned.
    nodes: Vec<NodeRun>,
    names: BTreeMap<NodeRunId, String>,
    events: Vec<RunEvent>,
}

impl Picture {
    pub(super) fn new(run: RunId) -> Self {
        Self { run, nodes: Vec::new(), names: BTreeMap::new(), events: Vec::new() }
    }

    pub(super) fn add_event(&mut self, event: RunEvent) {
        self.events.push(event);
    }

    /// Adds a node, or says how it is now.
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

    /// How the run has ended, if it has.
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

    /// One event, on one line.
    pub(super) fn event_line(&self, event: &RunEvent, look: Look) -> String {
        let mut line = Line::new(look);
        line.put(Paint::Dim, &format!("{:>6} ms  ", self.elapsed(event.time).as_millis()));
        line.put(Paint::Plain, &format!("{:<EVENT_TYPE_WIDTH$}  ", event.type_.to_string()));
        let name = event.node_run_id.as_ref().map_or("run", |node| self.name(node));
        line.put(Paint::Bold, &format!("{name:<EVENT_NAME_WIDTH$}"));
        let (paint, detail) = self.detail(event);
        line.put(paint, &format!("  {detail}"));
        line.done()
    }

    /// What the run looks like now, and the last that happened.
    pub(super) fn frame(&self, now: Timestamp, look: Look) -> Vec<String> {
        let until = match self.end() {
            Some(_) => self.events.last().map_or(now, |last| last.time),
            None => now,
        };
        let mut head = Line::new(look);
        let state = self.end().map_or(NodeRunState::Running, node_state);
        head.put(Paint::Plain, "  ").put(Paint::Bold, &format!("run {}", self.run));
        head.put(paint(state), &format!("  {state}"));
        let seconds = self.elapsed(until).as_secs_f64();
        let (nodes, events) = (self.nodes.len(), self.events.len());
        head.put(Paint::Dim, &format!("  {seconds:.1} s, {nodes} node runs, {events} events"));

        let mut frame = vec![head.done(), String::new()];
        frame.extend(self.tree(now, look));
        frame.push(String::new());
        let first = events.saturating_sub(LAST_EVENTS);
        frame.extend(self.events[first..].iter().map(|event| self.event_line(event, look)));
        frame
    }

    /// The nodes, each below its parent.
    pub(super) fn tree(&self, now: Timestamp, look: Look) -> Vec<String> {
        let mut rows = Vec::new();
        self.add_rows(None, "", &mut rows);
        let width =
            |row: &Row<'_>| row.branch.chars().count() + self.name(&row.node.node_run_id).chars().count();
        let names = rows.iter().map(width).fold(NAME_WIDTH, usize::max);
        let draw = |row: &Row<'_>| {
            let Row { branch, node } = row;
            let mut line = Line::new(look);
            line.put(Paint::Dim, &format!("  {branch}"));
            line.put(paint(node.state), &format!("{} ", glyph(node.state, self.elapsed(now), look)));
            let name = self.name(&node.node_run_id);
            line.put(Paint::Bold, &format!("{name:<width$}", width = names - branch.chars().count()));
            line.put(paint(node.state), &format!("  {:<STATE_WIDTH$}", node.state.to_string()));
            let took = node.started_at.map(|started| node.ended_at.unwrap_or(now).since(started));
            let took = took.map(|took| format!("{:.1} s", took.as_secs_f64())).unwrap_or_default();
            line.put(Paint::Dim, &format!("{took:>7}"));
            let (paint, note) = note(node);
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

    fn detail(&self, event: &RunEvent) -> (Paint, String) {
        let text = |member| text(event, member);
        let word = |member| text(member).unwrap_or_default();
        match event.type_ {
            RunEventType::RunStarted => (Paint::Dim, String::new()),
            RunEventType::NodeRunAssigned => {
                let parent = text("parent_node_run_id").map(NodeRunId::new);
                let under = parent.map(|parent| format!("under {}", self.name(&parent)));
                (Paint::Dim, under.unwrap_or_else(|| "the root".into()))
            }
            RunEventType::CompositeDecomposed => {
                let count = event.data.as_ref().and_then(|data| data.get("node_run_count")?.as_u64());
                (
                    Paint::Dim,
                    match count.unwrap_or_default() {
                        1 => "1 more node run".into(),
                        count => format!("{count} more node runs"),
                    },
                )
            }
            RunEventType::SubtaskMapped => {
                (Paint::Dim, format!("{}: {}", word("subtask_id"), word("rationale")))
            }
            RunEventType::CandidateSetGenerated => (Paint::Dim, word("candidate_set_id")),
            RunEventType::PolicyDecided => {
                let action = word("action");
                let action = action.rsplit('.').next().unwrap_or_default();
                let paint = if word("decision") == "allow" { Paint::Dim } else { Paint::Red };
                (paint, format!("{action}: {} ({})", word("decision"), word("reason_code")))
            }
            RunEventType::NodeEvaluated => {
                let paint = if word("status") == "fail" { Paint::Yellow } else { Paint::Dim };
                let message = text("message").map(|message| format!(": {message}")).unwrap_or_default();
                (paint, format!("{} ({}){message}", word("status"), word("reason_code")))
            }
            RunEventType::RecoveryApplied => {
                let target = event.data.as_ref().and_then(|data| data.get("target_node_type_ref"));
                let target = target.as_ref().and_then(|target| target.get("node_type_id")?.as_str());
                let target = target.map(|target| format!(" to {}", short(target))).unwrap_or_default();
                let message = text("message").map(|message| format!(": {message}")).unwrap_or_default();
                (Paint::Yellow, format!("{}{target}{message}", word("type")))
            }
            RunEventType::AtomicExecuted | RunEventType::RunCompleted => {
                let paint = word("state").parse().map_or(Paint::Plain, paint);
                (paint, word("state"))
            }
        }
    }

    fn name<'p>(&'p self, node: &'p NodeRunId) -> &'p str {
        self.names.get(node).map_or(node.as_str(), String::as_str)
    }

    /// Since the first event.
    fn elapsed(&self, at: Timestamp) -> Duration {
        self.events.first().map_or(Duration::ZERO, |first| at.since(first.time))
    }
}

struct Row<'p> {
    branch: String,
    node: &'p NodeRun,
}

/// What there is to say about a node: what came of it, or what was done about
/// it.
fn note(node: &NodeRun) -> (Paint, String) {
    let evaluation = node.evaluation_result.as_ref();
    let recovery = node.recovery_actions.as_ref().and_then(|actions| actions.last());
    if let (Some(evaluation), Some(recovery)) = (evaluation, recovery) {
        let reason = match evaluation.status {
            EvaluationStatus::Fail | EvaluationStatus::Unknown => evaluation.reason_code.as_deref(),
            EvaluationStatus::Success => None,
        };
        let action = match (recovery.type_, &recovery.target_node_type_ref) {
            (RecoveryActionType::Remap, Some(target)) => format!("remap to {}", short(&target.node_type_id)),
            (action, _) => action.to_string(),
        };
        return (Paint::Yellow, format!("{} → {action}", reason.unwrap_or("evaluated")));
    }
    let summary = node.outputs.as_ref().and_then(|outputs| outputs.text("summary"));
    match (summary, completion_error(node)) {
        (Some(summary), _) => (Paint::Plain, summary),
        (None, Some(error)) => (Paint::Red, error.message),
        (None, None) => (Paint::Plain, String::new()),
    }
}

/// `atomic.weather` is the weather.
fn short(node_type_id: &str) -> &str {
    node_type_id.split_once('.').map_or(node_type_id, |(_, name)| name)
}

fn text(event: &RunEvent, member: &str) -> Option<String> {
    event.data.as_ref()?.text(member)
}

fn node_state(state: RunState) -> NodeRunState {
    match state {
        RunState::Queued => NodeRunState::Queued,
        RunState::Running => NodeRunState::Running,
        RunState::Succeeded => NodeRunState::Succeeded,
        RunState::Failed => NodeRunState::Failed,
        RunState::Canceled => NodeRunState::Canceled,
    }
}

fn glyph(state: NodeRunState, elapsed: Duration, look: Look) -> &'static str {
    match state {
        NodeRunState::Queued | NodeRunState::Assigned => "○",
        NodeRunState::Running if look.live => {
            let step = usize::try_from(elapsed.as_millis() / SPINNER_STEP.as_millis()).unwrap_or_default();
            SPINNER[step % SPINNER.len()]
        }
        NodeRunState::Running => "●",
        NodeRunState::Succeeded => "✓",
        NodeRunState::Failed => "✗",
        NodeRunState::Canceled => "⊘",
    }
}

fn paint(state: NodeRunState) -> Paint {
    match state {
        NodeRunState::Queued | NodeRunState::Assigned => Paint::Dim,
        NodeRunState::Running => Paint::Cyan,
        NodeRunState::Succeeded => Paint::Green,
        NodeRunState::Failed => Paint::Red,
        NodeRunState::Canceled => Paint::Yellow,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Paint {
    Plain,
    Bold,
    Dim,
    Red,
    Green,
    Yellow,
    Cyan,
}

impl Paint {
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Bold => "\x1b[1m",
            Self::Dim => "\x1b[2m",
            Self::Red => "\x1b[31m",
            Self::Green => "\x1b[32m",
            Self::Yellow => "\x1b[33m",
            Self::Cyan => "\x1b[36m",
        }
    }
}

/// A line that is not longer than there is room.
struct Line {
    text: String,
    room: usize,
    colour: bool,
}

impl Line {
    fn new(look: Look) -> Self {
        let room = if look.live { TERMINAL_WIDTH } else { usize::MAX };
        Self { text: String::new(), room, colour: look.colour }
    }

    fn put(&mut self, paint: Paint, text: &str) -> &mut Self {
        let width = text.chars().count();
        let cut: String;
        let text = if width <= self.room {
            self.room -= width;
            text
        } else {
            cut = text
                .chars()
                .take(self.room.saturating_sub(1))
                .chain((self.room > 0).then_some('…'))
                .collect();
            self.room = 0;
            &cut
        };
        let code = if self.colour { paint.code() } else { "" };
        let end = if code.is_empty() { "" } else { "\x1b[0m" };
        if text.trim().is_empty() {
            self.text.push_str(text);
        } else {
            self.text.extend([code, text, end]);
        }
        self
    }

    fn done(self) -> String {
        match self.text.trim_end() {
            trimmed if trimmed.len() == self.text.len() => self.text,
            trimmed => trimmed.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const START: i64 = 1_800_000_000_000_000;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_micros(START + millis * 1000)
    }

    fn node(id: &str, node_type: &str, parent: Option<&str>, state: &str, more: &Value) -> NodeRun {
        let mut node = json!({
            "node_run_id": id, "run_id": "weekend-1", "state": state,
            "node_type_ref": {"node_type_id": node_type, "version": "1.0.0"},
        });
        if let Some(parent) = parent {
            node["parent_node_run_id"] = parent.into();
        }
        node.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(node).unwrap()
    }

    fn times(started: i64, ended: Option<i64>) -> Value {
        let mut times = json!({"started_at": at(started)});
        if let Some(ended) = ended {
            times["ended_at"] = json!(at(ended));
        }
        times
    }

    fn with(mut value: Value, more: &Value) -> Value {
        value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        value
    }

    /// Two seconds into the run.
    fn picture() -> Picture {
        let mut picture = Picture::new("weekend-1".into());
        let nodes = [
            node("n1", "composite.weekend", None, "running", &times(6, None)),
            node(
                "n2",
                "atomic.weather",
                Some("n1"),
                "succeeded",
                &with(times(20, Some(921)), &json!({"outputs": {"summary": "sunny, 23 °C"}})),
            ),
            node(
                "n3",
                "atomic.trains",
                Some("n1"),
                "failed",
                &with(
                    times(21, Some(622)),
                    &json!({
                        "evaluation_result": {"status": "fail", "reason_code": "timetable_timeout"},
                        "recovery_actions": [{"type": "retry", "target_node_run_id": "n3"}],
                    }),
                ),
            ),
            node(
                "n4",
                "atomic.trains",
                Some("n1"),
                "failed",
                &with(
                    times(980, Some(1683)),
                    &json!({
                        "extensions": {"completion_error": {
                            "code": "strike", "message": "there are no trains at all today, and none tomorrow",
                        }},
                    }),
                ),
            ),
            node("n5", "composite.hotel", Some("n1"), "running", &times(1700, None)),
            node(
                "n6",
                "atomic.lakeside",
                Some("n5"),
                "succeeded",
                &with(
                    times(1710, Some(1999)),
                    &json!({
                        "outputs": {"summary": "2 nights, 420 CHF"},
                        "evaluation_result": {"status": "fail", "reason_code": "over_budget"},
                        "recovery_actions": [{"type": "remap",
                            "target_node_type_ref": {"node_type_id": "atomic.old_mill", "version": "1.0.0"}}],
                    }),
                ),
            ),
            node("n7", "atomic.old_mill", Some("n5"), "queued", &json!({})),
            node("n8", "atomic.summary", Some("n1"), "canceled", &json!({})),
        ];
        for node in nodes {
            picture.put_node(node);
        }
        let events = [
            (0, "run_started", None, json!({"root_node_run_id": "n1"})),
            (0, "node_run_assigned", Some("n1"), json!({"root": true})),
            (
                1,
                "policy_decided",
                Some("n1"),
                json!({"action": "run.start", "decision": "allow", "reason_code": "policy_bypass"}),
            ),
            (
                2,
                "policy_decided",
                Some("n1"),
                json!({"action": "node.run.execute", "decision": "deny", "reason_code": "pdp_unavailable"}),
            ),
            (9, "composite_decomposed", Some("n1"), json!({"node_run_count": 2})),
            (9, "node_run_assigned", Some("n2"), json!({"parent_node_run_id": "n1"})),
            (9, "subtask_mapped", Some("n2"), json!({"subtask_id": "S1", "rationale": "the only candidate"})),
            (
                10,
                "candidate_set_generated",
                Some("n6"),
                json!({"candidate_set_id": "room-candidates", "subtask_id": "S1"}),
            ),
            (921, "atomic_executed", Some("n2"), json!({"state": "succeeded"})),
            (
                922,
                "node_evaluated",
                Some("n2"),
                json!({"status": "success", "reason_code": "atomic_completed"}),
            ),
            (
                930,
                "node_evaluated",
                Some("n3"),
                json!({"status": "fail", "reason_code": "timetable_timeout",
                "message": "no answer from the timetable"}),
            ),
            (931, "recovery_applied", Some("n3"), json!({"type": "retry", "message": "try 2 of 2"})),
            (
                1999,
                "recovery_applied",
                Some("n6"),
                json!({"type": "remap",
                "target_node_type_ref": {"node_type_id": "atomic.old_mill", "version": "1.0.0"},
                "message": "ten minutes from the station"}),
            ),
        ];
        for (seq, (millis, type_, node, data)) in (1..).zip(events) {
            add(&mut picture, seq, millis, type_, node, &data);
        }
        picture
    }

    fn add(picture: &mut Picture, seq: u64, millis: i64, type_: &str, node: Option<&str>, data: &Value) {
        let event = json!({"run_id": "weekend-1", "seq": seq, "type": type_, "time": at(millis),
            "node_run_id": node, "data": data});
        picture.add_event(serde_json::from_value(event).unwrap());
    }

    #[test]
    fn plain_output_is_as_checked_in() {
        let mut picture = picture();
        let look = Look { colour: false, live: false };
        add(&mut picture, 14, 2005, "run_completed", Some("n1"), &json!({"state": "failed"}));
        let mut lines: Vec<String> =
            picture.events.iter().map(|event| picture.event_line(event, look)).collect();
        lines.push(String::new());
        lines.extend(picture.tree(at(2010), look));
        lines.extend([String::new(), picture.summary()]);
        expectorate::assert_contents("tests/output/demo-plain.txt", &(lines.join("\n") + "\n"));
    }

    #[test]
    fn a_frame_fits_the_terminal_and_is_as_checked_in() {
        let look = Look { colour: false, live: true };
        let frame = picture().frame(at(2000), look);
        assert!(frame.len() < 24, "{} lines", frame.len());
        for line in &frame {
            assert!(line.chars().count() <= TERMINAL_WIDTH, "{line}");
        }
        expectorate::assert_contents("tests/output/demo-frame.txt", &(frame.join("\n") + "\n"));
    }

    #[test]
    fn colours_change_nothing_but_the_colour() {
        let coloured = picture().frame(at(2000), Look { colour: true, live: true }).join("\n");
        let plain = picture().frame(at(2000), Look { colour: false, live: true }).join("\n");
        assert_ne!(coloured, plain);
        let mut stripped = String::new();
        for (at, part) in coloured.split("\x1b[").enumerate() {
            stripped.push_str(if at == 0 { part } else { part.split_once('m').unwrap().1 });
        }
        let stripped: Vec<&str> = stripped.lines().map(str::trim_end).collect();
        assert_eq!(stripped.join("\n"), plain);
    }
}
