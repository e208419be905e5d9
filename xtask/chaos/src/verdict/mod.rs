//! The verdict: whether the final state of the coordinator agrees with its answers
//! and with what its executors have seen.
//!
//! | rule | |
//! |---|---|
//! | `lost` | everything that was answered exists |
//! | `stuck` | every run and NodeRun is over |
//! | `resurrected` | terminal states that were seen have not changed |
//! | `events` | numbered from 1, one start, one end; followers got the same |
//! | `unexecuted` | nodes that succeeded were executed |
//! | `twice` | nodes that must not be executed twice were not |
//! | `unrecorded` | no node was dispatched more often than the events say |
//! | `overspent` | no run took more steps than it may; at its end nothing is reserved |
//! | `unapproved` | what needs an approval was executed only with one |
//! | `cancel` | after a cancel was answered no call for the run arrived at an executor |
//! | `uncanceled` | executors got a cancel call for work that is over |
//!
//! These are rules, not exact states: the final state of a node depends on timing.

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{
    coordinator::Life,
    excuses::Excuses,
    history::{Answers, Followed, Violation, is_terminal},
    ledger::{Book, Execution},
    node_types::{Kind, NodeType},
    rest::Stored,
};

pub(super) struct Evidence<'e> {
    pub(super) answers: &'e Answers,
    pub(super) book: &'e Book,
    pub(super) lives: &'e [Life],
    pub(super) stored: &'e [Stored],
    /// Among replicas: which calls may arrive after a cancel was answered.
    pub(super) excuses: Option<&'e Excuses>,
}

/// All violations.
pub(super) fn violations(evidence: &Evidence<'_>) -> Vec<Violation> {
    let mut followed: BTreeMap<&str, Vec<&Followed>> = BTreeMap::new();
    for follower in &evidence.answers.followed {
        followed.entry(&follower.run).or_default().push(follower);
    }
    let cancel_calls = evidence.book.cancel_calls.iter().map(|call| &*call.node).collect();
    let mut found =
        Found { evidence, followed, cancel_calls, violations: evidence.answers.violations.clone() };
    let mut executions: BTreeMap<&str, Vec<&Execution>> = BTreeMap::new();
    for execution in &evidence.book.executions {
        executions.entry(&execution.node).or_default().push(execution);
    }
    for stored in evidence.stored {
        found.run(stored);
        found.events(stored);
        found.followers(stored);
        found.budget(stored);
        for (id, node) in &stored.nodes {
            let executions = executions.get(&**id).map_or(&[][..], Vec::as_slice);
            found.node(stored, id, node);
            found.executions(stored, id, node, executions);
            found.after_cancel(stored, id, node, executions);
            found.approved(stored, id, node, executions);
        }
    }
    found.promises();
    found.at_work();
    found.violations
}

struct Found<'e> {
    evidence: &'e Evidence<'e>,
    /// The events of followers, by run.
    followed: BTreeMap<&'e str, Vec<&'e Followed>>,
    /// The NodeRuns that executors got a cancel call for.
    cancel_calls: BTreeSet<&'e str>,
    violations: Vec<Violation>,
}

