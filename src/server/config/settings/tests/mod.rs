//! Tests of [`Settings::from_vars`], as tables of variables.

mod documented;
mod every_error;
mod services;
mod transport;
mod values;
mod warnings;

use std::{collections::BTreeMap, time::Duration};

use slog::Level;

use super::{Endpoint, Settings};
use crate::config::{
    Flags, Mode, PolicyPosture,
    value::{LogFormat, RegistryOutage},
};

type Pairs<'a> = &'a [(&'a str, &'a str)];

/// The minimum that starts: embedded, with inbound authentication disabled.
const EMBEDDED: Pairs = &[("ARP_AUTH_PROFILE", "dev-insecure")];

/// The minimum that starts with stores and authentication.
const FULL: Pairs = &[
    ("JARVIS_RUN_STORE_URL", "http://stores:8091"),
    ("JARVIS_EVENT_STREAM_URL", "http://stores:8093"),
    ("JARVIS_ARTIFACT_STORE_URL", "http://stores:8092"),
    ("ARP_AUTH_CLIENT_ID", "me"),
    ("ARP_AUTH_CLIENT_SECRET", "hush"),
    ("ARP_AUTH_TOKEN_ENDPOINT", "http://sts/token"),
    ("ARP_AUTH_JWKS_URI", "http://sts/keys"),
];

/// The stores alone.
const STORES: Pairs = FULL.first_chunk::<3>().expect("the stores").as_slice();

