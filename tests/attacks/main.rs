//! Attacks on the real program, over raw sockets: each with the answer that is
//! due, and afterwards the program is as it was.
//!
//! ```text
//!   test ──▶ Target: the program in a process of its own, its executors, its journal
//!     │         ▲
//!     │ bytes   │ unharmed(): healthy · nothing written · nothing called · peak memory under a bound
//!     └─────────┘
//! ```
//!
//! | | |
//! |---|---|
//! | `json` | nesting, numbers of values, long numbers, escapes, sizes |
//! | `slow` | bodies and heads that never come, connections that say nothing |
//! | `paths` | dot segments, slashes, backslashes, bytes that are no UTF-8 |
//! | `smuggling` | two lengths, lengths and chunks, folded and too many headers |
//! | `tokens` | forged, confused, huge and doubled credentials |
//! | `logs` | forged lines, floods |
//! | `answers` | executors and a registry that answer without end, or about something else |
//!
//! Every process has one group of attacks, so its peak memory is that group's.

#![allow(unreachable_pub, reason = "a test binary exports nothing")]
#![allow(clippy::needless_pass_by_value, reason = "`json!({})` reads better without a borrow")]

mod answers;
mod json;
mod logs;
mod paths;
mod slow;
mod smuggling;
mod target;
mod tokens;

#[path = "../integration/support/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the integration tests use the rest")]
mod support;
