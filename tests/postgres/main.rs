//! The journal on a real PostgreSQL. `cargo xtask postgres` finds one and runs these.
//!
//! All tests share a server. Each has a schema of its own.

mod conformance;
mod failover;
mod world;