/// Later pairs replace earlier ones; an empty value counts as unset.
fn table(base: Pairs, more: Pairs) -> BTreeMap<String, String> {
    base.iter().chain(more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn settings(base: Pairs, more: Pairs) -> Settings {
    Settings::from_vars(&table(base, more), &Flags::default())
        .unwrap_or_else(|error| panic!("{more:?}: {error}"))
}

fn error(base: Pairs, more: Pairs) -> String {
    match Settings::from_vars(&table(base, more), &Flags::default()) {
        Ok(_) => panic!("{more:?} is accepted"),
        Err(errors) => errors.first().to_string(),
    }
}

fn url(endpoint: Option<&Endpoint>) -> Option<&str> {
    endpoint.map(|endpoint| endpoint.url.as_str())
}

#[test]
fn defaults_are_those_of_the_contract() {
    let settings = settings(EMBEDDED, &[]);
    assert_eq!((settings.listen.host.as_str(), settings.listen.port), ("127.0.0.1", 8081));
    assert!(!settings.reload);
    assert_eq!((settings.log.level, settings.log.format), (Level::Info, LogFormat::Text));
    assert_eq!(
        settings.journal.place,
        crate::config::JournalPlace::File("./jarvis-run-coordinator.db".into())
    );
    assert_eq!(settings.journal.max_bytes, None);
    assert_eq!((settings.stores, settings.offload_outputs_bytes), (None, None));
    for service in [&settings.node_registry, &settings.pdp, &settings.selection] {
        assert_eq!(*service, None);
    }
    assert_eq!((settings.atomic_executor, settings.composite_executor), (None, None));
    assert_eq!(settings.registry_outage, RegistryOutage::Closed);
    assert_eq!(settings.public_url, None);
    assert!(settings.auto_dispatch);
    assert_eq!(settings.policy, PolicyPosture::DenyUnconfigured);
    assert_eq!(settings.outbound, None);
    assert_eq!(settings.inbound.mode, Mode::Disabled);
    assert_eq!(settings.limits.body_bytes, 8 << 20);
    assert_eq!(settings.deadlines.node, Duration::from_secs(3600));
    assert_eq!(settings.deadlines.run, Duration::from_secs(86_400));
    assert_eq!(settings.calls.max_in_flight, 256);
    assert_eq!(settings.calls.connect_timeout, Duration::from_secs(5));
    assert_eq!(settings.calls.call_timeout, Duration::from_secs(10));
    assert_eq!(settings.shutdown_timeout, Duration::from_secs(10));
}

#[test]
fn flags_override_variables() {
    let flags = Flags {
        host: Some("0.0.0.0".into()),
        port: Some(9000),
        reload: true,
        journal: Some("/data/flag.db".into()),
        log_level: Some(Level::Error),
        verbose: 0,
    };
    let vars =
        table(EMBEDDED, &[("JARVIS_RUN_COORDINATOR_JOURNAL", "/data/variable.db"), ("LOG_LEVEL", "debug")]);
    let settings = Settings::from_vars(&vars, &flags).expect("usable");
    assert_eq!((settings.listen.host.as_str(), settings.listen.port), ("0.0.0.0", 9000));
    assert!(settings.reload);
    assert_eq!(settings.journal.place, crate::config::JournalPlace::File("/data/flag.db".into()));
    let level = |flags: &Flags| {
        let settings = Settings::from_vars(&vars, flags).expect("usable");
        let shown = settings.in_effect.iter().find(|shown| shown.name == "LOG_LEVEL").expect("listed");
        (settings.log.level, format!("{} by {}", shown.value, shown.source))
    };
    assert_eq!(level(&flags), (Level::Error, "ERROR by flag --log-level".to_owned()));
    for (verbose, expected, shown) in [
        (0, Level::Debug, "debug by env"),
        (1, Level::Debug, "DEBUG by flag -v"),
        (2, Level::Trace, "TRACE by flag -vv"),
        (9, Level::Trace, "TRACE by flag -vv"),
    ] {
        let flags = Flags { verbose, ..Flags::default() };
        assert_eq!(level(&flags), (expected, shown.to_owned()), "{verbose}");
    }
}

#[test]
fn start_up_failures_come_in_the_contracts_order() {
    let credentials = "ARP_AUTH_CLIENT_ID and ARP_AUTH_CLIENT_SECRET are required for outbound auth.";
    let timeout = "Invalid ARP_AUTH_* token exchange config: ARP_AUTH_TIMEOUT_SECS must be a number";
    let endpoint = "Invalid ARP_AUTH_* token exchange config: issuer or token_endpoint is required";
    // Everything is wrong; each step repairs what was complained about.
    let mut pairs = vec![
        ("JARVIS_EVENT_STREAM_URL", "ftp://stores"),
        ("ARP_AUTH_TIMEOUT_SECS", "soon"),
        ("ARP_AUTH_MODE", "sometimes"),
        ("LOG_LEVEL", "loud"),
    ];
    for (message, repair) in [
        (
            "JARVIS_RUN_STORE_URL is required to start the Run Coordinator",
            ("JARVIS_RUN_STORE_URL", "http://stores"),
        ),
        (
            "JARVIS_ARTIFACT_STORE_URL is required to start the Run Coordinator",
            ("JARVIS_ARTIFACT_STORE_URL", "http://stores"),
        ),
        (credentials, ("ARP_AUTH_CLIENT_ID", "me")),
        (credentials, ("ARP_AUTH_CLIENT_SECRET", "hush")),
        (timeout, ("ARP_AUTH_TIMEOUT_SECS", "2.5")),
        (endpoint, ("ARP_AUTH_TOKEN_ENDPOINT", "http://sts/token")),
        ("Invalid ARP_AUTH_MODE: 'sometimes'", ("ARP_AUTH_MODE", "required")),
        (
            "JWT auth requires ARP_AUTH_JWKS_URI or ARP_AUTH_ISSUER/ARP_AUTH_OIDC_DISCOVERY_URL when \
             ARP_AUTH_MODE is not 'disabled'",
            ("ARP_AUTH_JWKS_URI", "http://sts/keys"),
        ),
        (
            "JARVIS_EVENT_STREAM_URL must be an http:// or https:// URL without a query, not 'ftp://stores'",
            ("JARVIS_EVENT_STREAM_URL", "http://stores"),
        ),
        ("LOG_LEVEL must be one of DEBUG, INFO, WARNING, ERROR, CRITICAL, not 'loud'", ("LOG_LEVEL", "info")),
    ] {
        assert_eq!(error(&[], &pairs), message);
        pairs.push(repair);
    }
    assert_eq!(settings(&[], &pairs).outbound.expect("outbound").timeout, Duration::from_millis(2500));
}

#[test]
fn policy_denies_unless_a_variable_allows() {
    for (more, dev_allow) in [
        (&[("JARVIS_POLICY_PROFILE", " Dev-Allow ")][..], true),
        (&[("ARP_POLICY_MODE", "ALLOW_ALL")][..], true),
        (&[("JARVIS_POLICY_PROFILE", "secure"), ("ARP_POLICY_MODE", "allow_all")][..], true),
        (&[("JARVIS_POLICY_PROFILE", "allow_all")][..], false),
        (&[("ARP_POLICY_MODE", "dev-allow")][..], false),
        (&[("JARVIS_POLICY_PROFILE", "dev_allow")][..], false),
    ] {
        let posture = if dev_allow { PolicyPosture::DevAllow } else { PolicyPosture::DenyUnconfigured };
        assert_eq!(settings(EMBEDDED, more).policy, posture, "{more:?}");
    }
}
