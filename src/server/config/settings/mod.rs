//! The settings of a server.
//!
//! | module | purpose |
//! |---|---|
//! | `every_error` | everything that is wrong, not only the first error |
//! | `in_effect` | all settings for people: value and source |
//! | `over_https` | whether root certificates are needed |
//! | `parse` | variables and flags to settings |
//! | `limits` | limits for callers |
//! | `outbound` | credentials for other services |
//! | `traces` | where traces go |
//! | `transport` | certificates, keys, trusted roots |
//! | `warnings` | settings that work but are probably unintended |

mod every_error;
mod in_effect;
mod limits;
mod outbound;
mod over_https;
mod parse;
#[cfg(test)]
mod tests;
mod traces;
mod transport;
mod warnings;

use std::time::Duration;

pub use super::value::DefaultUsage;
pub use in_effect::in_effect_of_invalid;
pub use parse::{client_token, operator_url, serves_https};
pub use traces::TraceSettings;
pub use transport::{InboundTls, KeyPair, OutboundTls};

use super::{
    AuthSettings,
    value::{
        AudienceField, ExecutorUrls, HttpUrl, InEffect, JournalPlace, LogFormat, OnApproval, PdpOutage,
        RegistryOutage, SchemaMode, SecretSource, WebhookTargets, WithoutStores,
    },
};

use crate::types::{ConstraintEnvelope, SideEffectClass};

pub const DEFAULT_HOST: &str = "127.0.0.1";
pub const DEFAULT_PORT: u16 = 8081;
/// Of the operator API, where it has no other: it is off unless an address is set.
pub const DEFAULT_OPERATOR_PORT: u16 = 8089;

/// All settings.
#[derive(Clone, Debug)]
pub struct Settings {
    pub listen: Listen,
    /// `None`: there is no operator API.
    pub operator: Option<Operator>,
    /// `None`: there are no webhooks.
    pub webhooks: Option<Webhooks>,
    /// `None`: the listener speaks plain HTTP.
    pub tls: Option<InboundTls>,
    /// The trust and identity of our own calls.
    pub outbound_tls: OutboundTls,
    /// The time between two looks at the files of certificates.
    pub tls_reload: Duration,
    /// Restart when the binary or an env file changes.
    pub reload: bool,
    pub log: LogSettings,
    /// Names whose values are secret, besides those that are built in.
    pub redact: Vec<String>,
    pub journal: JournalSettings,
    /// `None`: embedded, the journal is the only record.
    pub stores: Option<Stores>,
    /// What happens to the outbox of a journal if there are no stores.
    pub without_stores: WithoutStores,
    /// Larger outputs, in bytes of JSON, go to the Artifact Store. `None`: none do.
    pub offload_outputs_bytes: Option<usize>,
    pub atomic_executor: Option<Executors>,
    pub composite_executor: Option<Executors>,
    pub node_registry: Option<Endpoint>,
    pub registry_outage: RegistryOutage,
    pub pdp: Option<Endpoint>,
    pub pdp_outage: PdpOutage,
    pub approvals: ApprovalSettings,
    pub gates: Gates,
    pub schemas: SchemaMode,
    /// Accepted, never called.
    pub selection: Option<Endpoint>,
    /// The URL by which composite executors reach this coordinator.
    pub public_url: Option<HttpUrl>,
    /// If off, nodes stay queued.
    pub auto_dispatch: bool,
    pub policy: PolicyPosture,
    /// Write extension keys as `jarvis.<key>` (contract D-01).
    pub dotted_keys: bool,
    /// `None`: calls to other services carry no token.
    pub outbound: Option<OutboundAuth>,
    pub inbound: AuthSettings,
    /// The key that seals callers' tokens. `None`: they are not exchanged.
    pub exchange_key: Option<SecretSource>,
    pub limits: Limits,
    pub deadlines: Deadlines,
    pub bounds: RunBounds,
    pub default_usage: DefaultUsage,
    pub calls: CallLimits,
    /// The time limit of a shutdown.
    pub shutdown_timeout: Duration,
    /// Health is degraded when work has waited longer than this. `None`: never.
    pub waiting_degraded_after: Option<Duration>,
    /// `None`: there are no traces.
    pub traces: Option<TraceSettings>,
    /// Settings that work but are probably unintended, one line each.
    pub warnings: Vec<String>,
    /// All of this for people, without secrets.
    pub in_effect: Vec<InEffect>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// A name or an address.
    pub host: String,
    pub port: u16,
}

/// The operator API (contract §25).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    pub listen: Listen,
    /// Names under which it may be asked for, besides its own.
    pub hosts: Vec<String>,
}

