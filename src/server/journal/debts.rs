//! What becomes of the outbox in a start without JARVIS stores. That something is owed
//! is stored, so that such a start cannot leave a gap in what they have.
//!
//! ```text
//!                 started with stores
//!   owes nothing ─────────────────────▶ owes every change
//!        ▲                                │ started without stores:
//!        │ forget: entries are deleted    ├─ refuse: the start fails
//!        └────────────────────────────────┴─ owe: entries are kept, and sent after
//!                                                 the next start with stores
//! ```

/// What a start without stores does about entries that they are owed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WithoutStores {
    Refuse,
    Owe,
    Forget,
}

/// What a journal without stores owes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owing {
    Nothing,
    /// Every change: the entries are kept.
    Everything,
    /// Nothing any more: this many entries were deleted.
    Forgotten(u64),
}
