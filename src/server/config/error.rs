//! An error of the configuration. What to set instead is in `errors`.

use super::value::one_line;

/// An error of the configuration. Its `Display` is the line that goes to stderr
/// before the process exits with 1; the contract fixes the first five messages
/// (contract §18).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    #[error("{0} is required to start the Run Coordinator")]
    StoreUrlMissing(&'static str),
    #[error("ARP_AUTH_CLIENT_ID and ARP_AUTH_CLIENT_SECRET are required for outbound auth.")]
    CredentialsMissing,
    #[error("Invalid ARP_AUTH_* token exchange config: ARP_AUTH_TIMEOUT_SECS must be a number")]
    TimeoutNotANumber,
    #[error("Invalid ARP_AUTH_* token exchange config: issuer or token_endpoint is required")]
    TokenEndpointMissing,
    /// The first is set, and the second, without which it has no meaning, is not.
    #[error("{0} requires {1}")]
    Requires(&'static str, &'static str),
    /// A secret is given twice.
    #[error("{0} and {1} exclude each other")]
    Both(&'static str, &'static str),
    /// An error of the inbound authentication settings (contract §19). `name` is the
    /// variable to set, or to correct.
    #[error("{message}")]
    Inbound { name: &'static str, message: String, remedy: String },
    /// An invalid value of a variable. `name` is the name that was used, which may
    /// be an alias.
    #[error("{name} must be {expected}, not '{value}'")]
    Invalid { name: &'static str, expected: String, value: String },
    /// The same, where the value is too long to be repeated: the place of the error
    /// and its cause.
    #[error("{name} must be {expected}: {why}")]
    Explained { name: &'static str, expected: String, why: String },
}

impl ConfigError {
    /// Makes an error of the inbound settings; the message may quote input.
    pub(super) fn inbound(name: &'static str, message: &str, remedy: impl Into<String>) -> Self {
        Self::Inbound { name, message: one_line(message), remedy: remedy.into() }
    }
}
