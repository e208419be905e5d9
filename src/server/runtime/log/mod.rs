//! What the process says about itself while it runs.

mod logger;
mod tame;

pub use logger::{Shutdown, logger};
