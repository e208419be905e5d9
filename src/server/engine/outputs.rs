//! Outputs that are too large for the journal (FIX G34, opt-in).
//!
//! ```text
//!   outputs ──▶ oversized ──▶ bytes ──▶ artifact: the outputs whole, as JSON
//!      └──────────────────────────────────▶ abridge ──▶ what the journal keeps
//! ```
//!
//! In abridged outputs a stub, `{"jarvis.artifact": {"type": …, "id": …}}`,
//! replaces a member, which is in the artifact. The largest members are replaced
//! first, and no more of them than necessary, so that a reader of a small member
//! finds it in its place. If that is not enough, the stub replaces the outputs as
//! a whole.

use std::collections::BTreeMap;

use serde_json::json;

use crate::types::{JsonObject, ResourceRef};

/// The only member of a stub.
const STUB: &str = "jarvis.artifact";

/// The outputs as bytes, if there are more than `limit` of them.
pub fn oversized(outputs: &JsonObject, limit: usize) -> Option<Vec<u8>> {
    (outputs.bytes() > limit).then(|| outputs.as_str().into())
}

/// The abridged form of outputs that `artifact` has whole.
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
