//! The services around us, one role a module: what their calls mean, without
//! saying when they are made.
//!
//! ```text
//!   dispatch ───────▶ executors                      does the work of nodes
//!   coordinator ────▶ policy                         permits runs and nodes
//!               ├───▶ node_registry                  knows the kind and constraints of node types
//!               └───▶ artifact_store                 takes large outputs
//!   coordinator ────▶ run_store, event_stream        adopts runs of other coordinators
//!   outbox ─────────▶ run_store, event_stream        brings every change
//! ```
//!
//! The JARVIS stores (contract §14 to §16) have neither versions nor transactions
//! across objects. One writer per run, keys made of ids, and numbered events make
//! every write to them repeatable.
//!
//! Executors, the policy point, the registry, and what the outbox sends to are traits,
//! which their HTTP clients implement: the simulator and tests put others in their place.
//!
//! **Invariant.** Each call has a time limit, and ends in an answer or a
//! [`CallError`](crate::clients::CallError); except for the work of an atomic
//! node, whose limit is the deadline of the node.

pub mod artifact_store;
pub mod event_stream;
pub mod executors;
pub mod node_registry;
pub mod policy;
pub mod run_store;
pub mod schemas;

pub use artifact_store::ArtifactStore;
pub use event_stream::{Appended, EventLog, EventStream};
pub use run_store::{ObjectStore, RunStore};

/// The JARVIS stores.
#[derive(Clone)]
pub struct Stores {
    pub runs: RunStore,
    pub events: EventStream,
    pub artifacts: ArtifactStore,
}
