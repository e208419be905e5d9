//! The process: supervised background tasks, the log, the heap.

pub mod heap;
pub mod log;
pub mod tasks;
