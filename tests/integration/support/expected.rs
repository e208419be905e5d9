//! Results that many tests expect.

/// The types of the events of a run whose root is atomic and is executed once, in
/// their order, whether it succeeds or its executor reports a failure.
pub const ATOMIC_RUN: [&str; 7] = [
    "run_started",
    "node_run_assigned",
    "policy_decided",
    "policy_decided",
    "node_evaluated",
    "atomic_executed",
    "run_completed",
];
