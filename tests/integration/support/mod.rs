//! What the tests share: a server of their own each, executors whose behaviour
//! the node type's name chooses, and waiting for conditions.

mod executors;
pub mod process;
mod server;
mod service;

pub use executors::{Call, FakeExecutors};
pub use process::Program;
pub use server::TestServer;
pub use service::FakeService;

use std::{future::Future, time::Duration};

/// The longest that a test waits for something that must happen.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// What `work` gives; fails the test if that takes unreasonably long.
pub async fn soon<T>(what: &str, work: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(result) => result,
        Err(_) => panic!("{what}: not within {PATIENCE:?}"),
    }
}
