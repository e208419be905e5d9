//! The executors that nodes are handed to.

use std::{sync::Arc, time::Duration};

use tokio::sync::Semaphore;

use crate::{
    clients::{atomic_executor, composite_executor},
    model::{Error, ExecutorBinding, NodeKind, Uri},
};

/// One executor: its client, how a NodeRun names it, and how many calls may be
/// under way.
pub struct Executor<C> {
    pub client: C,
    binding: ExecutorBinding,
    pub(super) slots: Arc<Semaphore>,
}

impl<C> Executor<C> {
    pub fn new(client: C, instance_id: &str, endpoint: Uri, max_in_flight: usize) -> Self {
        let binding = ExecutorBinding {
            executor_instance_id: instance_id.into(),
            endpoint,
            audience: None,
            extensions: None,
        };
        Self { client, binding, slots: Arc::new(Semaphore::new(max_in_flight)) }
    }
}

/// The executors that are configured.
pub struct Executors {
    pub atomic: Option<Executor<atomic_executor::Client>>,
    pub composite: Option<Executor<composite_executor::Client>>,
    /// Where composites call us back.
    pub coordinator_url: Option<Uri>,
    /// For calls that are answered at once: begin and cancel.
    pub call_timeout: Duration,
}

impl Executors {
    /// Who executes nodes of this kind, or why nobody does (contract §9.2 step
    /// 6).
    pub(super) fn binding(&self, kind: NodeKind) -> Result<ExecutorBinding, Error> {
        match kind {
            NodeKind::Atomic => match &self.atomic {
                Some(executor) => Ok(executor.binding.clone()),
                None => Err(Error::new("atomic_executor_unconfigured", "Atomic Executor is not configured")),
            },
            NodeKind::Composite => match (&self.composite, &self.coordinator_url) {
                (Some(executor), Some(_)) => Ok(executor.binding.clone()),
                (None, _) => {
                    Err(Error::new("composite_executor_unconfigured", "Composite Executor is not configured"))
                }
                (Some(_), None) => Err(Error::new(
                    "coordinator_url_unconfigured",
                    "Coordinator URL is required to dispatch composites",
                )),
            },
        }
    }

    /// Where a node of this kind waits for its turn.
    pub(super) fn slots(&self, kind: Option<NodeKind>) -> Option<&Arc<Semaphore>> {
        match kind {
            Some(NodeKind::Composite) => self.composite.as_ref().map(|executor| &executor.slots),
            Some(NodeKind::Atomic) | None => self.atomic.as_ref().map(|executor| &executor.slots),
        }
    }
}
