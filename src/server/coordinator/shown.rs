//! Records and events as operators read them, and what a caller may do at all
//! (contract §25).
//!
//! ```text
//!   record, events ─▶ authorize ─▶ as the ARP API shows them
//!   profile ────────▶ a caller at all? ─▶ who it is, the operations that no rule withholds
//! ```
//!
//! **Invariant:** a profile grants nothing. Each request is authorized by itself.

use super::{Coordinator, EventLines, StreamOptions, error::CoordinatorError};
use crate::{
    auth::Principal,
    record::{Identity, Interface, Operation},
    types::{NodeRun, NodeRunId, Run, RunId},
};

/// Who a caller is, and what it may do with some run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    pub identity: Identity,
    pub may: Vec<Operation>,
}

impl Coordinator {
    /// A run, for an operator.
    pub async fn run_show(&self, caller: &Principal, run: &RunId) -> Result<Run, CoordinatorError> {
        Ok(self.run_authorize(caller, Operation::ShowRun, run).await?.run)
    }

    /// A NodeRun with its inputs and outputs, for an operator.
    pub async fn node_run_show(
        &self,
        caller: &Principal,
        node: &NodeRunId,
    ) -> Result<NodeRun, CoordinatorError> {
        Ok(self.node_authorize(caller, Operation::ShowNodeRun, node).await?.node)
    }

    /// The events of a run, for an operator; with `tail`, at most that many of those
    /// that there are, the newest.
    pub async fn run_events_show(
        &self,
        caller: &Principal,
        run: &RunId,
        mut options: StreamOptions,
        tail: Option<u64>,
    ) -> Result<EventLines, CoordinatorError> {
        let record = self.run_authorize(caller, Operation::ShowRunEvents, run).await?;
        if let Some(tail) = tail {
            options.after = options.after.max(record.last_seq.saturating_sub(tail));
        }
        Ok(self.committer.events.stream(run.clone(), None, options))
    }

    /// Who the caller is, and which operations of the operator API it may ask for.
    pub async fn profile(&self, caller: &Principal) -> Result<Profile, CoordinatorError> {
        self.list_authorize(caller, Operation::WhoAmI).await?;
        let operations = Operation::of(Interface::Operator);
        let may = operations.filter(|operation| self.authority.may_ever(caller, *operation)).collect();
        Ok(Profile { identity: caller.identity().clone(), may })
    }

    /// Authorizes a look at the server itself: any caller, but no executor.
    pub async fn system_authorize(&self, caller: &Principal) -> Result<(), CoordinatorError> {
        self.list_authorize(caller, Operation::GetSystem).await
    }

    /// Authorizes a look at the settings: they name hosts, tenants and files.
    pub async fn configuration_authorize(&self, caller: &Principal) -> Result<(), CoordinatorError> {
        self.server_authorize(caller, Operation::GetConfiguration).await
    }
}
