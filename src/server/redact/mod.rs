//! Takes secrets out of what other services say before it is stored, logged or
//! passed on. What callers own, inputs and outputs, is never changed.
//!
//! ```text
//!   an error's code, message, details ──▶ Redactor::error ──▶ records, events, answers
//!   a log value, with its key         ──▶ Redactor::value ──▶ log
//!                                             │
//!                              names ◀────────┴────────▶ text
//!              members and keys with such a name     what looks like a credential
//! ```
//!
//! It errs on the side of masking. What it does not find: a secret without a
//! name beside it that looks like an ordinary word.
//!
//! **Invariants.** Time is linear in the input, and nothing recurses deeper than
//! the JSON that was accepted. A text with nothing to mask is not copied. What
//! is masked once stays as it is: redacting again changes nothing.

mod names;
mod object;
#[cfg(test)]
mod proptests;
mod text;

use std::{borrow::Cow, fmt, sync::Arc};

use self::names::Names;
use crate::types::{Error, JsonObject};

/// Stands for what was masked.
pub const MASK: &str = "[redacted]";

/// The longest code of an error, in characters.
pub const CODE_CHARS: usize = 200;
/// The longest message of an error, in characters.
pub const MESSAGE_CHARS: usize = 4_096;
/// The largest details of an error, in bytes of JSON.
pub const DETAILS_BYTES: usize = 64 << 10;

/// Masks secrets. Clones share the rules.
#[derive(Clone)]
pub struct Redactor(Arc<Names>);

impl Redactor {
    /// With the built-in names and these.
    pub fn new(more: &[String]) -> Self {
        Self(Arc::new(Names::with(more)))
    }

    /// An error of another service: masked, and bounded in size.
    #[must_use]
    pub fn error(&self, mut error: Error) -> Error {
        error.code = self.bounded(&error.code, CODE_CHARS).into_owned();
        error.message = self.bounded(&error.message, MESSAGE_CHARS).into_owned();
        error.details = error.details.map(|details| self.object(&details));
        error
    }

    /// The details of an error.
    pub fn object(&self, details: &JsonObject) -> JsonObject {
        object::redacted(self, details)
    }

    /// A text of at most [`MESSAGE_CHARS`].
    pub fn message<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.bounded(text, MESSAGE_CHARS)
    }

    /// A text of any length.
    pub fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        text::redacted(&self.0, text, usize::MAX)
    }

    /// Whether a value of this name is secret.
    pub fn is_secret(&self, name: &str) -> bool {
        self.0.contain(name)
    }

    fn bounded<'t>(&self, text: &'t str, chars: usize) -> Cow<'t, str> {
        text::redacted(&self.0, text, chars)
    }
}

impl Default for Redactor {
    fn default() -> Self {
        Self::new(&[])
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Redactor").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
