//! All errors at once, and what they say to set.

use super::{EMBEDDED, FULL, Pairs, STORES, table};
use crate::config::{ConfigErrors, Flags, settings::Settings};

fn errors(base: Pairs, more: Pairs) -> ConfigErrors {
    Settings::from_vars(&table(base, more), &Flags::default()).expect_err("wrong")
}

fn messages(base: Pairs, more: Pairs) -> Vec<String> {
    errors(base, more).all().map(ToString::to_string).collect()
}

#[test]
fn errors_come_at_once_in_the_contracts_order() {
    let found = messages(
        &[],
        &[
            ("JARVIS_RUN_COORDINATOR_MAX_IN_FLIGHT", "many"),
            ("LOG_LEVEL", "loud"),
            ("JARVIS_PDP_URL", "pdp:8086"),
            ("JARVIS_EVENT_STREAM_URL", "ftp://stores"),
            ("ARP_AUTH_TIMEOUT_SECS", "soon"),
            ("ARP_AUTH_PROFILE", "strict"),
            ("ARP_AUTH_CLOCK_SKEW_SECONDS", "1m"),
            ("JARVIS_RUN_COORDINATOR_TLS_CERT", "server.crt"),
        ],
    );
    let starts = [
        "JARVIS_RUN_STORE_URL is required to start the Run Coordinator",
        "JARVIS_ARTIFACT_STORE_URL is required to start the Run Coordinator",
        "ARP_AUTH_CLIENT_ID and ARP_AUTH_CLIENT_SECRET are required for outbound auth.",
        "Invalid ARP_AUTH_* token exchange config: ARP_AUTH_TIMEOUT_SECS must be a number",
        "Invalid ARP_AUTH_* token exchange config: issuer or token_endpoint is required",
        "Invalid ARP_AUTH_PROFILE: 'strict'",
        "Invalid ARP_AUTH_CLOCK_SKEW_SECONDS: '1m'",
        "JARVIS_RUN_COORDINATOR_TLS_CERT requires JARVIS_RUN_COORDINATOR_TLS_KEY",
        "JARVIS_EVENT_STREAM_URL must be an http:// or https:// URL",
        "JARVIS_PDP_URL must be an http:// or https:// URL",
        "LOG_LEVEL must be one of",
        "JARVIS_RUN_COORDINATOR_MAX_IN_FLIGHT must be an integer",
    ];
    assert_eq!(found.len(), starts.len(), "{found:#?}");
    for (message, start) in found.iter().zip(starts) {
        assert!(message.starts_with(start), "{message}");
    }
}

/// What is only wrong because of the first error is not listed.
#[test]
fn errors_that_follow_from_others_are_not_listed() {
    const SECURE: (&str, &str) = ("ARP_AUTH_JWKS_URI", "http://sts/keys");
    for (base, more) in [
        (EMBEDDED, &[("ARP_AUTH_PROFILE", "strict")][..]),
        (EMBEDDED, &[("ARP_AUTH_MODE", "maybe")]),
        (&[], &[]),
        (&[], &[("ARP_AUTH_PROFILE", "keycloak")]),
        (&[], &[SECURE, ("JARVIS_RUN_COORDINATOR_TOKEN_EXCHANGE", "yes")]),
        (EMBEDDED, &[("JARVIS_RUN_COORDINATOR_AUTHORIZATION", "owner")]),
        (
            EMBEDDED,
            &[("JARVIS_RUN_COORDINATOR_TLS_CLIENT_CA", "ca"), ("JARVIS_RUN_COORDINATOR_TLS_KEY", "k")],
        ),
        (FULL, &[("ARP_AUTH_CLIENT_SECRET_FILE", "secret")]),
        (FULL, &[("ARP_AUTH_TOKEN_ENDPOINT", ""), ("ARP_AUTH_ISSUER", "issuer")]),
        (EMBEDDED, STORES.split_at(2).0),
        (EMBEDDED, &[("JARVIS_RUN_COORDINATOR_JOURNAL_MAX_BYTES", "1k")]),
        (EMBEDDED, &[("JARVIS_RUN_COORDINATOR_DEFAULT_CONSTRAINTS", "{")]),
    ] {
        let found = messages(base, more);
        assert_eq!(found.len(), 1, "{more:?}: {found:#?}");
    }
}

#[test]
fn every_error_says_what_to_set() {
    for (base, more, names) in [
        (EMBEDDED, STORES.split_at(1).0, "JARVIS_EVENT_STREAM_URL"),
        (EMBEDDED, &[("ARP_AUTH_CLIENT_ID", "me")][..], "ARP_AUTH_PROFILE=dev-insecure"),
        (FULL, &[("ARP_AUTH_TOKEN_ENDPOINT", "")], "Set ARP_AUTH_TOKEN_ENDPOINT"),
        (FULL, &[("ARP_AUTH_TIMEOUT_SECS", "x")], "number of seconds"),
        (&[], &[("ARP_AUTH_PROFILE", "strict")], "Set ARP_AUTH_PROFILE to dev-insecure"),
        (&[], &[("ARP_AUTH_PROFILE", "keycloak")], "ARP_AUTH_AUDIENCE=arp-run-coordinator"),
        (EMBEDDED, &[("ARP_AUTH_ALGORITHMS", "HS256")], "Set one of RS256"),
        (EMBEDDED, &[("JARVIS_RUN_COORDINATOR_TLS_CERT", "c")], "Set JARVIS_RUN_COORDINATOR_TLS_KEY"),
    ] {
        let found = errors(base, more);
        let remedy = found.first().remedy().unwrap_or_default();
        assert!(remedy.contains(names), "{found}");
        assert!(found.to_string().contains(&format!("\n  {remedy}")), "{found}");
    }
    // With nothing set, the profile for development is the first thing that is named.
    let found = errors(&[], &[]);
    assert!(
        found.to_string().contains("To try it out, without tokens: ARP_AUTH_PROFILE=dev-insecure"),
        "{found}"
    );
}

#[test]
fn misspelled_names_are_shown_with_the_errors() {
    let found = errors(&[], &[("ARP_AUTH_PROFIL", "dev-insecure")]).to_string();
    let last = found.lines().last().expect("lines");
    assert!(
        last.starts_with("ARP_AUTH_PROFIL is not a variable") && last.ends_with("is ARP_AUTH_PROFILE meant?")
    );
}