/// Webhooks (contract §26).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhooks {
    pub targets: WebhookTargets,
    /// The key that seals their secrets. `None`: they are kept as they are.
    pub secrets_key: Option<SecretSource>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogSettings {
    pub level: slog::Level,
    pub format: LogFormat,
    /// A line for the start and the end of each run.
    pub runs: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalSettings {
    pub place: JournalPlace,
    /// The password of the database, if its URL has none.
    pub password: Option<SecretSource>,
    /// Connections to the database that write, and that read.
    pub writers: u8,
    pub readers: u8,
    /// Whether commits are announced to other coordinators on that database.
    pub news: bool,
    /// The maximum size of the file.
    pub max_bytes: Option<u64>,
    /// How long finished runs are kept. `None`: without limit.
    pub retention: Option<Duration>,
    /// How long records of the audit trail are kept.
    pub audit_retention: Duration,
}

/// What happens to a node that requires an approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApprovalSettings {
    pub then: OnApproval,
    /// How long it waits.
    pub timeout: Duration,
}

/// Another service: its URL, and the audience of tokens for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub url: HttpUrl,
    pub audience: String,
}

/// The executors of one kind of nodes, and the audience of tokens for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Executors {
    pub urls: ExecutorUrls,
    pub audience: String,
}

/// The JARVIS stores: all three or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stores {
    pub run_store: Endpoint,
    pub event_stream: Endpoint,
    pub artifact_store: Endpoint,
    /// How far they may lag behind before answers wait for them.
    pub lag: Duration,
    /// How long such an answer waits at most.
    pub wait: Duration,
}

/// The decision when no PDP is configured (contract §10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyPosture {
    /// Allow, reason `policy_bypass`.
    DevAllow,
    /// Deny, reason `policy_unconfigured`.
    DenyUnconfigured,
}

/// How tokens for other services are requested (contract §20).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboundAuth {
    pub client_id: String,
    pub client_secret: SecretSource,
    pub token_endpoint: HttpUrl,
    pub timeout: Duration,
    pub scope: Option<String>,
    pub audience_field: AudienceField,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub body_bytes: usize,
    /// The maximum number of JSON values in a request body.
    pub body_values: u64,
    /// The maximum length of a string in a request body, in bytes.
    pub string_bytes: usize,
    /// The maximum number of items of an array or members of an object in it.
    pub array_items: u64,
    /// The time limit for a request body to arrive.
    pub body_timeout: Duration,
    /// The time limit for a connection without a request in progress.
    pub idle_timeout: Duration,
    /// The time limit for a caller to take its answer.
    pub answer_timeout: Duration,
    pub max_wait: Duration,
    /// The maximum number of open connections.
    pub connections: usize,
    /// The maximum number of concurrent requests.
    pub requests: usize,
    /// The maximum number of open event streams.
    pub streams: usize,
    pub per_principal: PerPrincipal,
    /// The maximum size of an answer of another service.
    pub answer_bytes: usize,
}

/// The limits of each principal. `None`: those of the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PerPrincipal {
    pub rate: Option<Rate>,
    /// The maximum number of concurrent requests.
    pub requests: Option<usize>,
    /// The maximum number of open event streams.
    pub streams: Option<usize>,
}

/// A rate of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    pub per_second: u32,
    /// The maximum number of requests at once, after a pause.
    pub burst: u32,
}

/// Bounds on the constraints of every run (contract §7.3).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunBounds {
    /// Values of what neither a run nor its type limits.
    pub defaults: Option<ConstraintEnvelope>,
    /// What nothing may exceed.
    pub maxima: Option<ConstraintEnvelope>,
}

/// What is asked and demanded before work is handed over (contract §7.2, §10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gates {
    pub irreversible_checkpoint: bool,
    /// The class of a type that does not declare its side effects.
    pub unknown_side_effect: SideEffectClass,
    /// Binding decisions must bring their candidate set.
    pub candidate_sets_required: bool,
}

/// Maximum durations. Constraints and node types may lower them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    pub node: Duration,
    pub run: Duration,
    /// The silence after which a composite's executor is considered lost. `None`:
    /// not before the deadline.
    pub composite_silence: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallLimits {
    /// The maximum number of concurrent calls to each executor.
    pub max_in_flight: usize,
    /// The maximum number of retries of a dispatch.
    pub max_retries: u32,
    pub connect_timeout: Duration,
    /// The time limit of calls to the PDP, the Node Registry and the stores, and
    /// of begin and cancel. Atomic nodes have until their deadline.
    pub call_timeout: Duration,
}
