//! The services that the coordinator calls.

/// A service that there is a client for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    ArtifactStore,
    AtomicExecutor,
    CompositeExecutor,
    EventStream,
    NodeRegistry,
    Operator,
    Pdp,
    RunCoordinator,
    RunStore,
    Selection,
}

impl Service {
    /// The name in messages (contract §17.1).
    pub fn label(self) -> &'static str {
        match self {
            Self::ArtifactStore => "Artifact Store",
            Self::AtomicExecutor => "Atomic Executor",
            Self::CompositeExecutor => "Composite Executor",
            Self::EventStream => "Event Stream",
            Self::NodeRegistry => "Node Registry",
            Self::Operator => "operator API",
            Self::Pdp => "PDP",
            Self::RunCoordinator => "Run Coordinator",
            Self::RunStore => "Run Store",
            Self::Selection => "Selection",
        }
    }

    /// The name in codes: `<name>_unavailable`.
    pub fn name(self) -> &'static str {
        match self {
            Self::ArtifactStore => "artifact_store",
            Self::AtomicExecutor => "atomic_executor",
            Self::CompositeExecutor => "composite_executor",
            Self::EventStream => "event_stream",
            Self::NodeRegistry => "node_registry",
            Self::Operator => "operator",
            Self::Pdp => "pdp",
            Self::RunCoordinator => "run_coordinator",
            Self::RunStore => "run_store",
            Self::Selection => "selection",
        }
    }
}
