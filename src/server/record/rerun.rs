//! A Run that repeats another one, and what in it stands for what.
//!
//! ```text
//!   original   root ─┬─ a  succeeded          repetition   root' repeats root ─┬─ a' reuses a
//!                    └─ b  failed                                              └─ b' repeats b
//! ```
//!
//! **Invariants.** A node has at most one twin, and is the twin of at most one node of
//! a repetition. The twin of a node's parent is the parent of its twin.

use serde::{Deserialize, Serialize};

use crate::types::{NodeRunId, RunId};

/// The Run that a Run repeats.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RerunOf {
    pub run_id: RunId,
    /// What succeeded there is not executed again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reuses: bool,
}

/// How much of a Run is executed again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RerunFrom {
    /// Everything.
    #[default]
    Start,
    /// What had not succeeded, and what is above it.
    Succeeded,
}

impl RerunFrom {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Succeeded => "succeeded",
        }
    }
}

/// The NodeRun of the original that is the same as this one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Twin {
    /// There is none, as far as is known.
    #[default]
    None,
    /// This one is executed again.
    Repeats(NodeRunId),
    /// This one has its outputs, and is not executed.
    Reuses(NodeRunId),
}

impl Twin {
    /// The node that is executed again: its children may be twins of this node's.
    pub fn repeated(&self) -> Option<&NodeRunId> {
        match self {
            Self::Repeats(id) => Some(id),
            Self::None | Self::Reuses(_) => None,
        }
    }

    /// The node whose outputs this one has.
    pub fn reused(&self) -> Option<&NodeRunId> {
        match self {
            Self::Reuses(id) => Some(id),
            Self::None | Self::Repeats(_) => None,
        }
    }
}

/// What a NodeRun has to do with the Run that its Run repeats.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Repetition {
    pub twin: Twin,
    /// Which of its twin's children have a twin, of those without an idempotency key.
    #[serde(skip_serializing_if = "Taken::is_empty")]
    pub taken: Taken,
}

impl Repetition {
    pub(super) fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// The maximum of children without an idempotency key that are looked for.
pub const SIBLINGS_MAX: usize = 10_000;

/// A set of small numbers, below [`SIBLINGS_MAX`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Taken(Vec<u64>);

impl Taken {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn contains(&self, number: usize) -> bool {
        self.0.get(number / 64).is_some_and(|word| word & (1 << (number % 64)) != 0)
    }

    /// Adds a number. What is too large is not added.
    pub fn insert(&mut self, number: usize) {
        if number >= SIBLINGS_MAX {
            return;
        }
        let at = number / 64;
        if self.0.len() <= at {
            self.0.resize(at + 1, 0);
        }
        if let Some(word) = self.0.get_mut(at) {
            *word |= 1 << (number % 64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taken_numbers_are_a_bounded_set() {
        let mut taken = Taken::default();
        assert!(taken.is_empty() && !taken.contains(0));
        for number in [0, 63, 64, 9_999] {
            taken.insert(number);
        }
        taken.insert(usize::MAX);
        for (number, is_taken) in
            [(0, true), (1, false), (63, true), (64, true), (9_999, true), (10_000, false)]
        {
            assert_eq!(taken.contains(number), is_taken, "{number}");
        }
        let stored = serde_json::to_string(&taken).expect("JSON");
        assert!(stored.len() < 1024, "{}", stored.len());
        assert_eq!(serde_json::from_str::<Taken>(&stored).expect("a set"), taken);
    }

    #[test]
    fn repetition_is_stored_by_what_it_is() {
        let twin = |twin| Repetition { twin, taken: Taken::default() };
        for (repetition, stored) in [
            (twin(Twin::Repeats("n".into())), r#"{"twin":{"repeats":"n"}}"#),
            (twin(Twin::Reuses("n".into())), r#"{"twin":{"reuses":"n"}}"#),
        ] {
            assert_eq!(serde_json::to_string(&repetition).expect("JSON"), stored);
            assert_eq!(serde_json::from_str::<Repetition>(stored).expect("known"), repetition);
        }
    }
}
