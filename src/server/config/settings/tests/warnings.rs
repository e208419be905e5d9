//! Warnings about settings that are probably unintended.

use super::{EMBEDDED, Pairs, STORES, table};
use crate::config::{Flags, settings::Settings};

#[test]
fn unintended_settings_have_warnings() {
    let warns = |more: Pairs, host: &str, text: &str| {
        let flags = Flags { host: Some(host.into()), ..Flags::default() };
        let settings = Settings::from_vars(&table(EMBEDDED, more), &flags).expect("usable");
        settings.warnings.iter().any(|warning| warning.contains(text))
    };
    const REGISTRY: (&str, &str) = ("JARVIS_NODE_REGISTRY_URL", "http://registry");
    const OPEN: (&str, &str) = ("JARVIS_RUN_COORDINATOR_REGISTRY_OUTAGE", "open");
    let reachable = "reachable from other machines";
    const OFFLOAD: (&str, &str) = ("JARVIS_RUN_COORDINATOR_OFFLOAD_OUTPUTS_BYTES", "64k");
    for (more, host, text, expected) in [
        (&[][..], "0.0.0.0", reachable, true),
        (&[][..], "127.0.0.2", reachable, false),
        (&[][..], "[::1]", reachable, false),
        (&[][..], "localhost", reachable, false),
        (&[][..], "localhost", "every run is denied", true),
        (&[("JARVIS_PDP_URL", "http://pdp")][..], "localhost", "every run is denied", false),
        (&[("JARVIS_POLICY_PROFILE", "dev-allow")][..], "localhost", "everything is allowed", true),
        (&[("JARVIS_POLICY_PROFILE", "allow")][..], "localhost", "only value is dev-allow", true),
        (&[("JARVIS_COMPOSITE_EXECUTOR_URL", "http://ce")][..], "localhost", "PUBLIC_URL is not set", true),
        (&[("JARVIS_RUN_COORDINATOR_AUTO_DISPATCH", "no")][..], "localhost", "nodes stay queued", true),
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
            "JARVIS_RUN_COORDINATOR_AUTO_DISPACH is not a variable of this program",
            true,
        ),
        (
            &[("JARVIS_ATOMIC_EXECUTR_URL", "http://ae")][..],
            "localhost",
            "is JARVIS_ATOMIC_EXECUTOR_URL meant?",
            true,
        ),
        (&[("JARVIS_RUN_COORDINATOR_URL", "http://me")][..], "localhost", "is not a variable", false),
        (&[("JARVIS_POLICY_FILE", "others")][..], "localhost", "is not a variable", false),
        (&[REGISTRY][..], "localhost", "constraints of node types", false),
        (&[REGISTRY, OPEN][..], "localhost", "constraints of node types", true),
        (&[OPEN][..], "localhost", "constraints of node types", false),
        (&[OFFLOAD][..], "localhost", "no Artifact Store is configured", true),
        (&[&[OFFLOAD], STORES].concat(), "localhost", "no Artifact Store is configured", false),
    ] {
        assert_eq!(warns(more, host, text), expected, "{more:?} {host} {text}");
    }
    const ENTERPRISE: Pairs =
        &[("ARP_AUTH_PROFILE", "enterprise"), ("ARP_AUTH_JWKS_URI", "https://sts/keys")];
    const HTTPS: Pairs = &[("JARVIS_RUN_COORDINATOR_TLS_CERT", "c"), ("JARVIS_RUN_COORDINATOR_TLS_KEY", "k")];
    for (more, host, expected) in [
        (ENTERPRISE, "0.0.0.0", true),
        (ENTERPRISE, "127.0.0.1", false),
        (&[ENTERPRISE, HTTPS].concat(), "0.0.0.0", false),
        (&[], "0.0.0.0", false),
    ] {
        assert_eq!(warns(more, host, "speaks plain HTTP"), expected, "{more:?} {host}");
    }
}
