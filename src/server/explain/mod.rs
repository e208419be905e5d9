//! Why a run or a NodeRun does not move: every live record has at least one
//! reason, and an ended one says how it ended.
//!
//! ```text
//!   record · what is in memory about it ──▶ node_reasons ──▶ [Reason]: what, since, until, who can act
//!   live heads of a run ── stuck_first ──▶ the few nodes that hold the run up ──▶ node_reasons of each
//! ```
//!
//! - `cause`: what there is to say, and the sentence for it.
//! - `node`: the causes of one NodeRun.
//! - `run`: which nodes of a run to explain.
//!
//! **Architecture invariants.** Pure: records and facts in, words out. No live
//! record is without a reason, which property tests hold against every state that
//! the engine and the simulator reach.

mod cause;
mod node;
mod run;
#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) use self::cause::suggested_commands;
pub use self::{
    cause::{Acts, Cause, Reason},
    node::{Below, ExecutorFacts, Facts, ParkedFacts, node_reasons},
    run::{below, by_state, stuck_first},
};
