//! The official test vectors of the ARP Standard (`specification::sdk`), each a test of
//! its own. A valid vector is read as our type, and is the same when it is written again;
//! an invalid vector is refused.
//!
//! The types of our own API are read in two ways: strictly in requests, and tolerantly
//! in answers of other services. Both must read a valid vector alike; the strict reader
//! must refuse an invalid one.

use std::{collections::BTreeMap, fs, process::ExitCode};

use jarvis_run_coordinator::{
    clients::{
        atomic_executor::types as atomic_executor, composite_executor::types as composite_executor,
        node_registry::types as node_registry, pdp::types as pdp, selection::types as selection,
    },
    http_server::read_strictly,
    time::Timestamp,
    types::{self, Uri},
};
use libtest_mimic::{Arguments, Failed, Trial};
use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use specification::sdk::{SERVICES, Sdk, Vector};
use xtask_support::workspace;

/// Reads a vector as a type, and writes it again. An error means that it was refused.
type Read = fn(&[u8]) -> Result<Value, String>;

/// Reads a type of our own API.
fn strict<T: DeserializeOwned + JsonSchema + Serialize>(bytes: &[u8]) -> Result<Value, String> {
    let value = read_strictly::<T>(bytes).map_err(|error| format!("{error:?}"))?;
    let (value, other) = (written(&value), tolerant::<T>(bytes));
    assert_eq!(other.as_ref(), Ok(&value), "the strict and the tolerant reader differ");
    Ok(value)
}

/// Reads a type of another service's API.
fn tolerant<T: DeserializeOwned + Serialize>(bytes: &[u8]) -> Result<Value, String> {
    serde_json::from_slice::<T>(bytes).map(|value| written(&value)).map_err(|error| error.to_string())
}

fn written<T: Serialize>(value: &T) -> Value {
    serde_json::to_value(value).expect("our types are JSON")
}

/// The type of each schema. Vectors of a schema that is missing here fail.
fn types() -> BTreeMap<&'static str, Read> {
    BTreeMap::from([
        (
            "atomic_executor/node_runs/atomic_execute_request",
            tolerant::<atomic_executor::AtomicExecuteRequest> as Read,
        ),
        ("atomic_executor/node_runs/atomic_execute_result", tolerant::<atomic_executor::AtomicExecuteResult>),
        ("common/endpoint_locator", strict::<Uri>),
        ("common/error", strict::<types::ErrorEnvelope>),
        ("common/error_cause", strict::<types::ErrorCause>),
        ("common/error_detail", strict::<types::Error>),
        ("common/extensions", strict::<types::Extensions>),
        ("common/health", strict::<types::Health>),
        ("common/metadata", strict::<types::Metadata>),
        ("common/resource_ref", strict::<types::ResourceRef>),
        ("common/status", strict::<types::HealthStatus>),
        ("common/version_info", strict::<types::VersionInfo>),
        (
            "composite_executor/node_runs/composite_begin_request",
            tolerant::<composite_executor::CompositeBeginRequest>,
        ),
        (
            "composite_executor/node_runs/composite_begin_response",
            tolerant::<composite_executor::CompositeBeginResponse>,
        ),
        ("core/approval_ref", tolerant::<pdp::ApprovalRef>),
        ("core/binding_decision", strict::<types::BindingDecision>),
        ("core/candidate", tolerant::<selection::Candidate>),
        ("core/candidate_set", tolerant::<selection::CandidateSet>),
        ("core/constraint_envelope", strict::<types::ConstraintEnvelope>),
        ("core/evaluation_result", strict::<types::EvaluationResult>),
        ("core/evaluation_status", strict::<types::EvaluationStatus>),
        ("core/executor_binding", strict::<types::ExecutorBinding>),
        ("core/node_kind", strict::<types::NodeKind>),
        ("core/node_run", strict::<types::NodeRun>),
        ("core/node_run_state", strict::<types::NodeRunState>),
        ("core/node_type", tolerant::<node_registry::NodeType>),
        ("core/node_type_ref", strict::<types::NodeTypeRef>),
        ("core/policy_decision", tolerant::<pdp::PolicyDecision>),
        ("core/policy_decision_outcome", tolerant::<pdp::PolicyDecisionOutcome>),
        ("core/recovery_action", strict::<types::RecoveryAction>),
        ("core/recovery_action_type", strict::<types::RecoveryActionType>),
        ("core/run", strict::<types::Run>),
        ("core/run_context", strict::<types::RunContext>),
        ("core/run_event", strict::<types::RunEvent>),
        ("core/run_event_type", strict::<types::RunEventType>),
        ("core/run_state", strict::<types::RunState>),
        ("core/subtask_spec", tolerant::<selection::SubtaskSpec>),
        (
            "node_registry/node_types/node_type_publish_request",
            tolerant::<node_registry::NodeTypePublishRequest>,
        ),
        ("pdp/policy/policy_decision_request", tolerant::<pdp::PolicyDecisionRequest>),
        ("run_coordinator/node_runs/node_run_complete_request", strict::<types::NodeRunCompleteRequest>),
        (
            "run_coordinator/node_runs/node_run_evaluation_report_request",
            strict::<types::NodeRunEvaluationReportRequest>,
        ),
        ("run_coordinator/node_runs/node_runs_create_request", strict::<types::NodeRunsCreateRequest>),
        ("run_coordinator/node_runs/node_runs_create_response", strict::<types::NodeRunsCreateResponse>),
        ("run_gateway/runs/run_start_request", strict::<types::RunStartRequest>),
        ("selection/candidate_sets/candidate_set_request", tolerant::<selection::CandidateSetRequest>),
    ])
}

