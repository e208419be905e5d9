//! The JARVIS Run Coordinator: the run authority of the ARP Standard.
//!
//! A client starts a run; the coordinator asks for permission, hands its nodes
//! to executors, lets composites add children within limits, takes evaluations
//! and completions, and tells everybody what happened as a stream of events.
//!
//! # Where things are
//!
//! ```text
//!   HTTP ──▶ api ──▶ coordinator ──▶ engine (pure: view + command + now → change set | rejection)
//!                        │ commit (one transaction)
//!                        ▼
//!             store: the journal ── runs · node runs (with their wake-ups) · events · attempts · outbox
//!                 ▲                     ▲                      ▲
//!                 │                     │                      │
//!             dispatch               events ──▶ NDJSON       outbox ──▶ jarvis: Run Store, Event Stream
//!                 │
//!         clients ──▶ executors, policy, node_types
//! ```
//!
//! | module | |
//! |---|---|
//! | [`api`] | the HTTP surface: endpoints, front door, strict bodies, envelopes |
//! | [`audit`] | what is always true of a run, checked on its records |
//! | [`auth`] | who is calling |
//! | [`clients`] | generated clients of the services around us, their tokens; following events |
//! | [`config`] | flags and variables to settings; `check-config`; `--help` |
//! | [`coordinator`] | the use cases: load, decide, commit, announce |
//! | [`demo`] | a run to look at, with nothing else installed |
//! | [`dispatch`] | gets nodes executed: claims, calls, cancels, sweeps |
//! | [`engine`] | the rules, pure |
//! | [`events`] | event streams, stored and live |
//! | [`heap`] | what the allocator keeps |
//! | [`jarvis`] | the JARVIS stores: Run Store, Event Stream, Artifact Store |
//! | [`model`] | the ARP types, generated from `openapi/run-coordinator.yaml` |
//! | [`node_types`], [`policy`] | what a node type is; what is allowed |
//! | [`outbox`] | brings every change to the JARVIS stores |
//! | [`record`] | what the journal holds, and change sets |
//! | [`remote`] | commands that talk to a server which is up |
//! | [`retention`] | forgets runs that have been finished for long |
//! | [`server`] | puts it all together; starts and stops |
//! | [`store`] | the journal: one trait, its implementations, their test suite |
//! | [`upkeep`] | the command `journal`: backup, check, compact |
//! | [`ids`], [`time`], [`tasks`], [`telemetry`] | what everybody uses |
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
//!    from the socket to the disk and back, never a tree (`model::json`).
//!
//! `cargo xtask tidy` checks who may import whom.
//!
//! # Features
//!
//! `server`, the default, is all of this. Programs that call a coordinator take
//! `client` alone: [`clients`] of its own API, and [`ids`], [`model`], [`time`].
//! Without any feature there are the last three.

pub mod ids;
pub mod model;
pub mod time;

#[cfg(feature = "client")]
pub mod clients;

#[cfg(feature = "server")]
pub mod api;
#[cfg(feature = "server")]
pub mod audit;
#[cfg(feature = "server")]
pub mod auth;
#[cfg(feature = "server")]
pub mod config;
#[cfg(feature = "server")]
pub mod coordinator;
#[cfg(feature = "server")]
pub mod demo;
#[cfg(feature = "server")]
pub mod dispatch;
#[cfg(feature = "server")]
pub mod engine;
#[cfg(feature = "server")]
pub mod events;
#[cfg(feature = "server")]
pub mod heap;
#[cfg(feature = "server")]
pub mod jarvis;
#[cfg(feature = "server")]
pub mod node_types;
#[cfg(feature = "server")]
pub mod outbox;
#[cfg(feature = "server")]
pub mod policy;
#[cfg(feature = "server")]
pub mod record;
#[cfg(feature = "server")]
pub mod remote;
#[cfg(feature = "server")]
pub mod retention;
#[cfg(feature = "server")]
pub mod server;
#[cfg(feature = "server")]
pub mod store;
#[cfg(feature = "server")]
pub mod tasks;
#[cfg(feature = "server")]
pub mod telemetry;
#[cfg(feature = "server")]
pub mod upkeep;
