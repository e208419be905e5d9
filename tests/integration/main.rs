//! The server as its callers see it: real HTTP, the generated client, the real
//! journal, executors on loopback.

#![allow(unreachable_pub, reason = "a test binary exports nothing")]
#![allow(clippy::needless_pass_by_value, reason = "`json!({})` reads better without a borrow")]

mod adoption;
mod artifacts;
mod assignment;
mod auth;
mod cli;
mod client_commands;
mod clock;
mod composite_silence;
mod container;
mod demo;
mod dispatch;
mod dispatch_limits;
mod example;
mod golden;
mod hanging_executors;
mod hostile_services;
mod idempotency;
mod journal;
mod journal_commands;
mod journal_faults;
mod migrations;
mod nesting;
mod node_completion;
mod node_creation;
mod node_types;
mod offload;
mod outbound_tokens;
mod overload;
mod parked;
mod policy;
mod process;
mod retention;
mod retries;
mod run_cancel;
mod run_start;
mod smoke;
mod stores;
mod streams;
mod supervision;
mod support;
mod validation;
mod wire;
