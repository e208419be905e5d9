//! The ids of spans, derived from what the records say.
//!
//! ```text
//!   span id = first 8 bytes of SHA-256(trace id, role, id of the run or node [, attempt])
//! ```
//!
//! So nothing of a span need be stored, another process makes the same span, and a
//! log line can name a span that is not over.

use sha2::{Digest, Sha256};

use crate::types::{
    IdSource, NodeRunId, RunId,
    trace::{SpanId, TraceId},
};

/// The start of a run.
pub(super) fn accepted(trace: &TraceId, run: &RunId) -> SpanId {
    derived(trace, "accepted", run.as_str(), 0)
}

/// A run from its start to its end.
pub(super) fn whole(trace: &TraceId, run: &RunId) -> SpanId {
    derived(trace, "run", run.as_str(), 0)
}

/// An attempt to execute a node; 0: the node, which was never attempted.
pub(super) fn attempt(trace: &TraceId, node: &NodeRunId, attempt: u32) -> SpanId {
    derived(trace, "attempt", node.as_str(), attempt)
}

/// The length of each part goes first, so that no two lists of parts are one text.
fn derived(trace: &TraceId, role: &str, id: &str, attempt: u32) -> SpanId {
    let mut digest = Sha256::new();
    for part in [&trace.bytes()[..], role.as_bytes(), id.as_bytes(), &attempt.to_be_bytes()] {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    SpanId::of(first(&digest.finalize()))
}

/// A trace that begins here. (A digest, because an id of the source has fixed bits,
/// and samplers look at all of them.)
pub(super) fn fresh_trace(ids: &dyn IdSource) -> TraceId {
    TraceId::of(first(&Sha256::digest(ids.fresh())))
}

/// A span that is made of no record.
pub(super) fn fresh_span(ids: &dyn IdSource) -> SpanId {
    SpanId::of(first(&Sha256::digest(ids.fresh())))
}

fn first<const N: usize>(digest: &[u8]) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.iter_mut().zip(digest).for_each(|(byte, of_digest)| *byte = *of_digest);
    bytes
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_span_of_a_run_has_an_id_of_its_own() {
        let trace = TraceId::parse("4bf92f3577b34da6a3ce929d0e0e4736").expect("an id");
        let other = TraceId::parse("4bf92f3577b34da6a3ce929d0e0e4737").expect("an id");
        let mut ids = BTreeSet::new();
        for trace in [trace, other] {
            ids.insert(accepted(&trace, &"a".into()).to_string());
            ids.insert(whole(&trace, &"a".into()).to_string());
            for node in ["a", "a1", "b"] {
                ids.extend((0..3).map(|number| attempt(&trace, &node.into(), number).to_string()));
            }
        }
        assert_eq!(ids.len(), 22);
        // The same in every process, and in every version: traces are continued.
        assert_eq!(attempt(&trace, &"a".into(), 1).to_string(), "966bc422743fdf85");
    }
}
