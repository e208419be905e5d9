//! Where earlier attempts of a node may still be at work, if its executor is a
//! pool (contract §9.2 step 6).
//!
//! ```text
//!   attempt 1 at A, unanswered ──▶ attempt 2 at B       `elsewhere`: A (a node that may be repeated)
//!   begun at A, unanswered     ──▶ begun again at A     `pinned`        (a composite)
//! ```

use serde::{Deserialize, Serialize};

use crate::types::ExecutorBinding;

/// Maximum number of members that are kept; the oldest is dropped first.
const ELSEWHERE: usize = 8;

/// What is known about the members of a pool that a node was sent to, besides
/// the one that its NodeRun shows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Hosts {
    /// Another attempt may be made only where the last one was: a member ignores
    /// a composite that it has, and another one would begin it a second time.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub pinned: bool,
    /// Other members at which a superseded attempt may still run, the oldest
    /// first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub elsewhere: Vec<ExecutorBinding>,
}

impl Hosts {
    pub(super) fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// Notes that an attempt may still run at `from`, and that the next is made at
    /// `to`.
    pub fn moved(&mut self, from: &ExecutorBinding, to: &ExecutorBinding) {
        if same_host(from, to) || self.elsewhere.iter().any(|known| same_host(known, from)) {
            return;
        }
        if self.elsewhere.len() >= ELSEWHERE {
            self.elsewhere.remove(0);
        }
        self.elsewhere.push(from.clone());
    }
}

/// Whether two bindings are of the same member.
fn same_host(a: &ExecutorBinding, b: &ExecutorBinding) -> bool {
    a.executor_instance_id == b.executor_instance_id && a.endpoint == b.endpoint
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Uri;

    fn member(id: &str) -> ExecutorBinding {
        ExecutorBinding {
            executor_instance_id: id.into(),
            endpoint: Uri::try_from(format!("http://{id}.test")).expect("a URI"),
            audience: None,
            extensions: None,
        }
    }

    #[test]
    fn members_are_kept_once_and_boundedly() {
        let mut hosts = Hosts::default();
        hosts.moved(&member("a"), &member("a"));
        assert!(hosts.is_nothing());
        for (from, to) in [("a", "b"), ("b", "a"), ("a", "c")] {
            hosts.moved(&member(from), &member(to));
        }
        assert_eq!(hosts.elsewhere, [member("a"), member("b")]);
        for other in 0..ELSEWHERE {
            hosts.moved(&member(&format!("m{other}")), &member("z"));
        }
        assert_eq!(hosts.elsewhere.len(), ELSEWHERE);
        assert_eq!(hosts.elsewhere.first(), Some(&member("m0")), "the oldest were dropped");
    }

    #[test]
    fn hosts_of_earlier_programs_are_nothing() {
        assert_eq!(serde_json::from_str::<Hosts>("{}").expect("hosts"), Hosts::default());
        let hosts = Hosts { pinned: true, elsewhere: vec![member("a")] };
        let stored = serde_json::to_string(&hosts).expect("JSON");
        assert_eq!(serde_json::from_str::<Hosts>(&stored).expect("hosts"), hosts);
    }
}
