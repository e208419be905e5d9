//! The verdict: whether what the coordinator has in the end agrees with what it
//! has told anybody, and with what its executors have seen.
//!
//! | rule | |
//! |---|---|
//! | `lost` | what was answered is there |
//! | `stuck` | everything is over |
//! | `resurrected` | what was seen to be over is as it was |
//! | `events` | numbered from 1, one start, one end; followers have got the same |
//! | `unexecuted` | what succeeded was executed |
//! | `twice` | what must not be done twice was not |
//! | `unrecorded` | nothing was handed over more often than the events say |
//! | `cancel` | after a cancel was answered no call for the run arrived at an executor |
//! | `told` | executors know that what they were at is over |
//!
//! Rules, not exact states: what a node ends in depends on who was quicker.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    coordinator::Life,
    history::{Followed, Told, Violation, is_terminal},
    ledger::{Book, Execution},
    node_types::{Kind, NodeType},
    rest::Stored,
};

pub(super) struct Evidence<'e> {
    pub(super) told: &'e Told,
    pub(super) book: &'e Book,
    pub(super) lives: &'e [Life],
    pub(super) stored: &'e [Stored],
}

/// What is wrong, all of it.
pub(super) fn violations(evidence: &Evidence<'_>) -> Vec<Violation> {
    let mut followed: BTreeMap<&str, Vec<&Followed>> = BTreeMap::new();
    for follower in &evidence.told.followed {
        followed.entry(&follower.run).or_default().push(follower);
    }
    let tells = evidence.book.tells.iter().map(|tell| &*tell.node).collect();
    let mut found = Found { evidence, followed, tells, violations: evidence.told.violations.clone() };
    let mut executions: BTreeMap<&str, Vec<&Execution>> = BTreeMap::new();
    for execution in &evidence.book.executions {
        executions.entry(&execution.node).or_default().push(execution);
    }
    for stored in evidence.stored {
        found.run(stored);
        found.events(stored);
        found.followers(stored);
        for (id, node) in &stored.nodes {
            let executions = executions.get(&**id).map_or(&[][..], Vec::as_slice);
            found.node(stored, id, node);
            found.executions(stored, id, node, executions);
            found.after_cancel(stored, id, node, executions);
        }
    }
    found.promises();
    found.at_work();
    found.violations
}

struct Found<'e> {
    evidence: &'e Evidence<'e>,
    /// What followers have got, by run.
    followed: BTreeMap<&'e str, Vec<&'e Followed>>,
    /// The NodeRuns that executors were told to leave alone.
    tells: BTreeSet<&'e str>,
    violations: Vec<Violation>,
}