/// The titles of schemas that no operation of any service refers to, so that we have no
/// types for them. Their vectors test that they are still unused.
const UNUSED: [(&str, &str); 3] = [
    ("common/pagination", "Pagination"),
    ("core/executor_instance", "ExecutorInstance"),
    ("core/executor_type", "ExecutorType"),
];

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // The trials are fast, and a list in order is easier to read.
    arguments.test_threads.get_or_insert(1);
    let sdk = Sdk::pinned(&workspace::root()).expect("the official specification");
    let vectors = sdk.vectors().expect("its vectors");
    let types = types();
    let mut trials: Vec<Trial> = vectors
        .iter()
        .map(|vector| {
            let read = types.get(vector.name.as_str()).copied();
            let vector = vector.clone();
            let folder = if vector.valid { "valid" } else { "invalid" };
            let name = format!("{folder}/{}", vector.name);
            let trial = Trial::test(name, move || try_vector(&vector, read));
            if read.is_none() { trial.with_kind("no type") } else { trial }
        })
        .collect();
    let names: Vec<String> = vectors.into_iter().map(|vector| vector.name).collect();
    trials.push(Trial::test("every type has its vectors", move || {
        match types.keys().find(|name| names.iter().filter(|other| other == *name).count() != 2) {
            Some(name) => Err(format!("{name}: not one valid and one invalid vector").into()),
            None => Ok(()),
        }
    }));
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn try_vector(Vector { name, valid, file }: &Vector, read: Option<Read>) -> Result<(), Failed> {
    let Some(read) = read else { return check_unused(name) };
    let bytes = fs::read(file)?;
    match (read(&bytes), valid) {
        (Ok(written), true) => {
            let given: Value = serde_json::from_slice(&bytes)?;
            if same(&given, &written) { Ok(()) } else { Err(format!("{given} became {written}").into()) }
        }
        (Err(_), false) => Ok(()),
        (Ok(written), false) => Err(format!("accepted as {written}").into()),
        (Err(error), true) => Err(format!("refused: {error}").into()),
    }
}

fn check_unused(name: &str) -> Result<(), Failed> {
    let Some((_, title)) = UNUSED.iter().find(|(unused, _)| *unused == name) else {
        return Err("no type is listed for this schema".into());
    };
    // Our documents have every schema that the official ones refer to; `cargo xtask
    // check-spec` compares them.
    for service in SERVICES {
        let path = workspace::root().join(format!("openapi/{service}.yaml"));
        let document: Value = serde_yaml_ng::from_str(&fs::read_to_string(&path)?)?;
        if document["components"]["schemas"].get(title).is_some() {
            return Err(format!("{service} has {title} now: list its type").into());
        }
    }
    Ok(())
}

/// Whether nothing was lost. URIs are written in normal form, and times with
/// microseconds (contract §3.2, §3.5).
fn same(given: &Value, written: &Value) -> bool {
    match (given, written) {
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter().all(|(key, value)| b.get(key).is_some_and(|other| same(value, other)))
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::String(a), Value::String(b)) => a == b || same_uri(a, b) || same_time(a, b),
        (a, b) => a == b,
    }
}

fn same_uri(a: &str, b: &str) -> bool {
    Uri::try_from(a.to_owned()).is_ok_and(|uri| *uri == *b)
}

fn same_time(a: &str, b: &str) -> bool {
    a.parse::<Timestamp>().is_ok_and(|time| time.to_string() == b)
}
