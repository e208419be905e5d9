//! Recently committed records, as this process wrote them, of a journal to which others
//! write, too: they may be old. A decision may be made on them, because its commit finds
//! out whether they were; nothing is ever answered from them.
//!
//! ```text
//!   commit of run at version 7 ──durable──▶ run 8 and the nodes that it wrote
//!        ├─ 7 is known: beside what is known of its nodes
//!        └─ it is not:  instead of it, because others have written 7
//!   decision ──▶ known? ─▶ commit ──▶ done: they were the latest
//!                             └─ conflict, or nothing to commit ─▶ forget the run, read the journal
//! ```
//!
//! **Invariant:** of a run, the nodes that are known are not older than the run: whatever
//! changes what others depend on writes the run, and a run that another process has
//! written replaces all that was known. Bounded in runs, and in the size of each.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use quick_cache::sync::Cache;

use crate::{
    record::{ChangeSet, NodeHead, NodeRecord, RunRecord},
    types::{JsonObject, NodeRunId, RunId},
};

/// The maximum number of runs.
const RUNS_MAX: usize = 1024;
/// The maximum of known nodes of one run, in bytes.
const NODES_BYTES: usize = 64 << 10;
/// What a node takes besides its inputs and outputs, about.
const OVERHEAD: usize = 1024;

/// The records that may be old.
pub struct Recent(Cache<RunId, Arc<Mutex<OfRun>>>);

struct OfRun {
    run: RunRecord,
    nodes: HashMap<NodeRunId, NodeRecord>,
    bytes: usize,
}

impl Default for Recent {
    fn default() -> Self {
        Self(Cache::new(RUNS_MAX))
    }
}

impl Recent {
    pub fn run(&self, run: &RunId) -> Option<RunRecord> {
        Some(self.0.get(run)?.lock().run.clone())
    }

    /// A node of this run, whole.
    pub fn node(&self, run: &RunId, node: &NodeRunId) -> Option<NodeRecord> {
        self.0.get(run)?.lock().nodes.get(node).cloned()
    }

    pub fn head(&self, run: &RunId, node: &NodeRunId) -> Option<NodeHead> {
        self.0.get(run)?.lock().nodes.get(node).map(NodeRecord::head)
    }

    /// Takes over what a durable commit has written.
    pub fn committed(&self, change: &ChangeSet) {
        let ChangeSet { run_id, run, nodes, heads, .. } = change;
        if run.as_ref().is_some_and(RunRecord::is_terminal) {
            return self.forget(run_id);
        }
        let known = self.0.get(run_id);
        let of_run = match (known, run) {
            (known, Some(run)) => {
                let now = RunRecord { version: run.version + 1, ..run.clone() };
                let of_run = known.filter(|known| known.lock().run.version == run.version);
                let of_run = of_run.unwrap_or_else(|| {
                    let fresh =
                        Arc::new(Mutex::new(OfRun { run: now.clone(), nodes: HashMap::new(), bytes: 0 }));
                    self.0.insert(run_id.clone(), Arc::clone(&fresh));
                    fresh
                });
                of_run.lock().run = now;
                of_run
            }
            (Some(known), None) => known,
            (None, None) => return,
        };
        let mut of_run = of_run.lock();
        heads.iter().for_each(|head| of_run.forget(&head.node_run_id));
        nodes.iter().for_each(|node| of_run.put(node));
    }

    /// Nothing is known of a run any more: a decision on it was wrong, or may have been.
    pub fn forget(&self, run: &RunId) {
        self.0.remove(run);
    }

    /// A node has changed without its record.
    pub fn forget_node(&self, run: &RunId, node: &NodeRunId) {
        if let Some(of_run) = self.0.get(run) {
            of_run.lock().forget(node);
        }
    }
}

impl OfRun {
    fn put(&mut self, node: &NodeRecord) {
        self.forget(node.id());
        let bytes = bytes(node);
        // Of the others, the whole is not known.
        if !node.unread.any() && self.bytes + bytes <= NODES_BYTES {
            self.bytes += bytes;
            self.nodes.insert(node.id().clone(), NodeRecord { version: node.version + 1, ..node.clone() });
        }
    }

    fn forget(&mut self, node: &NodeRunId) {
        if let Some(old) = self.nodes.remove(node) {
            self.bytes -= bytes(&old);
        }
    }
}

fn bytes(node: &NodeRecord) -> usize {
    let of = |json: &Option<JsonObject>| json.as_ref().map_or(0, |json| json.as_str().len());
    OVERHEAD + of(&node.node.inputs) + of(&node.node.outputs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::conformance::{change, ended, node, nodes, run, run_ended, start};

    fn version(recent: &Recent) -> (Option<u64>, Option<u64>) {
        let node = recent.node(&"a".into(), &"a/1".into());
        (recent.run(&"a".into()).map(|run| run.version), node.map(|node| node.version))
    }

    fn writes(run_version: u64) -> ChangeSet {
        ChangeSet { run: Some(RunRecord { version: run_version, ..run("a") }), ..change("a") }
    }

    #[test]
    fn records_are_those_of_the_last_commit() {
        let recent = Recent::default();
        assert_eq!(version(&recent), (None, None));
        recent.committed(&start("a"));
        assert_eq!(version(&recent), (Some(1), Some(1)));
        recent.committed(&writes(1));
        assert_eq!(version(&recent), (Some(2), Some(1)), "the node is what it was");
        recent.committed(&nodes("a", vec![NodeRecord { version: 1, ..node("a", "1") }]));
        assert_eq!(version(&recent), (Some(2), Some(2)));
        recent.forget_node(&"a".into(), &"a/1".into());
        assert_eq!(version(&recent), (Some(2), None));
    }

    #[test]
    fn run_that_others_have_written_brings_no_old_nodes() {
        let recent = Recent::default();
        recent.committed(&start("a"));
        recent.committed(&writes(7));
        assert_eq!(version(&recent), (Some(8), None));
    }

    #[test]
    fn runs_that_are_over_are_forgotten() {
        let recent = Recent::default();
        recent.committed(&start("a"));
        let over =
            ChangeSet { run: Some(run_ended(run("a"))), nodes: vec![ended(node("a", "1"))], ..change("a") };
        recent.committed(&over);
        assert_eq!(version(&recent), (None, None));
        // Without its run, a node is not known either.
        recent.committed(&nodes("a", vec![node("a", "1")]));
        assert_eq!(version(&recent), (None, None));
    }

    #[test]
    fn known_nodes_of_a_run_are_bounded() {
        let recent = Recent::default();
        let crowd = (0..1000).map(|number| node("a", &format!("1.{number}"))).collect();
        recent.committed(&ChangeSet { nodes: crowd, ..start("a") });
        let of_run = recent.0.get(&RunId::from("a")).expect("known");
        assert!(of_run.lock().nodes.len() <= NODES_BYTES / OVERHEAD);
        assert!(of_run.lock().bytes <= NODES_BYTES);
    }
}
