//! What a service says about a failure, without its secrets.

use std::borrow::Cow;

use super::{CallError, Failure, NotSent};
use crate::{redact::Redactor, types::Error};

impl CallError {
    /// The same without the secrets that the service, or a parser that quotes it,
    /// may have put into its words.
    pub(super) fn redacted(self, redactor: &Redactor) -> Self {
        let masked = |text: String| match redactor.message(&text) {
            Cow::Borrowed(_) => text,
            Cow::Owned(masked) => masked,
        };
        let failure = match self.failure {
            Failure::NotSent(NotSent::NoConnection) => Failure::NotSent(NotSent::NoConnection),
            Failure::NotSent(NotSent::NoToken { reason }) => {
                Failure::NotSent(NotSent::NoToken { reason: masked(reason) })
            }
            Failure::NotSent(NotSent::Invalid { reason }) => {
                Failure::NotSent(NotSent::Invalid { reason: masked(reason) })
            }
            Failure::NoResponse { reason } => Failure::NoResponse { reason: masked(reason) },
            Failure::HttpStatus { status, reason, retry_after } => {
                Failure::HttpStatus { status, reason: masked(reason), retry_after }
            }
            Failure::Envelope { status, code, message, details, retryable, retry_after } => {
                let error = redactor.error(Error { details: Some(details), ..Error::new(&code, message) });
                let Error { code, message, details, .. } = error;
                let details = details.unwrap_or_default();
                Failure::Envelope { status, code, message, details, retryable, retry_after }
            }
            Failure::Malformed { reason } => Failure::Malformed { reason: masked(reason) },
            Failure::TooLarge { limit } => Failure::TooLarge { limit },
        };
        Self { failure, ..self }
    }
}
