//! The line of the log that says what has started: what an operator asks first.

use std::net::SocketAddr;

use slog::{Logger, info};

use crate::{
    config::{Belongs, ExecutorUrls, Executors, OnApproval, PolicyPosture, Profile, SchemaMode, Settings},
    journal::Counts,
};

/// What is known only when the server has started.
pub(super) struct Started {
    pub(super) address: SocketAddr,
    pub(super) operator_address: Option<SocketAddr>,
    /// The journal, as it was taken over.
    pub(super) counts: Counts,
}

pub(super) fn log(settings: &Settings, started: &Started, log: &Logger) {
    let Started { address, operator_address, counts } = started;
    let host = |endpoint: Option<&crate::config::Endpoint>| endpoint.map(|endpoint| endpoint.url.address());
    let slots = settings.calls.max_in_flight;
    info!(log, "started";
        "version" => env!("CARGO_PKG_VERSION"),
        "profile" => profile(settings),
        "address" => %address,
        "operator_address" => operator_address.map(|address| address.to_string()),
        "journal" => %settings.journal.place,
        "runs_live" => counts.runs_live,
        "node_runs_live" => counts.nodes_live,
        "waiting" => counts.load.waiting,
        "due" => counts.wakes_due,
        "parked" => counts.parked,
        "approvals" => counts.approvals,
        "atomic_executor" => members(settings.atomic_executor.as_ref(), slots),
        "composite_executor" => members(settings.composite_executor.as_ref(), slots),
        "stores" => if settings.stores.is_some() { "configured" } else { "none" },
        "outbox" => counts.outbox,
        "node_registry" => host(settings.node_registry.as_ref()),
        "policy" => policy(settings),
        "authentication" => settings.inbound.mode.name(),
        "runs_belong_to" => match settings.inbound.authorization.belongs {
            Belongs::Open => "open",
            Belongs::Owner => "owner",
            Belongs::Tenant => "tenant",
        },
        "features" => features(settings).join(","));
}

fn profile(settings: &Settings) -> &'static str {
    match settings.inbound.profile {
        None => "none",
        Some(Profile::DevInsecure) => "dev-insecure",
        Some(Profile::DevSecureKeycloak) => "dev-secure-keycloak",
        Some(Profile::Enterprise) => "enterprise",
    }
}

/// The addresses of an executor's members, and the slots of each.
fn members(executors: Option<&Executors>, slots: usize) -> Option<String> {
    let addresses: Vec<String> = match &executors?.urls {
        ExecutorUrls::Single(url) => vec![url.address()],
        ExecutorUrls::Addresses(members) | ExecutorUrls::Named(members) => {
            members.iter().map(|member| member.url.address()).collect()
        }
    };
    Some(format!("{} ({slots} slots each)", addresses.join(" ")))
}

fn policy(settings: &Settings) -> String {
    match (&settings.pdp, settings.policy) {
        (Some(pdp), _) => pdp.url.address(),
        (None, PolicyPosture::DevAllow) => "allow all".to_owned(),
        (None, PolicyPosture::DenyUnconfigured) => "deny all".to_owned(),
    }
}

/// What is switched on and changes how runs are treated.
fn features(settings: &Settings) -> Vec<&'static str> {
    [
        ("tls", settings.tls.is_some()),
        ("outbound_tokens", settings.outbound.is_some()),
        ("token_exchange", settings.exchange_key.is_some()),
        ("approvals", settings.approvals.then == OnApproval::Park),
        ("schemas", settings.schemas != SchemaMode::Off),
        ("offload_outputs", settings.offload_outputs_bytes.is_some()),
        ("retention", settings.journal.retention.is_some()),
        ("strict_extension_keys", settings.dotted_keys),
        ("dispatch_off", !settings.auto_dispatch),
        ("run_log", settings.log.runs),
    ]
    .into_iter()
    .filter_map(|(name, is_on)| is_on.then_some(name))
    .collect()
}
