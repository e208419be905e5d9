//! The program among the real JARVIS services, all of them: those of
//! `cargo xtask stack`, with whose modules the tests start theirs.
//!
//! ```text
//!   a test ──▶ gateway ──▶ our program ──▶ all the others     one whole stack a profile, for all
//!   arp-jarvis ──▶ ┘           ▲                              tests, and beside it what a test
//!   a test, SDK, checker ──────┘                              breaks or stops, of its own
//! ```
//!
//! All Python comes from the `requirements*.txt` (see `cargo xtask venv`, which the
//! tests call by themselves). Every process listens on a free port, and ends
//! with its test or, at the latest, with this process (see `attended.py`).

#![allow(unreachable_pub, reason = "a test binary exports nothing")]

mod adoption;
mod artifacts;
mod conformance;
mod contract;
mod crash;
mod gateway;
mod old_stores;
mod openid;
mod outages;
mod plans;
mod policy;
mod registry_outage;
mod runs;
mod sdk;
mod support;
