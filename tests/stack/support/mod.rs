//! What the tests share: the services, which are started once for all of them;
//! the program, which each test starts for itself; and waiting for conditions.

mod coordinator;
mod openid;
mod process;
mod services;

pub use coordinator::{Coordinator, Surroundings, completion_error, types};
pub use openid::Provider;
pub use process::output_of;
pub use services::{Service, VERSION, echo_type, python, sleep_type};

use std::{future::Future, time::Duration};

/// The longest that a test waits for something that must happen.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What `work` gives; fails the test if that takes unreasonably long.
pub async fn soon<T>(what: &str, work: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(result) => result,
        Err(_) => panic!("{what}: not within {PATIENCE:?}"),
    }
}
