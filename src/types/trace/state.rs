//! `tracestate`: what tracing systems tell each other through us. It is checked and
//! passed on as it is, and nothing of it is used.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What the standard demands at least is the most that is passed on.
const CHARS_MAX: usize = 512;
const MEMBERS_MAX: usize = 32;

/// A valid `tracestate`; empty if there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct TraceState(String);

impl TraceState {
    /// Reads the header, whose lines are joined by commas. One that is invalid, or
    /// larger than what is passed on, counts as missing.
    pub fn parse(text: &str) -> Self {
        if text.len() > CHARS_MAX {
            return Self::default();
        }
        let mut keys = Vec::new();
        let mut members = Vec::new();
        for member in text.split(',').map(|member| member.trim_matches([' ', '\t'])) {
            if member.is_empty() {
                continue;
            }
            let Some((key, _)) = member.split_once('=').filter(|(key, value)| is_key(key) && is_value(value))
            else {
                return Self::default();
            };
            if keys.contains(&key) || keys.len() == MEMBERS_MAX {
                return Self::default();
            }
            keys.push(key);
            members.push(member);
        }
        Self(members.join(","))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_key(key: &str) -> bool {
    let is_of_key = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/');
    let is_part = |part: &str, starts_with_letter: bool, longest: usize| {
        let first = part.bytes().next();
        let begins = first
            .is_some_and(|byte| byte.is_ascii_lowercase() || !starts_with_letter && byte.is_ascii_digit());
        begins && part.len() <= longest && part.bytes().all(is_of_key)
    };
    match key.split_once('@') {
        None => is_part(key, true, 256),
        Some((tenant, system)) => is_part(tenant, false, 241) && is_part(system, true, 14),
    }
}

fn is_value(value: &str) -> bool {
    let is_of_value = |byte: u8| matches!(byte, b' '..=b'~') && byte != b',' && byte != b'=';
    !value.is_empty() && value.len() <= 256 && value.bytes().all(is_of_value) && !value.ends_with(' ')
}

impl From<String> for TraceState {
    fn from(text: String) -> Self {
        Self::parse(&text)
    }
}

impl From<TraceState> for String {
    fn from(state: TraceState) -> Self {
        state.0
    }
}

impl fmt::Display for TraceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
