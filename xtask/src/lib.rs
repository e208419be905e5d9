//! The project's own tools, as a library so that they can be tested.
//!
//! A command is a module with `Args` and `run`; `main.rs` lists them. What
//! more than one of them needs stands beside: [`openapi`] (what a document
//! means), [`sdk`] (the official ones), [`services`] (those of the real stores),
//! [`workspace`] (where we are). The tests of `tests/stack` build on [`stack`]
//! and [`venv`].

pub mod check_spec;
pub mod ci;
pub mod dev;
pub mod openapi;
pub mod sdk;
pub mod services;
pub mod stack;
pub mod tidy;
pub mod upgrade_sdk;
pub mod venv;
pub mod workspace;
