//! Placeholder while the engine is being written: the signatures are final.
#![allow(unused_variables, clippy::todo, clippy::unused_async)]
mod error;
pub use error::{CoordinatorError, ErrorFacts, FieldError};

use bytes::Bytes;
use futures::stream::BoxStream;

use crate::{auth::Principal, ids::{NodeRunId, RunId}, model::*};

/// What part of an event stream is wanted.
#[derive(Clone, Debug, Default)]
pub struct StreamOptions {
    /// Give the events after this `seq`.
    pub after: u64,
    /// End after so many lines.
    pub limit: Option<u64>,
    /// Wait for more, until `run_completed`.
    pub follow: bool,
}

/// The lines of an event stream, each with its line end. An error breaks the
/// connection off, so that nobody takes a part for the whole.
/// (dropshot bodies must be Sync.)
pub type EventLines = std::pin::Pin<Box<dyn futures::Stream<Item = Result<Bytes, crate::store::StoreError>> + Send + Sync>>;

pub struct Coordinator {}

impl Coordinator {
    pub async fn run_start(&self, caller: &Principal, request: RunStartRequest) -> Result<Run, CoordinatorError> { todo!() }
    pub async fn run_get(&self, caller: &Principal, run: &RunId) -> Result<Run, CoordinatorError> { todo!() }
    pub async fn run_cancel(&self, caller: &Principal, run: &RunId) -> Result<Run, CoordinatorError> { todo!() }
    pub async fn run_events(&self, caller: &Principal, run: &RunId, options: StreamOptions) -> Result<EventLines, CoordinatorError> { todo!() }
    pub async fn node_runs_create(&self, caller: &Principal, request: NodeRunsCreateRequest) -> Result<NodeRunsCreateResponse, CoordinatorError> { todo!() }
    pub async fn node_run_get(&self, caller: &Principal, node: &NodeRunId) -> Result<NodeRun, CoordinatorError> { todo!() }
    pub async fn node_run_evaluate(&self, caller: &Principal, node: &NodeRunId, report: NodeRunEvaluationReportRequest) -> Result<(), CoordinatorError> { todo!() }
    pub async fn node_run_complete(&self, caller: &Principal, node: &NodeRunId, completion: NodeRunCompleteRequest) -> Result<(), CoordinatorError> { todo!() }
    pub async fn node_run_events(&self, caller: &Principal, node: &NodeRunId, options: StreamOptions) -> Result<EventLines, CoordinatorError> { todo!() }
    pub async fn health(&self) -> Health { todo!() }
}
