//! How words of the command line are read.

use std::time::Duration;

use crate::{
    config::{HttpUrl, Kind, Secret, value},
    record::AuditOutcome,
    time::Timestamp,
};

/// The time of the first record to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    At(Timestamp),
    Ago(Duration),
}

impl Since {
    pub fn from(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(time) => time,
            Self::Ago(age) => now - age,
        }
    }
}

/// A time in the future.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    At(Timestamp),
    In(Duration),
}

impl Until {
    pub fn from(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(time) => time,
            Self::In(time) => now + time,
        }
    }
}

pub(super) fn until(text: &str) -> Result<Until, String> {
    let later = || value::age(text).map(Until::In);
    let found = text.parse().ok().map(Until::At).or_else(later);
    found.ok_or_else(|| "not a time such as 2026-11-28T12:00:00Z, nor a duration such as 12h".to_owned())
}

/// `K=V`
pub(super) fn label(text: &str) -> Result<(String, String), String> {
    let (key, value) =
        text.split_once('=').filter(|(key, _)| !key.is_empty()).ok_or("not of the form K=V")?;
    Ok((key.to_owned(), value.to_owned()))
}

pub(super) fn base_url(text: &str) -> Result<HttpUrl, String> {
    HttpUrl::base(text).ok_or_else(|| "not an http:// or https:// URL without a query".to_owned())
}

pub(super) fn since(text: &str) -> Result<Since, String> {
    let ago = || value::age(text).map(Since::Ago);
    let found = text.parse().ok().map(Since::At).or_else(ago);
    found.ok_or_else(|| "not a time such as 2026-11-28T12:00:00Z, nor an age such as 12h".to_owned())
}

/// The outcome of that name, which is one of two.
#[expect(clippy::needless_pass_by_value, reason = "the signature that clap needs")]
pub(super) fn outcome(name: String) -> AuditOutcome {
    if name == AuditOutcome::Refused.as_str() { AuditOutcome::Refused } else { AuditOutcome::Applied }
}

pub(super) fn age(text: &str) -> Result<Duration, String> {
    value::age(text).ok_or_else(|| format!("not {}", Kind::Age.expected()))
}

pub(super) fn secret(text: &str) -> Result<Secret, std::convert::Infallible> {
    Ok(Secret::new(text.to_owned()))
}
