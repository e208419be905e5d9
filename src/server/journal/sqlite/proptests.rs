//! Rows with arbitrary content decode, or are reported as damaged. Nothing worse
//! happens.

use proptest::prelude::*;
use serde_json::Value;

use super::{
    encoding::from_json,
    rows::{HeadRow, NodeRow, Payload, Payloads, RunRow, WakeColumns},
};
use crate::{
    journal::{
        JournalError,
        conformance::{at, node, run},
    },
    record::{AttemptOutcome, AttemptRecord, NodeRecord, RunRecord},
    time::Timestamp,
    types::{
        NodeRunState,
        proptests::{any_json, broken, nearly},
    },
};

fn body(record: &impl serde::Serialize) -> Value {
    serde_json::to_value(record).unwrap()
}

fn run_row(body: String, version: i64) -> RunRow {
    RunRow { run_id: "r".into(), version, terminal: false, deadline: None, body: body.into() }
}

fn head_row(version: i64, state: String, wake: Option<WakeColumns>) -> HeadRow {
    HeadRow {
        node_run_id: "n".into(),
        run_id: "r".into(),
        version,
        path: "1".into(),
        terminal: false,
        kind: None,
        state: Some(state),
        started_at: None,
        ended_at: Some(7),
        attempt: 0,
        superseded_attempt_may_run: false,
        deadline: None,
        wake,
    }
}

fn node_row(body: String, payload: Option<String>, version: i64, wake: Option<WakeColumns>) -> NodeRow {
    let apart = i64::from(payload.is_some());
    let payloads = Payloads { inputs: payload.map(Payload::Stored), ..Payloads::default() };
    let head = head_row(version, "queued".into(), wake);
    NodeRow { head, body: body.into(), apart, payloads, waits_since: None }
}

fn attempt() -> AttemptRecord {
    let error = serde_json::from_value(serde_json::json!({"code": "c", "message": "m"})).unwrap();
    let outcome = AttemptOutcome::Late { state: crate::types::NodeRunState::Failed, error: Some(error) };
    AttemptRecord {
        node_run_id: "n".into(),
        run_id: "r".into(),
        attempt: 1,
        started_at: at(1),
        ended_at: at(2),
        outcome,
        note: None,
    }
}

/// Bodies close to those of a record of some kind.
fn bodies() -> impl Strategy<Value = String> {
    let good = vec![body(&run("r")), body(&node("r", "1.2")), body(&attempt())];
    let cut = broken(nearly(good.clone())).prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    prop_oneof![nearly(good), cut, any_json().prop_map(|value| value.to_string())]
}

/// The columns of a wake-up: job, time, worker, tries.
type Columns = (String, i64, Option<String>, i64);

fn columns() -> impl Strategy<Value = Option<Columns>> {
    let job = prop_oneof![Just("dispatch".to_owned()), Just("deadline".to_owned()), ".{0,8}"];
    proptest::option::of((job, any::<i64>(), proptest::option::of(".{0,4}"), -1..1_i64 << 33))
}

/// A record that decodes is the same after it is encoded and decoded again. Any other
/// is damaged.
fn check<R>(
    read: Result<R, JournalError>,
    again: impl Fn(String) -> Result<R, JournalError>,
) -> Result<(), TestCaseError>
where
    R: serde::Serialize + PartialEq + std::fmt::Debug,
{
    match read {
        Ok(record) => prop_assert_eq!(again(serde_json::to_string(&record).unwrap()).unwrap(), record),
        Err(JournalError::Damaged(_)) => {}
        Err(other) => prop_assert!(false, "{}", other),
    }
    Ok(())
}

proptest! {
    #[test]
    fn run_row_decodes_or_is_damaged(body in bodies(), version in any::<i64>()) {
        check::<RunRecord>(run_row(body, version).decode(), |body| run_row(body, version).decode())?;
    }

    #[test]
    fn node_row_decodes_or_is_damaged(
        body in bodies(),
        payload in proptest::option::of(bodies()),
        version in any::<i64>(),
        columns in columns(),
    ) {
        let wake =
            columns.clone().map(|(job, at, claimed_by, tries)| WakeColumns { job, at, claimed_by, tries });
        let read = node_row(body, payload, version, wake).decode();
        if let (Ok(node), Some((job, at, claimed_by, tries))) = (&read, columns) {
            let wake = node.wake.as_ref().unwrap();
            let at = Timestamp::from_micros(at);
            prop_assert_eq!((wake.job.as_str(), wake.at, i64::from(wake.tries)), (&*job, at, tries));
            prop_assert_eq!(wake.claimed_by.as_ref().map(|worker| worker.as_str()), claimed_by.as_deref());
        }
        // The columns are valid, whatever the body says.
        if let Ok(node) = &read {
            prop_assert_eq!((node.node.state, node.node.ended_at), (NodeRunState::Queued, Some(at(7))));
        }
        let read = read.map(|node| NodeRecord { wake: None, ..node });
        check::<NodeRecord>(read, |body| node_row(body, None, version, None).decode())?;
    }

    #[test]
    fn head_row_decodes_or_is_damaged(
        version in any::<i64>(),
        (state, kind) in ("queued|running|failed|.{0,8}", proptest::option::of("atomic|composite|.{0,8}")),
        attempt in any::<i64>(),
        columns in columns(),
    ) {
        let wake = columns.map(|(job, at, claimed_by, tries)| WakeColumns { job, at, claimed_by, tries });
        let row = HeadRow { kind: kind.clone(), attempt, ..head_row(version, state.clone(), wake) };
        match row.decode() {
            Ok(head) => {
                prop_assert_eq!((head.state.to_string(), head.is_terminal()), (state, false));
                prop_assert_eq!(head.kind.map(|kind| kind.to_string()), kind);
                prop_assert_eq!((i64::from(head.attempt), head.version as i64), (attempt, version));
            }
            Err(JournalError::Damaged(_)) => {}
            Err(other) => prop_assert!(false, "{}", other),
        }
    }

    #[test]
    fn attempt_decodes_or_is_damaged(body in bodies()) {
        check::<AttemptRecord>(from_json("n", &body), |body| from_json("n", &body))?;
    }
}
