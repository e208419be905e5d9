//! What of a run that is repeated may stand for new nodes: looked up before the engine
//! decides (`engine`, rerun).
//!
//! ```text
//!   new child ─┬─ with a key ──▶ the id that the key has under the twin of its parent
//!              └─ without ─────▶ the children of that twin, read once and remembered
//! ```
//!
//! **Invariants.** Bounded: in the nodes that are looked at for a parent, and in the
//! outputs that are read for a request. What is not there any more, or cannot be read,
//! stands for nothing: the new node is executed.

use std::{collections::VecDeque, sync::Arc};

use parking_lot::Mutex;

use super::{
    Coordinator, admission::digest, approvals::readable, committer::Committer, error::CoordinatorError,
};
use crate::{
    engine::{FoundTwin, Sibling, twin_among},
    record::{NodePath, NodeRecord, RunRecord, SIBLINGS_MAX, Taken},
    types::{JsonObject, NodeKind, NodeRunCreateSpec, NodeRunId, NodeRunState, RunId, SideEffectClass},
};

/// The nodes of the original that are looked at for a parent's children.
const EXAMINED_MAX: usize = 50_000;

/// The nodes on a page of these.
const PAGE: u32 = 500;

/// The parents whose twin's children are remembered.
const REMEMBERED: usize = 32;

/// The outputs that one request reuses, in bytes of JSON. What is beyond it and may be
/// repeated is executed again.
const OUTPUTS_BYTES: usize = 64 << 20;

type Siblings = Arc<[Sibling]>;

/// The children of some nodes of runs that are over: they do not change any more, but
/// for their evaluations.
#[derive(Default)]
pub(super) struct SiblingsCache(Mutex<VecDeque<(NodeRunId, Siblings)>>);

impl SiblingsCache {
    fn get(&self, parent: &NodeRunId) -> Option<Siblings> {
        self.0.lock().iter().find(|(known, _)| known == parent).map(|(_, siblings)| Arc::clone(siblings))
    }

    fn put(&self, parent: NodeRunId, siblings: Siblings) {
        let mut known = self.0.lock();
        known.truncate(REMEMBERED - 1);
        known.push_front((parent, siblings));
    }
}

/// Looks for the twins of the children of one request.
pub(super) struct Twins<'c> {
    coordinator: &'c Coordinator,
    original: RunId,
    /// The twin of their parent.
    parent: NodeRunId,
    taken: Taken,
    outputs_bytes: usize,
}

impl Coordinator {
    /// `None`: nothing stands for the children of this node.
    pub(super) async fn twins_among(
        &self,
        run: &RunRecord,
        parent: &NodeRecord,
    ) -> Result<Option<Twins<'_>>, CoordinatorError> {
        let Some(rerun) = run.rerun.as_ref().filter(|rerun| rerun.reuses) else { return Ok(None) };
        let Some(twin) = parent.repetition.twin.repeated() else { return Ok(None) };
        let original = readable(self.committer.run_find(&rerun.run_id).await)?.flatten();
        // What is reused belongs to the owner of the run already.
        let is_owned = |original: &RunRecord| original.owner == run.owner && original.is_terminal();
        Ok(original.filter(is_owned).map(|original| Twins {
            coordinator: self,
            original: original.id().clone(),
            parent: twin.clone(),
            taken: parent.repetition.taken.clone(),
            outputs_bytes: 0,
        }))
    }

    /// The children of a node without an idempotency key, in the order in which they
    /// were created: those that may stand for another.
    async fn siblings(&self, run: &RunId, parent: &NodeRunId) -> Result<Siblings, CoordinatorError> {
        if let Some(known) = self.siblings.get(parent) {
            return Ok(known);
        }
        let head = self.committer.head_find(parent).await?.filter(|head| head.run_id == *run);
        let mut found = Vec::new();
        if let Some(head) = head {
            for id in self.children_in_order(run, &head.path).await? {
                let child = readable(self.committer.node_find(&id).await)?.flatten();
                let Some(child) = child.filter(Sibling::is_keyless) else { continue };
                let inputs = digest(child.node.inputs.as_ref().unwrap_or(&JsonObject::new()));
                found.push(Sibling::of(&child, inputs));
            }
        }
        let siblings: Siblings = found.into();
        self.siblings.put(parent.clone(), Arc::clone(&siblings));
        Ok(siblings)
    }

    async fn children_in_order(
        &self,
        run: &RunId,
        parent: &NodePath,
    ) -> Result<Vec<NodeRunId>, CoordinatorError> {
        let (mut children, mut after, mut examined) = (Vec::new(), None, 0);
        while examined < EXAMINED_MAX {
            let page = self.committer.journal.tree_page(run, Some(parent), after.as_ref(), PAGE).await;
            let page = page.map_err(|failure| self.committer.read_failed(failure))?;
            examined += page.nodes.len();
            let below = page.nodes.into_iter().map(|node| node.head);
            let direct = below.filter(|head| head.path.depth() == parent.depth() + 1);
            // Of the others nothing is reused, nor of what is below them.
            children.extend(direct.filter(|head| {
                head.state == NodeRunState::Succeeded || head.kind == Some(NodeKind::Composite)
            }));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        children.sort_by_key(|head| head.path.ordinal());
        Ok(children.into_iter().take(SIBLINGS_MAX).map(|head| head.node_run_id).collect())
    }
}

impl Twins<'_> {
    /// What may stand for a new child. Each is found once.
    pub(super) async fn find(
        &mut self,
        committer: &Committer,
        spec: &NodeRunCreateSpec,
    ) -> Result<Option<FoundTwin>, CoordinatorError> {
        let (id, number) = match spec.idempotency_key.as_deref().filter(|key| !key.is_empty()) {
            Some(key) => (NodeRunId::derived(&self.original, &self.parent, key), None),
            None => {
                let siblings = self.coordinator.siblings(&self.original, &self.parent).await?;
                let inputs = digest(&spec.inputs);
                let found = twin_among(&siblings, &self.taken, &spec.node_type_ref, &inputs);
                let Some((number, sibling)) = found.and_then(|at| Some((at, siblings.get(at)?))) else {
                    return Ok(None);
                };
                self.taken.insert(number);
                (sibling.id.clone(), Some(number))
            }
        };
        let Some(mut node) = readable(committer.node_find(&id).await)?.flatten() else { return Ok(None) };
        let may_repeat = node.idempotent || node.side_effect == Some(SideEffectClass::Read);
        self.outputs_bytes += node.node.outputs.as_ref().map_or(0, JsonObject::bytes);
        if self.outputs_bytes > OUTPUTS_BYTES && may_repeat {
            (node.node.outputs, node.unread.outputs) = (None, true);
        }
        Ok(Some(FoundTwin { node, number }))
    }
}
