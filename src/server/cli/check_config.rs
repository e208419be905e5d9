//! `check-config`: prints the effective configuration, the source of each value,
//! and errors. Secrets are masked, so that the output can be shared.

use std::io::{self, Write};

use super::exit::{Exit, Failure};
use crate::config::{
    Flags, PolicyPosture, Settings, env_file::LayeredVars, foreign_names, in_effect_of_invalid,
    value::one_line,
};

/// Prints the configuration to `out`. The error and the exit code are those of a
/// start of the server, as far as they can be determined without one: `files`
/// returns what is wrong with the files that valid settings name.
pub(super) fn check_config(
    vars: &LayeredVars,
    flags: &Flags,
    files: &dyn Fn(&Settings) -> Result<(), Failure>,
    out: &mut dyn Write,
) -> io::Result<Exit> {
    let settings = Settings::from_vars(vars, flags);
    let all = match &settings {
        Ok(settings) => settings.in_effect.clone(),
        Err(_) => in_effect_of_invalid(vars, flags),
    };
    let mut group = "";
    for entry in all {
        if entry.group != group {
            let blank = if group.is_empty() { "" } else { "\n" };
            writeln!(out, "{blank}# {}", entry.group)?;
            group = entry.group;
        }
        writeln!(out, "{} = {}   (source: {})", entry.name, entry.value, entry.source)?;
    }
    writeln!(out)?;
    let foreign = foreign_names(vars);
    if !foreign.is_empty() {
        writeln!(out, "note: not read by this program: {}", one_line(&foreign.join(", ")))?;
    }
    match settings {
        Ok(settings) => {
            for warning in &settings.warnings {
                writeln!(out, "warning: {}", one_line(warning))?;
            }
            if let Err(Failure { exit, message }) = files(&settings) {
                write_error(out, &message)?;
                return Ok(exit);
            }
            writeln!(out, "{}", summary(&settings))?;
            Ok(Exit::Ok)
        }
        Err(errors) => {
            // In the order in which a start reports them, so the first one is above.
            for (error, remedy) in errors.described() {
                let remedy = remedy.map(|remedy| format!("\n{remedy}")).unwrap_or_default();
                write_error(out, &format!("{error}{remedy}"))?;
            }
            for unknown in errors.unknown() {
                writeln!(out, "warning: {}", one_line(&unknown.to_string()))?;
            }
            Ok(Exit::Config)
        }
    }
}

/// Writes an error, and what to do about it below.
fn write_error(out: &mut dyn Write, message: &str) -> io::Result<()> {
    for (place, line) in message.lines().enumerate() {
        let before = if place == 0 { "error: " } else { "  " };
        writeln!(out, "{before}{}", one_line(line.trim_start()))?;
    }
    Ok(())
}

/// Summarizes the configuration in one line.
fn summary(settings: &Settings) -> String {
    let stores = if settings.stores.is_some() { "JARVIS stores" } else { "embedded" };
    let policy = match (&settings.pdp, settings.policy) {
        (Some(_), PolicyPosture::DevAllow | PolicyPosture::DenyUnconfigured) => "by the PDP",
        (None, PolicyPosture::DevAllow) => "allow all",
        (None, PolicyPosture::DenyUnconfigured) => "deny all",
    };
    let outbound = if settings.outbound.is_some() { "with tokens" } else { "without tokens" };
    format!(
        "configuration ok: {stores}; policy {policy}; inbound authentication {}; outbound calls {outbound}",
        settings.inbound.mode.name(),
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::vars::Source;

    fn layer(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn report(vars: &LayeredVars, flags: &Flags) -> (Exit, String) {
        let mut out = Vec::new();
        let exit = check_config(vars, flags, &|_| Ok(()), &mut out).expect("written");
        (exit, String::from_utf8(out).expect("text"))
    }

    /// Variables of every source, an alias, and a URL with a password.
    fn full() -> LayeredVars {
        LayeredVars::new(vec![
            (
                Source::Environment,
                layer(&[
                    ("JARVIS_RUN_STORE_URL", "http://127.0.0.1:8091/v1/"),
                    ("JARVIS_EVENT_STREAM_URL", "http://me:hush-1@127.0.0.1:8093"),
                    ("JARVIS_ARTIFACT_STORE_URL", "http://127.0.0.1:8092"),
                    ("ARP_AUTH_CLIENT_SECRET", "hush-2"),
                    ("LOG_LEVEL", "debug"),
                ]),
            ),
            (
                Source::EnvLocal,
                layer(&[("ARP_ATOMIC_EXECUTOR_URL", "http://127.0.0.1:8082"), ("LOG_LEVEL", "error")]),
            ),
            (
                Source::EnvFile,
                layer(&[
                    ("ARP_AUTH_CLIENT_ID", "arp-run-coordinator"),
                    ("ARP_AUTH_TOKEN_ENDPOINT", "https://me:hush-3@sts/token?key=hush-4"),
                    ("ARP_AUTH_JWKS_URI", "https://sts/keys"),
                    ("JARVIS_RUN_COORDINATOR_AUTO_DISPATCH", "No"),
                ]),
            ),
        ])
    }

    #[test]
    fn report_has_sources_and_no_secrets() {
        let flags = Flags { port: Some(9000), journal: Some("/data/j.db".into()), ..Flags::default() };
        let (exit, text) = report(&full(), &flags);
        assert_eq!(exit, Exit::Ok);
        assert!(!text.contains("hush"));
        expectorate::assert_contents("tests/output/check-config.txt", &text);
    }

    #[test]
    fn embedded_server_needs_only_a_profile() {
        let vars = LayeredVars::new(vec![(Source::EnvFile, layer(&[("ARP_AUTH_PROFILE", "dev-insecure")]))]);
        let flags = Flags { host: Some("0.0.0.0".into()), ..Flags::default() };
        let (exit, text) = report(&vars, &flags);
        assert_eq!(exit, Exit::Ok);
        expectorate::assert_contents("tests/output/check-config-embedded.txt", &text);
    }

    #[test]
    fn reported_error_is_that_of_a_start() {
        let vars = LayeredVars::new(vec![(
            Source::Environment,
            layer(&[
                ("JARVIS_EVENT_STREAM_URL", "ftp://me:hush@store"),
                ("ARP_AUTH_CLIENT_ID", "two\nlines"),
                ("JARVIS_RUN_COORDINATOR_MAX_IN_FLIGHT", "many"),
            ]),
        )]);
        let error = Settings::from_vars(&vars, &Flags::default()).expect_err("missing").first().to_string();
        let (exit, text) = report(&vars, &Flags::default());
        assert_eq!(exit, Exit::Config);
        let first = text.lines().find(|line| line.starts_with("error: "));
        assert_eq!(first, Some(format!("error: {error}").as_str()));
        assert!(text.contains("error: JARVIS_RUN_COORDINATOR_MAX_IN_FLIGHT must be"), "{text}");
        assert!(!text.contains("hush"));
        expectorate::assert_contents("tests/output/check-config-error.txt", &text);
    }
}
