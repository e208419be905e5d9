//! The tree of an adopted run, which another coordinator wrote: parents may be
//! missing, or form a circle.
//!
//! ```text
//!   root ──▶ 1 ──▶ 1.2, 1.3 …                 below the root: as their parents say
//!   parent missing, or a circle ──▶ 1.n       below the root's place, not awaited
//! ```

use std::collections::HashMap;

use super::StoredNode;
use crate::{
    record::NodePath,
    types::{NodeRunId, Run},
};

/// The nodes of a run by their parents.
pub(super) struct Tree {
    /// All three are in the order of the nodes.
    pub(super) places: Vec<Place>,
    /// The number of children of each node.
    pub(super) children: Vec<u64>,
    /// `None`: the root, and nodes without a known parent.
    pub(super) parents: Vec<Option<usize>>,
}

/// A node's place in the tree.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) path: NodePath,
    /// It belongs to the tree, and the run and all its ancestors are live.
    pub(super) awaited: bool,
}

impl Tree {
    /// A node that is not below the root (its parent is missing, or among its own
    /// descendants) gets a place below the root, so that it ends with the root.
    pub(super) fn of(run: &Run, nodes: &[StoredNode]) -> Self {
        let index: HashMap<&NodeRunId, usize> =
            nodes.iter().enumerate().map(|(at, stored)| (&stored.node.node_run_id, at)).collect();
        let root = index.get(&run.root_node_run_id).copied();
        let parents: Vec<Option<usize>> = nodes
            .iter()
            .enumerate()
            .map(|(at, stored)| match root == Some(at) {
                true => None,
                false => {
                    stored.node.parent_node_run_id.as_ref().and_then(|parent| index.get(parent)).copied()
                }
            })
            .collect();
        let mut below: Vec<Vec<usize>> = vec![Vec::new(); nodes.len()];
        for (at, parent) in parents.iter().enumerate() {
            if let Some(parent) = parent {
                below[*parent].push(at);
            }
        }
        let mut planter = Planter {
            nodes,
            below: &below,
            ordinals: ordinals(nodes.len(), root),
            places: vec![None; nodes.len()],
        };
        if let Some(root) = root {
            planter.plant(root, NodePath::root(), !run.state.is_terminal());
        }
        let strays = (0..nodes.len()).filter(|&at| parents[at].is_none());
        // Nodes that have no place after that have a circle of ancestors.
        for at in strays.chain(0..nodes.len()) {
            planter.plant(at, NodePath::root().child(planter.ordinals[at]), false);
        }
        let children = below.iter().map(|below| below.len() as u64).collect();
        Self { places: planter.places.into_iter().flatten().collect(), children, parents }
    }
}

/// The root is number 1; the others are numbered in the order of creation.
fn ordinals(count: usize, root: Option<usize>) -> Vec<u64> {
    let mut next = 1;
    let number = |at| {
        if root == Some(at) {
            return 1;
        }
        next += 1;
        next
    };
    (0..count).map(number).collect()
}

struct Planter<'n> {
    nodes: &'n [StoredNode],
    below: &'n [Vec<usize>],
    ordinals: Vec<u64>,
    places: Vec<Option<Place>>,
}

impl Planter<'_> {
    /// Gives a node and its descendants their places, unless they have one. (With an
    /// explicit stack, because the depth of a foreign tree is unknown.)
    fn plant(&mut self, top: usize, path: NodePath, awaited: bool) {
        let mut todo = vec![(top, Place { path, awaited })];
        while let Some((at, place)) = todo.pop() {
            if self.places[at].is_some() {
                continue;
            }
            let awaited = place.awaited && !self.nodes[at].node.state.is_terminal();
            for &child in &self.below[at] {
                todo.push((child, Place { path: place.path.child(self.ordinals[child]), awaited }));
            }
            self.places[at] = Some(place);
        }
    }
}
