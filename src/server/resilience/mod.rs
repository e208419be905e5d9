//! How the coordinator behaves towards what may fail.

mod breaker;

pub use breaker::{Breaker, Heard};
