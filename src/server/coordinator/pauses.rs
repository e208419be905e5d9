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
//! - `requests`: what operators ask.
//!
//! **Invariants.** When a pause is answered, no node in its scope begins an attempt
//! until it is resumed: each begin holds [`Pauses::begins`] from its decision to its
//! commit, and where other processes change the pauses, too, it is not committed under
//! others than it was decided under ([`Pauses::version`]). When a pause ends, every node that it has set aside becomes a dispatch
//! again: [`Pauses::take_owed`] is true from then on, and after each start of a
//! process, until that is done. The number of pauses is bounded.

mod requests;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use parking_lot::RwLock;
use tokio::sync::{RwLock as Turnstile, RwLockReadGuard, watch};

use crate::{
    journal::{Journal, JournalError, StoredPauses},
    record::{NodeRecord, Pause, PauseScope, PauseSubject, PausesVersion, RunRecord, executor_name},
    types::{HealthCheck, JsonObject, NodeKind},
};

/// The maximum number of pauses at a time.
const PAUSES_MAX: usize = 1000;

/// The pauses that are in force.
pub(crate) struct Pauses {
    in_force: RwLock<InForce>,
    /// Begins of attempts pass it together, and a change of the pauses alone.
    turnstile: Turnstile<()>,
    /// Counts the changes.
    changes: watch::Sender<u64>,
    /// Nodes may be set aside that nothing sets aside any more.
    owed: AtomicBool,
}

#[derive(Default)]
struct InForce {
    pauses: Arc<Vec<Pause>>,
    /// Where other processes change them, too: which these are.
    version: Option<PausesVersion>,
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
        let StoredPauses { version, pauses } = journal.pauses().await?;
        let (count, before) = (pauses.len(), self.all());
        if journal.is_shared() {
            self.in_force.write().version = Some(version);
        }
        // What waits for a slot looks again after each change.
        if *before != pauses {
            // One that is over may have set nodes aside, and who has ended it may be gone.
            if before.iter().any(|pause| !pauses.contains(pause)) {
                self.owe();
            }
            self.put(pauses);
        }
        Ok(count)
    }

    /// Which pauses these are, if other processes change them, too: what is decided under
    /// them is committed under them, or not at all.
    pub(crate) fn version(&self) -> Option<PausesVersion> {
        self.in_force.read().version
    }

    /// Takes over a change that this process has stored.
    async fn stored(&self, journal: &dyn Journal, pauses: Vec<Pause>) -> Result<(), JournalError> {
        if journal.is_shared() {
            return self.load(journal).await.map(drop);
        }
        self.put(pauses);
        Ok(())
    }

    /// The pauses that are in force now.
    pub(crate) fn all(&self) -> Arc<Vec<Pause>> {
        Arc::clone(&self.in_force.read().pauses)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.in_force.read().pauses.is_empty()
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
        self.in_force.write().pauses = Arc::new(pauses);
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

    #[tokio::test]
    async fn begin_delays_a_change_of_the_pauses() {
        let pauses = Pauses::new();
        let begin = pauses.begins().await;
        assert!(pauses.turnstile.try_write().is_err());
        drop(begin);
        assert!(pauses.turnstile.try_write().is_ok());
    }
}
