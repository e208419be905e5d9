//! The program among the real JARVIS services: the Node Registry, the Atomic
//! Executor with its node pack, the Policy Decision Point, the official SDK, the
//! official checker.
//!
//! ```text
//!   test ──▶ generated client ─┐
//!   sdk_run.py (official SDK) ─┼─▶ our program ──▶ arp-jarvis-atomic-executor   one of each
//!   conformance.py (checker) ──┘       └─────────▶ arp-jarvis-node-registry     for all tests
//! ```
//!
//! All Python comes from `requirements.txt` (see `cargo xtask venv`, which the
//! tests call by themselves). Every process listens on a port that the system
//! chooses, and ends with its test or, at the latest, with this process (see
//! `attended.py`).

#![allow(unreachable_pub, reason = "a test binary exports nothing")]

mod conformance;
mod crash;
mod openid;
mod policy;
mod registry_outage;
mod runs;
mod sdk;
mod support;
