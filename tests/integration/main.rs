//! Integration tests: the server as its callers and the services around it see it,
//! over real HTTP, with the real journal and with fake services on loopback
//! (`support`).
//!
//! | subject | modules |
//! |---|---|
//! | the API | `wire`, `validation`, `nesting`, `run_start`, `run_cancel`, `node_creation`, `node_completion`, `idempotency`, `streams`, `auth`, `assignment`, `assignment_end`, `assignment_keys`, `authority`, `webhooks`, `golden` |
//! | dispatch | `smoke`, `dispatch`, `dispatch_limits`, `begin_at_once`, `retries`, `executor_pools`, `hanging_executors`, `composite_silence`, `policy`, `gates`, `approvals`, `node_types`, `outbound_tokens`, `token_exchange` |
//! | the JARVIS stores | `stores`, `adoption`, `artifacts`, `offload` |
//! | the journal | `journal`, `journal_faults`, `journal_commands`, `migrations`, `retention`, `parked`, `audit_trail` |
//! | traces | `traces` |
//! | robustness | `hostile_services`, `overload`, `supervision`, `clock`, `process`, `logs_and_health`, `costs` |
//! | transport, secrets | `transport`, `redaction` |
//! | the program | `cli`, `client_commands`, `first_run`, `doctor`, `demo`, `example`, `container`, `deploy`, `helm` |

#![allow(unreachable_pub, reason = "a test binary exports nothing")]
#![allow(clippy::needless_pass_by_value, reason = "`json!({})` reads better without a borrow")]

mod admission;
mod adoption;
mod approvals;
mod artifacts;
mod assignment;
mod assignment_end;
mod assignment_keys;
mod audit_trail;
mod auth;
mod authority;
mod bearer;
mod begin_at_once;
mod bounds;
mod budgets;
mod cli;
mod client_commands;
mod clock;
mod composite_silence;
mod container;
mod costs;
mod demo;
mod deploy;
mod dispatch;
mod dispatch_limits;
mod doctor;
mod example;
mod executor_pools;
mod first_run;
mod gates;
mod golden;
mod hanging_executors;
mod helm;
mod hostile_services;
mod idempotency;
mod journal;
mod journal_commands;
mod journal_faults;
mod logs_and_health;
mod migrations;
mod nesting;
mod node_completion;
mod node_creation;
mod node_types;
mod offload;
mod operator;
mod outbound_tokens;
mod overload;
mod parked;
mod policy;
mod prefer_wait;
mod process;
mod recovery;
mod redaction;
mod retention;
mod retries;
mod run_cancel;
mod run_start;
mod schemas;
mod smoke;
mod stores;
mod streams;
mod supervision;
mod support;
mod token_exchange;
mod traces;
mod transport;
mod validation;
mod webhooks;
mod wire;
