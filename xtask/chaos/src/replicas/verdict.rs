//! The rules across replicas, beside those of any coordinator.
//!
//! | rule | |
//! |---|---|
//! | `replicas` | at rest, each replica answers the same |
//! | `dead` | only who stood still, or was cut off from the database, was declared dead |
//! | `lost attempt` | an attempt counts as lost only if a process that called for it has ended |

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    coordinator::{End, Life},
    history::Violation,
    ledger::{Book, Execution},
    rest::Stored,
};

/// How an attempt that was lost with its process is named in events and errors.
const LOST: &str = "The coordinator stopped while the node was at its executor";

/// Compares what the first replica has answered with the answers of another one.
pub(super) fn differences(first: &[Stored], other: &[Stored], replica: usize) -> Vec<Violation> {
    let known: BTreeMap<&str, &Stored> = first.iter().map(|stored| (&*stored.id, stored)).collect();
    let mut violations = Vec::new();
    for Stored { id, run, events, nodes } in other {
        let Some(one) = known.get(&**id) else { continue };
        let mut add = |what: String| {
            violations.push(Violation { rule: "replicas", subject: id.clone(), what });
        };
        if one.run != *run {
            add(format!("replica 0 answers {:?}, replica {replica} {run:?}", one.run));
        }
        if one.events != *events {
            add(format!(
                "the events differ: {} at replica 0, {} at replica {replica}",
                one.events.len(),
                events.len()
            ));
        }
        if one.nodes != *nodes {
            add(format!("the NodeRuns differ between replicas 0 and {replica}"));
        }
    }
    violations
}

/// Checks that only processes that stood still, or were cut off, were declared dead.
pub(super) fn deaths(lives: &[Life]) -> Vec<Violation> {
    let wrong = lives.iter().enumerate().filter(|(_, life)| {
        life.frozen.is_empty()
            && !life.was_cut_off
            && life.ended.is_some_and(|(_, end)| end == End::DeclaredDead)
    });
    wrong
        .map(|(number, life)| Violation {
            rule: "dead",
            subject: format!("process {number}"),
            what: format!(
                "replica {} was declared dead, and had never stood still or been cut off",
                life.replica
            ),
        })
        .collect()
}

/// Checks that attempts were lost only with their processes.
pub(super) fn losses(stored: &[Stored], book: &Book, lives: &[Life]) -> Vec<Violation> {
    let mut executions: BTreeMap<&str, Vec<&Execution>> = BTreeMap::new();
    for execution in &book.executions {
        executions.entry(&execution.node).or_default().push(execution);
    }
    let mut violations = Vec::new();
    for run in stored {
        for (id, node) in &run.nodes {
            let is_it = |event: &&Value| event["node_run_id"] == **id && event.to_string().contains(LOST);
            let lost = run.events.iter().filter(is_it).count() > 0 || node.to_string().contains(LOST);
            let calls = executions.get(&**id).map_or(&[][..], Vec::as_slice);
            let has_ended = |call: &&Execution| {
                lives.get(call.by).is_none_or(|life| life.ended.is_some_and(|(at, _)| at >= call.at))
            };
            if lost && !calls.is_empty() && !calls.iter().any(has_ended) {
                let what = format!("an attempt is lost, but every process that called is alive: {calls:?}");
                violations.push(Violation { rule: "lost attempt", subject: id.clone(), what });
            }
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use scripted_executor::Behaviour;
    use serde_json::json;

    use super::*;
    use crate::node_types::Kind;

    #[test]
    fn death_needs_a_freeze() {
        let now = Instant::now();
        let mut life = Life::new(1, now);
        life.ended = Some((now, End::Killed));
        assert_eq!(deaths(std::slice::from_ref(&life)), []);
        life.ended = Some((now, End::DeclaredDead));
        assert_eq!(deaths(std::slice::from_ref(&life)).len(), 1);
        life.was_cut_off = true;
        assert_eq!(deaths(std::slice::from_ref(&life)), []);
        life.was_cut_off = false;
        life.frozen.push([now; 2]);
        assert_eq!(deaths(&[life]), []);
    }

    #[test]
    fn lost_attempt_needs_an_ended_process() {
        let now = Instant::now();
        let node = json!({"error": {"message": format!("{LOST}, and it may not be executed twice")}});
        let stored =
            [Stored { id: "r".into(), nodes: BTreeMap::from([("n".into(), node)]), ..Stored::default() }];
        let mut book = Book::default();
        book.executions.push(Execution {
            kind: Kind::Atomic,
            node: "n".into(),
            run: "r".into(),
            node_type: "t".into(),
            by: 0,
            at: now,
            behaviour: Behaviour::Echo,
            worked: true,
            ended: None,
        });
        let mut lives = vec![Life::new(0, now)];
        assert_eq!(losses(&stored, &book, &lives).len(), 1);
        lives[0].ended = Some((now, End::Killed));
        assert_eq!(losses(&stored, &book, &lives), []);
    }

    #[test]
    fn replicas_that_differ_are_found() {
        let one = [Stored { id: "r".into(), run: Some(json!({"state": "failed"})), ..Stored::default() }];
        let other = [Stored { id: "r".into(), run: None, events: vec![json!(1)], ..Stored::default() }];
        assert_eq!(differences(&one, &one, 1), []);
        assert_eq!(differences(&one, &other, 1).len(), 2);
    }
}
