//! Which members of a pool of executors a node may go to, and at which it may be
//! (contract §9.2 step 6).
//!
//! ```text
//!   begun, outcome unknown (composite) ──▶ pinned: that member only
//!   requested by its create spec       ──▶ that member only, if members have names
//!   an earlier attempt failed          ──▶ any member, another one preferred
//! ```

use crate::{record::NodeRecord, types::ExecutorBinding};

use super::extensions::REQUESTED_EXECUTOR;

/// What a node's record says about the member that it may go to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Placement {
    /// The instance that its create spec names.
    pub requested: Option<String>,
    /// Where its last attempt was.
    pub last: Option<ExecutorBinding>,
    /// It may go nowhere else than to `last`.
    pub pinned: bool,
}

pub fn placement(node: &NodeRecord) -> Placement {
    let requested = node.node.extensions.as_ref().and_then(|extensions| extensions.raw(REQUESTED_EXECUTOR));
    Placement {
        // What is not a string was sent by a caller under this name.
        requested: requested.and_then(|text| serde_json::from_str(text).ok()),
        last: node.node.executor_binding.clone(),
        pinned: node.hosts.pinned,
    }
}

/// The members at which attempts of a node may be under way, the current one
/// first. Empty if its record names none.
pub fn hosts(node: &NodeRecord) -> Vec<ExecutorBinding> {
    let current = node.node.executor_binding.iter();
    let mut hosts: Vec<ExecutorBinding> = Vec::new();
    for host in current.chain(&node.hosts.elsewhere) {
        if !hosts.contains(host) {
            hosts.push(host.clone());
        }
    }
    hosts
}
