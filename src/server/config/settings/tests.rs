//! Tables over [`Settings::from_vars`].

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::Duration,
};

use slog::Level;

use super::super::{
    Flags, Mode, PolicyPosture, Settings, Vars,
    error::ConfigError,
    settings::{Endpoint, OutboundAuth},
    value::{AudienceField, HttpUrl, LogFormat, RegistryOutage},
    variables,
};
use crate::cli::Target;

type Pairs<'a> = &'a [(&'a str, &'a str)];

/// The least that starts: embedded, with inbound authentication disabled.
const EMBEDDED: Pairs = &[("ARP_AUTH_PROFILE", "dev-insecure")];

/// The least that starts with everything in place.
const FULL: Pairs = &[
    ("JARVIS_RUN_STORE_URL", "http://stores:8091"),
    ("JARVIS_EVENT_STREAM_URL", "http://stores:8093"),
    ("JARVIS_ARTIFACT_STORE_URL", "http://stores:8092"),
    ("ARP_AUTH_CLIENT_ID", "me"),
    ("ARP_AUTH_CLIENT_SECRET", "hush"),
    ("ARP_AUTH_TOKEN_ENDPOINT", "http://sts/token"),
    ("ARP_AUTH_JWKS_URI", "http://sts/keys"),
];

/// What else is read when there are stores.
const STORES: Pairs = FULL.first_chunk::<3>().expect("the stores").as_slice();

/// Later pairs replace earlier ones; an empty value is as good as none.
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
        Err(error) => error.to_string(),
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
    assert_eq!(settings.journal.path, Path::new("./jarvis-run-coordinator.db"));
    assert_eq!(settings.journal.max_bytes, None);
    assert_eq!((settings.stores, settings.offload_outputs_bytes), (None, None));
    for service in [
        &settings.atomic_executor,
        &settings.composite_executor,
        &settings.node_registry,
        &settings.pdp,
        &settings.selection,
    ] {
        assert_eq!(*service, None);
    }
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
fn flags_win() {
    let flags = Flags {
        host: Some("0.0.0.0".into()),
        port: Some(9000),
        reload: true,
        journal: Some("/data/flag.db".into()),
    };
    let vars = table(EMBEDDED, &[("JARVIS_RUN_COORDINATOR_JOURNAL", "/data/variable.db")]);
    let settings = Settings::from_vars(&vars, &flags).expect("usable");
    assert_eq!((settings.listen.host.as_str(), settings.listen.port), ("0.0.0.0", 9000));
    assert!(settings.reload);
    assert_eq!(settings.journal.path, Path::new("/data/flag.db"));
}

#[test]
fn the_stores_are_all_there_or_none() {
    let with_stores = settings(FULL, &[]).stores.expect("stores");
    assert_eq!(with_stores.run_store.url.as_str(), "http://stores:8091");
    assert_eq!(with_stores.run_store.audience, "arp-jarvis-runstore");
    assert_eq!(with_stores.event_stream.url.as_str(), "http://stores:8093");
    assert_eq!(with_stores.event_stream.audience, "arp-jarvis-eventstream");
    assert_eq!(with_stores.artifact_store.url.as_str(), "http://stores:8092");
    assert_eq!(with_stores.artifact_store.audience, "arp-jarvis-artifactstore");

    // Every subset, in binary: what is missing first in the contract's order.
    let [run, event, artifact] =
        ["JARVIS_RUN_STORE_URL", "JARVIS_EVENT_STREAM_URL", "JARVIS_ARTIFACT_STORE_URL"];
    for (given, missing) in [
        (&[run][..], event),
        (&[event][..], run),
        (&[artifact][..], run),
        (&[run, event][..], artifact),
        (&[run, artifact][..], event),
        (&[event, artifact][..], run),
    ] {
        let pairs: Vec<_> = given.iter().map(|name| (*name, "http://stores")).collect();
        assert_eq!(error(&[], &pairs), format!("{missing} is required to start the Run Coordinator"));
    }
    assert!(settings(EMBEDDED, &[(run, "  "), (event, ""), (artifact, "")]).stores.is_none());
}

