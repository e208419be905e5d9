//! Frames and plain output of one run, against golden files.

use serde_json::{Value, json};

use unicode_width::UnicodeWidthStr;

use super::{LAST_EVENTS, OutputStyle, RunPicture};
use crate::{
    time::Timestamp,
    types::{NodeRun, RunEvent},
};

const LIVE: OutputStyle = OutputStyle { colour: false, live: true, columns: 80, rows: 24 };
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
fn picture() -> RunPicture {
    picture_and_events().0
}

fn picture_and_events() -> (RunPicture, Vec<RunEvent>) {
    let mut picture = RunPicture::new("weekend-1".into());
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
        (922, "node_evaluated", Some("n2"), json!({"status": "success", "reason_code": "atomic_completed"})),
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
    let numbered = (1..).zip(events);
    let events: Vec<RunEvent> = numbered
        .map(|(seq, (millis, type_, node, data))| add(&mut picture, seq, millis, type_, node, &data))
        .collect();
    (picture, events)
}

fn add(
    picture: &mut RunPicture,
    seq: u64,
    millis: i64,
    type_: &str,
    node: Option<&str>,
    data: &Value,
) -> RunEvent {
    let event = json!({"run_id": "weekend-1", "seq": seq, "type": type_, "time": at(millis),
        "node_run_id": node, "data": data});
    let event: RunEvent = serde_json::from_value(event).unwrap();
    picture.add_event(event.clone());
    event
}

#[test]
fn plain_output_matches_the_golden_file() {
    let (mut picture, mut events) = picture_and_events();
    let output = OutputStyle { live: false, ..LIVE };
    events.push(add(&mut picture, 14, 2005, "run_completed", Some("n1"), &json!({"state": "failed"})));
    let mut lines: Vec<String> = events.iter().map(|event| picture.event_line(event, output)).collect();
    lines.push(String::new());
    lines.extend(picture.tree(at(2010), output));
    lines.extend([String::new(), picture.summary()]);
    expectorate::assert_contents("tests/output/demo-plain.txt", &(lines.join("\n") + "\n"));
}

#[test]
fn frame_fits_the_terminal() {
    let frame = picture().frame(at(2000), LIVE);
    assert!(frame.len() < LIVE.rows, "{} lines", frame.len());
    for line in &frame {
        assert!(line.width() < LIVE.columns, "{line}");
    }
    expectorate::assert_contents("tests/output/demo-frame.txt", &(frame.join("\n") + "\n"));
}

#[test]
fn colours_do_not_change_the_text() {
    let coloured = picture().frame(at(2000), OutputStyle { colour: true, ..LIVE }).join("\n");
    let plain = picture().frame(at(2000), LIVE).join("\n");
    assert_ne!(coloured, plain);
    let mut stripped = String::new();
    for (at, part) in coloured.split("\x1b[").enumerate() {
        stripped.push_str(if at == 0 { part } else { part.split_once('m').unwrap().1 });
    }
    let stripped: Vec<&str> = stripped.lines().map(str::trim_end).collect();
    assert_eq!(stripped.join("\n"), plain);
}

#[test]
fn large_tree_is_folded_around_what_is_live() {
    let mut picture = RunPicture::new("large".into());
    picture.put_node(node("root", "composite.all", None, "running", &times(0, None)));
    for number in 0..40 {
        let state = if number == 7 { "running" } else { "succeeded" };
        picture.put_node(node(&format!("n{number}"), "atomic.part", Some("root"), state, &json!({})));
    }
    picture.cut(true);
    let frame = picture.frame(at(1), LIVE);
    assert!(frame.len() < LIVE.rows, "{} lines", frame.len());
    let text = frame.join("\n");
    assert!(text.contains("39 of 41 or more node runs over"), "{text}");
    // Of 12 lines one is for the rest; the live node and the newest are shown.
    for part in ["part 8 ", "part 40 ", "… 30 more"] {
        assert!(text.contains(part), "{part} in:\n{text}");
    }
    assert!(!text.contains("part 9 "), "{text}");
}

#[test]
fn picture_keeps_the_last_events_only() {
    let mut picture = RunPicture::new("long".into());
    for seq in 1..=1000 {
        add(&mut picture, seq, i64::try_from(seq).unwrap(), "node_evaluated", None, &json!({}));
    }
    add(&mut picture, 1001, 2000, "run_completed", None, &json!({"state": "canceled"}));
    assert_eq!(picture.events.len(), LAST_EVENTS);
    assert_eq!(picture.summary(), "run long canceled: 0 node runs, 1001 events, 2.0 s");
}
