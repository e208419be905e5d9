//! The configuration as it is in effect: each setting with its value and its source,
//! for `check-config` and `GET /x/system`.
//!
//! **Invariant:** no value contains a secret: [`Variable::shown`] masks them.

use super::{DEFAULT_HOST, DEFAULT_PORT, Settings};
use crate::config::{
    flags::Flags,
    value::{InEffect, one_line},
    variable::{Fallback, Variable},
    variables,
    vars::Vars,
};

/// All settings, in the order of the documents. `settings` is what the variables were
/// parsed to: some values follow from others.
pub(super) fn in_effect(vars: &dyn Vars, flags: &Flags, settings: Option<&Settings>) -> Vec<InEffect> {
    let port = flags.port.unwrap_or(DEFAULT_PORT).to_string();
    let host = flags.host.as_deref().unwrap_or(DEFAULT_HOST);
    let reload = if flags.reload { "true" } else { "false" };
    let flag = |name, value: &str, is_given| InEffect {
        group: "Flags",
        name,
        value: one_line(value),
        source: if is_given { "flag" } else { InEffect::DEFAULT }.to_owned(),
    };
    let mut all = vec![
        flag("--host", host, flags.host.is_some()),
        flag("--port", &port, flags.port.is_some()),
        flag("--reload", reload, flags.reload),
    ];
    for group in variables::groups() {
        all.extend(group.variables.iter().map(|variable| {
            let (mut value, source) = described(variable, vars, flags);
            if variable.given(vars).is_none()
                && let Some(derived) = settings.and_then(|all| derived(variable, all))
            {
                value = variable.shown(&derived);
            }
            InEffect { group: group.title, name: variable.name, value: one_line(&value), source }
        }));
    }
    all
}

/// As [`Settings::in_effect`], of variables that no settings can be made of.
pub fn in_effect_of_invalid(vars: &dyn Vars, flags: &Flags) -> Vec<InEffect> {
    in_effect(vars, flags, None)
}

/// The effective value of `variable`, and its source.
fn described(variable: &Variable, vars: &dyn Vars, flags: &Flags) -> (String, String) {
    if variable.name == variables::JOURNAL.name
        && let Some(given) = &flags.journal
    {
        return (variable.shown(given), "flag --journal".to_owned());
    }
    if variable.name == variables::LOG_LEVEL.name
        && let Some((level, flag)) = flags.level().zip(flags.level_flag())
    {
        return (level.as_str().to_owned(), format!("flag {flag}"));
    }
    match (variable.given(vars), variable.fallback) {
        (Some(given), _) => {
            let layer = vars.source(given.name).map_or_else(String::new, |source| source.to_string());
            let alias = if given.name == variable.name { "" } else { given.name };
            let source = [layer.as_str(), alias].into_iter().filter(|part| !part.is_empty());
            (variable.shown(&given.text), source.collect::<Vec<_>>().join(", as "))
        }
        (None, Fallback::Value(value)) => (variable.shown(value), InEffect::DEFAULT.to_owned()),
        (None, Fallback::Description(text)) => (format!("({text})"), InEffect::DEFAULT.to_owned()),
    }
}

/// The value of an unset variable that other variables determine.
fn derived(variable: &Variable, settings: &Settings) -> Option<String> {
    if variable.name == variables::AUTH_MODE.name {
        Some(settings.inbound.mode.name().to_owned())
    } else if variable.name == variables::AUTH_ISSUER.name {
        settings.inbound.issuer.clone()
    } else if variable.name == variables::AUTH_TOKEN_ENDPOINT.name {
        settings.outbound.as_ref().map(|outbound| outbound.token_endpoint.as_str().to_owned())
    } else {
        None
    }
}
