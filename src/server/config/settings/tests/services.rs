//! Services: URLs, audiences, credentials.

use std::time::Duration;

use super::{EMBEDDED, FULL, Pairs, error, settings, url};
use crate::config::{
    error::ConfigError,
    settings::{Endpoint, Executors, OutboundAuth, Settings, Stores},
    value::{AudienceField, ExecutorUrls, HttpUrl, Secret, SecretSource},
};

#[test]
fn stores_are_configured_together() {
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
fn credentials_are_required_for_services_unless_auth_is_off() {
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
fn token_endpoint_is_given_or_derived() {
    let outbound = |more: Pairs| -> OutboundAuth { settings(FULL, more).outbound.expect("outbound") };
    let plain = outbound(&[]);
    let hush = SecretSource::Value(Secret::new("hush".into()));
    assert_eq!((plain.client_id.as_str(), &plain.client_secret), ("me", &hush));
    const FILE: (&str, &str) = ("ARP_AUTH_CLIENT_SECRET_FILE", "/run/secret");
    let filed = outbound(&[("ARP_AUTH_CLIENT_SECRET", ""), FILE]);
    assert_eq!(filed.client_secret, SecretSource::File("/run/secret".into()));
    assert_eq!(
        error(FULL, &[FILE]),
        "ARP_AUTH_CLIENT_SECRET and ARP_AUTH_CLIENT_SECRET_FILE exclude each other"
    );
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
fn services_have_aliases_audiences_and_base_urls() {
    type Service = fn(&Settings) -> Option<Endpoint>;
    fn single(executors: Option<&Executors>) -> Option<Endpoint> {
        let Executors { urls, audience } = executors?;
        let ExecutorUrls::Single(url) = urls else { panic!("a list: {urls:?}") };
        Some(Endpoint { url: url.clone(), audience: audience.clone() })
    }
    let services: [(&str, &str, Service); 5] = [
        ("ATOMIC_EXECUTOR", "arp-jarvis-atomicexecutor", |s| single(s.atomic_executor.as_ref())),
        ("COMPOSITE_EXECUTOR", "arp-jarvis-compositeexecutor", |s| single(s.composite_executor.as_ref())),
        ("NODE_REGISTRY", "arp-jarvis-noderegistry", |s| s.node_registry.clone()),
        ("PDP", "arp-jarvis-pdp", |s| s.pdp.clone()),
        ("SELECTION", "arp-jarvis-selection", |s| s.selection.clone()),
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
            assert_eq!(url(service(&settings).as_ref()), Some(expected), "{more:?}");
            assert_eq!(service(&settings).map(|service| service.audience), Some(default_audience.to_owned()));
        }
        let named = settings(EMBEDDED, &[(&jarvis, "http://a"), (&audience, " their-name ")]);
        assert_eq!(service(&named).map(|service| service.audience), Some("their-name".to_owned()));
        // The error names what was set, and no password.
        for given in [&jarvis, &arp] {
            let error = error(EMBEDDED, &[(given, "ws://me:hush@host")]);
            let must = format!("{given} must be an http:// or https:// URL without a query");
            assert!(error.starts_with(&must) && error.contains("'ws://***@host'"), "{error}");
            assert!(!error.contains("hush"), "{error}");
        }
    }
    for (name, get) in [
        ("RUN_STORE", (|s| &s.run_store) as fn(&Stores) -> &Endpoint),
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
fn public_url_has_two_names() {
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
