//! Who may do what. Methods that act for a caller get their records from these
//! functions, which answer 404 for what does not exist (or not for this caller)
//! and 403 for what the caller may not do. What the journal does not know is
//! looked up in the Run Store (`adopt`).
//!
//! ```text
//!   operation + caller ──▶ assignment ──▶ find or adopt ──▶ rules ──▶ record
//!                            │ 401, 403      │ 404            │ 401, 403, 404
//! ```
//!
//! - `rules`: the rules, as pure functions; `approvals`: who may see and decide
//!   about approvals; `bulk`: who may make bulk jobs; `webhooks`: who may manage which.
//!
//! An assignment token whose NodeRun has ended, or that is not the one in the
//! journal, allows nothing: `assignment`.
//!
//! A request that is admitted to a NodeRun is a sign of life of the executors of
//! the composites above it (`liveness`).

mod approvals;
mod bulk;
mod rules;
#[cfg(test)]
mod tests;
mod webhooks;

pub(in crate::server::coordinator) use rules::WebhookReach;
pub(crate) use rules::{Authority, Reach, rule};

use self::rules::{Object, Refused, executor_may};
use super::{Coordinator, assignment, audit_trail::Refusal, error::CoordinatorError, liveness::Use};
use crate::{
    auth::{NAME_BYTES, Principal, Scope},
    engine::{self, Rejection},
    record::{AuditObject, Identity, NodeRecord, Operation, RunRecord},
    types::{NodeRunId, Run, RunId, RunStartRequest},
};

impl Coordinator {
    /// Authorizes the start of a run. Returns the run's owner.
    pub(super) async fn start_authorize(
        &self,
        caller: &Principal,
        request: &RunStartRequest,
    ) -> Result<Identity, CoordinatorError> {
        let operation = Operation::StartRun;
        let object = || AuditObject { run_id: request.run_id.clone(), node_run_id: None };
        self.assignment_check(caller, operation, object()).await?;
        let judged = match executor_may(caller, operation, None) {
            Some(judged) => judged.map(|_| ()),
            None => self.authority.judge(caller, rule(operation).reach, None),
        };
        if let Err(refused) = judged {
            // No run is known yet that could be foreign.
            let not_found = || CoordinatorError::Unauthenticated;
            return Err(self.refused(caller, operation, object(), refused).await.error(not_found));
        }
        let named = request.run_context.as_ref().and_then(|context| context.tenant_id.as_deref());
        match self.authority.owner(caller, named) {
            Some(owner) => Ok(owner),
            None => {
                let (object, reason) = (object(), "tenant_mismatch");
                let refusal = Refusal { operation, object, reason, detail: None };
                self.audit_trail().refused(caller, refusal).await;
                Err(CoordinatorError::TenantMismatch)
            }
        }
    }

    /// Answers a start whose run exists. A run that the caller may not read is not
    /// distinguished from one of another request.
    pub(super) async fn start_repeated(
        &self,
        caller: &Principal,
        existing: RunRecord,
        digest: &str,
    ) -> Result<Run, CoordinatorError> {
        if let Err(refused) = self.authority.judge(caller, Reach::Read, existing.owner.as_ref()) {
            let object = AuditObject::run(existing.id());
            let _as_any_other = self.refused(caller, Operation::StartRun, object, refused).await;
            return Err(CoordinatorError::Rejected(Rejection::RunAlreadyExists));
        }
        Ok(engine::run_repeated(existing, digest)?)
    }

    /// Authorizes an operation on a run.
    pub(super) async fn run_authorize(
        &self,
        caller: &Principal,
        operation: Operation,
        run: &RunId,
    ) -> Result<RunRecord, CoordinatorError> {
        self.assignment_check(caller, operation, AuditObject::run(run)).await?;
        self.identified(caller)?;
        let not_found = || CoordinatorError::RunNotFound(run.clone());
        let Some(record) = self.run_find_or_adopt(caller, run).await? else {
            self.unknown(caller, operation, AuditObject::run(run)).await;
            return Err(not_found());
        };
        let judged = match executor_may(caller, operation, Some(Object::Run(run))) {
            Some(judged) => judged.map(|_own| ()),
            None => self.authority.judge(caller, rule(operation).reach, record.owner.as_ref()),
        };
        if let Err(refused) = judged {
            let object = AuditObject::run(run);
            return Err(self.refused(caller, operation, object, refused).await.error(not_found));
        }
        self.committer.liveness.run_used(caller, self.committer.clock.now());
        Ok(record)
    }

    /// Authorizes an operation on the server as a whole.
    pub(super) async fn server_authorize(
        &self,
        caller: &Principal,
        operation: Operation,
    ) -> Result<(), CoordinatorError> {
        self.list_authorize(caller, operation).await?;
        if let Err(refused) = self.authority.judge(caller, rule(operation).reach, None) {
            let not_found = || CoordinatorError::Unauthenticated;
            let refused = self.refused(caller, operation, AuditObject::default(), refused).await;
            return Err(refused.error(not_found));
        }
        Ok(())
    }

    /// Authorizes an operation on a NodeRun.
    pub(super) async fn node_authorize(
        &self,
        caller: &Principal,
        operation: Operation,
        node: &NodeRunId,
    ) -> Result<NodeRecord, CoordinatorError> {
        self.node_authorize_or(caller, operation, node, || CoordinatorError::NodeRunNotFound(node.clone()))
            .await
    }

