//! Attacks on the real program over raw sockets. Each attack gets the answer that the
//! contract demands, and leaves the program healthy and its memory bounded.
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
//! | `json` | nesting, many values, long numbers, escapes, large bodies |
//! | `slow` | bodies and heads that never arrive, silent connections |
//! | `paths` | dot segments, slashes, backslashes, bytes that are not UTF-8 |
//! | `smuggling` | ambiguous lengths and chunks, folded headers, oversized heads |
//! | `tokens` | forged, confused, huge and repeated credentials |
//! | `logs` | forged log lines, floods of log lines |
//! | `operator` | the operator API: names and pages, slow and large decisions, thousands of approvals |
//! | `tls` | what is no handshake, instead of one |
//! | `answers` | executors and a registry whose answers are endless, deep, or about something else |
//!
//! Each test starts a process of its own, so that the peak of memory is that of one
//! group of attacks.

#![allow(unreachable_pub, reason = "a test binary exports nothing")]
#![allow(clippy::needless_pass_by_value, reason = "`json!({})` reads better without a borrow")]

mod answers;
mod json;
mod logs;
mod operator;
mod paths;
mod slow;
mod smuggling;
mod target;
mod tls;
mod tokens;

#[path = "../integration/support/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the integration tests use the rest")]
mod support;
