//! Children, answers and errors for tests.

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::RUN;
use crate::{
    engine::{AttemptResult, FailedCall, PolicyDecided, PolicyOutcome, Work},
    types::{Error, ExecutorBinding, JsonObject, NodeRunCreateSpec, NodeRunId, NodeRunState},
};

/// A child that a test asks for.
#[derive(Clone, Debug)]
pub(crate) struct Child {
    pub(super) id: NodeRunId,
    pub(super) spec: NodeRunCreateSpec,
}

/// A child of that id (unless it gets a key), of type `atomic.echo`.
pub(crate) fn child(id: &str) -> Child {
    Child { id: id.into(), spec: parse(json!({"node_type_ref": node_type("atomic.echo"), "inputs": {}})) }
}

impl Child {
    pub(crate) fn of(self, type_id: &str) -> Self {
        self.with("node_type_ref", node_type(type_id))
    }
    pub(crate) fn key(self, key: &str) -> Self {
        self.with("idempotency_key", json!(key))
    }
    pub(crate) fn with(mut self, member: &str, value: Value) -> Self {
        let spec = serde_json::to_value(&self.spec).expect("serializes");
        self.spec = parse(overlaid(spec, JsonObject::from([(member, value)]).into()));
        self
    }
}

/// The id of the child of `parent` in `run-1` that `key` stands for.
pub(crate) fn keyed(parent: &str, key: &str) -> String {
    NodeRunId::derived(&RUN.into(), &parent.into(), key).to_string()
}

pub(crate) fn node_type(id: &str) -> Value {
    json!({"node_type_id": id, "version": "1"})
}

pub(crate) fn binding() -> ExecutorBinding {
    parse(json!({"executor_instance_id": "executor-1", "endpoint": "http://executor:8082"}))
}

pub(crate) fn decided(action: &'static str, outcome: PolicyOutcome) -> PolicyDecided {
    let evidence = JsonObject::new();
    PolicyDecided { action, outcome, reason_code: None, message: None, evidence, after: None }
}

pub(crate) fn answered(state: NodeRunState) -> AttemptResult {
    let outputs = JsonObject::from([("answer", json!(42))]);
    AttemptResult::Answered {
        state,
        outputs: Some(outputs),
        output_artifacts: None,
        error: None,
        usage: None,
        violations: None,
    }
}

pub(crate) fn call_failed(work: Work) -> AttemptResult {
    AttemptResult::Failed(failed_call(work))
}

pub(crate) fn failed_call(work: Work) -> FailedCall {
    let error = Error::new("atomic_executor_unavailable", "no answer");
    FailedCall { error, work, retry_after: None }
}

pub(crate) fn parse<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("a value of the type")
}

/// `base` with the members of `over`, but for nulls.
pub(super) fn overlaid(mut base: Value, over: Value) -> Value {
    if let (Value::Object(base), Value::Object(over)) = (&mut base, over) {
        base.extend(over.into_iter().filter(|(_, value)| !value.is_null()));
    }
    base
}
