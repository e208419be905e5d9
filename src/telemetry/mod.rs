//! What the process says about itself while it runs.

mod log;
mod tame;

pub use log::{Shutdown, logger};
