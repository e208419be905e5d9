//! The log of the process.

mod logger;
mod sanitize;

pub use logger::{Shutdown, logger};