    /// Authorizes the creation of NodeRuns under this one.
    pub(super) async fn parent_authorize(
        &self,
        caller: &Principal,
        parent: &NodeRunId,
    ) -> Result<NodeRecord, CoordinatorError> {
        let not_found = || CoordinatorError::ParentNotFound(parent.clone());
        self.node_authorize_or(caller, Operation::CreateNodeRuns, parent, not_found).await
    }

    async fn node_authorize_or(
        &self,
        caller: &Principal,
        operation: Operation,
        node: &NodeRunId,
        not_found: impl Fn() -> CoordinatorError + Send + Sync,
    ) -> Result<NodeRecord, CoordinatorError> {
        let object = AuditObject { run_id: None, node_run_id: Some(node.clone()) };
        self.assignment_check(caller, operation, object.clone()).await?;
        self.identified(caller)?;
        let Some(record) = self.node_find_or_adopt(caller, node).await? else {
            self.unknown(caller, operation, object).await;
            return Err(not_found());
        };
        let run = &record.node.run_id;
        let reach = rule(operation).reach;
        let judged = match executor_may(caller, operation, Some(Object::Node(run, &record.path))) {
            Some(judged) => judged.map(|_own| ()),
            // The owner does not matter: no need to read the run.
            None if self.authority.is_unlimited(caller) => self.authority.judge(caller, reach, None),
            None => {
                let owner = self.committer.run_find(run).await?.and_then(|run| run.owner);
                self.authority.judge(caller, reach, owner.as_ref())
            }
        };
        if let Err(refused) = judged {
            let object = AuditObject::node(run, node);
            return Err(self.refused(caller, operation, object, refused).await.error(&not_found));
        }
        let to = match reach {
            Reach::Start | Reach::Read | Reach::Server => Use::Read,
            Reach::Operate | Reach::Steer | Reach::Approve => Use::Report,
        };
        self.committer.liveness.node_used(caller, &record, to, self.committer.clock.now());
        Ok(record)
    }

    /// Refuses a caller without a token where authorization is on, before an id is
    /// looked up: it does not learn which ids exist.
    fn identified(&self, caller: &Principal) -> Result<(), CoordinatorError> {
        match caller.scope() {
            Scope::Anonymous if !self.authority.is_open() => Err(CoordinatorError::Unauthenticated),
            Scope::Identity | Scope::Anonymous | Scope::Subtree(_) => Ok(()),
        }
    }

    /// Adds to the audit trail that a caller asked for an id that does not exist, as
    /// if it were foreign. Otherwise the time that the record takes would say which
    /// ids exist; and a caller that tries ids out is seen.
    async fn unknown(&self, caller: &Principal, operation: Operation, object: AuditObject) {
        match caller.scope() {
            Scope::Identity if !self.authority.is_unlimited(caller) => {
                // An id of any length may be asked for, but not recorded.
                let object = AuditObject {
                    run_id: object.run_id.filter(|id| id.as_str().len() <= NAME_BYTES),
                    node_run_id: object.node_run_id.filter(|id| id.as_str().len() <= NAME_BYTES),
                };
                let _as_if_foreign = self.refused(caller, operation, object, Refused::Unknown).await;
            }
            Scope::Identity | Scope::Anonymous | Scope::Subtree(_) => {}
        }
    }

    /// Refuses a caller whose assignment does not stand any more.
    async fn assignment_check(
        &self,
        caller: &Principal,
        operation: Operation,
        object: AuditObject,
    ) -> Result<(), CoordinatorError> {
        if assignment::of(caller).is_none() {
            return Ok(());
        }
        let node = object.node_run_id.as_ref();
        let checked = self.committer.assignment_check(caller, operation, node).await;
        self.audit_trail().judged(caller, operation, object, checked).await
    }

    /// Adds a refusal to the audit trail, unless the caller is unknown: then it is
    /// only counted in the log.
    async fn refused(
        &self,
        caller: &Principal,
        operation: Operation,
        object: AuditObject,
        refused: Refused,
    ) -> Audited {
        if let Some((reason, detail)) = refused.reason() {
            self.audit_trail().refused(caller, Refusal { operation, object, reason, detail }).await;
        }
        Audited(refused)
    }
}

/// A refusal that is in the audit trail.
struct Audited(Refused);

impl Refused {
    /// The reason as the audit trail has it, and a word more.
    fn reason(&self) -> Option<(&'static str, Option<&'static str>)> {
        match self {
            Self::Foreign => Some(("foreign_run", None)),
            Self::Unknown => Some(("unknown_id", None)),
            Self::LacksRole(role) => Some(("forbidden", Some(role))),
            Self::Outside(_) => Some(("forbidden", Some("outside of the assignment"))),
            Self::Starter => Some(("forbidden", Some("starter of the run"))),
            Self::NoToken => None,
        }
    }
}

impl Audited {
    /// The error that the caller gets. What is foreign is not found.
    fn error(self, not_found: impl Fn() -> CoordinatorError) -> CoordinatorError {
        match self.0 {
            Refused::Foreign | Refused::Unknown => not_found(),
            Refused::LacksRole(role) => CoordinatorError::LacksRole(role),
            Refused::NoToken => CoordinatorError::Unauthenticated,
            Refused::Outside(node) => CoordinatorError::OutsideAssignment(node),
            Refused::Starter => CoordinatorError::StarterMayNotDecide,
        }
    }
}
