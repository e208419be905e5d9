//! The executors of nodes (contract §17.1): the two roles, and their HTTP
//! clients.
//!
//! Calls have no time limit here: dispatch knows the deadline.

use async_trait::async_trait;

use crate::{
    clients::{
        CallError, Permit,
        atomic_executor::{
            self,
            types::{AtomicExecuteRequest, AtomicExecuteResult},
        },
        composite_executor::{
            self,
            types::{CompositeBeginRequest, CompositeBeginResponse},
        },
    },
    types::NodeRunId,
};

/// Executes atomic nodes.
#[async_trait]
pub trait AtomicExecutor: Send + Sync + 'static {
    /// Executes a node, for as long as the work takes. Nothing is sent once
    /// `permit` is withdrawn. Not idempotent.
    async fn execute(
        &self,
        request: &AtomicExecuteRequest,
        permit: &Permit,
    ) -> Result<AtomicExecuteResult, CallError>;
    /// Stops the work on a node, which has ended.
    async fn cancel(&self, node: &NodeRunId) -> Result<(), CallError>;
}

/// Executes composite nodes, by calls of our API.
#[async_trait]
pub trait CompositeExecutor: Send + Sync + 'static {
    /// Assigns a node. Idempotent per node. Nothing is sent once `permit` is
    /// withdrawn.
    async fn begin(
        &self,
        request: &CompositeBeginRequest,
        permit: &Permit,
    ) -> Result<CompositeBeginResponse, CallError>;
    /// Stops the work on a node, which has ended.
    async fn cancel(&self, node: &NodeRunId) -> Result<(), CallError>;
}

#[async_trait]
impl AtomicExecutor for atomic_executor::Client {
    async fn execute(
        &self,
        request: &AtomicExecuteRequest,
        permit: &Permit,
    ) -> Result<AtomicExecuteResult, CallError> {
        self.call(self.with_permit(permit).execute_atomic_node_run(request)).await
    }
    async fn cancel(&self, node: &NodeRunId) -> Result<(), CallError> {
        self.call(self.cancel_atomic_node_run(node)).await
    }
}

#[async_trait]
impl CompositeExecutor for composite_executor::Client {
    async fn begin(
        &self,
        request: &CompositeBeginRequest,
        permit: &Permit,
    ) -> Result<CompositeBeginResponse, CallError> {
        self.call(self.with_permit(permit).begin_composite_node_run(request)).await
    }
    async fn cancel(&self, node: &NodeRunId) -> Result<(), CallError> {
        self.call(self.cancel_composite_node_run(node)).await
    }
}
