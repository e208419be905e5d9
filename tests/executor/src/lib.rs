//! The scripted executor of all test worlds: the integration tests, the
//! simulator, chaos and the conformance suite.
//!
//! Each world needs executors that misbehave in a known way, and each used to
//! have its own list of misbehaviours in its own spelling. There is one list now
//! ([`Behaviour`]), and one place that says what each of them does ([`Course`])
//! and what goes over the wire ([`Answer::reply`]). A new way to misbehave is a
//! row of that table, and all worlds can use it.
//!
//! ```text
//!   how a world chooses                      what it is              how it is carried out
//!   ───────────────────                      ──────────              ─────────────────────
//!   integration   the node type's name ──┐                        ┌─▶ Executors ──▶ Server (HTTP)
//!   conformance   the node's inputs ─────┼─▶ Behaviour ─▶ Course ─┤
//!   chaos         drawn by Chance ───────┤                        ├─▶ its ledger ─▶ Server (HTTP)
//!   simulator     drawn by Chance ───────┘                        └─▶ results and call errors, no sockets
//! ```
//!
//! The crate depends on nothing of the coordinator: chaos and the conformance
//! suite are black boxes, and the server's own tests depend on this crate. That
//! is also why it holds [`Chance`] for the simulator and chaos, while the fault
//! injector of the journal, which is part of the server's library, keeps its
//! own. The demo of the product has executors of its own as well: test code
//! does not belong into the product.

pub mod arrivals;
mod behaviour;
mod chance;
mod executors;
mod reply;
pub mod server;

pub use behaviour::{Answer, Behaviour, Course, Work};
pub use chance::Chance;
pub use executors::{Call, Executors};
pub use reply::{Reply, failed, refusal, result};
