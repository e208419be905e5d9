//! The check `tasks`: background tasks that panicked.

use std::collections::BTreeMap;

use serde_json::json;

use crate::{
    runtime::tasks::{Panicked, Panics, QUIET},
    time::Timestamp,
    types::{HealthCheck, JsonObject},
};

/// Reports panics. A task that panicked is restarted: the check is degraded
/// until the task has then run for a while, and counts its panics for good.
pub fn tasks_check(panics: &Panics, now: Timestamp) -> HealthCheck {
    let so_far = panics.so_far();
    let unwell = |panicked: &Panicked| panicked.last.is_some_and(|last| now.since(last) < QUIET);
    let names: Vec<&str> = so_far.iter().filter(|(_, p)| unwell(p)).map(|(name, _)| *name).collect();
    let trouble = (!names.is_empty()).then(|| format!("Restarted after a panic: {}", names.join(", ")));
    let details: BTreeMap<&str, u64> =
        so_far.iter().map(|(name, panicked)| (*name, panicked.times)).collect();
    HealthCheck::new("tasks", trouble, Some(JsonObject::of(&json!({ "panics": details }))))
}
