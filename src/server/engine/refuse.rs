//! The end of a node that is not handed to its executor.

use super::{
    draft::{Draft, End},
    ledger,
};
use crate::{
    record::{NodeHead, NodeRecord},
    types::Error,
};

/// Fails a node that waits for its dispatch or an approval. What it had reserved is
/// given back, unless an earlier attempt may be spending it.
pub(super) fn fail(
    draft: &mut Draft<'_>,
    mut node: NodeRecord,
    payers: &[NodeRecord],
    live_below: Vec<NodeHead>,
    error: Error,
) {
    if node.superseded_attempt_may_run {
        ledger::settle(draft, &mut node, payers, None);
    } else {
        ledger::release(draft, &mut node, payers);
    }
    // An earlier attempt, lost, may still be at the executor.
    let end = End { notify_executor: node.is_at_executor(), ..End::failed(error) };
    draft.end(node, live_below, end);
}
