//! What the world finds of a run that is repeated, as the coordinator does.

use super::World;
use crate::{
    engine::{FoundTwin, Sibling, twin_among},
    record::{NodeRecord, RunRecord, Twin},
    types::{JsonObject, NodeRunCreateSpec, NodeRunId, json::canonical},
};

impl World {
    /// Without the ones that other children of the same request are found to be.
    pub(super) fn twin(
        &self,
        spec: &NodeRunCreateSpec,
        run: &RunRecord,
        parent: &NodeRecord,
    ) -> Option<FoundTwin> {
        let original = run.rerun.as_ref()?.run_id.clone();
        let above = parent.repetition.twin.repeated()?;
        let (id, number) = match spec.idempotency_key.as_deref() {
            Some(key) => (NodeRunId::derived(&original, above, key), None),
            None => {
                let mut children: Vec<&NodeRecord> = self
                    .nodes
                    .values()
                    .filter(|node| node.node.parent_node_run_id.as_ref() == Some(above))
                    .filter(|node| Sibling::is_keyless(node))
                    .collect();
                children.sort_by_key(|node| node.path.ordinal());
                let siblings: Vec<Sibling> = children
                    .iter()
                    .map(|node| Sibling::of(node, digest(node.node.inputs.as_ref())))
                    .collect();
                let wanted = digest(Some(&spec.inputs));
                let number = twin_among(&siblings, &parent.repetition.taken, &spec.node_type_ref, &wanted)?;
                (siblings[number].id.clone(), Some(number))
            }
        };
        let node = self.nodes.get(&id)?.clone();
        Some(FoundTwin { node, number })
    }

    pub(crate) fn twin_of(&self, node: &str) -> &Twin {
        &self.node(node).repetition.twin
    }
}

fn digest(inputs: Option<&JsonObject>) -> String {
    canonical::text_of(inputs.unwrap_or(&JsonObject::new())).expect("JSON")
}
