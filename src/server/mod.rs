//! The rooms of the coordinator, all behind the feature `server`.
//!
//! The crate root re-exports them, and that is where code names them:
//! `crate::journal`, never `crate::server::journal`. The folder exists so that
//! one `cfg` separates the server from what a client of it needs.

pub mod api;
pub mod app;
pub mod auth;
pub mod build_info;
pub mod cli;
pub mod config;
pub mod coordinator;
pub mod delegation;
pub mod dispatch;
pub mod engine;
pub mod events;
pub mod evidence;
pub mod explain;
pub mod health;
pub mod http_server;
pub mod invariants;
pub mod journal;
pub mod metrics;
pub mod operator;
pub mod outbox;
pub mod record;
pub mod redact;
pub mod resilience;
pub mod runtime;
pub mod services;
pub mod traces;
pub mod transport;
pub mod webhooks;
