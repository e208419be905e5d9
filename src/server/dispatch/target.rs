//! The pool of executors of a node: chosen once, by the node's kind.

use std::time::Duration;

use super::{
    executors::{Executors, Pool},
    gate::Gate,
};
use crate::{
    services::executors::{AtomicExecutor, CompositeExecutor},
    types::{Error, NodeKind, Uri},
};

/// A pool that is configured, with all that a call to a member needs.
#[derive(Clone, Copy)]
pub(super) enum Target<'e> {
    Atomic(&'e Pool<dyn AtomicExecutor>),
    Composite {
        pool: &'e Pool<dyn CompositeExecutor>,
        /// Where the composite calls us back.
        coordinator_url: &'e Uri,
        /// Time limit of the call that begins it.
        call_timeout: Duration,
    },
}

impl Executors {
    /// The executors for nodes of this kind, or the error of a node that has none
    /// (contract §9.2 step 5).
    pub(super) fn choose(&self, kind: Option<NodeKind>) -> Result<Target<'_>, Error> {
        match kind {
            None => Err(Error::new("unknown_node_kind", "Unable to resolve node kind")),
            Some(NodeKind::Atomic) => self.atomic.as_ref().map(Target::Atomic).ok_or_else(|| {
                Error::new("atomic_executor_unconfigured", "Atomic Executor is not configured")
            }),
            Some(NodeKind::Composite) => {
                let pool = self.composite.as_ref().ok_or_else(|| {
                    Error::new("composite_executor_unconfigured", "Composite Executor is not configured")
                })?;
                let coordinator_url = self.coordinator_url.as_ref().ok_or_else(|| {
                    let message = "Coordinator URL is required to dispatch composites";
                    Error::new("coordinator_url_unconfigured", message)
                })?;
                Ok(Target::Composite { pool, coordinator_url, call_timeout: self.call_timeout })
            }
        }
    }
}

impl Target<'_> {
    pub(super) fn kind(&self) -> NodeKind {
        match self {
            Self::Atomic(_) => NodeKind::Atomic,
            Self::Composite { .. } => NodeKind::Composite,
        }
    }

    pub(super) fn gate(&self) -> &Gate {
        match self {
            Self::Atomic(pool) => &pool.gate,
            Self::Composite { pool, .. } => &pool.gate,
        }
    }
}
