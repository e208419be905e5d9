//! What the process is made of: supervised background tasks and the log.

pub mod log;
pub mod tasks;
