//! Why the configuration cannot be used.

use super::value::one_line;

/// The first thing wrong with the configuration. Its `Display` is the one line
/// that goes to stderr before the process exits with 1; the first five are
/// the contract's words (§18).
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
    /// What the inbound authentication settings have to say (contract §19).
    #[error("{0}")]
    Inbound(String),
    /// A value that its variable does not take. `name` is the name it was
    /// given by, which may be an alias.
    #[error("{name} must be {expected}, not '{value}'")]
    Invalid { name: &'static str, expected: String, value: String },
}

impl ConfigError {
    /// A message of the inbound settings, which may quote what the user wrote.
    pub(super) fn inbound(message: &str) -> Self {
        Self::Inbound(one_line(message))
    }
}
