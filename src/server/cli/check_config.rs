//! `check-config`: prints the effective configuration, the source of each value,
//! and errors. Secrets are masked, so that the output can be shared.

use std::io::{self, Write};

use super::exit::{Exit, Failure};
use crate::config::{
    Flags, Mode,
    env_file::LayeredVars,
    settings::{DEFAULT_HOST, DEFAULT_PORT, PolicyPosture, Settings},
    value::one_line,
    variable::{Fallback, Variable},
    variables,
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
    writeln!(out, "# Flags")?;
    let port = flags.port.unwrap_or(DEFAULT_PORT).to_string();
    entry(out, "--host", flags.host.as_deref().unwrap_or(DEFAULT_HOST), flag_source(flags.host.is_some()))?;
    entry(out, "--port", &port, flag_source(flags.port.is_some()))?;
    entry(out, "--reload", if flags.reload { "true" } else { "false" }, flag_source(flags.reload))?;
    let settings = Settings::from_vars(vars, flags);
    for group in variables::groups() {
        writeln!(out, "\n# {}", group.title)?;
        for variable in group.variables {
            let (mut value, source) = described(variable, vars, flags);
            if variable.given(vars).is_none()
                && let Some(derived) = settings.as_ref().ok().and_then(|all| derived(variable, all))
            {
                value = variable.shown(&derived);
            }
            entry(out, variable.name, &value, &source)?;
        }
    }
    writeln!(out)?;
    match settings {
        Ok(settings) => {
            for warning in &settings.warnings {
                writeln!(out, "warning: {}", one_line(warning))?;
            }
            if let Err(Failure { exit, message }) = files(&settings) {
                writeln!(out, "error: {}", one_line(&message))?;
                return Ok(exit);
            }
            writeln!(out, "{}", summary(&settings))?;
            Ok(Exit::Ok)
        }
        Err(error) => {
            writeln!(out, "error: {error}")?;
            Ok(Exit::Config)
        }
    }
}

fn entry(out: &mut dyn Write, name: &str, value: &str, source: &str) -> io::Result<()> {
    writeln!(out, "{name} = {}   (source: {source})", one_line(value))
}

fn flag_source(given: bool) -> &'static str {
    if given { "flag" } else { "default" }
}

/// The effective value of `variable`, and its source.
fn described(variable: &Variable, vars: &LayeredVars, flags: &Flags) -> (String, String) {
    if variable.name == variables::JOURNAL.name
        && let Some(path) = &flags.journal
    {
        return (path.display().to_string(), "flag --journal".to_owned());
    }
    match (variable.given(vars), variable.fallback) {
        (Some(given), _) => {
            let layer = vars.source(given.name).map_or_else(String::new, |source| source.to_string());
            let alias = if given.name == variable.name { "" } else { given.name };
            let source = [layer.as_str(), alias].into_iter().filter(|part| !part.is_empty());
            (variable.shown(&given.text), source.collect::<Vec<_>>().join(", as "))
        }
        (None, Fallback::Value(value)) => (variable.shown(value), "default".to_owned()),
        (None, Fallback::Description(text)) => (format!("({text})"), "default".to_owned()),
    }
}

/// The value of an unset variable that other variables determine.
fn derived(variable: &Variable, settings: &Settings) -> Option<String> {
    if variable.name == variables::AUTH_MODE.name {
        Some(mode_name(settings.inbound.mode).to_owned())
    } else if variable.name == variables::AUTH_ISSUER.name {
        settings.inbound.issuer.clone()
    } else if variable.name == variables::AUTH_TOKEN_ENDPOINT.name {
        settings.outbound.as_ref().map(|outbound| outbound.token_endpoint.as_str().to_owned())
    } else {
        None
    }
}

fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Required => "required",
        Mode::Optional => "optional",
        Mode::Disabled => "disabled",
    }
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
        mode_name(settings.inbound.mode),
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::env_file::Source;

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
        let error = Settings::from_vars(&vars, &Flags::default()).expect_err("missing").to_string();
        let (exit, text) = report(&vars, &Flags::default());
        assert_eq!(exit, Exit::Config);
        assert_eq!(text.lines().last(), Some(format!("error: {error}").as_str()));
        assert!(!text.contains("hush"));
        expectorate::assert_contents("tests/output/check-config-error.txt", &text);
    }
}
