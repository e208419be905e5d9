//! The executors that nodes are handed to: what they can be asked, and, for
//! those over HTTP, how (contract §17.1).
//!
//! No call has a time limit of its own: the caller knows the deadline.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::sync::Semaphore;

use crate::{
    clients::{
        CallError, Service,
        atomic_executor::{
            self,
            types::{AtomicExecuteRequest, AtomicExecuteResult},
        },
        composite_executor::{
            self,
            types::{CompositeBeginRequest, CompositeBeginResponse},
        },
    },
    ids::NodeRunId,
    model::{Error, ExecutorBinding, NodeKind, Uri},
};

/// Does the work of atomic nodes.
#[async_trait]
pub trait AtomicExecutor: Send + Sync + 'static {
    /// Does all of a node's work, for as long as that takes.
    async fn execute(&self, request: &AtomicExecuteRequest) -> Result<AtomicExecuteResult, CallError>;
    /// The node is over: whatever is done about it can be left.
    async fn cancel(&self, node: &NodeRunId) -> Result<(), CallError>;
}

/// Does the work of composite nodes, through our API.
#[async_trait]
pub trait CompositeExecutor: Send + Sync + 'static {
    /// Takes a node on. One that it has already is no news to it.
    async fn begin(&self, request: &CompositeBeginRequest) -> Result<CompositeBeginResponse, CallError>;
    /// The node is over: whatever is done about it can be left.
    async fn cancel(&self, node: &NodeRunId) -> Result<(), CallError>;
}

#[async_trait]
impl AtomicExecutor for atomic_executor::Client {
    async fn execute(&self, request: &AtomicExecuteRequest) -> Result<AtomicExecuteResult, CallError> {
        let answer = self.execute_atomic_node_run(request).await;
        answer
            .map(progenitor_client::ResponseValue::into_inner)
            .map_err(|error| CallError::new(Service::AtomicExecutor, error))
    }
    async fn cancel(&self, node: &NodeRunId) -> Result<(), CallError> {
        let answer = self.cancel_atomic_node_run(node).await;
        answer.map(drop).map_err(|error| CallError::new(Service::AtomicExecutor, error))
    }
}

#[async_trait]
impl CompositeExecutor for composite_executor::Client {
    async fn begin(&self, request: &CompositeBeginRequest) -> Result<CompositeBeginResponse, CallError> {
        let answer = self.begin_composite_node_run(request).await;
        answer
            .map(progenitor_client::ResponseValue::into_inner)
            .map_err(|error| CallError::new(Service::CompositeExecutor, error))
    }
    async fn cancel(&self, node: &NodeRunId) -> Result<(), CallError> {
        let answer = self.cancel_composite_node_run(node).await;
        answer.map(drop).map_err(|error| CallError::new(Service::CompositeExecutor, error))
    }
}

/// One executor: who it is, how a NodeRun names it, and how many calls may be
/// under way.
pub struct Executor<E: ?Sized> {
    pub role: Arc<E>,
    binding: ExecutorBinding,
    pub(super) slots: Arc<Semaphore>,
}

impl<E: ?Sized> Executor<E> {
    pub fn new(role: Arc<E>, instance_id: &str, endpoint: Uri, max_in_flight: usize) -> Self {
        let binding = ExecutorBinding {
            executor_instance_id: instance_id.into(),
            endpoint,
            audience: None,
            extensions: None,
        };
        Self { role, binding, slots: Arc::new(Semaphore::new(max_in_flight)) }
    }
}

/// The executors that are configured.
pub struct Executors {
    pub atomic: Option<Executor<dyn AtomicExecutor>>,
    pub composite: Option<Executor<dyn CompositeExecutor>>,
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