#[test]
fn start_up_failures_come_in_the_order_of_the_contract() {
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
fn credentials_are_needed_when_a_service_is_called_and_callers_need_tokens() {
    const SECURE: Pairs = &[("ARP_AUTH_MODE", "required"), ("ARP_AUTH_JWKS_URI", "http://sts/keys")];
    const PDP: (&str, &str) = ("JARVIS_PDP_URL", "http://pdp");
    const ID: (&str, &str) = ("ARP_AUTH_CLIENT_ID", "me");
    const SECRET: (&str, &str) = ("ARP_AUTH_CLIENT_SECRET", "hush");
    const ENDPOINT: (&str, &str) = ("ARP_AUTH_TOKEN_ENDPOINT", "http://sts/token");

    // None are given.
    assert_eq!(settings(SECURE, &[]).outbound, None);
    assert_eq!(settings(EMBEDDED, &[PDP]).outbound, None);
    assert_eq!(error(SECURE, &[PDP]), ConfigError::CredentialsMissing.to_string());
    assert_eq!(
        error(SECURE, &[("ARP_ATOMIC_EXECUTOR_URL", "http://ae")]),
        ConfigError::CredentialsMissing.to_string()
    );
    // Half of them are given.
    for base in [SECURE, EMBEDDED] {
        for half in [ID, SECRET] {
            assert_eq!(error(base, &[half]), ConfigError::CredentialsMissing.to_string());
            assert_eq!(error(base, &[half, PDP, ENDPOINT]), ConfigError::CredentialsMissing.to_string());
        }
    }
    // Both are given: used in every mode, and then they must be complete.
    for base in [SECURE, EMBEDDED] {
        assert_eq!(error(base, &[ID, SECRET]), ConfigError::TokenEndpointMissing.to_string());
        assert!(settings(base, &[ID, SECRET, ENDPOINT]).outbound.is_some());
    }
}

#[test]
fn the_token_endpoint_is_given_or_derived() {
    let outbound = |more: Pairs| -> OutboundAuth { settings(FULL, more).outbound.expect("outbound") };
    let plain = outbound(&[]);
    assert_eq!((plain.client_id.as_str(), plain.client_secret.expose()), ("me", "hush"));
    assert_eq!((plain.timeout, plain.scope), (Duration::from_secs(10), None));
    assert_eq!(outbound(&[("ARP_AUTH_SCOPE", " openid ")]).scope.as_deref(), Some("openid"));
    assert_eq!(plain.audience_field, AudienceField::Audience);
    let resource = ("JARVIS_RUN_COORDINATOR_TOKEN_AUDIENCE_FIELD", "Resource");
    assert_eq!(outbound(&[resource]).audience_field, AudienceField::Resource);
    assert_eq!(
        error(FULL, &[(resource.0, "both")]),
        "JARVIS_RUN_COORDINATOR_TOKEN_AUDIENCE_FIELD must be one of audience, resource, not 'both'"
    );

    const NO_ENDPOINT: (&str, &str) = ("ARP_AUTH_TOKEN_ENDPOINT", " ");
    for (more, endpoint) in [
        (&[][..], "http://sts/token"),
        (&[("ARP_AUTH_TOKEN_ENDPOINT", " https://sts/v1/ ")][..], "https://sts/v1/"),
        (&[("ARP_AUTH_ISSUER", "http://issuer")][..], "http://sts/token"),
        (
            &[NO_ENDPOINT, ("ARP_AUTH_ISSUER", "http://issuer//")][..],
            "http://issuer/protocol/openid-connect/token",
        ),
    ] {
        assert_eq!(outbound(more).token_endpoint.as_str(), endpoint);
    }
    for (more, message) in [
        (
            &[("ARP_AUTH_TOKEN_ENDPOINT", "sts:80")][..],
            "ARP_AUTH_TOKEN_ENDPOINT must be an http:// or https:// URL, not 'sts:80'",
        ),
        (
            &[NO_ENDPOINT, ("ARP_AUTH_ISSUER", "issuer")][..],
            "ARP_AUTH_ISSUER must be an http:// or https:// URL, not 'issuer'",
        ),
        (
            &[("ARP_AUTH_TIMEOUT_SECS", "-1")][..],
            "ARP_AUTH_TIMEOUT_SECS must be a number of seconds above 0, at most 315360000 (ten years), not '-1'",
        ),
    ] {
        assert_eq!(error(FULL, more), message);
    }
}

#[test]
fn services_have_aliases_default_audiences_and_clean_urls() {
    type Service = fn(&Settings) -> Option<&Endpoint>;
    let services: [(&str, &str, Service); 5] = [
        ("ATOMIC_EXECUTOR", "arp-jarvis-atomicexecutor", |s| s.atomic_executor.as_ref()),
        ("COMPOSITE_EXECUTOR", "arp-jarvis-compositeexecutor", |s| s.composite_executor.as_ref()),
        ("NODE_REGISTRY", "arp-jarvis-noderegistry", |s| s.node_registry.as_ref()),
        ("PDP", "arp-jarvis-pdp", |s| s.pdp.as_ref()),
        ("SELECTION", "arp-jarvis-selection", |s| s.selection.as_ref()),
    ];
    for (name, default_audience, service) in services {
        let [jarvis, arp, audience] =
            [format!("JARVIS_{name}_URL"), format!("ARP_{name}_URL"), format!("JARVIS_{name}_AUDIENCE")];
        for (more, expected) in [
            (vec![(jarvis.as_str(), " http://a:1/v1/ ")], "http://a:1"),
            (vec![(arp.as_str(), "https://b//v1")], "https://b"),
            (vec![(jarvis.as_str(), "http://a"), (arp.as_str(), "http://b")], "http://a"),
            (vec![(jarvis.as_str(), "  "), (arp.as_str(), "http://b")], "http://b"),
        ] {
            let settings = settings(EMBEDDED, &more);
            assert_eq!(url(service(&settings)), Some(expected), "{more:?}");
            assert_eq!(service(&settings).map(|service| service.audience.as_str()), Some(default_audience));
        }
        let named = settings(EMBEDDED, &[(&jarvis, "http://a"), (&audience, " their-name ")]);
        assert_eq!(service(&named).map(|service| service.audience.as_str()), Some("their-name"));
        // The error names what was set, and no password.
        for given in [&jarvis, &arp] {
            assert_eq!(
                error(EMBEDDED, &[(given, "ws://me:hush@host")]),
                format!("{given} must be an http:// or https:// URL without a query, not 'ws://***@host'")
            );
        }
    }
    for (name, get) in [
        ("RUN_STORE", (|s| &s.run_store) as fn(&super::Stores) -> &Endpoint),
        ("EVENT_STREAM", |s| &s.event_stream),
        ("ARTIFACT_STORE", |s| &s.artifact_store),
    ] {
        let [address, audience] = [format!("JARVIS_{name}_URL"), format!("JARVIS_{name}_AUDIENCE")];
        let stores = settings(FULL, &[(&address, "http://x/y/v1/"), (&audience, "aud")]).stores;
        let endpoint = stores.as_ref().map(get).expect("stores");
        assert_eq!((endpoint.url.as_str(), endpoint.audience.as_str()), ("http://x/y", "aud"));
    }
}

#[test]
fn the_public_url_has_two_names() {
    const LONG: &str = "JARVIS_RUN_COORDINATOR_PUBLIC_URL";
    const SHORT: &str = "JARVIS_RUN_COORDINATOR_URL";
    for (more, expected) in [
        (&[(LONG, "http://a/v1")][..], Some("http://a")),
        (&[(SHORT, "http://b/")][..], Some("http://b")),
        (&[(LONG, "http://a"), (SHORT, "http://b")][..], Some("http://a")),
        (&[(LONG, " ")][..], None),
    ] {
        let settings = settings(EMBEDDED, more);
        assert_eq!(settings.public_url.as_ref().map(HttpUrl::as_str), expected);
    }
}

#[test]
fn policy_is_deny_unless_allowed_by_name() {
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

#[test]
fn every_other_variable_is_read() {
    type Check = fn(&Settings) -> bool;
    let rows: [(&str, &str, Check); 16] = [
        ("JARVIS_RUN_COORDINATOR_AUTO_DISPATCH", " Off ", |s| !s.auto_dispatch),
        ("JARVIS_RUN_COORDINATOR_STRICT_EXTENSION_KEYS", "on", |s| s.dotted_keys),
        ("LOG_LEVEL", "warning", |s| s.log.level == Level::Warning),
        ("LOG_LEVEL", "Critical", |s| s.log.level == Level::Critical),
        ("JARVIS_RUN_COORDINATOR_LOG_FORMAT", "JSON", |s| s.log.format == LogFormat::Json),
        ("JARVIS_RUN_COORDINATOR_JOURNAL", "/data/j.db", |s| s.journal.path == Path::new("/data/j.db")),
        ("JARVIS_RUN_COORDINATOR_JOURNAL_MAX_BYTES", "2G", |s| s.journal.max_bytes == Some(2 << 30)),
        ("JARVIS_RUN_COORDINATOR_MAX_BODY_BYTES", "512k", |s| s.limits.body_bytes == 512 << 10),
        ("JARVIS_RUN_COORDINATOR_OFFLOAD_OUTPUTS_BYTES", "64k", |s| s.offload_outputs_bytes == Some(65_536)),
        ("JARVIS_RUN_COORDINATOR_OFFLOAD_OUTPUTS_BYTES", "1", |s| s.offload_outputs_bytes == Some(1024)),
        ("JARVIS_RUN_COORDINATOR_NODE_TIMEOUT_SECS", "1.5", |s| s.deadlines.node.as_millis() == 1500),
        ("JARVIS_RUN_COORDINATOR_RUN_TIMEOUT_SECS", "60", |s| s.deadlines.run.as_secs() == 60),
        ("JARVIS_RUN_COORDINATOR_MAX_IN_FLIGHT", "2", |s| s.calls.max_in_flight == 2),
        ("JARVIS_RUN_COORDINATOR_CONNECT_TIMEOUT_SECS", "1", |s| s.calls.connect_timeout.as_secs() == 1),
        ("JARVIS_RUN_COORDINATOR_CALL_TIMEOUT_SECS", "2", |s| s.calls.call_timeout.as_secs() == 2),
        ("JARVIS_RUN_COORDINATOR_SHUTDOWN_TIMEOUT_SECS", "3", |s| s.shutdown_timeout.as_secs() == 3),
    ];
    for (name, value, holds) in rows {
        assert!(holds(&settings(EMBEDDED, &[(name, value)])), "{name}={value}");
    }
}

#[test]
fn broken_values_are_named() {
    const JOURNAL: &str = "a number of bytes (suffixes k, m, g) from 128k (an empty journal) to 8192g";
    const BYTES: &str = "a number of bytes (suffixes k, m, g) from 1 to 1g";
    const SECONDS: &str = "a number of seconds above 0, at most 315360000 (ten years)";
    for (name, value, expected) in [
        ("JARVIS_RUN_COORDINATOR_LOG_FORMAT", "xml", "one of text, json"),
        ("JARVIS_RUN_COORDINATOR_JOURNAL_MAX_BYTES", "lots", JOURNAL),
        ("JARVIS_RUN_COORDINATOR_MAX_BODY_BYTES", "0", BYTES),
        ("JARVIS_RUN_COORDINATOR_OFFLOAD_OUTPUTS_BYTES", "0", BYTES),
        ("JARVIS_RUN_COORDINATOR_NODE_TIMEOUT_SECS", "0", SECONDS),
        ("JARVIS_RUN_COORDINATOR_RUN_TIMEOUT_SECS", "1d", SECONDS),
        ("JARVIS_RUN_COORDINATOR_MAX_IN_FLIGHT", "0", "a whole number from 1 to 100000"),
        ("JARVIS_RUN_COORDINATOR_CONNECT_TIMEOUT_SECS", "inf", SECONDS),
        ("JARVIS_RUN_COORDINATOR_CALL_TIMEOUT_SECS", "-3", SECONDS),
        ("JARVIS_RUN_COORDINATOR_SHUTDOWN_TIMEOUT_SECS", "x\ny", SECONDS),
    ] {
        let shown = value.replace('\n', "\\n");
        assert_eq!(error(EMBEDDED, &[(name, value)]), format!("{name} must be {expected}, not '{shown}'"));
    }
}

#[test]
fn a_switch_is_one_of_its_words() {
    const WORDS: &str = "one of true, yes, on, 1, false, no, off, 0";
    for name in ["JARVIS_RUN_COORDINATOR_AUTO_DISPATCH", "JARVIS_RUN_COORDINATOR_STRICT_EXTENSION_KEYS"] {
        for word in ["true", "Yes", "on", "1", "FALSE", "no", "off", "0", "  "] {
            settings(EMBEDDED, &[(name, word)]);
        }
        for word in ["flase", "maybe", "n", "y", "2", "enabled"] {
            assert_eq!(error(EMBEDDED, &[(name, word)]), format!("{name} must be {WORDS}, not '{word}'"));
        }
    }
    let audience = ("ARP_AUTH_REQUIRE_AUDIENCE", "flase");
    assert_eq!(
        error(EMBEDDED, &[audience]),
        format!("ARP_AUTH_REQUIRE_AUDIENCE must be {WORDS}, not 'flase'")
    );
}

#[test]
fn sizes_and_times_have_bounds() {
    const JOURNAL: &str = "JARVIS_RUN_COORDINATOR_JOURNAL_MAX_BYTES";
    const BYTES: &str = "a number of bytes (suffixes k, m, g)";
    const SECONDS: &str = "a number of seconds above 0, at most 315360000 (ten years)";
    for (name, value, expected) in [
        (JOURNAL, "10", format!("{BYTES} from 128k (an empty journal) to 8192g")),
        (JOURNAL, "9000g", format!("{BYTES} from 128k (an empty journal) to 8192g")),
        ("JARVIS_RUN_COORDINATOR_MAX_BODY_BYTES", "1025m", format!("{BYTES} from 1 to 1g")),
        ("JARVIS_RUN_COORDINATOR_OFFLOAD_OUTPUTS_BYTES", "2g", format!("{BYTES} from 1 to 1g")),
        ("JARVIS_RUN_COORDINATOR_RUN_TIMEOUT_SECS", "999999999999", SECONDS.into()),
        ("JARVIS_RUN_COORDINATOR_NODE_TIMEOUT_SECS", "315360001", SECONDS.into()),
        ("JARVIS_RUN_COORDINATOR_CALL_TIMEOUT_SECS", "1e18", SECONDS.into()),
        (
            "JARVIS_RUN_COORDINATOR_STORE_WAIT_SECS",
            "1e9",
            "a number of seconds, at most 315360000 (ten years)".into(),
        ),
        (
            "JARVIS_RUN_COORDINATOR_RETENTION",
            "9999999999d",
            "a whole number above 0 and its unit (s, m, h, d), at most 36500d".into(),
        ),
        ("JARVIS_RUN_COORDINATOR_MAX_IN_FLIGHT", "100001", "a whole number from 1 to 100000".into()),
        ("JARVIS_RUN_COORDINATOR_MAX_RETRIES", "1000001", "a whole number from 0 to 1000000".into()),
    ] {
        let vars: Vec<_> = STORES.iter().copied().chain([(name, value)]).collect();
        assert_eq!(error(EMBEDDED, &vars), format!("{name} must be {expected}, not '{value}'"));
    }
    // The bounds themselves will do.
    let settings = settings(
        EMBEDDED,
        &[
            (JOURNAL, "128k"),
            ("JARVIS_RUN_COORDINATOR_RUN_TIMEOUT_SECS", "315360000"),
            ("JARVIS_RUN_COORDINATOR_RETENTION", "36500d"),
            ("JARVIS_RUN_COORDINATOR_MAX_BODY_BYTES", "1024m"),
        ],
    );
    assert_eq!(settings.limits.body_bytes, 1 << 30);
    assert_eq!(
        error(EMBEDDED, &[("ARP_AUTH_CLOCK_SKEW_SECONDS", "86401")]),
        "Invalid ARP_AUTH_CLOCK_SKEW_SECONDS: '86401'"
    );
}

#[test]
fn no_secret_is_in_the_debug_output() {
    let settings = settings(FULL, &[("JARVIS_PDP_URL", "http://me:hush@pdp")]);
    assert!(!format!("{settings:?}").contains("hush"));
}

#[test]
fn doubtful_settings_are_warned_about() {
    let warns = |more: Pairs, host: &str, text: &str| {
        let flags = Flags { host: Some(host.into()), ..Flags::default() };
        let settings = Settings::from_vars(&table(EMBEDDED, more), &flags).expect("usable");
        settings.warnings.iter().any(|warning| warning.contains(text))
    };
    const REGISTRY: (&str, &str) = ("JARVIS_NODE_REGISTRY_URL", "http://registry");
    const OPEN: (&str, &str) = ("JARVIS_RUN_COORDINATOR_REGISTRY_OUTAGE", "open");
    let reachable = "on an address that others can reach";
    const OFFLOAD: (&str, &str) = ("JARVIS_RUN_COORDINATOR_OFFLOAD_OUTPUTS_BYTES", "64k");
    for (more, host, text, expected) in [
        (&[][..], "0.0.0.0", reachable, true),
        (&[][..], "127.0.0.2", reachable, false),
        (&[][..], "[::1]", reachable, false),
        (&[][..], "localhost", reachable, false),
        (&[][..], "localhost", "every run is denied", true),
        (&[("JARVIS_PDP_URL", "http://pdp")][..], "localhost", "every run is denied", false),
        (&[("JARVIS_POLICY_PROFILE", "dev-allow")][..], "localhost", "everything is allowed", true),
        (&[("JARVIS_POLICY_PROFILE", "allow")][..], "localhost", "only dev-allow is known", true),
        (&[("JARVIS_COMPOSITE_EXECUTOR_URL", "http://ce")][..], "localhost", "PUBLIC_URL is not set", true),
        (&[("JARVIS_RUN_COORDINATOR_AUTO_DISPATCH", "no")][..], "localhost", "not dispatched", true),
        (
            &[("JARVIS_RUN_COORDINATOR_RUN_TIMEOUT_SECS", "60")][..],
            "localhost",
            "NODE_TIMEOUT_SECS has no",
            true,
        ),
        (
            &[("JARVIS_RUN_COORDINATOR_RUN_TIMEOUT_SECS", "3600")][..],
            "localhost",
            "NODE_TIMEOUT_SECS has no",
            false,
        ),
        (
            &[("JARVIS_RUN_COORDINATOR_AUTO_DISPACH", "off")][..],
            "localhost",
            "JARVIS_RUN_COORDINATOR_AUTO_DISPACH is no variable of this program",
            true,
        ),
        (&[("JARVIS_RUN_COORDINATOR_URL", "http://me")][..], "localhost", "is no variable", false),
        (&[("JARVIS_POLICY_FILE", "others")][..], "localhost", "is no variable", false),
        (&[REGISTRY][..], "localhost", "constraints of node types", false),
        (&[REGISTRY, OPEN][..], "localhost", "constraints of node types", true),
        (&[OPEN][..], "localhost", "constraints of node types", false),
        (&[OFFLOAD][..], "localhost", "no Artifact Store is configured", true),
        (&[&[OFFLOAD], STORES].concat(), "localhost", "no Artifact Store is configured", false),
    ] {
        assert_eq!(warns(more, host, text), expected, "{more:?} {host} {text}");
    }
}

/// Variables that remember what was asked for.
struct Recording<'a> {
    vars: BTreeMap<String, String>,
    asked: &'a RefCell<BTreeSet<String>>,
}

impl Vars for Recording<'_> {
    fn get(&self, name: &str) -> Option<String> {
        self.asked.borrow_mut().insert(name.to_owned());
        Vars::get(&self.vars, name)
    }
}

