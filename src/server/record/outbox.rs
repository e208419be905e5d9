//! Outbox entries: how the JARVIS stores hear of a change.
//!
//! An entry names an object or a range of events. The outbox pump reads the
//! content when it sends the entry, so an object that changes often is not sent
//! often.

use crate::types::NodeRunId;

/// Something of one run that a JARVIS store has yet to receive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutboxItem {
    /// The Run. `new`: the store does not have it yet.
    Run { new: bool },
    /// A NodeRun. `new`: the store does not have it yet.
    NodeRun { node_run_id: NodeRunId, new: bool },
    /// The events from `first` to `last`.
    Events { first: u64, last: u64 },
}

impl OutboxItem {
    pub fn recipient(&self) -> Recipient {
        match self {
            Self::Run { .. } | Self::NodeRun { .. } => Recipient::RunStore,
            Self::Events { .. } => Recipient::EventStream,
        }
    }
}

/// The store that an entry is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Recipient {
    RunStore,
    EventStream,
}

impl Recipient {
    pub const ALL: [Self; 2] = [Self::RunStore, Self::EventStream];
}
