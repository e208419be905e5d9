//! The executors of the integration tests: what becomes of a node, its type says,
//! `atomic.` or `composite.` and the name of a [`Behaviour`]; the table is in
//! `scripted_executor`. A composite that is accepted is played by the test.
//! Executors do not know any other type, and answer 404.

pub use scripted_executor::Call;
use scripted_executor::{Behaviour, Executors};
use tokio::sync::watch;

use super::soon;

/// Both executors on one address.
pub struct FakeExecutors {
    executors: Executors,
    calls: watch::Receiver<Vec<Call>>,
}

impl FakeExecutors {
    pub fn start() -> Self {
        let (calls, seen) = watch::channel(Vec::new());
        let observe = move |call: &Call| calls.send_modify(|calls| calls.push(call.clone()));
        let executors = Executors::listen_observed(([127, 0, 0, 1], 0).into(), named_by_type, observe);
        Self { executors: executors.expect("the executors listen"), calls: seen }
    }

    pub fn url(&self) -> &str {
        self.executors.url()
    }

    /// All calls so far.
    pub fn calls(&self) -> Vec<Call> {
        self.calls.borrow().clone()
    }

    /// How often a node was sent to be executed.
    pub fn executions(&self, node: &str) -> usize {
        let is_execution = |call: &&Call| call.path.ends_with(":execute") && call.is_work_of(node);
        self.calls.borrow().iter().filter(is_execution).count()
    }

    /// Waits until the calls so far satisfy `done`.
    pub async fn calls_until(&self, what: &str, done: impl Fn(&[Call]) -> bool) -> Vec<Call> {
        let mut calls = self.calls.clone();
        let seen = soon(what, calls.wait_for(|calls| done(calls))).await;
        seen.expect("the executors live").clone()
    }

    /// Waits until `count` calls have come whose path ends like this.
    pub async fn called(&self, path_end: &str, count: usize) -> Vec<Call> {
        let here =
            |calls: &[Call]| calls.iter().filter(|call| call.path.ends_with(path_end)).count() >= count;
        self.calls_until(&format!("{count} calls of {path_end}"), here).await
    }

    /// From now on cancels are refused with 503, or no longer.
    pub fn refuse_cancels(&self, refuse: bool) {
        self.executors.refuse_cancels(refuse);
    }

    /// From now on all nodes are refused with 503, or no longer.
    pub fn overload(&self, overloaded: bool) {
        self.executors.overload(overloaded);
    }

    /// Ends a waiting node: it succeeds.
    pub fn release(&self, node: &str) {
        self.executors.release(node);
    }
}

fn named_by_type(call: &Call) -> Option<Behaviour> {
    let node_type = call.body["node_type_ref"]["node_type_id"].as_str()?;
    let name = node_type.strip_prefix("atomic.").or_else(|| node_type.strip_prefix("composite."))?;
    Behaviour::named(name)
}
