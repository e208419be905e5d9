//! The executors that nodes are handed to: what they can be asked, and, for
//! those over HTTP, how (contract §17.1).
//!
//! No call has a time limit of its own: the caller knows the deadline.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::slots::Slots;
use crate::{
    clients::{
        CallError, Permit, Service,
        atomic_executor::{
            self,
            types::{AtomicExecuteRequest, AtomicExecuteResult},
        },
        composite_executor::{
            self,
            types::{CompositeBeginRequest, CompositeBeginResponse},
        },
    },
    resilience::{Breaker, CallHealth},
    time::Timestamp,
    types::{ExecutorBinding, NodeKind, NodeRunId, Uri},
};

/// Does the work of atomic nodes.
#[async_trait]
pub trait AtomicExecutor: Send + Sync + 'static {
    /// Does all of a node's work, for as long as that takes. Without `permit`
    /// nothing is sent any more.
    async fn execute(
        &self,
        request: &AtomicExecuteRequest,
        permit: &Permit,
    ) -> Result<AtomicExecuteResult, CallError>;
    /// The node is over: whatever is done about it can be left.
    async fn cancel(&self, node: &NodeRunId) -> Result<(), CallError>;
}

/// Does the work of composite nodes, through our API.
#[async_trait]
pub trait CompositeExecutor: Send + Sync + 'static {
    /// Takes a node on. One that it has already is no news to it. Without
    /// `permit` nothing is sent any more.
    async fn begin(
        &self,
        request: &CompositeBeginRequest,
        permit: &Permit,
    ) -> Result<CompositeBeginResponse, CallError>;
    /// The node is over: whatever is done about it can be left.
    async fn cancel(&self, node: &NodeRunId) -> Result<(), CallError>;
}

#[async_trait]
impl AtomicExecutor for atomic_executor::Client {
    async fn execute(
        &self,
        request: &AtomicExecuteRequest,
        permit: &Permit,
    ) -> Result<AtomicExecuteResult, CallError> {
        let answer = self.with_permit(permit).execute_atomic_node_run(request).await;
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
    async fn begin(
        &self,
        request: &CompositeBeginRequest,
        permit: &Permit,
    ) -> Result<CompositeBeginResponse, CallError> {
        let answer = self.with_permit(permit).begin_composite_node_run(request).await;
        answer
            .map(progenitor_client::ResponseValue::into_inner)
            .map_err(|error| CallError::new(Service::CompositeExecutor, error))
    }
    async fn cancel(&self, node: &NodeRunId) -> Result<(), CallError> {
        let answer = self.cancel_composite_node_run(node).await;
        answer.map(drop).map_err(|error| CallError::new(Service::CompositeExecutor, error))
    }
}

/// So many calls may tell an executor at once that nodes are over.
const TELLING: usize = 64;

/// One executor: who it is, how a NodeRun names it, and the way to it.
pub struct Executor<E: ?Sized> {
    pub role: Arc<E>,
    pub(super) binding: ExecutorBinding,
    pub(super) gate: Gate,
}

/// The way to an executor: how many calls may be under way, and whether it is
/// left alone.
pub(super) struct Gate {
    pub(super) service: Service,
    pub(super) slots: Arc<Slots>,
    breaker: Mutex<Breaker>,
    telling: Semaphore,
}

impl Gate {
    fn new(service: Service, max_in_flight: usize) -> Self {
        Self {
            service,
            slots: Slots::new(max_in_flight),
            breaker: Mutex::new(Breaker::new()),
            telling: Semaphore::new(TELLING),
        }
    }

    /// Whether a call may go now; if not, when to ask again.
    pub(super) fn admit(&self, now: Timestamp) -> Result<(), Timestamp> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner).admit(now)
    }

    /// How a call went.
    pub(super) fn report<T>(&self, answer: &Result<T, CallError>, now: Timestamp) {
        let health = match answer {
            Ok(_) => CallHealth::Healthy,
            Err(error) if !error.is_about_the_service() => return,
            Err(error) => match error.status {
                None | Some(429 | 502..=504) => CallHealth::Failed { retry_after: error.retry_after },
                Some(_) => CallHealth::Healthy,
            },
        };
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner).report(health, now);
    }

    /// A call was dropped before it came to anything.
    pub(super) fn dropped(&self, now: Timestamp) {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner).dropped(now);
    }

    /// Until when it is left alone, if it is.
    pub(super) fn open_until(&self) -> Option<Timestamp> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner).open_until()
    }

    /// The right to tell it that a node is over. Those who ask first are
    /// first.
    pub(super) async fn telling(&self) -> Option<SemaphorePermit<'_>> {
        self.telling.acquire().await.ok()
    }
}

impl<E: ?Sized> Executor<E> {
    fn at(service: Service, role: Arc<E>, instance_id: &str, endpoint: Uri, max_in_flight: usize) -> Self {
        let binding = ExecutorBinding {
            executor_instance_id: instance_id.into(),
            endpoint,
            audience: None,
            extensions: None,
        };
        Self { role, binding, gate: Gate::new(service, max_in_flight) }
    }
}

impl Executor<dyn AtomicExecutor> {
    /// The executor of atomic nodes, which is at `endpoint` as NodeRuns tell.
    pub fn atomic(role: impl AtomicExecutor, endpoint: Uri, max_in_flight: usize) -> Self {
        let role = Arc::new(role);
        Self::at(Service::AtomicExecutor, role, "arp-jarvis-atomic-executor", endpoint, max_in_flight)
    }
}

impl Executor<dyn CompositeExecutor> {
    /// The executor of composite nodes, which is at `endpoint` as NodeRuns
    /// tell.
    pub fn composite(role: impl CompositeExecutor, endpoint: Uri, max_in_flight: usize) -> Self {
        let role = Arc::new(role);
        Self::at(Service::CompositeExecutor, role, "arp-jarvis-composite-executor", endpoint, max_in_flight)
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
    /// All there are, by the kind of their nodes.
    pub(super) fn gates(&self) -> impl Iterator<Item = (NodeKind, &Gate)> {
        let atomic = self.atomic.as_ref().map(|executor| (NodeKind::Atomic, &executor.gate));
        let composite = self.composite.as_ref().map(|executor| (NodeKind::Composite, &executor.gate));
        atomic.into_iter().chain(composite)
    }
}
