//! Pauses of dispatch (contract §25): rows of the journal, and in memory what every
//! dispatch is compared with.
//!
//! ```text
//!   pause ──▶ authorize ──▶ wait for begins ──▶ row, audit record ──▶ in force ──▶ answer
//!   dispatch: paused? ──▶ set aside: wake-up SetAside, which no worker claims
//!   resume ─▶ authorize ──▶ wait for begins ──▶ no row, audit record ─▶ over ────▶ answer
//!                                                 └─▶ the claim loop makes dispatches of what is set aside
//! ```
//!
//! **Invariants.** When a pause is answered, no node in its scope begins an attempt
//! until it is resumed: each begin holds [`Pauses::begins`] from its decision to its
//! commit. When a pause ends, every node that it has set aside becomes a dispatch
//! again: [`Pauses::take_owed`] is true from then on, and after each start of a
//! process, until that is done. The number of pauses is bounded.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use parking_lot::RwLock;
use slog::{info, warn};
use tokio::sync::{RwLock as Turnstile, RwLockReadGuard, watch};

use super::{
    Coordinator,
    approvals::check_reason,
    error::{CoordinatorError, FieldError},
};
use crate::{
    auth::Principal,
    health::DispatchStatus,
    journal::{Journal, JournalError},
    record::{
        AuditObject, AuditRecord, AuditedOperation, NodeRecord, Operation, PAUSE_NAME_BYTES, Pause,
        PauseScope, PauseSubject, RunRecord, executor_name,
    },
    types::{HealthCheck, JsonObject, NodeKind},
};

/// The maximum number of pauses at a time.
const PAUSES_MAX: usize = 1000;

/// The pauses that are in force.
pub(crate) struct Pauses {
    in_force: RwLock<Arc<Vec<Pause>>>,
    /// Begins of attempts pass it together, and a change of the pauses alone.
    turnstile: Turnstile<()>,
    /// Counts the changes.
    changes: watch::Sender<u64>,
    /// Nodes may be set aside that nothing sets aside any more.
    owed: AtomicBool,
}

impl Pauses {
    pub(super) fn new() -> Self {
        Self {
            in_force: RwLock::default(),
            turnstile: Turnstile::new(()),
            changes: watch::Sender::new(0),
            owed: AtomicBool::new(true),
        }
    }

    /// Takes over what other processes have changed: not while a caller of this one
    /// changes it, whose pause would be forgotten again.
    pub(crate) async fn refresh(&self, journal: &dyn Journal) -> Result<(), JournalError> {
        let _alone = self.turnstile.write().await;
        self.load(journal).await.map(drop)
    }

    /// Takes over what the journal has.
    pub(crate) async fn load(&self, journal: &dyn Journal) -> Result<usize, JournalError> {
        let stored = journal.pauses().await?;
        let count = stored.len();
        // What waits for a slot looks again after each change.
        if *self.all() != stored {
            self.put(stored);
        }
        Ok(count)
    }

    /// The pauses that are in force now.
    pub(crate) fn all(&self) -> Arc<Vec<Pause>> {
        Arc::clone(&self.in_force.read())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.in_force.read().is_empty()
    }

