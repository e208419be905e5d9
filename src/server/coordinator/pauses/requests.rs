//! What operators ask: to pause dispatch, to resume it, and what is paused.

use slog::{info, warn};

use super::PAUSES_MAX;
use crate::{
    auth::Principal,
    coordinator::{
        Coordinator,
        approvals::check_reason,
        error::{CoordinatorError, FieldError},
    },
    health::DispatchStatus,
    journal::JournalError,
    record::{
        AuditObject, AuditRecord, AuditedOperation, Operation, PAUSE_NAME_BYTES, Pause, PauseScope,
        executor_name,
    },
    types::{HealthCheck, NodeKind},
};

impl Coordinator {
    /// Keeps the nodes in a scope from being dispatched, of all runs.
    pub async fn dispatch_pause(
        &self,
        caller: &Principal,
        scope: PauseScope,
        reason: &str,
    ) -> Result<Pause, CoordinatorError> {
        let operation = Operation::PauseDispatch;
        self.pause_authorize(caller, operation, tenant_of(&scope)).await?;
        check_reason(reason)?;
        check_scope(&scope, &self.dispatch.status)?;
        let (committer, pauses) = (&*self.committer, &self.committer.pauses);
        let reason = committer.redactor.message(reason).into_owned();
        let _alone = pauses.turnstile.write().await;
        let before = pauses.all();
        let earlier = before.iter().find(|pause| pause.scope == scope);
        let now = committer.clock.now();
        let since = earlier.map_or(now, |pause| pause.since);
        let pause = Pause { scope, since, by: caller.actor().clone(), reason };
        if earlier == Some(&pause) {
            return Ok(pause);
        }
        if earlier.is_none() && before.len() >= PAUSES_MAX {
            return Err(CoordinatorError::TooManyPauses(PAUSES_MAX));
        }
        let audit = audited(caller, operation, &pause.scope, &pause.reason, now);
        let stored = committer.journal.pause_put(&pause, &audit).await;
        if let Err(failure) = stored {
            return Err(self.pause_failed(failure).await);
        }
        committer.audit.committed(&[audit]);
        let others = before.iter().filter(|other| other.scope != pause.scope).cloned();
        let others = others.chain([pause.clone()]).collect();
        if let Err(failure) = pauses.stored(&*committer.journal, others).await {
            return Err(committer.read_failed(failure));
        }
        warn!(committer.log, "dispatch paused"; "scope" => %pause.scope, "actor" => caller.subject());
        Ok(pause)
    }

    /// Lets the nodes in a scope be dispatched again. Without a pause of that scope
    /// everything stays as it is.
    pub async fn dispatch_resume(
        &self,
        caller: &Principal,
        scope: &PauseScope,
        reason: &str,
    ) -> Result<bool, CoordinatorError> {
        let operation = Operation::ResumeDispatch;
        self.pause_authorize(caller, operation, tenant_of(scope)).await?;
        check_reason(reason)?;
        let (committer, pauses) = (&*self.committer, &self.committer.pauses);
        let reason = committer.redactor.message(reason).into_owned();
        let alone = pauses.turnstile.write().await;
        let audit = audited(caller, operation, scope, &reason, committer.clock.now());
        let removed = committer.journal.pause_remove(scope, &audit).await;
        let removed = match removed {
            Ok(removed) => removed,
            Err(failure) => return Err(self.pause_failed(failure).await),
        };
        if removed {
            committer.audit.committed(&[audit]);
            info!(committer.log, "dispatch resumed"; "scope" => %scope, "actor" => caller.subject());
        }
        let others = pauses.all().iter().filter(|pause| pause.scope != *scope).cloned().collect();
        if let Err(failure) = pauses.stored(&*committer.journal, others).await {
            pauses.owe();
            return Err(committer.read_failed(failure));
        }
        // Also without one: an earlier answer may have been lost.
        pauses.owe();
        drop(alone);
        committer.queue.notify_unclaimed();
        Ok(removed)
    }

