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

use serde_json::{Value, json};

use crate::model::{Map, ResourceRef};

/// The only member of a stub.
const STUB: &str = "jarvis.artifact";

/// The outputs as bytes, if those are more than `limit`.
pub fn oversized(outputs: &Map, limit: usize) -> Option<Vec<u8>> {
    let bytes = serde_json::to_vec(outputs).ok()?;
    (bytes.len() > limit).then_some(bytes)
}

/// What is kept of outputs that `artifact` has whole.
pub fn abridge(mut outputs: Map, limit: usize, artifact: &ResourceRef) -> Map {
    let stub = Map::from_iter([(STUB.into(), json!({"type": artifact.type_, "id": artifact.id}))]);
    let stub_size = size(&stub);
    let mut members: Vec<(usize, String)> =
        outputs.iter().map(|(name, value)| (size(value), name.clone())).collect();
    members.retain(|(size, _)| *size > stub_size);
    members.sort_by(|(size, name), (other, other_name)| other.cmp(size).then_with(|| name.cmp(other_name)));
    let mut left = size(&outputs);
    for (size, name) in members {
        if left <= limit {
            break;
        }
        outputs.insert(name, Value::Object(stub.clone()));
        left -= size - stub_size;
    }
    if left <= limit { outputs } else { stub }
}

/// Of its JSON.
fn size(value: &impl serde::Serialize) -> usize {
    serde_json::to_vec(value).map_or(0, |bytes| bytes.len())
}
