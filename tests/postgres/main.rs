//! The journal on a real PostgreSQL. `cargo xtask postgres` finds one and runs these.
//!
//! - `conformance`: what every journal promises, and what one that is shared does.
//! - `order`: that nothing relies on the order of sequences.
//! - `outages`: lost connections, a stopped and a frozen server, strangers' locks.
//! - `commands`: the command `journal` on a database, and the move from a file.
//! - `failover`: a standby that takes over.
//! - `opening`: databases that are refused, and why; TLS.

mod commands;
mod conformance;
mod failover;
mod opening;
mod order;
mod outages;
mod world;
