//! Outputs that are too large for the journal (FIX G34, opt-in).
//!
//! ```text
//!   outputs ──▶ oversized ──▶ bytes ──▶ artifact: the complete outputs, as JSON
//!      └──────────────────────────────────▶ abridge ──▶ abridged outputs in the journal
//! ```
//!
//! In the abridged outputs a stub, `{"jarvis.artifact": {"type": …, "id": …}}`,
//! stands for a member that is in the artifact. The largest members are replaced
//! first, and no more of them than necessary, so that readers find small members
//! in their place. If that is not enough, one stub stands for all members.

use std::collections::BTreeMap;

use serde_json::json;

use crate::types::{JsonObject, ResourceRef};

/// The only member of a stub.
const STUB: &str = "jarvis.artifact";

/// Returns the outputs as bytes if they are larger than `limit`.
pub fn oversized(outputs: &JsonObject, limit: usize) -> Option<Vec<u8>> {
    (outputs.bytes() > limit).then(|| outputs.as_str().into())
}

/// Abridges outputs that `artifact` has in full.
pub fn abridge(outputs: &JsonObject, limit: usize, artifact: &ResourceRef) -> JsonObject {
    let stub = JsonObject::from([(STUB, json!({"type": artifact.type_, "id": artifact.id}))]);
    let mut members: Vec<(usize, String)> =
        outputs.members().map(|(name, value)| (value.len(), name)).collect();
    members.retain(|(size, _)| *size > stub.bytes());
    members.sort_by(|(size, name), (other, other_name)| other.cmp(size).then_with(|| name.cmp(other_name)));
    let mut left = outputs.bytes();
    let mut replaced = BTreeMap::new();
    for (size, name) in members {
        if left <= limit {
            break;
        }
        replaced.insert(name, stub.as_str().to_owned());
        left -= size - stub.bytes();
    }
    if left <= limit { outputs.edited(|_| false, &replaced) } else { stub }
}
