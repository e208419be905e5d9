//! The server as its callers see it: real HTTP, the generated client, the real
//! journal, executors on loopback.

#![allow(unreachable_pub, reason = "a test binary exports nothing")]
#![allow(clippy::needless_pass_by_value, reason = "`json!({})` reads better without a borrow")]

mod adoption;
mod artifacts;
mod assignment;
mod auth;
mod cli;
mod client;
mod clock;
mod container;
mod demo;
mod depth;
mod dispatch;
mod faults;
mod golden;
mod hangs;
mod hostile;
mod idempotency;
mod journal;
mod node_types;
mod nodes;
mod offload;
mod outbound;
mod poison;
mod policy;
mod process;
mod remote;
mod retries;
mod runs;
mod silence;
mod smoke;
mod stores;
mod streams;
mod strict;
mod supervision;
mod support;
mod upkeep;
mod wire;
