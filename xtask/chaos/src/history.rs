//! The answers of the coordinator to all callers, and what they promise.
//!
//! A run or NodeRun that was created exists; a terminal state that was seen does
//! not change; a completion that was accepted is the end. A call without an answer
//! may have happened or not.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use serde::Serialize;
use serde_json::Value;

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Violation {
    /// The broken rule.
    pub(super) rule: &'static str,
    /// The id of the run or NodeRun.
    pub(super) subject: String,
    pub(super) what: String,
}

#[derive(Default)]
pub(super) struct History {
    answers: Mutex<Answers>,
}

/// All answers so far.
#[derive(Clone, Default)]
pub(super) struct Answers {
    /// The runs that were asked for, with their root if there was an answer.
    pub(super) runs: BTreeMap<String, Option<String>>,
    /// The children that were created, with their run.
    pub(super) children: BTreeMap<String, String>,
    /// When the first cancel of a run was answered with `canceled`.
    pub(super) canceled: BTreeMap<String, Instant>,
    /// The terminal states of runs and NodeRuns that were seen.
    pub(super) ends: BTreeMap<String, String>,
    /// The NodeRuns that a caller other than an atomic executor tried to complete.
    pub(super) completed_by_others: BTreeSet<String>,
    /// The runs with a limit of steps, and that limit.
    pub(super) max_steps: BTreeMap<String, u64>,
    /// The runs in which each node needs an approval.
    pub(super) gated: BTreeSet<String>,
    /// The decisions about approvals that were answered.
    pub(super) decisions: BTreeMap<&'static str, usize>,
    /// The reason codes of accepted evaluations, with their run.
    pub(super) evaluations: BTreeMap<String, String>,
    /// The events of each follower.
    pub(super) followed: Vec<Followed>,
    /// The number of answers 429 and 503.
    pub(super) busy: u64,
    /// The number of calls without an answer.
    pub(super) unanswered: u64,
    /// Violations that were seen when the answer came.
    pub(super) violations: Vec<Violation>,
}

/// The events that a follower of a run got.
#[derive(Clone, Debug)]
pub(super) struct Followed {
    pub(super) run: String,
    pub(super) events: Vec<Value>,
    /// The follower waited for more until its time was up.
    pub(super) in_vain: bool,
}

impl History {
    pub(super) fn answers(&self) -> MutexGuard<'_, Answers> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn violation(&self, rule: &'static str, subject: &str, what: String) {
        self.answers().violations.push(Violation { rule, subject: subject.to_owned(), what });
    }

    /// Notes a Run or NodeRun as it was answered.
    pub(super) fn seen(&self, id: &str, object: &Value) {
        if let Some(state) = object["state"].as_str().filter(|state| is_terminal(state)) {
            self.ended(id, state);
        }
    }

    /// The terminal state of a Run or NodeRun, if an answer has shown one by now.
    pub(super) fn end_of(&self, id: &str) -> Option<String> {
        self.answers().ends.get(id).cloned()
    }

    /// Notes a Run or NodeRun as it was answered to a call that was made when it was
    /// known to have ended, or not.
    pub(super) fn seen_again(&self, id: &str, known_end: Option<&str>, object: &Value) {
        self.seen(id, object);
        let state = object["state"].as_str().unwrap_or("none");
        if let Some(end) = known_end.filter(|_| !is_terminal(state)) {
            self.violation("stale", id, format!("was seen {end}, and a later call shows {state}"));
        }
    }

    /// Notes that an answer said that this is over.
    pub(super) fn ended(&self, id: &str, state: &str) {
        let mut answers = self.answers();
        let before = answers.ends.entry(id.to_owned()).or_insert_with(|| state.to_owned()).clone();
        drop(answers);
        if before != state {
            self.violation("resurrected", id, format!("was {before}, and then {state}"));
        }
    }
}

pub(super) fn is_terminal(state: &str) -> bool {
    ["succeeded", "failed", "canceled"].contains(&state)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_older_state_after_a_known_end_is_a_violation() {
        let history = History::default();
        history.seen_again("run", None, &json!({"state": "running"}));
        history.seen_again("run", None, &json!({"state": "failed"}));
        let known = history.end_of("run");
        history.seen_again("run", known.as_deref(), &json!({"state": "failed"}));
        assert_eq!(history.answers().violations, []);
        history.seen_again("run", known.as_deref(), &json!({"state": "running"}));
        assert_eq!(history.answers().violations[0].rule, "stale");
    }

    #[test]
    fn an_end_that_changes_is_a_violation() {
        let history = History::default();
        for state in ["running", "failed", "failed"] {
            history.seen("run", &json!({ "state": state }));
        }
        assert_eq!(history.answers().violations, []);
        history.seen("run", &json!({"state": "succeeded"}));
        assert_eq!(history.answers().violations[0].what, "was failed, and then succeeded");
    }
}
