//! The program among the real JARVIS services: the Node Registry and the Atomic
//! Executor with its node pack, the official SDK, the official checker.
//!
//! ```text
//!   test ──▶ generated client ─┐
//!   sdk_run.py (official SDK) ─┼─▶ our program ──▶ arp-jarvis-atomic-executor   one of each
//!   conformance.py (checker) ──┘       └─────────▶ arp-jarvis-node-registry     for all tests
//! ```
//!
//! All Python comes from `requirements.txt` (see `cargo xtask venv`, which the
//! tests call by themselves). Every process listens on a port that the system
//! chooses, and ends with the test or, at the latest, with this process.

#![allow(unreachable_pub, reason = "a test binary exports nothing")]

mod conformance;
mod crash;
mod registry_outage;
mod runs;
mod sdk;
mod support;
