//! Bundles that were made, changed, cut and compared.

use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Bundle, BundleWriter, Fault, diff, read};
use crate::{
    record::{NodePath, NodeRecord, Origin, RunRecord},
    time::Timestamp,
    types::{JsonObject, NodeKind, NodeRun, NodeRunState, Run, RunEvent, RunId},
};

const START: Timestamp = Timestamp::from_micros(60_000_000);

/// A node of the run: its place, its subtask, what it got and gave.
struct Node {
    path: &'static str,
    subtask: &'static str,
    input: Value,
    output: Value,
}

fn node(path: &'static str, subtask: &'static str, input: Value, output: Value) -> Node {
    Node { path, subtask, input, output }
}

fn plan() -> Vec<Node> {
    vec![
        node("1", "", json!({"goal": "tea"}), json!({"tea": true})),
        node("1.2", "S1", json!({"boil": 1}), json!({"water": 100})),
        node("1.3", "S2", json!({"pour": 1}), json!({"cup": "full"})),
    ]
}

fn parse<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("a value of the type")
}

fn node_record(run: &str, node: &Node) -> NodeRecord {
    let id = |path: &str| format!("{run}-{path}").as_str().into();
    let type_ref = parse(json!({"node_type_id": "atomic.echo", "version": "1"}));
    let binding = JsonObject::from([("subtask_id", json!(node.subtask))]);
    let extensions = json!({"binding_decision": Value::from(binding)});
    let depth = node.path.len() as u64;
    let made = NodeRun {
        created_at: Some(START + Duration::from_secs(depth)),
        ended_at: Some(START + Duration::from_secs(20 - depth)),
        state: NodeRunState::Succeeded,
        parent_node_run_id: node.path.rsplit_once('.').map(|(above, _)| id(above)),
        inputs: Some(parse(node.input.clone())),
        outputs: Some(parse(node.output.clone())),
        extensions: Some(parse(extensions)),
        ..NodeRun::queued(run.into(), id(node.path), type_ref, Some(NodeKind::Atomic))
    };
    NodeRecord::new(made, NodePath::from(node.path.to_owned()))
}

/// The file of a run with these nodes, and its hash.
fn exported(run: &str, nodes: &[Node]) -> (String, String) {
    let id: RunId = run.into();
    let root = format!("{run}-1");
    let of_run: Run = parse(json!({"run_id": run, "state": "succeeded", "root_node_run_id": root,
        "started_at": START}));
    let events = nodes.len() as u64;
    let record = RunRecord {
        run: of_run,
        version: 1,
        last_seq: events,
        nodes: nodes.len() as u64,
        origin: Origin::Request { digest: "0f".into() },
        owner: None,
        subject_token: None,
        deadline: None,
        ceilings: None,
        account: None,
        hold: None,
        rerun: None,
        attempts: 0,
        changed_at: None,
        trace: None,
    };
    let mut file = Vec::new();
    let mut bundle = BundleWriter::begin(&mut file, record, START).expect("written");
    for node in nodes {
        bundle.node_run(node_record(run, node)).expect("written");
    }
    for (seq, node) in (1..).zip(nodes) {
        let at = START + Duration::from_secs(seq);
        let event: RunEvent =
            parse(json!({"run_id": id, "seq": seq, "time": at, "type": "node_run_assigned",
            "node_run_id": format!("{run}-{}", node.path), "data": {}}));
        bundle.event(&event).expect("written");
    }
    let hash = bundle.end().expect("written");
    (String::from_utf8(file).expect("text"), hash)
}

fn bundle(file: &str) -> Bundle {
    read(file.as_bytes()).expect("whole and unchanged")
}

#[test]
fn whole_bundle_is_read_as_it_was_written() {
    let (file, hash) = exported("run-1", &plan());
    let summary = bundle(&file).summary();
    assert_eq!((summary.hash.as_str(), summary.run_id), (hash.as_str(), "run-1".into()));
    assert_eq!((summary.counts.node_runs, summary.counts.events), (3, 3));
}

proptest! {
    /// Whatever single byte is changed, removed or repeated, the file is refused.
    #[test]
    fn changed_bundle_is_refused(at in any::<prop::sample::Index>(), byte in 0x20..0x7f_u8, kind in 0..3_u8) {
        let (file, _) = exported("run-1", &plan());
        let mut bytes = file.clone().into_bytes();
        let at = at.index(bytes.len());
        match kind {
            0 => bytes[at] = byte,
            1 => { bytes.remove(at); }
            _ => bytes.insert(at, byte),
        }
        let same = bytes == file.as_bytes();
        prop_assert_eq!(read(bytes.as_slice()).is_ok(), same);
    }

    /// Nor may lines be missing, repeated or in another order.
    #[test]
    fn bundle_with_other_lines_is_refused(from in 0..9_usize, to in 0..9_usize, kind in 0..3_u8) {
        let (file, _) = exported("run-1", &plan());
        let whole: Vec<&str> = file.split_inclusive('\n').collect();
        prop_assert_eq!(whole.len(), 9);
        let mut lines = whole.clone();
        match kind {
            0 => lines.swap(from, to),
            1 => { lines.remove(from); }
            _ => lines.insert(to, whole[from]),
        }
        let same = lines == whole;
        prop_assert_eq!(read(lines.concat().as_bytes()).is_ok(), same);
    }
}

#[test]
fn fault_names_its_line() {
    let (file, _) = exported("run-1", &plan());
    let changed = file.replace("\"water\":100", "\"water\":101");
    let fault = read(changed.as_bytes()).expect_err("changed").to_string();
    assert_eq!(fault, "line 4: this line, or one before it, was changed or removed");
    let cut: String = file.split_inclusive('\n').take(8).collect();
    assert!(matches!(read(cut.as_bytes()), Err(Fault::Cut)));
    assert!(matches!(read(&file.as_bytes()[..file.len() - 1]), Err(Fault::Cut)));
    assert!(matches!(read(&b""[..]), Err(Fault::Cut)));
}

#[test]
fn bundle_without_a_node_has_a_gap() {
    let orphan = [node("1", "", json!({}), json!({})), node("1.2.3", "S1", json!({}), json!({}))];
    let fault = read(exported("run-1", &orphan).0.as_bytes()).expect_err("a gap").to_string();
    assert_eq!(fault, "line 4: node run run-1-1.2 is missing");
}

#[test]
fn runs_part_at_the_earliest_difference() {
    let same = diff(&bundle(&exported("a", &plan()).0), &bundle(&exported("b", &plan()).0));
    assert_eq!(same, [], "ids do not count");
    let mut other = plan();
    other[0].output = json!({"tea": false});
    other[1].output = json!({"water": 99});
    other.swap(1, 2);
    (other[1].path, other[2].path) = ("1.2", "1.3");
    other.push(node("1.4", "S3", json!({"stir": 1}), json!({})));
    let differences = diff(&bundle(&exported("a", &plan()).0), &bundle(&exported("b", &other).0));
    let words: Vec<String> = differences.iter().map(ToString::to_string).collect();
    let expected = [
        "1.4 (atomic.echo), after 3 s: the node: missing | there",
        r#"1.2 (atomic.echo), after 17 s: outputs: {"water":100} | {"water":99}"#,
        r#"1 (atomic.echo), after 19 s: outputs: {"tea":true} | {"tea":false}"#,
    ];
    assert_eq!(words, expected);
}