impl Found<'_> {
    fn add(&mut self, rule: &'static str, subject: &str, what: String) {
        self.violations.push(Violation { rule, subject: subject.to_owned(), what });
    }

    fn run(&mut self, stored: &Stored) {
        let answered = self.evidence.told.runs.get(&stored.id).cloned().flatten();
        match (&stored.run, answered) {
            (None, Some(_)) => self.add("lost", &stored.id, "it was started, and is not there".into()),
            (Some(run), Some(root)) if run["root_node_run_id"] != *root => {
                self.add(
                    "lost",
                    &stored.id,
                    format!("its root was {root}, and is {}", run["root_node_run_id"]),
                );
            }
            _ => {}
        }
        if let Some(run) = &stored.run {
            self.over(&stored.id, run);
        }
    }

    fn node(&mut self, stored: &Stored, id: &str, node: &Value) {
        if node["run_id"] != *stored.id {
            self.add("lost", id, format!("it is of {}, not of {}", node["run_id"], stored.id));
        }
        self.over(id, node);
    }

    /// It is, and as it was when it was seen.
    fn over(&mut self, id: &str, object: &Value) {
        let state = object["state"].as_str().unwrap_or("none");
        if !is_terminal(state) {
            self.add("stuck", id, format!("it is {state}: {object}"));
        }
        if let Some(seen) = self.evidence.told.ends.get(id).filter(|seen| *seen != state) {
            self.add("resurrected", id, format!("it was seen {seen}, and is {state}"));
        }
    }

    fn events(&mut self, stored: &Stored) {
        let Some(run) = &stored.run else { return };
        let events = &stored.events;
        if let Some((place, event)) =
            events.iter().enumerate().find(|(place, event)| event["seq"] != *place + 1)
        {
            self.add("events", &stored.id, format!("at place {} is {event}", place + 1));
        }
        // What is over may be judged all the same.
        let judged =
            |event: &&Value| event["type"] == "node_evaluated" || event["type"] == "recovery_applied";
        let end = events.len() - events.iter().rev().take_while(judged).count();
        for (type_, place) in [("run_started", 0), ("run_completed", end.saturating_sub(1))] {
            let places: Vec<usize> =
                (0..events.len()).filter(|place| events[*place]["type"] == type_).collect();
            if places != [place] {
                let what = format!("{type_} at {places:?} of {}, not at {place}", events.len());
                self.add("events", &stored.id, what);
            }
        }
        let end = events.iter().find(|event| event["type"] == "run_completed");
        if let Some(end) = end.filter(|end| end["data"]["state"] != run["state"]) {
            self.add("events", &stored.id, format!("the run is {}, its end {end}", run["state"]));
        }
        let mut assigned = BTreeSet::new();
        for event in events.iter().filter(|event| event["type"] == "node_run_assigned") {
            let id = event["node_run_id"].as_str().unwrap_or_default();
            if !assigned.insert(id) {
                self.add("twice", id, "it was created twice, say the events".into());
            }
            if !stored.nodes.contains_key(id) {
                self.add("lost", id, "there is an event of it, but no NodeRun".into());
            }
        }
    }

    /// Each follower has got the events from the first on, all of them unless
    /// it had to stop.
    fn followers(&mut self, stored: &Stored) {
        for Followed { events: got, in_vain, .. } in self.followed.remove(&*stored.id).unwrap_or_default() {
            let same = stored.events.starts_with(got);
            // For a run that was never started there is nothing to wait for.
            if *in_vain && same && stored.run.is_some() {
                let what = format!("a follower waited in vain for what comes after place {}", got.len());
                self.add("events", &stored.id, what);
            }
            if !same {
                let pairs = got.iter().zip(&stored.events);
                let place = pairs.take_while(|(got, stored)| got == stored).count();
                let what = format!(
                    "a follower has got {} at place {}, stored is {}",
                    got.get(place).unwrap_or(&Value::Null),
                    place + 1,
                    stored.events.get(place).unwrap_or(&Value::Null)
                );
                self.add("events", &stored.id, what);
            }
        }
    }

    fn executions(&mut self, stored: &Stored, id: &str, node: &Value, executions: &[&Execution]) {
        let worked = executions.iter().filter(|execution| execution.worked).count();
        let by_others = self.evidence.told.completed_by_others.contains(id);
        if node["state"] == "succeeded" && node["kind"] == "atomic" && worked == 0 && !by_others {
            self.add("unexecuted", id, format!("it succeeded without being executed, in {}", stored.id));
        }
        let node_type = node["node_type_ref"]["node_type_id"].as_str().and_then(NodeType::find);
        if worked > 1 && node_type.is_some_and(NodeType::is_once_only) {
            self.add("twice", id, format!("its work was done {worked} times: {executions:?}"));
        }
        let (calls, retries) = (executions.len(), retries(stored, Some(id)));
        if calls > 1 + retries {
            self.add(
                "unrecorded",
                id,
                format!("handed over {calls} times, with {retries} retries on record"),
            );
        }
    }

    /// Exactly: whoever was told of the cancel has had it noted then what had
    /// arrived already (see [`Arrivals`](scripted_executor::arrivals::Arrivals)).
    fn after_cancel(&mut self, stored: &Stored, id: &str, node: &Value, executions: &[&Execution]) {
        let evidence = self.evidence;
        let Some(canceled) = evidence.told.canceled.get(&stored.id) else { return };
        for execution in executions.iter().filter(|execution| execution.at > *canceled) {
            let late = execution.at.duration_since(*canceled);
            self.add("cancel", id, format!("handed over {late:?} after the cancel was answered"));
        }
        let accepted = executions.iter().any(|execution| {
            execution.kind == Kind::Composite && execution.worked && execution.at < *canceled
        });
        if accepted && node["state"] == "canceled" && !self.tells.contains(id) {
            self.add("told", id, "its executor was not told of the cancel".into());
        }
    }

    /// What was answered about nodes.
    fn promises(&mut self) {
        let evidence = self.evidence;
        let all: BTreeMap<&str, &Stored> =
            evidence.stored.iter().map(|stored| (&*stored.id, stored)).collect();
        for (child, run) in &evidence.told.children {
            if all.get(&**run).is_none_or(|stored| !stored.nodes.contains_key(child)) {
                self.add("lost", child, format!("it was created in {run}, and is not there"));
            }
        }
        for (reason, run) in &evidence.told.evaluations {
            let is_it = |event: &Value| event["data"]["reason_code"] == **reason;
            if !all.get(&**run).is_some_and(|stored| stored.events.iter().any(is_it)) {
                self.add("lost", run, format!("the evaluation {reason} was accepted, and is not there"));
            }
        }
    }

    /// All is over: so nobody should be at anything.
    fn at_work(&mut self) {
        for execution in self.evidence.book.at_work() {
            let Execution { node, run, node_type, by, .. } = execution;
            let what = format!("its executor is still at it ({node_type} of {run}, by process {by})");
            self.add("told", node, what);
        }
    }
}

