//! All errors of a configuration, not only the first: so that a person corrects them in
//! one go.
//!
//! ```text
//!   read ──error──▶ note it ──▶ put a right value in its place ──▶ read again …
//!     └──no error, or one that is known──▶ done
//! ```
//!
//! So the errors are those that would be met one after the other, in the contract's
//! order, and the parsers need not know about it. A right value is the default, or the
//! one that `.env.example` has.

use std::collections::BTreeMap;

use super::Settings;
use crate::config::{
    error::ConfigError,
    errors::ConfigErrors,
    flags::Flags,
    unknown::unknown_names,
    variable::{Fallback, Variable},
    variables as v,
    vars::{Source, Vars},
};

/// All errors of these variables, of which the first is known.
pub(super) fn every_error(vars: &dyn Vars, flags: &Flags, first: ConfigError) -> ConfigErrors {
    let mut corrected = Corrected { vars, values: BTreeMap::new() };
    let mut others: Vec<ConfigError> = Vec::new();
    let mut last = first.clone();
    loop {
        corrected.correct(&last);
        match Settings::read(&corrected, flags) {
            // An error that comes again has not been corrected: there is nothing
            // beyond it.
            Err(error) if error != first && !others.contains(&error) => {
                others.push(error.clone());
                last = error;
            }
            Err(_) | Ok(_) => return ConfigErrors::new(first, others, unknown_names(vars)),
        }
    }
}

/// The variables with right values for what was wrong.
struct Corrected<'v> {
    vars: &'v dyn Vars,
    /// `None`: unset.
    values: BTreeMap<&'static str, Option<&'static str>>,
}

impl Vars for Corrected<'_> {
    fn get(&self, name: &str) -> Option<String> {
        match self.values.get(name) {
            Some(value) => value.map(str::to_owned),
            None => self.vars.get(name),
        }
    }

    fn source(&self, name: &str) -> Option<Source> {
        self.vars.source(name)
    }
}

impl Corrected<'_> {
    /// Sets what removes the error, and causes no other.
    fn correct(&mut self, error: &ConfigError) {
        match error {
            ConfigError::StoreUrlMissing(name) => self.set_right(name),
            ConfigError::CredentialsMissing => {
                let secret = [v::AUTH_CLIENT_SECRET, v::AUTH_CLIENT_SECRET_FILE];
                if secret.iter().all(|variable| variable.given(self).is_none()) {
                    self.set_right(v::AUTH_CLIENT_SECRET.name);
                }
                if v::AUTH_CLIENT_ID.given(self).is_none() {
                    self.set_right(v::AUTH_CLIENT_ID.name);
                }
            }
            ConfigError::TimeoutNotANumber => self.set_right(v::AUTH_TIMEOUT_SECS.name),
            ConfigError::TokenEndpointMissing => self.set_right(v::AUTH_TOKEN_ENDPOINT.name),
            // With an id it would lack a secret, and so on.
            ConfigError::Requires(given, missing) if *missing == v::AUTH_CLIENT_ID.name => {
                self.values.insert(*given, None);
            }
            ConfigError::Requires(_, missing) => self.set_right(missing),
            ConfigError::Both(_, second) => {
                self.values.insert(*second, None);
            }
            ConfigError::Inbound { name, .. } => {
                if *name == v::AUTH_PROFILE.name {
                    // Not a profile in which other settings have no meaning.
                    self.values.insert(*name, Some("enterprise"));
                } else if *name == v::AUTHORIZATION.name {
                    self.values.insert(*name, None);
                } else {
                    self.set_right(name);
                }
                // Which keys there are to be depends on the profile and the mode.
                let is_about_keys = [v::AUTH_PROFILE.name, v::AUTH_MODE.name].contains(name);
                let sources = [v::AUTH_JWKS_URI, v::AUTH_DISCOVERY_URL, v::AUTH_ISSUER];
                if is_about_keys && sources.iter().all(|variable| variable.given(self).is_none()) {
                    self.set_right(v::AUTH_JWKS_URI.name);
                }
            }
            ConfigError::Invalid { name, .. } | ConfigError::Explained { name, .. } => self.set_right(name),
        }
    }

    fn set_right(&mut self, name: &'static str) {
        let is_it = |variable: &&Variable| variable.name == name || variable.aliases.contains(&name);
        let Some(variable) = v::all().find(is_it) else { return };
        let value = match variable.fallback {
            Fallback::Value(_) => None,
            Fallback::Description(_) => variable.example,
        };
        self.values.insert(name, value);
    }
}