#[test]
fn what_is_read_is_what_is_documented() {
    let asked = RefCell::new(BTreeSet::new());
    // A variable may be asked for only where another is set or is not. URLs
    // that all services share make every audience matter.
    let urls: Vec<_> = variables::all()
        .filter(|variable| variable.name.ends_with("_URL"))
        .map(|variable| (variable.name, "http://host"))
        .collect();
    let discovered = [("ARP_AUTH_JWKS_URI", ""), ("ARP_AUTH_ISSUER", "http://host")];
    for vars in [table(EMBEDDED, &[]), table(FULL, &[]), table(FULL, &urls), table(FULL, &discovered)] {
        let recording = Recording { vars, asked: &asked };
        Settings::from_vars(&recording, &Flags::default()).expect("usable");
        // What is not the server's.
        assert_eq!(Target::default().token(&recording), None);
    }
    let documented: BTreeSet<String> = variables::all()
        .flat_map(|variable| std::iter::once(variable.name).chain(variable.aliases.iter().copied()))
        .map(str::to_owned)
        .collect();
    let asked = asked.into_inner();
    let undocumented: Vec<_> = asked.difference(&documented).collect();
    let unread: Vec<_> = documented.difference(&asked).collect();
    assert!(undocumented.is_empty(), "read, but not in the table: {undocumented:?}");
    assert!(unread.is_empty(), "in the table, but never read: {unread:?}");
}