/// The retries that the events tell of, of a node or of all.
pub(super) fn retries(stored: &Stored, node: Option<&str>) -> usize {
    let of_it = |event: &&Value| {
        event["type"] == "recovery_applied" && node.is_none_or(|node| event["node_run_id"] == *node)
    };
    stored.events.iter().filter(of_it).count()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use scripted_executor::Behaviour;
    use serde_json::json;

    use super::*;
    use crate::{
        ledger::{Ended, Tell},
        node_types,
    };

    /// A run of one node, all well.
    struct Case {
        told: Told,
        book: Book,
        lives: Vec<Life>,
        stored: Stored,
    }

    impl Case {
        fn new(node_type: &str, kind: Kind, state: &str) -> Self {
            let kind_name = if kind == Kind::Atomic { "atomic" } else { "composite" };
            let node = json!({"run_id": "r", "state": state, "kind": kind_name, "started_at": "then",
                "node_type_ref": {"node_type_id": node_type}});
            let stored = Stored {
                id: "r".into(),
                run: Some(json!({"state": state, "root_node_run_id": "n"})),
                events: vec![
                    json!({"seq": 1, "type": "run_started"}),
                    json!({"seq": 2, "type": "node_run_assigned", "node_run_id": "n"}),
                    json!({"seq": 3, "type": "run_completed", "data": {"state": state}}),
                ],
                nodes: BTreeMap::from([("n".into(), node)]),
            };
            let told = Told {
                runs: BTreeMap::from([("r".into(), Some("n".into()))]),
                ends: BTreeMap::from([("r".into(), state.into())]),
                followed: [2, 3]
                    .map(|count| {
                        let events = stored.events[..count].to_vec();
                        Followed { run: "r".into(), events, in_vain: false }
                    })
                    .into(),
                ..Told::default()
            };
            let start = Instant::now();
            let execution = Execution {
                kind,
                node: "n".into(),
                run: "r".into(),
                node_type: node_type.into(),
                by: 0,
                at: start,
                behaviour: Behaviour::Echo,
                worked: true,
                ended: Some(Ended::Itself),
            };
            let mut book = Book::default();
            book.executions.push(execution);
            let lives = vec![Life { started: start, after_kill: false, listened: None }];
            Self { told, book, lives, stored }
        }

        fn rules(&self) -> Vec<&'static str> {
            let stored = std::slice::from_ref(&self.stored);
            let evidence = Evidence { told: &self.told, book: &self.book, lives: &self.lives, stored };
            violations(&evidence).into_iter().map(|violation| violation.rule).collect()
        }

        fn node(&mut self) -> &mut Value {
            self.stored.nodes.get_mut("n").unwrap()
        }
    }

    fn write() -> Case {
        Case::new(node_types::WRITE, Kind::Atomic, "succeeded")
    }

    #[test]
    fn where_all_is_well_there_is_nothing_to_say() {
        assert_eq!(write().rules(), [""; 0]);
    }

    #[test]
    fn each_rule_finds_what_breaks_it() {
        let broken = |change: &dyn Fn(&mut Case)| {
            let mut case = write();
            change(&mut case);
            case.rules()
        };
        let lost = broken(&|case| case.stored = Stored { id: "r".into(), ..Stored::default() });
        assert_eq!(lost, ["lost", "events", "events"]);
        assert_eq!(broken(&|case| _ = case.told.children.insert("c".into(), "r".into())), ["lost"]);
        assert_eq!(broken(&|case| _ = case.told.evaluations.insert("e".into(), "r".into())), ["lost"]);
        assert_eq!(broken(&|case| case.node()["state"] = "running".into()), ["stuck"]);
        assert_eq!(broken(&|case| _ = case.told.ends.insert("n".into(), "failed".into())), ["resurrected"]);
        assert_eq!(broken(&|case| case.told.followed[0].events[1]["seq"] = 3.into()), ["events"]);
        assert_eq!(broken(&|case| case.told.followed[0].in_vain = true), ["events"]);
        assert_eq!(broken(&|case| case.book.executions[0].worked = false), ["unexecuted"]);
        let again = |case: &mut Case| case.book.executions.push(case.book.executions[0].clone());
        assert_eq!(broken(&again), ["twice", "unrecorded"]);
        assert_eq!(broken(&|case| case.book.executions[0].ended = None), ["told"]);
        let gap = broken(&|case| {
            case.stored.events.remove(1);
            case.told.followed.clear();
        });
        assert_eq!(gap, ["events"]);
    }

    #[test]
    fn what_may_be_repeated_may_not_be_repeated_more_often_than_recorded() {
        let mut case = Case::new(node_types::READ, Kind::Atomic, "succeeded");
        let retry = json!({"seq": 3, "type": "recovery_applied", "node_run_id": "n"});
        case.stored.events.insert(2, retry);
        case.stored.events[3]["seq"] = 4.into();
        case.told.followed.clear();
        case.book.executions.push(case.book.executions[0].clone());
        assert_eq!(case.rules(), [""; 0]);
        case.book.executions.push(case.book.executions[0].clone());
        assert_eq!(case.rules(), ["unrecorded"]);
    }

    #[test]
    fn after_a_cancel_was_answered_nothing_arrives_however_soon() {
        let canceled = |late: Duration| {
            let mut case = Case::new(node_types::WRITE, Kind::Atomic, "canceled");
            case.told.canceled.insert("r".into(), case.book.executions[0].at);
            case.book.executions[0].at += late;
            case.rules()
        };
        assert_eq!(canceled(Duration::ZERO), [""; 0], "it was there when the cancel was answered");
        assert_eq!(canceled(Duration::from_nanos(1)), ["cancel"]);
    }

    #[test]
    fn an_accepted_composite_is_told_of_a_cancel() {
        let mut case = Case::new(node_types::PLAN, Kind::Composite, "canceled");
        let later = case.book.executions[0].at + Duration::from_millis(5);
        case.told.canceled.insert("r".into(), later);
        assert_eq!(case.rules(), ["told"]);
        case.book.tells.push(Tell { node: "n".into(), at: later });
        assert_eq!(case.rules(), [""; 0]);
    }
}
