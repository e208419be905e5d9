//! What the coordinator has said to anybody, and what it may be held to.
//!
//! An answer is a promise: a run that was started is there, a NodeRun that was
//! created is there, what was seen to be over stays so, an end that was accepted
//! is the end. What got no answer may have happened or not.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use serde::Serialize;
use serde_json::Value;

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Violation {
    /// The rule that is broken.
    pub(super) rule: &'static str,
    /// The run or the NodeRun.
    pub(super) subject: String,
    pub(super) what: String,
}

#[derive(Default)]
pub(super) struct History {
    told: Mutex<Told>,
}

/// All that was said.
#[derive(Clone, Default)]
pub(super) struct Told {
    /// The runs that somebody tried to start, with their root if there was an
    /// answer.
    pub(super) runs: BTreeMap<String, Option<String>>,
    /// Children that were answered, and their run.
    pub(super) children: BTreeMap<String, String>,
    /// When a run's cancel was answered first, with `canceled`.
    pub(super) canceled: BTreeMap<String, Instant>,
    /// The terminal states that were seen, of runs and NodeRuns.
    pub(super) ends: BTreeMap<String, String>,
    /// NodeRuns that somebody other than an atomic executor tried to end.
    pub(super) completed_by_others: BTreeSet<String>,
    /// Reason codes of evaluations that were accepted, with their run.
    pub(super) evaluations: BTreeMap<String, String>,
    /// What each follower has got.
    pub(super) followed: Vec<Followed>,
    /// How often the answer was "not now".
    pub(super) busy: u64,
    /// How often there was none.
    pub(super) unanswered: u64,
    /// What was wrong when it was said.
    pub(super) violations: Vec<Violation>,
}

/// What somebody who followed a run has got.
#[derive(Clone, Debug)]
pub(super) struct Followed {
    pub(super) run: String,
    pub(super) events: Vec<Value>,
    /// It waited for more, until it had no patience left.
    pub(super) in_vain: bool,
}

impl History {
    pub(super) fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn violation(&self, rule: &'static str, subject: &str, what: String) {
        self.told().violations.push(Violation { rule, subject: subject.to_owned(), what });
    }

    /// A Run or a NodeRun as it was answered.
    pub(super) fn seen(&self, id: &str, object: &Value) {
        if let Some(state) = object["state"].as_str().filter(|state| is_terminal(state)) {
            self.ended(id, state);
        }
    }

    /// Somebody was told that this is over.
    pub(super) fn ended(&self, id: &str, state: &str) {
        let mut told = self.told();
        let before = told.ends.entry(id.to_owned()).or_insert_with(|| state.to_owned()).clone();
        drop(told);
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
    fn an_end_that_changes_is_a_violation() {
        let history = History::default();
        for state in ["running", "failed", "failed"] {
            history.seen("run", &json!({ "state": state }));
        }
        assert_eq!(history.told().violations, []);
        history.seen("run", &json!({"state": "succeeded"}));
        assert_eq!(history.told().violations[0].what, "was failed, and then succeeded");
    }
}
