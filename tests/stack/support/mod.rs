//! The set-up that the tests share: stacks whose parts are those of `cargo xtask stack`,
//! callers of the gateway and the coordinator, comparison with the stores, and waiting
//! for conditions.

mod caller;
mod copies;
mod openid;
mod proxy;
mod stack;

pub use caller::{Caller, completion_error, echo_type, sleep_type, types};
pub use openid::Provider;
pub use proxy::{Fault, Proxy};
pub use stack::{TestStack, VERSION, old_stores, output_of, python};

use std::future::Future;

use xtask_support::process::PATIENCE;

/// Awaits `work`; fails the test if it takes longer than [`PATIENCE`].
pub async fn soon<T>(what: &str, work: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(result) => result,
        Err(_) => panic!("{what}: not within {PATIENCE:?}"),
    }
}

/// Polls until `look` returns a value, for conditions without a notification.
pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let mut again = tokio::time::interval(std::time::Duration::from_millis(100));
    soon(what, async {
        loop {
            again.tick().await;
            if let Some(seen) = look().await {
                return seen;
            }
        }
    })
    .await
}

/// Makes two tests of a function, one in each profile.
macro_rules! in_both_profiles {
    ($($test:ident)*) => {
        mod dev_insecure { $(
            #[tokio::test]
            async fn $test() {
                super::$test(jarvis_stack::Profile::DevInsecure).await;
            }
        )* }
        mod jwt { $(
            #[tokio::test]
            async fn $test() {
                super::$test(jarvis_stack::Profile::Jwt).await;
            }
        )* }
    };
}
pub(crate) use in_both_profiles;
