//! The engine against its contract: tables, sentences, a golden event log, and
//! random commands against a small model.

mod adopt;
mod attempts;
mod children;
mod ending;
mod golden;
mod hold;
mod idempotency;
mod invariants;
mod lost;
mod model;
mod offload;
mod own_keys;
mod properties;
mod retries;
mod silence;
mod start;
mod support;
