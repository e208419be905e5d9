//! Tests of our program among the real JARVIS services, which start as in
//! `cargo xtask stack`.
//!
//! ```text
//!   test ───────▶ gateway ──▶ our program ──▶ all other services
//!   arp-jarvis ─────┘              ▲
//!   test, SDK, official checker ───┘
//! ```
//!
//! All tests of a profile share one complete stack. A part that a test breaks, stops or
//! configures is started for that test alone, beside the shared stack.
//!
//! The Python services come from `requirements*.txt` (see `cargo xtask venv`, which the
//! tests run by themselves). Every process listens on a free port, and ends with its
//! test or, at the latest, with the process of the tests (see `attended.py`).

#![allow(unreachable_pub, reason = "a test binary exports nothing")]

mod adoption;
mod approvals;
mod artifacts;
mod conformance;
mod contract;
mod crash;
mod example_executor;
mod examples;
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