    /// Says when they change.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Is held from the decision to begin an attempt until that is committed.
    pub(crate) async fn begins(&self) -> RwLockReadGuard<'_, ()> {
        self.turnstile.read().await
    }

    /// The pause that covers the dispatch of a node. `member`: the only executor
    /// instance that it may go to.
    pub(crate) fn covering(
        &self,
        run: &RunRecord,
        node: &NodeRecord,
        kind: Option<NodeKind>,
        member: Option<&str>,
    ) -> Option<Pause> {
        let subject = PauseSubject {
            kind: node.node.kind.or(kind),
            member,
            node_type_id: &node.node.node_type_ref.node_type_id,
            tenant: run.owner.as_ref().and_then(|owner| owner.tenant.as_deref()),
        };
        self.all().iter().find(|pause| pause.scope.covers(&subject)).cloned()
    }

    /// Whether dispatches to the executors of this kind are paused, whatever the node.
    pub(crate) fn cover_executor(&self, kind: NodeKind) -> bool {
        let of_all = |scope: &PauseScope| match scope {
            PauseScope::All => true,
            PauseScope::Executor { executor } => executor == executor_name(Some(kind)),
            PauseScope::NodeType { .. } | PauseScope::Tenant { .. } => false,
        };
        self.all().iter().any(|pause| of_all(&pause.scope))
    }

    /// The first pause of an executor or a member of a pool.
    pub(crate) fn of_an_executor(&self) -> Option<Pause> {
        let is_of_one = |pause: &&Pause| matches!(pause.scope, PauseScope::Executor { .. });
        self.all().iter().find(is_of_one).cloned()
    }

    /// Whether a member of a pool is paused by its name.
    pub(crate) fn has_member(&self, name: &str) -> bool {
        self.all().iter().any(|pause| match &pause.scope {
            PauseScope::Executor { executor } => executor == name,
            PauseScope::All | PauseScope::NodeType { .. } | PauseScope::Tenant { .. } => false,
        })
    }

    /// Whether nodes that are set aside have yet to become dispatches. The caller does
    /// that, or says [`Self::owe`].
    pub(crate) fn take_owed(&self) -> bool {
        self.owed.swap(false, Ordering::SeqCst)
    }

    pub(crate) fn owe(&self) {
        self.owed.store(true, Ordering::SeqCst);
    }

    fn put(&self, pauses: Vec<Pause>) {
        *self.in_force.write() = Arc::new(pauses);
        self.changes.send_modify(|changes| *changes += 1);
    }

    /// For the health report, which is public: no names, no reasons.
    /// Absent without a pause.
    pub(super) fn check(&self) -> Option<HealthCheck> {
        let count = self.all().len();
        let trouble = format!("Dispatch is paused by an operator, scopes: {count}: see `GET /x/dispatch`");
        let details = JsonObject::new().with("pauses", &count);
        (count > 0).then(|| HealthCheck::new("dispatch", Some(trouble), Some(details)))
    }
}

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
        pauses.put(others.chain([pause.clone()]).collect());
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
        pauses.put(others);
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
    use crate::{
        journal::conformance::{at, node, run},
        record::{Actor, Identity},
    };

    fn pause(scope: PauseScope) -> Pause {
        Pause { scope, since: at(1), by: Actor::Coordinator, reason: "why".into() }
    }

    fn executor(name: &str) -> PauseScope {
        PauseScope::Executor { executor: name.into() }
    }

    #[test]
    fn pauses_cover_the_nodes_in_their_scopes() {
        let pauses = Pauses::new();
        let owner = Identity { tenant: Some("acme".into()), ..Identity::bare("alice") };
        let (run, node) = (RunRecord { owner: Some(owner), ..run("a") }, node("a", "1"));
        let covered = |member| pauses.covering(&run, &node, Some(NodeKind::Atomic), member).is_some();
        for (scope, all, of_member, lane) in [
            (None, false, false, false),
            (Some(PauseScope::All), true, true, true),
            (Some(executor("atomic_executor")), true, true, true),
            (Some(executor("composite_executor")), false, false, false),
            (Some(executor("m")), false, true, false),
            (Some(PauseScope::NodeType { node_type_id: "type".into() }), true, true, false),
            (Some(PauseScope::NodeType { node_type_id: "other".into() }), false, false, false),
            (Some(PauseScope::Tenant { tenant: "acme".into() }), true, true, false),
        ] {
            pauses.put(scope.clone().map(pause).into_iter().collect());
            let found = (covered(None), covered(Some("m")), pauses.cover_executor(NodeKind::Atomic));
            assert_eq!(found, (all, of_member, lane), "{scope:?}");
        }
    }

    #[test]
    fn health_counts_pauses_and_names_none() {
        let pauses = Pauses::new();
        assert_eq!(pauses.check(), None);
        pauses.put(vec![pause(PauseScope::Tenant { tenant: "secret".into() })]);
        let message = pauses.check().and_then(|check| check.message).expect("a message");
        assert!(message.contains("scopes: 1") && !message.contains("secret"), "{message}");
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

    #[tokio::test]
    async fn begin_delays_a_change_of_the_pauses() {
        let pauses = Pauses::new();
        let begin = pauses.begins().await;
        assert!(pauses.turnstile.try_write().is_err());
        drop(begin);
        assert!(pauses.turnstile.try_write().is_ok());
    }
}
