//! The set-up that the tests share. Each test starts a server of its own, in this
//! process or as the real program, and the services around it on loopback.
//!
//! ```text
//!   test ──▶ TestServer (this process)  ─┬─▶ FakeExecutors   the node type chooses the behaviour
//!     │      Program ─▶ Process (its own) ├─▶ FakeStores      Run Store and Event Stream, with faults
//!     │                   │               ├─▶ FakeArtifacts   Artifact Store
//!     │                   ▼               ├─▶ FakeService     Node Registry, PDP, any other JSON service
//!     └──── reads ──▶  journal            └─▶ Sts             signing keys and access tokens
//! ```
//!
//! Tests wait for conditions (`soon`), never for a length of time.

mod artifacts;
pub mod certificates;
pub mod collector;
mod executors;
mod expected;
mod http;
mod journal;
mod loopback;
mod machine;
pub mod process;
mod receiver;
mod requests;
mod server;
mod service;
mod stores;
pub mod sts;

pub use artifacts::{ArtifactBehaviour, FakeArtifacts};
pub use certificates::{Authority, Mounted};
pub use executors::{Call, FakeExecutors};
pub use expected::ATOMIC_RUN;
pub use http::{Answer, nulls};
pub use machine::TestMachine;
pub use process::Program;
pub use receiver::{Receiver, Report};
pub use requests::{spec, start_of};
pub use server::TestServer;
pub use service::FakeService;
pub use stores::{FakeStores, StoreFault};
pub use sts::{Signer, Sts};

use std::{collections::BTreeMap, future::Future, time::Duration};

use serde_json::Value;

/// The upper bound on each wait of a test. Only a failing test waits this long.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A URL at which nothing listens.
pub const UNREACHABLE: &str = "http://127.0.0.1:1";

/// Awaits `work`; fails the test if it takes longer than [`PATIENCE`].
pub async fn soon<T>(what: &str, work: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(result) => result,
        Err(_) => panic!("{what}: not within {PATIENCE:?}"),
    }
}

/// Replaces what differs from run to run: generated ids by numbers in their order of
/// appearance, times by `TIME`.
pub fn redacted(value: &Value) -> Value {
    redact(value, "", &mut BTreeMap::new())
}

fn redact(value: &Value, name: &str, ids: &mut BTreeMap<String, String>) -> Value {
    match value {
        Value::String(_) if name == "time" || name.ends_with("_at") => "TIME".into(),
        Value::String(text) => {
            let fresh = |prefix: &str| {
                let rest = text.strip_prefix(prefix)?;
                (rest.len() == 32 && rest.bytes().all(|byte| byte.is_ascii_hexdigit()))
                    .then(|| prefix.to_owned())
            };
            let Some(prefix) = fresh("node_run_").or_else(|| fresh("run_")) else { return value.clone() };
            let next = 1 + ids.values().filter(|name| name.starts_with(&prefix)).count();
            ids.entry(text.clone()).or_insert_with(|| format!("{prefix}{next}")).clone().into()
        }
        Value::Array(items) => items.iter().map(|item| redact(item, name, ids)).collect(),
        Value::Object(members) => Value::Object(
            members.iter().map(|(name, value)| (name.clone(), redact(value, name, ids))).collect(),
        ),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}
