//! The executors that are configured, with the gate before each.

use std::{sync::Arc, time::Duration};

use super::gate::Gate;
use crate::{
    clients::Service,
    services::executors::{AtomicExecutor, CompositeExecutor},
    types::{ExecutorBinding, NodeKind, Uri},
};

/// One executor: its role, how a NodeRun names it, and the gate before it.
pub struct Executor<E: ?Sized> {
    pub role: Arc<E>,
    pub(super) binding: ExecutorBinding,
    pub(super) gate: Gate,
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
    /// The executor of atomic nodes. `endpoint` is what NodeRuns show.
    pub fn atomic(role: impl AtomicExecutor, endpoint: Uri, max_in_flight: usize) -> Self {
        let role = Arc::new(role);
        Self::at(Service::AtomicExecutor, role, "arp-jarvis-atomic-executor", endpoint, max_in_flight)
    }
}

impl Executor<dyn CompositeExecutor> {
    /// The executor of composite nodes. `endpoint` is what NodeRuns show.
    pub fn composite(role: impl CompositeExecutor, endpoint: Uri, max_in_flight: usize) -> Self {
        let role = Arc::new(role);
        Self::at(Service::CompositeExecutor, role, "arp-jarvis-composite-executor", endpoint, max_in_flight)
    }
}

/// The executors that are configured.
pub struct Executors {
    pub atomic: Option<Executor<dyn AtomicExecutor>>,
    pub composite: Option<Executor<dyn CompositeExecutor>>,
    /// Where composite executors call us back.
    pub coordinator_url: Option<Uri>,
    /// The limit of calls that are answered at once: begin and cancel.
    pub call_timeout: Duration,
}

impl Executors {
    /// All gates, by the kind of their nodes.
    pub(super) fn gates(&self) -> impl Iterator<Item = (NodeKind, &Gate)> {
        let atomic = self.atomic.as_ref().map(|executor| (NodeKind::Atomic, &executor.gate));
        let composite = self.composite.as_ref().map(|executor| (NodeKind::Composite, &executor.gate));
        atomic.into_iter().chain(composite)
    }
}
