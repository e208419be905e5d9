//! The engine against its contract: tables, single rules, a golden event log, and
//! random commands against a small model.

mod abort;
mod adopt;
mod approval_ends;
mod approval_properties;
mod approvals;
mod audit;
mod begin;
mod bounds;
mod bulk;
mod candidates;
mod children;
mod ending;
mod evaluations;
mod finish;
mod gates;
mod golden;
mod guard;
mod hold;
mod idempotency;
mod invariants;
mod late_types;
mod ledger;
mod ledger_properties;
mod lost;
mod model;
mod outputs;
mod own_keys;
mod placement;
mod properties;
mod reruns;
mod result_retries;
mod retries;
mod silence;
mod start;
mod support;
