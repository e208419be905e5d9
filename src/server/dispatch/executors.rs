//! The executors that are configured: for each kind of node a pool, with the gate
//! before it.

use std::{sync::Arc, time::Duration};

use slog::Logger;

use super::gate::{Gate, GateOptions, Names};
use crate::{
    clients::Service,
    services::executors::{AtomicExecutor, CompositeExecutor},
    time::Clock,
    types::{ExecutorBinding, NodeKind, Uri},
};

/// The executors of one kind of nodes: one, or several that do the same work.
pub struct Pool<E: ?Sized> {
    roles: Vec<Arc<E>>,
    pub(super) gate: Gate,
}

/// A member of a pool. `endpoint` and `instance_id` are what NodeRuns show.
pub struct Member<E: ?Sized> {
    pub role: Arc<E>,
    pub instance_id: String,
    pub endpoint: Uri,
    pub audience: Option<String>,
}

/// What the members of a pool have in common.
pub struct PoolOptions {
    pub names: Names,
    /// Maximum number of concurrent calls to each member.
    pub max_in_flight: usize,
    pub clock: Arc<dyn Clock>,
    pub log: Logger,
}

impl<E: ?Sized> Member<E> {
    fn binding(&self) -> ExecutorBinding {
        ExecutorBinding {
            executor_instance_id: self.instance_id.clone(),
            endpoint: self.endpoint.clone(),
            audience: self.audience.clone(),
            extensions: None,
        }
    }
}

impl<E: ?Sized> Pool<E> {
    fn of(service: Service, members: Vec<Member<E>>, options: PoolOptions) -> Self {
        let PoolOptions { names, max_in_flight, clock, log } = options;
        let bindings = members.iter().map(Member::binding).collect();
        let gate = Gate::new(GateOptions { service, names, max_in_flight, clock, log }, bindings);
        Self { roles: members.into_iter().map(|member| member.role).collect(), gate }
    }

    pub(super) fn role(&self, member: super::slots::MemberNumber) -> &E {
        &self.roles[member.0]
    }
}

impl Pool<dyn AtomicExecutor> {
    /// The instance id of a single executor without a name.
    pub const SINGLE: &str = "arp-jarvis-atomic-executor";

    /// The executors of atomic nodes.
    pub fn atomic(members: Vec<Member<dyn AtomicExecutor>>, options: PoolOptions) -> Self {
        Self::of(Service::AtomicExecutor, members, options)
    }
}

impl Pool<dyn CompositeExecutor> {
    /// The instance id of a single executor without a name.
    pub const SINGLE: &str = "arp-jarvis-composite-executor";

    /// The executors of composite nodes.
    pub fn composite(members: Vec<Member<dyn CompositeExecutor>>, options: PoolOptions) -> Self {
        Self::of(Service::CompositeExecutor, members, options)
    }
}

/// The executors that are configured.
pub struct Executors {
    pub atomic: Option<Pool<dyn AtomicExecutor>>,
    pub composite: Option<Pool<dyn CompositeExecutor>>,
    /// Where composite executors call us back.
    pub coordinator_url: Option<Uri>,
    /// The limit of calls that are answered at once: begin and cancel.
    pub call_timeout: Duration,
}

impl Executors {
    /// All gates, by the kind of their nodes.
    pub(super) fn gates(&self) -> impl Iterator<Item = (NodeKind, &Gate)> {
        let atomic = self.atomic.as_ref().map(|pool| (NodeKind::Atomic, &pool.gate));
        let composite = self.composite.as_ref().map(|pool| (NodeKind::Composite, &pool.gate));
        atomic.into_iter().chain(composite)
    }
}
