//! A node's place in its run's tree.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The ordinal number of a node among all nodes of its run, after those of its
/// ancestors (`1.4.9`; the root is `1`). A node and its descendants are those
/// whose path starts with the node's own.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodePath(String);

impl NodePath {
    pub fn root() -> Self {
        Self("1".into())
    }

    /// The path of the child that is the run's `ordinal`th node.
    pub fn child(&self, ordinal: u64) -> Self {
        Self(format!("{}.{ordinal}", self.0))
    }

    /// Steps from the root, which has depth 0.
    pub fn depth(&self) -> u64 {
        self.0.bytes().filter(|&byte| byte == b'.').count() as u64
    }

    /// The number of the node among all nodes of its run; 0 if the path has none.
    pub fn ordinal(&self) -> u64 {
        self.0.rsplit('.').next().and_then(|last| last.parse().ok()).unwrap_or(0)
    }

    /// `other` is this node or one of its descendants.
    pub fn contains(&self, other: &Self) -> bool {
        other.0.strip_prefix(&self.0).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The paths of its ancestors, the nearest first.
    pub fn above(&self) -> impl Iterator<Item = &str> {
        self.0.rmatch_indices('.').map(|(end, _)| &self.0[..end])
    }
}

impl From<String> for NodePath {
    fn from(path: String) -> Self {
        Self(path)
    }
}

impl fmt::Display for NodePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_contains_itself_and_its_descendants_only() {
        let node = NodePath::root().child(4);
        assert_eq!(node.as_str(), "1.4");
        assert_eq!((NodePath::root().depth(), node.child(9).depth()), (0, 2));
        assert!(node.contains(&node) && node.contains(&node.child(9)));
        assert!(!node.contains(&NodePath::root()));
        assert_eq!(node.child(19).above().collect::<Vec<_>>(), ["1.4", "1"]);
        assert!(!node.contains(&NodePath::root().child(41)));
        assert_eq!((NodePath::root().ordinal(), node.child(19).ordinal()), (1, 19));
    }
}
