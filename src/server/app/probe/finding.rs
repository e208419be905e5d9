//! What came of a check, and what to do about it.

use serde::Serialize;

use super::super::StartError;
use crate::config::Settings;

/// Whether something works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Ok,
    /// It works, and probably not as it should.
    Warning,
    /// A server would not start, or would fail at its work.
    Failed,
}

impl Verdict {
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
        }
    }
}

/// What came of one check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was checked: `port`, `journal`, `pdp`, …
    pub check: String,
    pub status: Verdict,
    pub message: String,
    /// What to do about it; never absent if something is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl Finding {
    pub fn ok(check: &str, message: impl Into<String>) -> Self {
        Self { check: check.to_owned(), status: Verdict::Ok, message: message.into(), remedy: None }
    }

    pub fn warning(check: &str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::wrong(Verdict::Warning, check, message.into(), remedy.into())
    }

    pub fn failed(check: &str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::wrong(Verdict::Failed, check, message.into(), remedy.into())
    }

    fn wrong(status: Verdict, check: &str, message: String, remedy: String) -> Self {
        Self { check: check.to_owned(), status, message, remedy: Some(remedy) }
    }

    /// Of what a start would end with.
    pub(super) fn not_started(check: &str, error: &StartError, settings: &Settings) -> Self {
        let remedy = error.remedy(settings);
        let remedy = remedy.unwrap_or_else(|| "The message says what to correct.".to_owned());
        Self::failed(check, error.to_string(), remedy)
    }
}
