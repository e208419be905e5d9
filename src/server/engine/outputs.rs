//! Outputs that are too large to be kept whole (FIX G34, opt-in).
//!
//! ```text
//!   outputs ──▶ oversized ──▶ bytes ──▶ artifact: the outputs whole, as JSON
//!      └──────────────────────────────────▶ abridge ──▶ what is kept
//! ```
//!
//! In what is kept a stub, `{"jarvis.artifact": {"type": …, "id": …}}`, stands
//! for what is in its place in the artifact. The largest members are replaced
//! first, and no more of them than necessary: whoever reads a small member
//! finds it where it was. If that is not enough, the stub stands for all.

use std::collections::BTreeMap;

use serde_json::json;

use crate::types::{JsonObject, ResourceRef};

/// The only member of a stub.
const STUB: &str = "jarvis.artifact";

/// The outputs as bytes, if those are more than `limit`.
pub fn oversized(outputs: &JsonObject, limit: usize) -> Option<Vec<u8>> {
    (outputs.bytes() > limit).then(|| outputs.as_str().into())
}

/// What is kept of outputs that `artifact` has whole.
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
