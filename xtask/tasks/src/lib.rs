//! The project's own tools, as a library so that they can be tested.
//!
//! A command is a module with `Args` and `run`; `main.rs` lists them. What
//! more than one of them needs stands beside: [`openapi`] (what a document
//! means), [`sdk`] (the official ones), [`services`] (those of the real stores),
//! [`workspace`] (where we are), `made` (folders made from pinned files). The
//! tests of `tests/stack` build on [`stack`], [`venv`] and [`openid`] (their
//! OpenID provider).

pub mod chaos;
pub mod check_client;
pub mod check_spec;
pub mod ci;
pub mod conformance;
pub mod dev;
pub mod fuzz;
mod made;
pub mod openapi;
pub mod openid;
pub mod sdk;
pub mod services;
pub mod sim;
pub mod stack;
pub mod tidy;
pub mod upgrade_sdk;
pub mod venv;
pub mod workspace;
