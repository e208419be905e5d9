//! The types of variables, as messages and documents describe them.

use std::borrow::Cow;

use super::value::{SWITCH_VALUES, TEN_YEARS};

/// The type of a variable's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Text,
    Secret,
    /// A base URL, normalised as contract §18 says.
    BaseUrl,
    /// A base URL, or a list of them, each with or without a name.
    BaseUrls,
    /// A URL that is used unchanged.
    Url,
    /// A host and a port: `127.0.0.1:8089`, `[::1]:8089`.
    HostPort,
    Path,
    /// A path, or the URL of a database.
    Journal,
    Bytes,
    Seconds,
    /// Seconds, or 0 for none.
    SecondsOrNone,
    Age,
    Count,
    /// A count that may be 0.
    Number,
    Switch,
    Choice(&'static [&'static str]),
    /// A ConstraintEnvelope as JSON, or a file with one.
    Constraints,
    /// The use of an execution as JSON.
    Usage,
    /// Hosts, addresses and ranges of addresses that webhooks may call.
    Targets,
}

impl Kind {
    /// Completes "must be …".
    pub fn expected(self) -> Cow<'static, str> {
        match self {
            Self::Text | Self::Secret => "text".into(),
            Self::BaseUrl => "an http:// or https:// URL without a query".into(),
            Self::BaseUrls => "an http:// or https:// URL without a query, or a list of such as \
                              URL,URL or NAME=URL,NAME=URL"
                .into(),
            Self::Url => "an http:// or https:// URL".into(),
            Self::HostPort => "a host and a port, such as 127.0.0.1:8089 or [::1]:8089".into(),
            Self::Path => "a path".into(),
            Self::Journal => "a path, or postgres://USER@HOST:PORT/DATABASE".into(),
            Self::Bytes => "a number of bytes above 0 (suffixes k, m, g)".into(),
            Self::Seconds => format!("a number of seconds above 0, {}", at_most_ten_years()).into(),
            Self::SecondsOrNone => format!("a number of seconds, {}", at_most_ten_years()).into(),
            Self::Age => "an integer above 0 with a unit (s, m, h, d), at most 36500d".into(),
            Self::Count => "an integer above 0".into(),
            Self::Number => "an integer".into(),
            Self::Switch => SWITCH_VALUES.into(),
            Self::Choice(values) => format!("one of {}", values.join(", ")).into(),
            Self::Constraints => "a ConstraintEnvelope as JSON, or @ and the path of a file with one".into(),
            Self::Usage => r#"JSON as {"external_calls":1,"cost":0}"#.into(),
            Self::Targets => {
                "a list of hosts (name, *.name, name:port), addresses or ranges (10.0.0.0/8), each with \
                              http:// before it if http is permitted"
                    .into()
            }
        }
    }

    /// Completes "must be …" in front of bounds.
    pub(super) fn bare(self) -> Cow<'static, str> {
        match self {
            Self::Bytes => "a number of bytes (suffixes k, m, g)".into(),
            Self::Count | Self::Number => "an integer".into(),
            Self::Text
            | Self::Secret
            | Self::BaseUrl
            | Self::BaseUrls
            | Self::Url
            | Self::HostPort
            | Self::Path
            | Self::Journal
            | Self::Seconds
            | Self::SecondsOrNone
            | Self::Age
            | Self::Switch
            | Self::Choice(_)
            | Self::Constraints
            | Self::Usage
            | Self::Targets => self.expected(),
        }
    }

    /// A short description for tables.
    pub fn unit(self) -> Cow<'static, str> {
        match self {
            Self::Text => "text".into(),
            Self::Secret => "secret".into(),
            Self::BaseUrl | Self::Url => "URL".into(),
            Self::BaseUrls => "URL,…".into(),
            Self::HostPort => "host:port".into(),
            Self::Path => "path".into(),
            Self::Journal => "path or postgres://…".into(),
            Self::Bytes => "bytes (k, m, g)".into(),
            Self::Seconds | Self::SecondsOrNone => "seconds".into(),
            Self::Age => "s, m, h, d".into(),
            Self::Count | Self::Number => "number".into(),
            Self::Switch => "true/false".into(),
            Self::Choice(values) => values.join("/").into(),
            Self::Constraints => "JSON or @file".into(),
            Self::Usage => "JSON".into(),
            Self::Targets => "host,…".into(),
        }
    }
}

fn at_most_ten_years() -> String {
    format!("at most {} (ten years)", TEN_YEARS.as_secs())
}
