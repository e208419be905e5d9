//! The JARVIS Run Coordinator: the run authority of the ARP Standard.
//!
//! A client starts a run; the coordinator asks for permission, hands its nodes
//! to executors, lets composites add children within limits, takes evaluations
//! and completions, and streams what happens as events.
//!
//! # Where things are
//!
//! ```text
//!   HTTP ──▶ api ──▶ coordinator ──▶ engine (pure: view + command + now → change set | rejection)
//!                        │ commit (one transaction)
//!                        ▼
//!               journal ── runs · node runs (with their wake-ups) · events · attempts · outbox
//!                 ▲                     ▲                      ▲
//!                 │                     │                      │
//!             dispatch               events ──▶ NDJSON       outbox ──▶ Run Store, Event Stream
//!                 │
//!                 └─▶ services (through clients): executors, policy point, registry, JARVIS stores
//! ```
//!
//! For the server and for programs that call one:
//!
//! | module | purpose |
//! |---|---|
//! | [`clients`] | generated clients of the services around us, their tokens; following events |
//! | [`time`] | clocks, timestamps, deadlines, backoff |
//! | [`types`] | the ARP types, generated from `openapi/run-coordinator.yaml`, ids, shared JSON text |
//!
//! For the server alone, in `src/server/`:
//!
//! | module | purpose |
//! |---|---|
//! | [`api`] | the HTTP surface: endpoints, front door, strict bodies, envelopes |
//! | [`app`] | starts, wires and stops a server |
//! | [`auth`] | identifies the caller |
//! | [`build_info`] | what the program was built from |
//! | [`cli`] | the command line |
//! | [`config`] | flags and variables to settings |
//! | [`coordinator`] | the use cases: load, decide, commit, announce |
//! | [`delegation`] | keeps the starter's token of a run, sealed |
//! | [`dispatch`] | gets nodes executed: claims, calls, cancels, sweeps |
//! | [`engine`] | the rules, pure |
//! | [`events`] | event streams, stored and live |
//! | [`evidence`] | all that is recorded about a run, in a file that shows changes |
//! | [`explain`] | why a run or a node does not move, pure |
//! | [`health`] | the health report: one list of sources |
//! | [`invariants`] | what is always true of a run, checked on its records |
//! | [`journal`] | the database: one trait, its implementation, their test suite, retention |
//! | [`outbox`] | sends every change to the JARVIS stores |
//! | [`record`] | what the journal holds, and change sets |
//! | [`redact`] | takes secrets out of what is stored and logged |
//! | [`resilience`] | circuit breaker, cool-down, single-flight refreshed value, watch over a service |
//! | [`runtime`] | supervised tasks, the log |
//! | [`services`] | the services around us, one role a module: executors, policy point, node registry, JARVIS stores |
//! | [`traces`] | spans made from records, and sent to a collector |
//! | [`transport`] | certificates and keys: of the listener, and of our own calls |
//!
//! # Architecture invariants
//!
//! 1. State is the fold of events: `seq` counts from 1 without gaps, in the
//!    order of commits. (An adopted run's earlier events are as they were.)
//! 2. A terminal Run or NodeRun never changes its state. A run has one
//!    `run_started` and, when over, one `run_completed`.
//! 3. Every non-terminal record has a future wake-up: a constraint of the
//!    database (`record`).
//! 4. After a cancel is committed, nothing of that run is dispatched.
//! 5. An executor's answer counts only for the attempt that asked.
//! 6. The cost of a request does not grow with the nodes of its run.
//! 7. No request waits behind executor traffic.
//! 8. Free-form data (`inputs`, `outputs`, extensions, …) is opaque: shared text
//!    from the socket to the disk and back, never a tree (`types::json`).
//!
//! `cargo xtask tidy` checks who may import whom.
//!
//! # Features
//!
//! `server`, the default, is all of this. Programs that call a coordinator take
//! `client` alone: [`clients`] of its own API, [`types`] and [`time`]. Without
//! any feature there are the last two.

#[cfg(feature = "client")]
pub mod clients;
pub mod time;
pub mod types;

#[cfg(feature = "server")]
mod server;
#[cfg(feature = "server")]
pub use server::*;
