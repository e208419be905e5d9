//! The node types to which the subtasks of a composite were bound, as far as they
//! are limited (contract §6.6).
//!
//! ```text
//!   digest of a candidate set (or subtask) ──▶ digests of the types, at most the limit
//! ```
//!
//! **Invariant.** Bounded: digests of 16 digits, at most [`KEPT`] of types.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The maximum number of types, over all sets of a parent.
const KEPT: usize = 4_000;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bindings(BTreeMap<String, BTreeSet<String>>);

impl Bindings {
    /// Notes that a set stands for a type. `false` if that is one type too many.
    pub fn bind(&mut self, set: [&str; 2], node_type: [&str; 2], limit: u64) -> bool {
        let (set, node_type) = (digest(set), digest(node_type));
        let types = self.0.get(&set);
        if types.is_some_and(|types| types.contains(&node_type)) {
            return true;
        }
        let bound = types.map_or(0, BTreeSet::len) as u64;
        let kept: usize = self.0.values().map(BTreeSet::len).sum();
        let fits = bound < limit && kept < KEPT;
        if fits {
            self.0.entry(set).or_default().insert(node_type);
        }
        fits
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Eight bytes tell a few thousand names apart.
fn digest(parts: [&str; 2]) -> String {
    let text = parts.join("\0");
    Sha256::digest(text).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bindings_are_counted_by_set_and_bounded() {
        let mut bindings = Bindings::default();
        for (set, node_type, fits) in
            [("a", "x", true), ("a", "y", true), ("a", "z", false), ("a", "x", true), ("b", "z", true)]
        {
            assert_eq!(bindings.bind(["set", set], [node_type, "1"], 2), fits, "{set} {node_type}");
        }
        let stored = serde_json::to_string(&bindings).expect("JSON");
        assert_eq!(serde_json::from_str::<Bindings>(&stored).expect("bindings"), bindings);
        for n in 3..KEPT {
            assert!(bindings.bind(["set", &n.to_string()], ["x", "1"], 2), "{n}");
        }
        assert!(!bindings.bind(["set", "one more"], ["x", "1"], 2));
        assert!(bindings.bind(["set", "a"], ["x", "1"], 2), "what is known stays");
    }
}
