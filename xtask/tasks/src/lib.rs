//! The project's own tools, as a library so that they can be tested.
//!
//! ```text
//!  xtask (this crate: `cargo xtask`) ──▶ jarvis-stack, specification ──▶ xtask-support
//!    └── cargo run ──▶ chaos, conformance, jarvis-stack, package
//! ```
//!
//! A command is a module with `Args` and `run`; `main.rs` lists them. Commands
//! that need much code of their own are crates beside this one
//! ([`other_crates`]). No crate of `xtask/` is a dependency of the server.

pub mod check_client;
pub mod check_spec;
pub mod ci;
pub mod deny;
pub mod dev;
pub mod other_crates;
pub mod postgres;
pub mod schemathesis;
pub mod services;
pub mod sim;
pub mod site;
pub mod tidy;
pub mod ui;
pub mod upgrade_sdk;
