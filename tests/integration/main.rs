//! The server as its callers see it: real HTTP, the generated client, the real
//! journal, executors on loopback.

#![allow(unreachable_pub, reason = "a test binary exports nothing")]

mod cli;
mod journal;
mod process;
mod smoke;
mod support;
