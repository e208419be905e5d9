//! Switches and other settings with a fixed set of values.

use slog::Level;

/// The values of a switch, for messages.
pub const SWITCH_VALUES: &str = "one of true, yes, on, 1, false, no, off, 0";

/// Parses a switch, in any case. The values for off are the contract's (§18).
/// The Python coordinator takes every other value for on, even a misspelled one.
pub fn switch(text: &str) -> Option<bool> {
    match text.trim().to_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Some(true),
        "0" | "false" | "no" | "off" => Some(false),
        _ => None,
    }
}

/// Parses a log level by its Python name, in any case.
pub fn log_level(text: &str) -> Option<Level> {
    match text.trim().to_ascii_uppercase().as_str() {
        "CRITICAL" | "FATAL" => Some(Level::Critical),
        "ERROR" => Some(Level::Error),
        "WARNING" | "WARN" => Some(Level::Warning),
        "INFO" => Some(Level::Info),
        "DEBUG" => Some(Level::Debug),
        // Python's NOTSET logs everything.
        "TRACE" | "NOTSET" => Some(Level::Trace),
        _ => None,
    }
}

/// Parses a value of an enum by its name, in any case.
pub fn lower_case<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.trim().to_ascii_lowercase().parse().ok()
}

/// Whether binding decisions must bring their candidate set.
pub fn candidate_sets(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "trusted" => Some(false),
        "required" => Some(true),
        _ => None,
    }
}

/// Whether values are judged by the schemas of node types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemaMode {
    Off,
    /// Violations are noted.
    Record,
    /// Violations are refused.
    Enforce,
}

impl SchemaMode {
    pub fn parse(text: &str) -> Option<Self> {
        match text.trim().to_ascii_lowercase().as_str() {
            "off" => Some(Self::Off),
            "record" => Some(Self::Record),
            "enforce" => Some(Self::Enforce),
            _ => None,
        }
    }
}

/// The format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

impl LogFormat {
    pub fn parse(text: &str) -> Option<Self> {
        match text.trim().to_ascii_lowercase().as_str() {
            "text" => Some(Self::Text),
            "json" => Some(Self::Json),
            _ => None,
        }
    }
}

/// The field of a token request that names the audience.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AudienceField {
    /// Contract §20; Auth0 uses it, too.
    Audience,
    /// RFC 8707.
    Resource,
}

impl AudienceField {
    pub fn parse(text: &str) -> Option<Self> {
        match text.trim().to_ascii_lowercase().as_str() {
            "audience" => Some(Self::Audience),
            "resource" => Some(Self::Resource),
            _ => None,
        }
    }
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Audience => "audience",
            Self::Resource => "resource",
        }
    }
}

/// The behaviour during an outage of the Node Registry (contract D-16).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegistryOutage {
    /// Fails closed: nothing that needs the registry starts.
    Closed,
    /// Fails open: behaves as if no registry were configured.
    Open,
}

impl RegistryOutage {
    pub fn parse(text: &str) -> Option<Self> {
        match text.trim().to_ascii_lowercase().as_str() {
            "closed" => Some(Self::Closed),
            "open" => Some(Self::Open),
            _ => None,
        }
    }
}

/// The behaviour of a server without JARVIS stores whose journal has an outbox
/// for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WithoutStores {
    /// Refuses to start.
    Refuse,
    /// Keeps adding to the outbox.
    Owe,
    /// Discards the outbox.
    Forget,
}

impl WithoutStores {
    pub fn parse(text: &str) -> Option<Self> {
        match text.trim().to_ascii_lowercase().as_str() {
            "refuse" => Some(Self::Refuse),
            "owe" => Some(Self::Owe),
            "forget" => Some(Self::Forget),
            _ => None,
        }
    }
}

/// What happens to a node that requires an approval (contract D-08).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnApproval {
    /// It fails.
    Fail,
    /// It waits.
    Park,
}

impl OnApproval {
    pub fn parse(text: &str) -> Option<Self> {
        match text.trim().to_ascii_lowercase().as_str() {
            "fail" => Some(Self::Fail),
            "park" => Some(Self::Park),
            _ => None,
        }
    }
}

/// The behaviour during an outage of the PDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PdpOutage {
    /// Denies (contract §10).
    Deny,
    /// Holds what the PDP should decide.
    Hold,
}

impl PdpOutage {
    pub fn parse(text: &str) -> Option<Self> {
        match text.trim().to_ascii_lowercase().as_str() {
            "deny" => Some(Self::Deny),
            "hold" => Some(Self::Hold),
            _ => None,
        }
    }
}
