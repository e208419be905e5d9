//! A hold: an operator keeps a run from starting work, for a time or until it is
//! released.
//!
//! ```text
//!   hold ──▶ held ─┬─ released by a caller ──▶ its nodes are dispatched
//!     ▲  again │   ├─ `until` has passed ────▶ the same
//!     └────────┘   └─ the run ends ──────────▶ over
//! ```
//!
//! **Invariant:** a hold is bounded: its reason has at most
//! [`REASON_BYTES`](super::REASON_BYTES).

use serde::{Deserialize, Serialize};

use super::Actor;
use crate::time::Timestamp;

/// That a run is held, as its record has it and the Run shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    pub since: Timestamp,
    /// Who held it, or changed the hold last.
    pub by: Actor,
    pub reason: String,
    /// When it is released by itself. `None`: a caller has to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}
