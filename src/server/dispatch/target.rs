//! The executor of a node: chosen once, by the node's kind.

use std::time::Duration;

use super::{
    executors::{Executor, Executors},
    gate::Gate,
};
use crate::{
    services::executors::{AtomicExecutor, CompositeExecutor},
    types::{Error, ExecutorBinding, NodeKind, Uri},
};

/// An executor that is configured, with all that a call to it needs.
#[derive(Clone, Copy)]
pub(super) enum Target<'e> {
    Atomic(&'e Executor<dyn AtomicExecutor>),
    Composite {
        executor: &'e Executor<dyn CompositeExecutor>,
        /// Where the composite calls us back.
        coordinator_url: &'e Uri,
        /// Time limit of the call that begins it.
        call_timeout: Duration,
    },
}

impl Executors {
    /// The executor for nodes of this kind, or the error of a node that has none
    /// (contract §9.2 step 6).
    pub(super) fn choose(&self, kind: Option<NodeKind>) -> Result<Target<'_>, Error> {
        match kind {
            None => Err(Error::new("unknown_node_kind", "Unable to resolve node kind")),
            Some(NodeKind::Atomic) => self.atomic.as_ref().map(Target::Atomic).ok_or_else(|| {
                Error::new("atomic_executor_unconfigured", "Atomic Executor is not configured")
            }),
            Some(NodeKind::Composite) => {
                let executor = self.composite.as_ref().ok_or_else(|| {
                    Error::new("composite_executor_unconfigured", "Composite Executor is not configured")
                })?;
                let coordinator_url = self.coordinator_url.as_ref().ok_or_else(|| {
                    let message = "Coordinator URL is required to dispatch composites";
                    Error::new("coordinator_url_unconfigured", message)
                })?;
                Ok(Target::Composite { executor, coordinator_url, call_timeout: self.call_timeout })
            }
        }
    }
}

impl Target<'_> {
    pub(super) fn gate(&self) -> &Gate {
        match self {
            Self::Atomic(executor) => &executor.gate,
            Self::Composite { executor, .. } => &executor.gate,
        }
    }

    pub(super) fn binding(&self) -> &ExecutorBinding {
        match self {
            Self::Atomic(executor) => &executor.binding,
            Self::Composite { executor, .. } => &executor.binding,
        }
    }
}
