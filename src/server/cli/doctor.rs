//! `doctor`: checks the configuration, and everything that it names, from this machine,
//! and says what to do. Nothing is started or changed.

use std::path::Path;

use tokio::runtime::Builder;

use super::{
    args::Shown,
    exit::{Exit, Failure},
    findings,
    output::Printer,
};
use crate::{
    app::{Finding, Scope, probe, token_of_commands},
    config::{ConfigErrors, Flags, LayeredVars, Settings},
    time::{Clock, SystemClock},
};

const CONFIGURATION: &str = "configuration";

/// Checks everything.
pub(super) fn doctor(flags: &Flags, shown: Shown) -> Result<Exit, Failure> {
    let printer = Printer::stdout();
    let form = printer.form(shown.output);
    let vars = match LayeredVars::load(Path::new(".")) {
        Ok(vars) => vars,
        Err(error) => {
            let remedy = "Correct the file, or the variable: what else is set is not known before that.";
            return findings::print(
                printer,
                form,
                &[Finding::failed(CONFIGURATION, error.to_string(), remedy)],
            );
        }
    };
    let found = match Settings::from_vars(&vars, flags) {
        Ok(settings) => {
            let mut found = of_settings(&settings);
            found.extend(look(&settings, Scope::Everything)?);
            found.extend(token_of_commands(&vars, SystemClock.now()));
            found
        }
        Err(errors) => of_errors(&errors),
    };
    findings::print(printer, form, &found)
}

/// Tries what the settings name.
pub(super) fn look(settings: &Settings, scope: Scope) -> Result<Vec<Finding>, Failure> {
    let runtime =
        Builder::new_multi_thread().worker_threads(1).enable_all().build().map_err(Failure::config)?;
    let found = runtime.block_on(probe(settings, scope, &SystemClock));
    runtime.shutdown_background();
    Ok(found)
}

fn of_settings(settings: &Settings) -> Vec<Finding> {
    let profile = settings.inbound.profile.map_or_else(|| "none".to_owned(), |profile| profile.to_string());
    let sound = Finding::ok(CONFIGURATION, format!("valid; profile {profile}"));
    let warnings = settings.warnings.iter().map(|warning| {
        Finding::warning(
            CONFIGURATION,
            warning,
            "Correct it, unless it is meant; docs/configuration.md explains it.",
        )
    });
    std::iter::once(sound).chain(warnings).collect()
}

fn of_errors(errors: &ConfigErrors) -> Vec<Finding> {
    let of_error = |error: &crate::config::ConfigError| {
        let remedy = error.remedy().unwrap_or_else(|| "Correct the value.".to_owned());
        Finding::failed(CONFIGURATION, error.to_string(), remedy)
    };
    let unknown = errors.unknown().iter().map(|unknown| {
        Finding::warning(CONFIGURATION, unknown.to_string(), "Correct the name, or remove it.")
    });
    errors.all().map(of_error).chain(unknown).collect()
}
