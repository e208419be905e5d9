//! What the process is made of: supervised background tasks, the log, the heap.

pub mod heap;
pub mod log;
pub mod tasks;
