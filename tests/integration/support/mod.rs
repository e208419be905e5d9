//! What the tests share: a server of their own each, executors whose behaviour
//! the node type's name chooses, and waiting for conditions.

mod artifacts;
mod executors;
mod expected;
mod http;
mod journal;
mod loopback;
mod machine;
pub mod process;
mod requests;
mod server;
mod service;
mod stores;
pub mod sts;

pub use artifacts::{FakeArtifacts, Mood};
pub use executors::{Call, FakeExecutors};
pub use expected::ATOMIC_RUN;
pub use http::{Answer, nulls};
pub use machine::TestMachine;
pub use process::Program;
pub use requests::{spec, start_of};
pub use server::TestServer;
pub use service::FakeService;
pub use stores::{FakeStores, JournalFault};
pub use sts::{Signer, Sts};

use std::{collections::BTreeMap, future::Future, time::Duration};

use serde_json::Value;

/// The longest that a test waits for something that must happen.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Where nothing listens.
pub const NOBODY: &str = "http://127.0.0.1:1";

/// What `work` gives; fails the test if that takes unreasonably long.
pub async fn soon<T>(what: &str, work: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(result) => result,
        Err(_) => panic!("{what}: not within {PATIENCE:?}"),
    }
}

/// The same with what no two runs have in common replaced: fresh ids by their
/// order of appearance, times by `TIME`.
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