impl Found<'_> {
    fn add(&mut self, rule: &'static str, subject: &str, what: String) {
        self.violations.push(Violation { rule, subject: subject.to_owned(), what });
    }

    fn run(&mut self, stored: &Stored) {
        let answered = self.evidence.answers.runs.get(&stored.id).cloned().flatten();
        match (&stored.run, answered) {
            (None, Some(_)) => self.add("lost", &stored.id, "the run was started and does not exist".into()),
            (Some(run), Some(root)) if run["root_node_run_id"] != *root => {
                self.add(
                    "lost",
                    &stored.id,
                    format!("the root was {root} and is {}", run["root_node_run_id"]),
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
            self.add("lost", id, format!("the NodeRun belongs to {}, not to {}", node["run_id"], stored.id));
        }
        self.over(id, node);
    }

    /// Checks that it is over, and in the state that was seen.
    fn over(&mut self, id: &str, object: &Value) {
        let state = object["state"].as_str().unwrap_or("none");
        if !is_terminal(state) {
            self.add("stuck", id, format!("the state is {state}: {object}"));
        }
        if let Some(seen) = self.evidence.answers.ends.get(id).filter(|seen| *seen != state) {
            self.add("resurrected", id, format!("was seen {seen} and is {state}"));
        }
    }

    fn events(&mut self, stored: &Stored) {
        let Some(run) = &stored.run else { return };
        let events = &stored.events;
        if let Some((place, event)) =
            events.iter().enumerate().find(|(place, event)| event["seq"] != *place + 1)
        {
            self.add("events", &stored.id, format!("at position {} is {event}", place + 1));
        }
        // A run that is over may still be evaluated.
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
                self.add("twice", id, "the events say that the NodeRun was created twice".into());
            }
            if !stored.nodes.contains_key(id) {
                self.add("lost", id, "there is an event for it, but no NodeRun".into());
            }
        }
    }

    /// Checks that each follower got the events from the first on, and all of them
    /// unless it had to stop.
    fn followers(&mut self, stored: &Stored) {
        for Followed { events: got, in_vain, .. } in self.followed.remove(&*stored.id).unwrap_or_default() {
            let same = stored.events.starts_with(got);
            // A run that was never started has no events.
            if *in_vain && same && stored.run.is_some() {
                let what = format!("a follower waited in vain for the event after position {}", got.len());
                self.add("events", &stored.id, what);
            }
            if !same {
                let pairs = got.iter().zip(&stored.events);
                let place = pairs.take_while(|(got, stored)| got == stored).count();
                let what = format!(
                    "a follower got {} at position {}, stored is {}",
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
        let by_others = self.evidence.answers.completed_by_others.contains(id);
        if node["state"] == "succeeded" && node["kind"] == "atomic" && worked == 0 && !by_others {
            self.add("unexecuted", id, format!("succeeded without being executed, in {}", stored.id));
        }
        let node_type = node["node_type_ref"]["node_type_id"].as_str().and_then(NodeType::find);
        if worked > 1 && node_type.is_some_and(NodeType::is_once_only) {
            self.add("twice", id, format!("executed {worked} times: {executions:?}"));
        }
        let (calls, retries) = (executions.len(), retries(stored, Some(id)));
        if calls > 1 + retries {
            self.add("unrecorded", id, format!("dispatched {calls} times, with {retries} retries on record"));
        }
    }

    /// Checks the steps that executors have seen, and the account of the run.
    fn budget(&mut self, stored: &Stored) {
        let evidence = self.evidence;
        let (Some(run), Some(most)) = (&stored.run, evidence.answers.max_steps.get(&stored.id)) else {
            return;
        };
        let of_run = evidence.book.executions.iter().filter(|execution| execution.run == stored.id);
        let steps: BTreeSet<&str> = of_run.map(|execution| &*execution.node).collect();
        if steps.len() as u64 > *most {
            self.add("overspent", &stored.id, format!("{} nodes were executed of {most}", steps.len()));
        }
        let account = &run["extensions"]["jarvis.budget"];
        let used = account["used"]["steps"].as_u64();
        if used.is_none_or(|used| used > *most) || account["reserved"]["steps"] != 0 {
            self.add("overspent", &stored.id, format!("the account at the end: {account}"));
        }
    }

    /// Checks that a node that needs an approval was executed only with one.
    fn approved(&mut self, stored: &Stored, id: &str, node: &Value, executions: &[&Execution]) {
        if !self.evidence.answers.gated.contains(&stored.id) || executions.is_empty() {
            return;
        }
        let outcome = &node["extensions"]["jarvis.approval"]["decision"]["outcome"];
        if outcome != "approved" {
            self.add("unapproved", id, format!("executed in {}, and its approval is: {outcome}", stored.id));
        }
    }

    /// Checks exactly what happened after a cancel: when the cancel is answered,
    /// the client marks the calls that have arrived (see
    /// [`Arrivals`](scripted_executor::arrivals::Arrivals)).
    fn after_cancel(&mut self, stored: &Stored, id: &str, node: &Value, executions: &[&Execution]) {
        let evidence = self.evidence;
        let Some(canceled) = evidence.answers.canceled.get(&stored.id) else { return };
        for execution in executions.iter().filter(|execution| execution.at > *canceled) {
            if is_excused(evidence, execution, *canceled) {
                continue;
            }
            let late = execution.at.duration_since(*canceled);
            self.add("cancel", id, format!("dispatched {late:?} after the cancel was answered"));
        }
        let accepted = executions.iter().any(|execution| {
            execution.kind == Kind::Composite && execution.worked && execution.at < *canceled
        });
        if accepted && node["state"] == "canceled" && !self.cancel_calls.contains(id) {
            self.add("uncanceled", id, "the executor got no cancel call".into());
        }
    }

    /// Checks the answers about nodes.
    fn promises(&mut self) {
        let evidence = self.evidence;
        let all: BTreeMap<&str, &Stored> =
            evidence.stored.iter().map(|stored| (&*stored.id, stored)).collect();
        for (child, run) in &evidence.answers.children {
            if all.get(&**run).is_none_or(|stored| !stored.nodes.contains_key(child)) {
                self.add("lost", child, format!("created in {run} and does not exist"));
            }
        }
        for (reason, run) in &evidence.answers.evaluations {
            let is_it = |event: &Value| event["data"]["reason_code"] == **reason;
            if !all.get(&**run).is_some_and(|stored| stored.events.iter().any(is_it)) {
                self.add("lost", run, format!("the evaluation {reason} was accepted and does not exist"));
            }
        }
    }

    /// Checks that no executor is at work when all is over.
    fn at_work(&mut self) {
        for execution in self.evidence.book.at_work() {
            let Execution { node, run, node_type, by, .. } = execution;
            let what = format!("the executor still works on it ({node_type} of {run}, by process {by})");
            self.add("uncanceled", node, what);
        }
    }
}

/// Whether a call may have arrived after the cancel of its run was answered.
fn is_excused(evidence: &Evidence<'_>, execution: &Execution, canceled: Instant) -> bool {
    let (Some(excuses), Some(life)) = (evidence.excuses, evidence.lives.get(execution.by)) else {
        return false;
    };
    excuses.cover(life, canceled, execution.at)
}

/// How late the calls were that arrived after a cancel was answered.
pub(super) fn late_calls(evidence: &Evidence<'_>) -> Vec<Duration> {
    let canceled = &evidence.answers.canceled;
    let late = |execution: &Execution| {
        let canceled = canceled.get(&execution.run).filter(|canceled| execution.at > **canceled)?;
        Some(execution.at.duration_since(*canceled))
    };
    evidence.book.executions.iter().filter_map(late).collect()
}

/// The number of retries in the events, of one node or of all.
pub(super) fn retries(stored: &Stored, node: Option<&str>) -> usize {
    let of_it = |event: &&Value| {
        event["type"] == "recovery_applied" && node.is_none_or(|node| event["node_run_id"] == *node)
    };
    stored.events.iter().filter(of_it).count()
}
