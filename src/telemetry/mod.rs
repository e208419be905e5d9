//! What the process says about itself while it runs.

mod log;

pub use log::{Shutdown, logger};
