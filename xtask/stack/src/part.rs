//! The parts of a stack, and whether they demand tokens.

/// A process of the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    Sts,
    Model,
    RunStore,
    EventStream,
    ArtifactStore,
    NodeRegistry,
    Pdp,
    AtomicExecutor,
    CompositeExecutor,
    Selection,
    Coordinator,
    Gateway,
}

impl Part {
    pub const ALL: [Self; 12] = [
        Self::Sts,
        Self::Model,
        Self::RunStore,
        Self::EventStream,
        Self::ArtifactStore,
        Self::NodeRegistry,
        Self::Pdp,
        Self::AtomicExecutor,
        Self::CompositeExecutor,
        Self::Selection,
        Self::Coordinator,
        Self::Gateway,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Sts => "sts",
            Self::Model => "model",
            Self::RunStore => "run-store",
            Self::EventStream => "event-stream",
            Self::ArtifactStore => "artifact-store",
            Self::NodeRegistry => "node-registry",
            Self::Pdp => "pdp",
            Self::AtomicExecutor => "atomic-executor",
            Self::CompositeExecutor => "composite-executor",
            Self::Selection => "selection",
            Self::Coordinator => "coordinator",
            Self::Gateway => "gateway",
        }
    }

    /// The audience of its tokens, as its callers ask for by default.
    pub fn audience(self) -> &'static str {
        match self {
            Self::Sts => "arp-sts",
            Self::Model => "arp-model",
            Self::RunStore => "arp-jarvis-runstore",
            Self::EventStream => "arp-jarvis-eventstream",
            Self::ArtifactStore => "arp-jarvis-artifactstore",
            Self::NodeRegistry => "arp-jarvis-noderegistry",
            Self::Pdp => "arp-jarvis-pdp",
            Self::AtomicExecutor => "arp-jarvis-atomicexecutor",
            Self::CompositeExecutor => "arp-jarvis-compositeexecutor",
            Self::Selection => "arp-jarvis-selection",
            Self::Coordinator => "arp-run-coordinator",
            Self::Gateway => "arp-run-gateway",
        }
    }

    /// The turn in which it is started: services read the STS's keys at their start,
    /// and a coordinator logs errors if the services that it calls are missing.
    pub(super) fn turn(self) -> Turn {
        match self {
            Self::Sts => Turn::First,
            Self::Coordinator => Turn::Last,
            Self::Model
            | Self::RunStore
            | Self::EventStream
            | Self::ArtifactStore
            | Self::NodeRegistry
            | Self::Pdp
            | Self::AtomicExecutor
            | Self::CompositeExecutor
            | Self::Selection
            | Self::Gateway => Turn::Then,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    First,
    Then,
    Last,
}

/// Whether callers must authenticate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Profile {
    /// No service demands tokens.
    DevInsecure,
    /// Every service demands a token of the STS, for its own audience.
    Jwt,
}

impl Profile {
    pub fn name(self) -> &'static str {
        match self {
            Self::DevInsecure => "dev-insecure",
            Self::Jwt => "jwt",
        }
    }
}

/// A variable of the environment.
pub type Var = (String, String);

/// The client id of a part.
pub(super) fn client_of(part: Part) -> String {
    format!("jarvis-{}", part.name())
}

/// The secret of a client.
pub(super) fn secret_of(client: &str) -> String {
    format!("{client}-secret")
}
