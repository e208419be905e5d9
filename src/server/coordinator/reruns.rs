//! Repeating a run that has ended: a new run with the same request, for the same owner
//! (contract §25.7).
//!
//! ```text
//!   authorize ──▶ the original, its root ──▶ the same request ──▶ as any start: registry, policy, commit
//!                     └─ live, or not whole: 409
//! ```
//!
//! **Invariants.** A run that has ended stays as it is. The new run belongs to the owner
//! of the original, and nothing acts for that owner with another caller's token.

use serde::Serialize;

use super::{
    Coordinator,
    admission::digest,
    approvals::check_reason,
    error::{CoordinatorError, FieldError},
    runs::NewRun,
};
use crate::{
    auth::Principal,
    engine::{self, Cause, Disagreement, Rejection},
    record::{Identity, NodeRecord, Operation, RerunFrom, RerunOf, RunRecord},
    types::{Run, RunId, RunStartRequest},
};

/// The maximum length of an idempotency key.
const KEY_BYTES: usize = 500;

/// How a run is to be repeated.
#[derive(Clone, Debug)]
pub struct RerunRequest {
    pub reason: String,
    pub from: RerunFrom,
    /// Another request with the same key makes no other run.
    pub idempotency_key: Option<String>,
}

/// What identifies a request to repeat a run.
#[derive(Serialize)]
struct Asked<'a> {
    rerun_of: &'a RunId,
    from: RerunFrom,
    idempotency_key: Option<&'a str>,
}

impl Coordinator {
    /// Repeats a run that has ended. Returns the new run.
    pub async fn run_rerun(
        &self,
        caller: &Principal,
        run: &RunId,
        request: RerunRequest,
    ) -> Result<Run, CoordinatorError> {
        let original = self.run_authorize(caller, Operation::RerunRun, run).await?;
        check_reason(&request.reason)?;
        let reason = self.committer.redactor.message(&request.reason).into_owned();
        let note = format!("rerun of {run} from {}: {reason}", request.from.as_str());
        self.rerun_noted(caller, original, &request, &note).await
    }

    /// The same for a caller that may, with what the audit record says.
    pub(super) async fn rerun_noted(
        &self,
        caller: &Principal,
        original: RunRecord,
        request: &RerunRequest,
        note: &str,
    ) -> Result<Run, CoordinatorError> {
        let RerunRequest { reason: _, from, idempotency_key } = request;
        let (of, from, key) = (original.id().clone(), *from, idempotency_key.as_deref());
        let key = key.filter(|key| !key.is_empty());
        if key.is_some_and(|key| key.len() > KEY_BYTES) {
            let message = format!("an idempotency key has at most {KEY_BYTES} bytes");
            let location = vec!["body".into(), "idempotency_key".into()];
            return Err(CoordinatorError::Invalid(vec![FieldError {
                kind: "string_too_long",
                location,
                message,
            }]));
        }
        let digest = digest(&Asked { rerun_of: &of, from, idempotency_key: key });
        let run_id = key.map(|key| of.derived_rerun(key));
        if let Some(id) = &run_id
            && let Some(existing) = self.committer.run_find(id).await?
        {
            // A caller that may repeat the original may read what repeats it: the owner is the
            // same.
            let other = Rejection::Idempotency(Disagreement::Rerun);
            return engine::run_repeated(existing, &digest).map_err(|_| CoordinatorError::Rejected(other));
        }
        let root = self.committer.node_find(&original.run.root_node_run_id).await?;
        let (owner, request, root) = self.same_request(caller, original, root)?;
        let rerun = RerunOf { run_id: of, reuses: from == RerunFrom::Succeeded };
        let run_id = run_id.unwrap_or_else(|| self.ids.run_id());
        let new = NewRun { request, owner, run_id, digest, rerun: Some((rerun, root)) };
        self.start_new(caller, Cause::noted(caller.actor(), Operation::RerunRun, note), new).await
    }

    /// The owner and the request of a run that has ended, as far as the records have
    /// them: the constraints are within the bounds of that time.
    fn same_request(
        &self,
        caller: &Principal,
        original: RunRecord,
        root: Option<NodeRecord>,
    ) -> Result<(Identity, RunStartRequest, crate::types::NodeRunId), Rejection> {
        if !original.is_terminal() {
            return Err(Rejection::RunLive(original.run.state));
        }
        let root = root.ok_or(Rejection::NotRepeatable("its root is not stored any more"))?;
        let owner = original.owner.ok_or(Rejection::NotRepeatable("it has no recorded owner"))?;
        if self.admission.delegation.is_some() && !owner.is_same_principal(caller.identity()) {
            let why = "calls are made on behalf of its owner, whose token is not kept; only its owner can";
            return Err(Rejection::NotRepeatable(why));
        }
        let constraints = engine::constraints::stored(original.run.extensions.as_ref())?;
        let Run { run_context, extensions, .. } = original.run;
        let own = |key: &str| engine::is_own_key(key);
        let extensions = extensions.map(|given| given.edited(own, &std::collections::BTreeMap::new()));
        let root_id = root.id().clone();
        let request = RunStartRequest {
            run_id: None,
            root_node_type_ref: root.node.node_type_ref,
            input: root.node.inputs.unwrap_or_default(),
            constraints,
            run_context,
            metadata: None,
            extensions: extensions.filter(|extensions| !extensions.is_empty()),
        };
        Ok((owner, request, root_id))
    }
}