    /// The pauses that are in force, as far as the caller may see them.
    pub async fn dispatch_pauses(&self, caller: &Principal) -> Result<Vec<Pause>, CoordinatorError> {
        self.list_authorize(caller, Operation::ListDispatchPauses).await?;
        let mut pauses: Vec<Pause> = self.committer.pauses.all().to_vec();
        pauses.retain(|pause| self.authority.may_see_pause(caller, tenant_of(&pause.scope)));
        pauses.sort_by(|a, b| (a.since, &a.scope).cmp(&(b.since, &b.scope)));
        Ok(pauses)
    }

    /// The health check of pauses.
    pub fn pauses_check(&self) -> Option<HealthCheck> {
        self.committer.pauses.check()
    }

    /// After a failure, the change may be stored nevertheless: what is stored counts.
    async fn pause_failed(&self, failure: JournalError) -> CoordinatorError {
        let (committer, pauses) = (&*self.committer, &self.committer.pauses);
        let failed = committer.commit_failed(failure, Vec::new());
        if let Err(failure) = pauses.load(&*committer.journal).await {
            return committer.read_failed(failure);
        }
        pauses.owe();
        failed
    }
}

fn tenant_of(scope: &PauseScope) -> Option<&str> {
    match scope {
        PauseScope::Tenant { tenant } => Some(tenant),
        PauseScope::All | PauseScope::Executor { .. } | PauseScope::NodeType { .. } => None,
    }
}

fn audited(
    caller: &Principal,
    operation: Operation,
    scope: &PauseScope,
    reason: &str,
    now: crate::time::Timestamp,
) -> AuditRecord {
    let operation = AuditedOperation::Request(operation);
    let record = AuditRecord::applied(now, caller.actor().clone(), operation, AuditObject::default());
    record.with_detail(Some(format!("{scope}: {reason}")))
}

/// Checks the name in a scope. A pause of an executor that does not exist would pause
/// nothing, which is not seen until it matters.
fn check_scope(scope: &PauseScope, status: &DispatchStatus) -> Result<(), CoordinatorError> {
    let Some(name) = scope.name() else { return Ok(()) };
    let (kind, message) = match scope {
        _ if name.is_empty() => ("string_too_short", "a name must be given".to_owned()),
        _ if name.len() > PAUSE_NAME_BYTES => {
            ("string_too_long", format!("a name has at most {PAUSE_NAME_BYTES} bytes"))
        }
        PauseScope::Executor { executor } if !is_executor(executor, status) => {
            ("value_error", "no executor or member of a pool has this name in the health report".to_owned())
        }
        PauseScope::All
        | PauseScope::Executor { .. }
        | PauseScope::NodeType { .. }
        | PauseScope::Tenant { .. } => return Ok(()),
    };
    let member = match scope {
        PauseScope::NodeType { .. } => "node_type_id",
        PauseScope::All | PauseScope::Executor { .. } | PauseScope::Tenant { .. } => scope.kind(),
    };
    let location = vec!["body".into(), "scope".into(), member.into()];
    Err(CoordinatorError::Invalid(vec![FieldError { kind, location, message }]))
}

fn is_executor(name: &str, status: &DispatchStatus) -> bool {
    let services = [NodeKind::Atomic, NodeKind::Composite].map(|kind| executor_name(Some(kind)));
    let members = status.members();
    let mut members = members.iter().flat_map(|(_, members)| members);
    services.contains(&name) || members.any(|member| member.name.as_deref() == Some(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn executor(name: &str) -> PauseScope {
        PauseScope::Executor { executor: name.into() }
    }

    #[test]
    fn scope_must_name_what_there_is() {
        let status = DispatchStatus::default();
        let kind = |scope: &PauseScope| match check_scope(scope, &status) {
            Err(CoordinatorError::Invalid(errors)) => Some(errors[0].kind),
            Err(other) => panic!("{other:?}"),
            Ok(()) => None,
        };
        let tenant = |tenant: String| PauseScope::Tenant { tenant };
        assert_eq!(kind(&PauseScope::All), None);
        assert_eq!(kind(&executor("atomic_executor")), None);
        assert_eq!(kind(&executor("atomic-executor")), Some("value_error"));
        assert_eq!(kind(&tenant(String::new())), Some("string_too_short"));
        assert_eq!(kind(&tenant("x".repeat(PAUSE_NAME_BYTES))), None);
        assert_eq!(kind(&tenant("x".repeat(PAUSE_NAME_BYTES + 1))), Some("string_too_long"));
    }
}
