//! Candidate sets: what a child's type was chosen from (contract §6.6, G20).
//!
//! ```text
//!   spec ── brings its set (`jarvis.candidate_set`) ─▶ ids agree, the choice is a member,
//!    │                                                 the set is within the limit
//!    ├── only quotes it ─▶ trusted; refused where sets are required
//!    └── either way ─────▶ with a limit, one set stands for at most that many types:
//!                          the parent's record knows which (`Bindings`)
//! ```
//!
//! The limit is `max_candidates_per_subtask`. A set that is brought stays on the
//! child, as evidence.

use serde::Deserialize;

use super::rejection::{Limit, Rejection};
use crate::{
    record::Bindings,
    types::{Extensions, NodeRunCreateSpec, NodeTypeRef},
};

/// The extension of a create spec with its candidate set: the object of the
/// Selection API.
pub const CANDIDATE_SET: &str = "jarvis.candidate_set";

/// The maximum size of a set as JSON.
pub const CANDIDATE_SET_BYTES: usize = 64 << 10;

/// The members of a candidate set that matter here. The others are kept, and not
/// looked at.
#[derive(Clone, Debug, Deserialize)]
pub struct CandidateSet {
    candidate_set_id: String,
    subtask_id: String,
    candidates: Vec<Candidate>,
}

#[derive(Clone, Debug, Deserialize)]
struct Candidate {
    node_type_ref: NodeTypeRef,
}

/// Why a candidate set cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadCandidateSet {
    TooLong,
    Malformed,
}

impl CandidateSet {
    /// The set that a spec brings, if it brings one.
    pub fn of(spec: Option<&Extensions>) -> Result<Option<Self>, BadCandidateSet> {
        let Some(text) = spec.and_then(|extensions| extensions.raw(CANDIDATE_SET)) else { return Ok(None) };
        if text.len() > CANDIDATE_SET_BYTES {
            return Err(BadCandidateSet::TooLong);
        }
        serde_json::from_str(text).map(Some).map_err(|_| BadCandidateSet::Malformed)
    }

    fn has(&self, node_type: &NodeTypeRef) -> bool {
        let same = |one: &NodeTypeRef| {
            (&one.node_type_id, &one.version) == (&node_type.node_type_id, &node_type.version)
        };
        self.candidates.iter().any(|candidate| same(&candidate.node_type_ref))
    }
}

/// The id of the set that a spec's type was chosen from.
pub(super) fn quoted<'s>(spec: &'s NodeRunCreateSpec, set: Option<&'s CandidateSet>) -> Option<&'s str> {
    let bound = spec.binding_decision.as_ref().and_then(|binding| binding.candidate_set_id.as_deref());
    spec.candidate_set_id.as_deref().or(bound).or(set.map(|set| &*set.candidate_set_id))
}

/// The subtask that a spec is for.
pub(super) fn subtask<'s>(spec: &'s NodeRunCreateSpec, set: Option<&'s CandidateSet>) -> Option<&'s str> {
    let bound = spec.binding_decision.as_ref().map(|binding| &*binding.subtask_id);
    bound.or(set.map(|set| &*set.subtask_id))
}

/// Checks that the choice of a new child's type is what it says.
pub(super) fn check(
    spec: &NodeRunCreateSpec,
    set: Option<&CandidateSet>,
    limit: Option<u64>,
    required: bool,
) -> Result<(), Rejection> {
    check_binding(spec)?;
    let Some(set) = set else {
        let is_missing = required && spec.binding_decision.is_some();
        return if is_missing { Err(Rejection::CandidateSetRequired) } else { Ok(()) };
    };
    if quoted(spec, None).is_some_and(|id| id != set.candidate_set_id) {
        Err(Rejection::CandidateSetMismatch("candidate_set_id"))
    } else if subtask(spec, None).is_some_and(|id| id != set.subtask_id) {
        Err(Rejection::CandidateSetMismatch("subtask_id"))
    } else if !set.has(&spec.node_type_ref) {
        Err(Rejection::CandidateNotInSet)
    } else if limit.is_some_and(|limit| set.candidates.len() as u64 > limit) {
        Err(Rejection::Limit(Limit::MaxCandidatesPerSubtask))
    } else {
        Ok(())
    }
}

/// Checks that the binding decision is about this child.
fn check_binding(spec: &NodeRunCreateSpec) -> Result<(), Rejection> {
    let Some(binding) = &spec.binding_decision else { return Ok(()) };
    let (chosen, own) = (&binding.chosen_node_type_ref, &spec.node_type_ref);
    if (&chosen.node_type_id, &chosen.version) != (&own.node_type_id, &own.version) {
        return Err(Rejection::BindingMismatch("node_type_ref"));
    }
    match (&binding.candidate_set_id, &spec.candidate_set_id) {
        (Some(bound), Some(given)) if bound != given => Err(Rejection::BindingMismatch("candidate_set_id")),
        (Some(_) | None, Some(_) | None) => Ok(()),
    }
}

/// Counts the type among those that stand for its set (or for its subtask, if it
/// quotes none).
pub(super) fn bind(
    bindings: &mut Bindings,
    spec: &NodeRunCreateSpec,
    set: Option<&CandidateSet>,
    limit: Option<u64>,
) -> Result<(), Rejection> {
    let Some(limit) = limit else { return Ok(()) };
    let key = match (quoted(spec, set), subtask(spec, set)) {
        (Some(set), _) => ("set", set),
        (None, Some(subtask)) => ("subtask", subtask),
        (None, None) => return Ok(()),
    };
    let NodeTypeRef { node_type_id, version, extensions: _ } = &spec.node_type_ref;
    if bindings.bind([key.0, key.1], [node_type_id, version], limit) {
        Ok(())
    } else {
        Err(Rejection::Limit(Limit::MaxCandidatesPerSubtask))
    }
}
