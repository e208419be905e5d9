//! All errors of a configuration, and what to set instead.
//!
//! ```text
//!   ConfigError ── its message, one line: the contract fixes some of them (§18, §19)
//!        └──────── its remedy, where the message does not say what to set
//!   ConfigErrors ─ all of a configuration, the contract's first
//! ```

use std::fmt;

use super::{error::ConfigError, unknown::UnknownName, value::one_line, variables as v};

impl ConfigError {
    /// What to set. `None`: the message says it.
    pub fn remedy(&self) -> Option<String> {
        match self {
            Self::StoreUrlMissing(_) => Some(format!(
                "Set {}, {} and {}, or none of them: then the journal is the only record.",
                v::RUN_STORE_URL.name,
                v::EVENT_STREAM_URL.name,
                v::ARTIFACT_STORE_URL.name
            )),
            Self::CredentialsMissing => Some(format!(
                "Set both (or {} instead of the secret). In development, without tokens: neither of them, and \
                 {}=dev-insecure.",
                v::AUTH_CLIENT_SECRET_FILE.name,
                v::AUTH_PROFILE.name
            )),
            Self::TimeoutNotANumber => Some("Set a number of seconds, such as 10.".to_owned()),
            Self::TokenEndpointMissing => Some(format!(
                "Set {}; or {}, if the tokens come from a realm of Keycloak.",
                v::AUTH_TOKEN_ENDPOINT.name,
                v::AUTH_ISSUER.name
            )),
            Self::Requires(given, missing) => Some(format!("Set {missing}, or remove {given}.")),
            Self::Both(first, second) => Some(format!("Remove {first} or {second}.")),
            Self::Inbound { remedy, .. } => Some(remedy.clone()),
            Self::Invalid { .. } | Self::Explained { .. } => None,
        }
    }
}

/// Everything that is wrong with a configuration: at least one error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors {
    first: ConfigError,
    others: Vec<ConfigError>,
    /// Names that are not read: one of them may be the cause.
    unknown: Vec<UnknownName>,
}

impl ConfigErrors {
    pub(super) fn new(first: ConfigError, others: Vec<ConfigError>, unknown: Vec<UnknownName>) -> Self {
        Self { first, others, unknown }
    }

    /// The error that comes first in the contract's order.
    pub fn first(&self) -> &ConfigError {
        &self.first
    }

    /// All errors, in order.
    pub fn all(&self) -> impl Iterator<Item = &ConfigError> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// Each error with what to set, unless the error before it has said that.
    pub fn described(&self) -> Vec<(String, Option<String>)> {
        let mut said = None;
        let describe = |error: &ConfigError| {
            let remedy = error.remedy();
            let is_new = remedy != said;
            said.clone_from(&remedy);
            (error.to_string(), remedy.filter(|_| is_new))
        };
        self.all().map(describe).collect()
    }

    /// The names that are probably mistakes.
    pub fn unknown(&self) -> &[UnknownName] {
        &self.unknown
    }
}

/// Each error on a line, its remedy below it, and then the names that are not known.
impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = Vec::new();
        for (error, remedy) in self.described() {
            lines.push(error);
            lines.extend(remedy.map(|remedy| format!("  {remedy}")));
        }
        lines.extend(self.unknown.iter().map(|unknown| one_line(&unknown.to_string())));
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for ConfigErrors {}

/// Where only one error can be found.
impl From<ConfigError> for ConfigErrors {
    fn from(error: ConfigError) -> Self {
        Self::new(error, Vec::new(), Vec::new())
    }
}
