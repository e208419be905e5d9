//! Values: how they are parsed, and the errors for invalid ones.

use slog::Level;

use super::{EMBEDDED, FULL, STORES, error, settings};
use crate::config::{
    settings::Settings,
    value::{JournalPlace, LogFormat},
};

#[test]
fn other_variables_are_parsed() {
    type Check = fn(&Settings) -> bool;
    let rows: [(&str, &str, Check); 16] = [
        ("JARVIS_RUN_COORDINATOR_AUTO_DISPATCH", " Off ", |s| !s.auto_dispatch),
        ("JARVIS_RUN_COORDINATOR_STRICT_EXTENSION_KEYS", "on", |s| s.dotted_keys),
        ("LOG_LEVEL", "warning", |s| s.log.level == Level::Warning),
        ("LOG_LEVEL", "Critical", |s| s.log.level == Level::Critical),
        ("JARVIS_RUN_COORDINATOR_LOG_FORMAT", "JSON", |s| s.log.format == LogFormat::Json),
        ("JARVIS_RUN_COORDINATOR_JOURNAL", "/data/j.db", |s| {
            s.journal.place == JournalPlace::File("/data/j.db".into())
        }),
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
fn invalid_values_are_named() {
    const JOURNAL: &str =
        "a number of bytes (suffixes k, m, g) from 256k (an empty journal and some room) to 8192g";
    const BYTES: &str = "a number of bytes (suffixes k, m, g) from 1 to 1g";
    const SECONDS: &str = "a number of seconds above 0, at most 315360000 (ten years)";
    for (name, value, expected) in [
        ("JARVIS_RUN_COORDINATOR_LOG_FORMAT", "xml", "one of text, json"),
        ("JARVIS_RUN_COORDINATOR_JOURNAL_MAX_BYTES", "lots", JOURNAL),
        ("JARVIS_RUN_COORDINATOR_MAX_BODY_BYTES", "0", BYTES),
        ("JARVIS_RUN_COORDINATOR_OFFLOAD_OUTPUTS_BYTES", "0", BYTES),
        ("JARVIS_RUN_COORDINATOR_NODE_TIMEOUT_SECS", "0", SECONDS),
        ("JARVIS_RUN_COORDINATOR_RUN_TIMEOUT_SECS", "1d", SECONDS),
        ("JARVIS_RUN_COORDINATOR_MAX_IN_FLIGHT", "0", "an integer from 1 to 100000"),
        ("JARVIS_RUN_COORDINATOR_CONNECT_TIMEOUT_SECS", "inf", SECONDS),
        ("JARVIS_RUN_COORDINATOR_CALL_TIMEOUT_SECS", "-3", SECONDS),
        ("JARVIS_RUN_COORDINATOR_SHUTDOWN_TIMEOUT_SECS", "x\ny", SECONDS),
    ] {
        let shown = value.replace('\n', "\\n");
        assert_eq!(error(EMBEDDED, &[(name, value)]), format!("{name} must be {expected}, not '{shown}'"));
    }
}

#[test]
fn switch_accepts_only_its_values() {
    const VALUES: &str = "one of true, yes, on, 1, false, no, off, 0";
    for name in ["JARVIS_RUN_COORDINATOR_AUTO_DISPATCH", "JARVIS_RUN_COORDINATOR_STRICT_EXTENSION_KEYS"] {
        for word in ["true", "Yes", "on", "1", "FALSE", "no", "off", "0", "  "] {
            settings(EMBEDDED, &[(name, word)]);
        }
        for word in ["flase", "maybe", "n", "y", "2", "enabled"] {
            assert_eq!(error(EMBEDDED, &[(name, word)]), format!("{name} must be {VALUES}, not '{word}'"));
        }
    }
    let audience = ("ARP_AUTH_REQUIRE_AUDIENCE", "flase");
    assert_eq!(
        error(EMBEDDED, &[audience]),
        format!("ARP_AUTH_REQUIRE_AUDIENCE must be {VALUES}, not 'flase'")
    );
}

#[test]
fn sizes_and_times_have_bounds() {
    const JOURNAL: &str = "JARVIS_RUN_COORDINATOR_JOURNAL_MAX_BYTES";
    const BYTES: &str = "a number of bytes (suffixes k, m, g)";
    const SECONDS: &str = "a number of seconds above 0, at most 315360000 (ten years)";
    for (name, value, expected) in [
        (JOURNAL, "10", format!("{BYTES} from 256k (an empty journal and some room) to 8192g")),
        (JOURNAL, "9000g", format!("{BYTES} from 256k (an empty journal and some room) to 8192g")),
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
            "an integer above 0 with a unit (s, m, h, d), at most 36500d".into(),
        ),
        ("JARVIS_RUN_COORDINATOR_MAX_IN_FLIGHT", "100001", "an integer from 1 to 100000".into()),
        ("JARVIS_RUN_COORDINATOR_MAX_RETRIES", "1000001", "an integer from 0 to 1000000".into()),
    ] {
        let vars: Vec<_> = STORES.iter().copied().chain([(name, value)]).collect();
        assert_eq!(error(EMBEDDED, &vars), format!("{name} must be {expected}, not '{value}'"));
    }
    // The bounds themselves are valid.
    let settings = settings(
        EMBEDDED,
        &[
            (JOURNAL, "256k"),
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
fn constraints_name_the_place_that_is_wrong() {
    for name in ["JARVIS_RUN_COORDINATOR_DEFAULT_CONSTRAINTS", "JARVIS_RUN_COORDINATOR_MAX_CONSTRAINTS"] {
        assert_eq!(
            error(EMBEDDED, &[(name, r#"{"structural": {"max_dept": 3}}"#)]),
            format!(
                "{name} must be a ConstraintEnvelope as JSON, or @ and the path of a file with one: \
                 structural.max_dept: not a limit"
            )
        );
    }
    let settings = settings(
        EMBEDDED,
        &[("JARVIS_RUN_COORDINATOR_MAX_CONSTRAINTS", r#" {"structural": {"max_depth": 3}} "#)],
    );
    assert_eq!(settings.bounds.defaults, None);
    let of_depth = settings.bounds.maxima.and_then(|maxima| maxima.structural?.max_depth);
    assert_eq!(of_depth, Some(3));
}

#[test]
fn debug_output_has_no_secret() {
    let settings = settings(FULL, &[("JARVIS_PDP_URL", "http://me:hush@pdp")]);
    assert!(!format!("{settings:?}").contains("hush"));
}
